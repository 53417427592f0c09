//! What narrows a list of runs beside whose they are.

use buildit::store::RunFilter;

use super::number;

/// What a column has to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted<'a> {
    Text(&'a str),
    Number(i64),
}

/// Which runs are gone through at once for a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Scope<T> {
    /// Those of the pipeline at this place.
    Pipeline(i64),
    /// Those of this tenant.
    Tenant(T),
    All,
}

/// Whether the runs of all tenants are in the order of an index when they are narrowed down like this: those of each tenant
/// are in any case.
pub(crate) fn is_listed_at_once(filter: &RunFilter) -> bool {
    wanted(filter).first().is_none_or(|(column, _)| *column == "status")
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
