//! What narrows a list of runs beside whose they are.

use buildit::store::RunFilter;

use super::number;

/// What a column has to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted<'a> {
    Text(&'a str),
    Number(i64),
}

/// What the columns of a run have to hold for this filter, the one first that leaves the fewest.
pub(crate) fn wanted(filter: &RunFilter) -> Vec<(&'static str, Wanted<'_>)> {
    let all = [
        ("commit_id", filter.commit.as_deref().map(Wanted::Text)),
        ("pull_request", filter.pull_request.map(|pull| Wanted::Number(number(pull)))),
        ("branch", filter.branch.as_deref().map(Wanted::Text)),
        ("author", filter.author.as_deref().map(Wanted::Text)),
        ("status", filter.status.map(|status| Wanted::Text(status.as_str()))),
        ("event", filter.event.as_deref().map(Wanted::Text)),
    ];
    all.into_iter().filter_map(|(column, wanted)| Some((column, wanted?))).collect()
}
