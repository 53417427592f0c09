//! A live log that many watch, and the same frames handed to as many by nobody in particular.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use futures_util::SinkExt;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::broadcast;
use tokio::task::JoinSet;
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use crate::client::Live;
use crate::site::Site;

/// Begins a text with lines, and one that says that there are no more.
const LINES: &str = "{\"type\":\"log\",";
const END: &str = "{\"type\":\"log_end\"";

/// A stage that waits for the word to go and then says its lines, and its readers, who wait too.
pub(crate) struct Watched {
    readers: Vec<Live>,
    /// Takes nothing.
    _stalled: Live,
    go: PathBuf,
    /// How many lines each must get.
    lines: usize,
}

impl Watched {
    pub(crate) async fn new(site: &Site, readers: usize, lines: usize) -> Self {
        let mut client = site.client().await;
        let go = site.folder.path().join("go");
        drop(std::fs::remove_file(&go));
        // The last line comes after all others, so whoever has it has been told all.
        let config = format!(
            "pipeline \"watched\"\nstage \"say\" {{ run \"while ! test -e {}; do sleep 0.02; done; seq -f 'line %06.0f of a build that says what it does, at length' {lines}\" }}",
            go.display()
        );
        let found = client.get("/api/v1/pipelines?search=watched").await;
        let pipeline = match found["items"][0]["id"].as_str() {
            Some(known) => known.to_owned(),
            None => site.pipeline(&config).await,
        };
        let made = client.post(&format!("/api/v1/pipelines/{pipeline}/runs"), &json!({ "branch": "main" })).await;
        let run = made["id"].as_str().expect("a run has an id");
        let mut watching = JoinSet::new();
        let mut open = Vec::with_capacity(readers);
        for _ in 0..=readers {
            let mut live = Live::open(site, run).await;
            watching.spawn(async move {
                live.until("event").await;
                live.ask_for("say").await;
                live
            });
        }
        while let Some(live) = watching.join_next().await {
            open.push(live.expect("a reader"));
        }
        let stalled = open.pop().expect("one more");
        Self { readers: open, _stalled: stalled, go, lines }
    }

    /// What the first reader gets of the log.
    pub(crate) async fn frames(mut self) -> Vec<Utf8Bytes> {
        std::fs::write(&self.go, "").expect("the word");
        let mut frames = Vec::new();
        let reader = &mut self.readers[0];
        while let Some(text) = reader.next().await {
            let is_end = text.starts_with(END);
            if text.starts_with(LINES) || is_end {
                frames.push(text);
            }
            if is_end {
                break;
            }
        }
        frames
    }

    /// How long it takes until all have all.
    pub(crate) async fn all(self) -> Duration {
        let begun = Instant::now();
        std::fs::write(&self.go, "").expect("the word");
        let mut reading = JoinSet::new();
        for mut reader in self.readers {
            reading.spawn(async move {
                let mut last = Utf8Bytes::default();
                while let Some(text) = reader.next().await {
                    if text.starts_with(END) {
                        break;
                    }
                    if text.starts_with(LINES) {
                        last = text;
                    }
                }
                last
            });
        }
        let wanted = format!("line {:06} of", self.lines);
        while let Some(last) = reading.join_next().await {
            assert!(last.expect("a reader").contains(&wanted), "a reader has less than all");
        }
        begun.elapsed()
    }
}

/// Hands frames to whoever is connected: the limit.
pub(crate) struct Bare {
    address: SocketAddr,
    frames: Vec<Utf8Bytes>,
    all: broadcast::Sender<Utf8Bytes>,
}

impl Bare {
    pub(crate) async fn new(frames: Vec<Utf8Bytes>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (all, _) = broadcast::channel::<Utf8Bytes>(frames.len().max(1));
        let sender = all.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                drop(stream.set_nodelay(true));
                let mut frames = sender.subscribe();
                tokio::spawn(async move {
                    let mut socket = accept_async(stream).await.expect("a WebSocket");
                    while let Ok(frame) = frames.recv().await {
                        let is_end = frame.starts_with(END);
                        if socket.send(Message::Text(frame)).await.is_err() || is_end {
                            break;
                        }
                    }
                });
            }
        });
        Self { address, frames, all }
    }

    /// How long it takes until all have all.
    pub(crate) async fn all(&self, readers: usize) -> Duration {
        let mut open = Vec::with_capacity(readers);
        for _ in 0..readers {
            open.push(Live::bare(self.address).await);
        }
        let begun = Instant::now();
        let mut reading = JoinSet::new();
        for mut reader in open {
            reading.spawn(async move {
                let mut bytes = 0;
                while let Some(text) = reader.next().await {
                    bytes += text.len();
                    if text.starts_with(END) {
                        break;
                    }
                }
                bytes
            });
        }
        for frame in &self.frames {
            self.all.send(frame.clone()).expect("somebody listens");
        }
        let wanted: usize = self.frames.iter().map(|frame| frame.len()).sum();
        while let Some(bytes) = reading.join_next().await {
            assert_eq!(bytes.expect("a reader"), wanted, "a reader has less than all");
        }
        begun.elapsed()
    }
}
