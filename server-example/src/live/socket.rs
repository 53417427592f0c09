//! The WebSocket of a run: its events, and the log that the reader asks for.
//!
//! The server sends JSON texts: `{"type": "event", "event"}`, `{"type": "log", "stage",
//! "attempt", "stream", "time", "first_line", "lines"}` with lines as HTML, `{"type": "log_end", "stage", "attempt"}`, and `{"type":
//! "beat"}` when nothing else was to be said for a while. The reader sends `{"log": {"stage", "attempt", "after"}}`, and
//! `{"log": null}` to hear of none. A reader that comes again says the number of the last event that it saw (`after`) and
//! of the last line, and misses nothing.
//!
//! Each reader takes what there is at its own pace: one that is slow, or stands still, holds up nobody.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{Message, Utf8Bytes, WebSocket};
use buildit::event::Event;
use buildit::id::{JobId, StageName};
use buildit::store::StoreError;
use futures_util::SinkExt;
use futures_util::stream::{BoxStream, StreamExt};
use serde::{Deserialize, Serialize};

use super::Reader;
use super::fanout::{Frame, LogReader};
use crate::state::ServerState;

/// How long nothing is said at most.
const BEAT: Duration = Duration::from_secs(15);

/// How long a connection lasts: whoever may still look comes again, and misses nothing.
const LONGEST: Duration = Duration::from_mins(10);

/// How long a reader may take nothing before it is given up.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a reader says.
#[derive(Debug, Deserialize)]
struct Wish {
    log: Option<WishedLog>,
}

#[derive(Debug, Deserialize)]
struct WishedLog {
    stage: StageName,
    attempt: u32,
    #[serde(default)]
    after: u64,
}

/// What the server says besides the log.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Said<'a> {
    Event { event: &'a Event },
    LogEnd { stage: &'a StageName, attempt: u32 },
    Beat,
}

/// Why the conversation is over.
#[derive(Debug, thiserror::Error)]
enum Over {
    #[error("the reader is gone")]
    Gone,
    #[error("the store failed")]
    Store(#[from] StoreError),
    #[error("the log cannot be read")]
    Log(#[from] Arc<StoreError>),
    #[error("what is to be said cannot be")]
    Json(#[from] serde_json::Error),
}

/// Tells a reader of a run, until one of them goes.
pub(crate) async fn serve(state: ServerState, reader: Reader, after: u64, mut socket: WebSocket) {
    let run = reader.run;
    let talked = tokio::time::timeout(LONGEST, talk(&state, reader, after, &mut socket)).await;
    match talked.unwrap_or(Ok(())) {
        Err(Over::Gone) => {}
        Ok(()) => drop(socket.send(Message::Close(None)).await),
        Err(error) => tracing::warn!(%run, error = &error as &dyn std::error::Error, "a live page is cut off"),
    }
}

async fn talk(state: &ServerState, reader: Reader, after: u64, socket: &mut WebSocket) -> Result<(), Over> {
    let run = reader.run;
    let is_out = reader.until_out(state.clone());
    tokio::pin!(is_out);
    let mut events = Some(super::events(state.clone(), run, after));
    let mut log: Option<LogReader> = None;
    loop {
        tokio::select! {
            event = next(events.as_mut()) => match event.transpose()? {
                Some(event) => say(socket, &Said::Event { event: &event }).await?,
                None => events = None,
            },
            frames = frames(log.as_mut()) => match frames? {
                Some(frames) => say_all(socket, frames.iter().map(Frame::text)).await?,
                None => if let Some(done) = log.take() {
                    let JobId { stage, attempt, .. } = done.job();
                    say(socket, &Said::LogEnd { stage, attempt: *attempt }).await?;
                },
            },
            message = socket.recv() => match message {
                Some(Ok(Message::Text(text))) => {
                    let Ok(wish) = serde_json::from_str::<Wish>(&text) else { return Err(Over::Gone) };
                    log = wish.log.map(|WishedLog { stage, attempt, after }| {
                        state.fanout().read(state, JobId { run, stage, attempt }, after)
                    });
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => return Err(Over::Gone),
                Some(Ok(_)) => {}
            },
            () = state.stopping().cancelled() => return Ok(()),
            () = &mut is_out => return Ok(()),
            () = tokio::time::sleep(BEAT) => say(socket, &Said::Beat).await?,
        }
    }
}

/// What comes next; never, without a stream.
async fn next<T>(stream: Option<&mut BoxStream<'static, T>>) -> Option<T> {
    match stream {
        Some(stream) => stream.next().await,
        None => std::future::pending().await,
    }
}

/// What comes next of a log; never, without one.
async fn frames(log: Option<&mut LogReader>) -> Result<Option<Vec<Frame>>, Arc<StoreError>> {
    match log {
        Some(reader) => reader.next().await,
        None => std::future::pending().await,
    }
}

async fn say(socket: &mut WebSocket, said: &Said<'_>) -> Result<(), Over> {
    let text = serde_json::to_string(said)?;
    say_all(socket, [text.into()]).await
}

/// Says these texts, in as few pieces as they go in.
async fn say_all(socket: &mut WebSocket, texts: impl IntoIterator<Item = Utf8Bytes>) -> Result<(), Over> {
    for text in texts {
        in_time(socket.feed(Message::Text(text))).await?;
    }
    in_time(socket.flush()).await
}

async fn in_time(sending: impl Future<Output = Result<(), axum::Error>>) -> Result<(), Over> {
    match tokio::time::timeout(PATIENCE, sending).await {
        Ok(Ok(())) => Ok(()),
        _ => Err(Over::Gone),
    }
}
