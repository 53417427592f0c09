//! Runs that a store keeps, as the commands about them find them.

use buildit::id::RunId;
use buildit::store::Store;

use crate::exit::Failure;

/// How many runs are looked through for the beginning of an id.
const MOST: usize = 100_000;

/// The run that somebody means: by its id, the beginning of it, or `@N`, the N-th latest.
pub(super) async fn find(store: &dyn Store, text: &str) -> Result<RunId, Failure> {
    if let Some(place) = text.strip_prefix('@') {
        let place: usize = place.parse().ok().filter(|place| *place > 0).ok_or_else(|| {
            Failure::usage(format!("`{text}` names no run: `@1` is the latest, `@2` the one before it"))
        })?;
        let runs = store.runs(None, place).await.map_err(Failure::backend)?;
        let run = runs.get(place - 1).map(|run| run.id);
        return run.ok_or_else(|| Failure::usage(format!("there are only {} runs in this store", runs.len())));
    }
    if let Ok(id) = text.parse::<RunId>() {
        return store.run(id).await.map(|_| id).map_err(|_| none(text));
    }
    let runs = store.runs(None, MOST).await.map_err(Failure::backend)?;
    let mut found = runs.iter().map(|run| run.id).filter(|id| !text.is_empty() && id.to_string().starts_with(text));
    match (found.next(), found.next()) {
        (Some(id), None) => Ok(id),
        (Some(one), Some(two)) => {
            Err(Failure::usage(format!("`{text}` is the beginning of more than one run: {one}, {two}")))
        }
        _ => Err(none(text)),
    }
}

fn none(text: &str) -> Failure {
    Failure::usage(format!("there is no run `{text}` in this store; `buildit runs` lists them"))
}
