//! Those who ask: a connection that is kept, and a WebSocket.

use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::site::Site;

/// A kept connection of HTTP/1.1.
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
    head: String,
}

impl Client {
    /// Connects; each request has this line in its head.
    pub(crate) async fn connect(address: SocketAddr, line: &str) -> Self {
        let stream = TcpStream::connect(address).await.expect("the server listens");
        stream.set_nodelay(true).expect("a socket");
        Self { stream: BufReader::new(stream), head: format!("Host: {address}\r\n{line}\r\n") }
    }

    pub(crate) async fn get(&mut self, path: &str) -> Value {
        self.ask("GET", path, "").await
    }

    pub(crate) async fn post(&mut self, path: &str, body: &Value) -> Value {
        self.ask("POST", path, &body.to_string()).await
    }

    async fn ask(&mut self, method: &str, path: &str, body: &str) -> Value {
        let (head, body) = self.send(method, path, "application/json", body).await;
        assert!(head.starts_with("HTTP/1.1 20"), "{method} {path}: {head}{}", String::from_utf8_lossy(&body));
        serde_json::from_slice(&body).expect("JSON")
    }

    /// The head and the body of an answer.
    pub(crate) async fn send(&mut self, method: &str, path: &str, kind: &str, body: &str) -> (String, Vec<u8>) {
        let head = &self.head;
        let length = body.len();
        let request =
            format!("{method} {path} HTTP/1.1\r\n{head}Content-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{body}");
        self.stream.write_all(request.as_bytes()).await.expect("it is sent");
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let before = head.len();
            self.stream.read_line(&mut head).await.expect("a head");
            let line = head[before..].trim();
            if line.is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().expect("a length");
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).await.expect("a body");
        (head, body)
    }
}

/// The WebSocket of a run.
pub(crate) struct Live {
    socket: WebSocketStream<TcpStream>,
    /// Whether the run's last event was seen.
    is_over: bool,
}

impl Live {
    pub(crate) async fn open(site: &Site, run: &str) -> Self {
        let stream = TcpStream::connect(site.address).await.expect("the server listens");
        stream.set_nodelay(true).expect("a socket");
        let request = axum::http::Request::builder()
            .uri(format!("ws://{}/api/v1/runs/{run}/live", site.address))
            .header("Host", site.address.to_string())
            .header("Authorization", format!("Bearer {}", site.token))
            .header("Connection", "Upgrade")
            .header("Upgrade", "websocket")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
            .body(())
            .expect("a request");
        Self { socket: client_async(request, stream).await.expect("a WebSocket").0, is_over: false }
    }

    /// A WebSocket to whoever takes it.
    pub(crate) async fn bare(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("it listens");
        stream.set_nodelay(true).expect("a socket");
        let (socket, _) = client_async(format!("ws://{address}/"), stream).await.expect("a WebSocket");
        Self { socket, is_over: false }
    }

    /// Asks for the log of this stage.
    pub(crate) async fn ask_for(&mut self, stage: &str) {
        let wish = json!({ "log": { "stage": stage, "attempt": 1 } }).to_string();
        self.socket.send(Message::text(wish)).await.expect("it is sent");
    }

    /// The next text; nothing at the end.
    pub(crate) async fn next(&mut self) -> Option<Utf8Bytes> {
        loop {
            match self.socket.next().await?.expect("a message") {
                Message::Text(text) => return Some(text),
                Message::Close(_) => return None,
                _ => {}
            }
        }
    }

    /// Reads up to a text of this kind.
    pub(crate) async fn until(&mut self, kind: &str) {
        let start = format!("{{\"type\":\"{kind}\"");
        loop {
            let text = self.next().await.expect("there is more");
            self.is_over |= text.contains("\"run_finished\"");
            if text.starts_with(&start) {
                return;
            }
        }
    }

    /// Reads up to the end of the run.
    pub(crate) async fn until_finished(&mut self) {
        while !self.is_over {
            self.until("event").await;
        }
    }
}
