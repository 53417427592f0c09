//! Logs: what is in them.

use std::time::{Duration, Instant};

use buildit::id::JobId;
use buildit::job::LogLine;
use buildit::store::LogQuery;

use crate::problem::Problem;
use crate::state::ServerState;

/// How much is read at once.
const PIECE: usize = 1024 * 1024;

/// How much one request looks through that has found something, and how long it goes on until it has.
const MOST: usize = 64 * PIECE;
const PATIENCE: Duration = Duration::from_secs(2);

/// How many lines one request finds.
const LINES: usize = 100;

/// Lines that were looked for.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) lines: Vec<LogLine>,
    /// The line behind which there may be more.
    pub(crate) next: Option<u64>,
}

/// Lines of a log behind line `after` with this text, whatever the letters' case; the work for one call is bounded. The
/// log itself is read, so it need not have ended.
pub(crate) async fn search(state: &ServerState, job: &JobId, text: &str, after: u64) -> Result<Found, Problem> {
    let query = LogQuery::new(text).map_err(|error| Problem::invalid(error.to_string()))?;
    let (mut found, mut after, mut read, begun) = (Found::default(), after, 0, Instant::now());
    loop {
        let page = state.store().read_log(job, after, PIECE).await?;
        let Some(last) = page.chunks.last() else { return Ok(found) };
        after = last.last_line();
        for chunk in &page.chunks {
            read += chunk.text.len();
            found.lines.extend(query.matches(job, chunk).into_iter().map(|hit| hit.line));
            if found.lines.len() >= LINES {
                found.next = (found.lines.len() > LINES || chunk.last_line() < page.last_line)
                    .then(|| found.lines[LINES - 1].line);
                found.lines.truncate(LINES);
                return Ok(found);
            }
        }
        if after >= page.last_line {
            return Ok(found);
        }
        if read >= MOST && (!found.lines.is_empty() || begun.elapsed() >= PATIENCE) {
            found.next = Some(after);
            return Ok(found);
        }
    }
}
