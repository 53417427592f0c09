//! Logs of a run.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use buildit::account::Role;
use buildit::id::{JobId, RunId, StageName};
use buildit::job::Stream;
use buildit::store::StoreError;
use futures_util::stream::{self, StreamExt};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Id;
use crate::access::Actor;
use crate::app::{logs, runs};
use crate::list::Asked;
use crate::problem::Problem;
use crate::state::ServerState;
use crate::view::ansi::{Painter, lines};

/// How much text one answer has at most.
const MOST: usize = 1024 * 1024;

/// How much is read at once where all of it is sent.
const PIECE: usize = 256 * 1024;

/// Which part of a log.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Part {
    /// The number of the line before the first one; 0 without.
    after: Option<u64>,
    /// About how many bytes of text at most: 64 KiB without, 1 MiB at most.
    bytes: Option<usize>,
    /// `html` for lines with colours as elements; plain text without.
    format: Option<String>,
}

/// Lines of a log.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LogPart {
    chunks: Vec<Chunk>,
    /// The number of the last line that is stored, which may be beyond this part.
    last_line: u64,
}

/// Consecutive lines of one stream that were read at one time.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Chunk {
    /// The number of the first line, from 1.
    first_line: u64,
    time: Timestamp,
    /// `stdout`, `stderr` or `command`.
    stream: &'static str,
    lines: Vec<String>,
}

fn word(stream: Stream) -> &'static str {
    match stream {
        Stream::Stdout => "stdout",
        Stream::Stderr => "stderr",
        Stream::Command => "command",
    }
}

/// A part of the log of an attempt of a stage.
#[utoipa::path(get, path = "/api/v1/runs/{id}/stages/{stage}/attempts/{attempt}/log", tag = "logs",
    params(("id" = Uuid, Path), ("stage" = String, Path), ("attempt" = u32, Path, description = "from 1; 0 for what an earlier result brought"), Part),
    responses((status = OK, body = LogPart), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn show(
    State(state): State<ServerState>,
    actor: Actor,
    Id((id, stage, attempt)): Id<(RunId, StageName, u32)>,
    Asked(part): Asked<Part>,
) -> Result<Json<LogPart>, Problem> {
    runs::find(&state, actor, id, Role::Viewer).await?;
    let job = JobId { run: id, stage, attempt };
    let bytes = part.bytes.unwrap_or(64 * 1024).clamp(1, MOST);
    let page = state.store().read_log(&job, part.after.unwrap_or(0), bytes).await?;
    let mut painter = Painter::default();
    let chunks = page.chunks.iter().map(|chunk| Chunk {
        first_line: chunk.first_line,
        time: chunk.time,
        stream: word(chunk.stream),
        lines: match part.format.as_deref() {
            Some("html") => lines(&mut painter, chunk),
            _ => chunk.iter().map(|line| line.text).collect(),
        },
    });
    Ok(Json(LogPart { chunks: chunks.collect(), last_line: page.last_line }))
}

/// What is looked for in a log.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Search {
    /// Part of a line, of three bytes or more, in capitals or not.
    text: String,
    /// `next` of the answer before; from the first line without.
    after: Option<u64>,
}

/// Lines that have a text in them.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Found {
    lines: Vec<FoundLine>,
    /// Where to go on; null when the log was looked through. There may be no line and yet more to look at.
    next: Option<u64>,
}

/// A line of a log that was looked for.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FoundLine {
    line: u64,
    time: Timestamp,
    /// `stdout`, `stderr` or `command`.
    stream: &'static str,
    /// Its text; of one of more than 4 KiB, what is around the match.
    text: String,
}

/// Lines of the log of an attempt that have a text in them, the first one first; while it runs, those that are there.
#[utoipa::path(get, path = "/api/v1/runs/{id}/stages/{stage}/attempts/{attempt}/log/search", tag = "logs",
    params(("id" = Uuid, Path), ("stage" = String, Path), ("attempt" = u32, Path), Search),
    responses((status = OK, body = Found), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn search(
    State(state): State<ServerState>,
    actor: Actor,
    Id((id, stage, attempt)): Id<(RunId, StageName, u32)>,
    Asked(search): Asked<Search>,
) -> Result<Json<Found>, Problem> {
    runs::find(&state, actor, id, Role::Viewer).await?;
    let job = JobId { run: id, stage, attempt };
    let found = logs::search(&state, &job, &search.text, search.after.unwrap_or(0)).await?;
    let lines = found.lines.into_iter().map(|found| FoundLine {
        line: found.line,
        time: found.time,
        stream: word(found.stream),
        text: found.text,
    });
    Ok(Json(Found { lines: lines.collect(), next: found.next }))
}

/// The whole log of an attempt, as it was printed.
#[utoipa::path(get, path = "/api/v1/runs/{id}/stages/{stage}/attempts/{attempt}/log/raw", tag = "logs",
    params(("id" = Uuid, Path), ("stage" = String, Path), ("attempt" = u32, Path)),
    responses((status = OK, body = String, content_type = "text/plain"), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn raw(
    State(state): State<ServerState>,
    actor: Actor,
    Id((id, stage, attempt)): Id<(RunId, StageName, u32)>,
) -> Result<Response, Problem> {
    let (_, record) = runs::find(&state, actor, id, Role::Viewer).await?;
    let job = JobId { run: id, stage: stage.clone(), attempt };
    // What was removed is told as a problem, not by an answer that breaks off.
    state.store().read_log(&job, 0, 1).await?;
    let text = stream::try_unfold((state, job, 0), |(state, job, after)| async move {
        let page = state.store().read_log(&job, after, PIECE).await?;
        let Some(last) = page.chunks.last() else { return Ok::<_, StoreError>(None) };
        let after = last.last_line();
        let text: Vec<_> = page.chunks.iter().map(|chunk| Ok::<_, StoreError>(chunk.text.clone())).collect();
        Ok(Some((stream::iter(text), (state, job, after))))
    });
    let text = text.map(|piece| match piece {
        Ok(piece) => piece.left_stream(),
        Err(error) => stream::iter([Err(error)]).right_stream(),
    });
    let name = format!("{}-{}-{stage}-{attempt}.log", record.run.plan.name, record.number);
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.extend(attached(&name));
    Ok((headers, Body::from_stream(text.flatten())).into_response())
}

/// To be saved under this name, whatever a browser would do with its content.
pub(super) fn attached(name: &str) -> Option<(header::HeaderName, HeaderValue)> {
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "-_.".contains(character);
    let name: String = name.chars().map(|character| if is_plain(character) { character } else { '_' }).collect();
    let value = HeaderValue::try_from(format!("attachment; filename=\"{name}\"")).ok()?;
    Some((header::CONTENT_DISPOSITION, value))
}
