//! A mail server that keeps what it is given, as it was given.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// A letter, as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Posted {
    /// The commands before the letter: who said hello, who it is from and to.
    pub(crate) commands: Vec<String>,
    /// The letter, with its head, dots undoubled.
    pub(crate) text: String,
}

impl Posted {
    /// Its text as it is read: lines that are too long are broken on the way, and some bytes are written as `=3D`.
    pub(crate) fn body(&self) -> String {
        let (_, body) = self.text.split_once("\n\n").unwrap();
        let mut parts = body.replace("=\n", "").into_bytes().into_iter();
        let mut read = Vec::new();
        while let Some(byte) = parts.next() {
            read.push(match byte {
                b'=' => {
                    let code = [parts.next().unwrap(), parts.next().unwrap()];
                    u8::from_str_radix(std::str::from_utf8(&code).unwrap(), 16).unwrap()
                }
                byte => byte,
            });
        }
        String::from_utf8(read).unwrap()
    }

    /// The path of the link in it.
    pub(crate) fn link(&self) -> String {
        let body = self.body();
        let line = body.lines().find(|line| line.starts_with("http://localhost")).unwrap();
        line["http://".len()..].split_once('/').map(|(_, path)| format!("/{path}")).unwrap()
    }
}

/// A mail server at loopback.
#[derive(Clone)]
pub(crate) struct PostOffice {
    pub(crate) address: String,
    posted: Arc<Mutex<Vec<Posted>>>,
    came: Arc<Notify>,
}

impl PostOffice {
    /// One that takes everything.
    pub(crate) async fn open() -> Self {
        Self::answering("250 taken").await
    }

    /// One that answers each recipient so.
    pub(crate) async fn answering(answer: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let office =
            Self { address: listener.local_addr().unwrap().to_string(), posted: Arc::default(), came: Arc::default() };
        let serving = office.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let office = serving.clone();
                tokio::spawn(async move { office.talk(stream, answer).await });
            }
        });
        office
    }

    /// All that has arrived.
    pub(crate) fn posted(&self) -> Vec<Posted> {
        self.posted.lock().unwrap().clone()
    }

    /// All that has arrived, when there are so many.
    pub(crate) async fn wait(&self, count: usize) -> Vec<Posted> {
        loop {
            let came = self.came.notified();
            let posted = self.posted();
            if posted.len() >= count {
                return posted;
            }
            came.await;
        }
    }

    async fn talk(&self, stream: TcpStream, answer: &str) -> Option<()> {
        let mut stream = BufReader::new(stream);
        stream.write_all(b"220 localhost ready\r\n").await.ok()?;
        let mut commands = Vec::new();
        loop {
            let line = line(&mut stream).await?;
            let verb = line.split(' ').next()?.to_ascii_uppercase();
            let said = match verb.as_str() {
                "EHLO" => "250-localhost\r\n250 AUTH PLAIN",
                "RCPT" => answer,
                "DATA" => "354 go on",
                "QUIT" => "221 bye",
                "AUTH" => "235 known",
                _ => "250 taken",
            };
            stream.write_all(format!("{said}\r\n").as_bytes()).await.ok()?;
            commands.push(line);
            if verb == "DATA" {
                let text = letter(&mut stream).await?;
                self.posted.lock().unwrap().push(Posted { commands: std::mem::take(&mut commands), text });
                stream.write_all(b"250 taken\r\n").await.ok()?;
                self.came.notify_one();
            }
        }
    }
}

async fn line(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let mut line = String::new();
    let length = stream.read_line(&mut line).await.ok()?;
    (length > 0).then(|| line.trim_end().to_owned())
}

async fn letter(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let mut text = String::new();
    loop {
        let line = line(stream).await?;
        if line == "." {
            return Some(text);
        }
        text.push_str(line.strip_prefix('.').unwrap_or(&line));
        text.push('\n');
    }
}
