//! Requests that may come twice, told apart by their `Idempotency-Key`.

use buildit::id::{Digest, RunId, TenantId};
use buildit::store::{Request, RunRecord, StoreError};
use jiff::{Timestamp, ToSpan};
use serde::Serialize;

use crate::problem::Problem;
use crate::state::ServerState;

/// How many hours a key is remembered.
const REMEMBERED: i64 = 24;

/// The run that a request has made.
#[derive(Debug)]
pub(crate) enum Made {
    /// This time.
    Now(RunRecord),
    /// When it came before.
    Before(RunRecord),
}

/// The digest of all that a request's run depends on.
pub(crate) fn content(of: &impl Serialize) -> Result<Digest, Problem> {
    let bytes = serde_json::to_vec(of).map_err(|_| Problem::internal())?;
    Ok(Digest::of(&bytes))
}

/// Makes a run once, however often the request comes, and to however many servers at once: the id of the run is settled
/// before the run is made, so whoever is broken off in between leaves it to whoever comes next.
pub(crate) async fn once(
    state: &ServerState,
    tenant: TenantId,
    key: String,
    content: Digest,
    make: impl AsyncFnOnce(RunId) -> Result<RunRecord, Problem>,
) -> Result<Made, Problem> {
    let now = Timestamp::now();
    let request = Request { tenant, key, content, run: RunId::new(), expires_at: now + REMEMBERED.hours() };
    let known = state.store().remember(request, now).await?;
    if known.content != content {
        return Err(Problem::key_reused());
    }
    if let Some(record) = kept(state, known.run).await? {
        return Ok(Made::Before(record));
    }
    match make(known.run).await {
        Ok(record) => Ok(Made::Now(record)),
        Err(problem) => match kept(state, known.run).await? {
            // Another one was faster.
            Some(record) => Ok(Made::Before(record)),
            None => {
                // What was refused may be asked for otherwise; what failed comes again as it is.
                if problem.status().is_client_error() {
                    state.store().forget_request(&known).await?;
                }
                Err(problem)
            }
        },
    }
}

/// The id of a run that follows from what it is made for, whoever makes it: so it is made once.
pub(crate) fn settled(of: &str, at: Timestamp) -> RunId {
    let digest = Digest::of(of.as_bytes());
    let mut random = [0; 10];
    random.copy_from_slice(&digest.as_bytes()[..10]);
    let millis = u64::try_from(at.as_millisecond()).unwrap_or_default();
    uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid().into()
}

/// The run of this id, if it is kept.
pub(crate) async fn kept(state: &ServerState, run: RunId) -> Result<Option<RunRecord>, StoreError> {
    match state.store().run(run).await {
        Ok(record) => Ok(Some(record)),
        Err(StoreError::NoRun(_)) => Ok(None),
        Err(error) => Err(error),
    }
}
