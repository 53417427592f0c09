//! What the palette finds: places of a tenant, pipelines, runs by their numbers, and the stages of the run that is looked
//! at. Without scripts it is a page.

use askama::Template;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use buildit::account::Role;
use buildit::store::{PipelineFilter, RunFilter, RunSummary, StoreError};
use serde::Deserialize;

use super::page::{Crumb, Frame, Place, draw, part};
use super::run::stage_link;
use crate::problem::Problem;
use crate::state::ServerState;

/// How many of each kind are shown.
const EACH: usize = 8;

/// How many of the last runs are looked through for one of a number, where no pipeline is named.
const RECENT: usize = 200;

/// What is looked for, and from where.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Wanted {
    text: String,
    /// The pipeline that is looked at, and the number of its run.
    pipeline: String,
    run: String,
}

/// Things of one kind.
struct Group {
    heading: &'static str,
    items: Vec<Item>,
}

struct Item {
    label: String,
    hint: String,
    link: String,
    /// That of a run.
    state: &'static str,
}

impl Item {
    fn new(label: impl Into<String>, hint: impl Into<String>, link: String) -> Self {
        Self { label: label.into(), hint: hint.into(), link, state: "" }
    }

    fn of_run(root: &str, run: &RunSummary) -> Self {
        let hint = if run.message.is_empty() { &run.event } else { &run.message };
        let link = format!("{root}/pipelines/{}/runs/{}", part(&run.pipeline), run.number);
        Self { state: run.status.as_str(), ..Self::new(format!("{} #{}", run.pipeline, run.number), hint, link) }
    }
}

#[derive(Template)]
#[template(path = "find.html")]
struct FindPage {
    frame: Frame,
    wanted: Wanted,
    groups: Vec<Group>,
}

/// The list alone, as the palette shows it.
#[derive(Template)]
#[template(path = "found.html")]
struct FoundPart {
    wanted: Wanted,
    groups: Vec<Group>,
}

pub(crate) async fn show(
    State(state): State<ServerState>,
    place: Place,
    headers: HeaderMap,
    Query(wanted): Query<Wanted>,
) -> Result<Response, Problem> {
    let wanted = Wanted { text: wanted.text.trim().to_owned(), ..wanted };
    let found = [
        Group { heading: "Stages of this run", items: stages(&state, &place, &wanted).await? },
        Group { heading: "Runs", items: runs(&state, &place, &wanted).await? },
        Group { heading: "Pipelines", items: pipelines(&state, &place, &wanted.text).await? },
        Group { heading: "Go to", items: places(&place, &wanted) },
    ];
    let groups = found.into_iter().filter(|group| !group.items.is_empty()).collect();
    if headers.contains_key("hx-request") {
        return draw(&FoundPart { wanted, groups });
    }
    draw(&FindPage { frame: place.frame("", "Search", vec![Crumb::here("Search")]), wanted, groups })
}

/// Pages and actions, as far as they are for this reader.
fn places(place: &Place, wanted: &Wanted) -> Vec<Item> {
    let root = place.root();
    let all = [
        ("Dashboard", "", Role::Viewer),
        ("Pipelines", "/pipelines", Role::Viewer),
        ("New pipeline", "/new", Role::Member),
        ("Queue", "/queue", Role::Viewer),
        ("Environments", "/environments", Role::Viewer),
        ("Repositories", "/repositories", Role::Viewer),
        ("API keys", "/settings", Role::Viewer),
        ("Team", "/settings/team", Role::Viewer),
        ("Secrets", "/settings/secrets", Role::Viewer),
        ("Registries", "/settings/registries", Role::Viewer),
        ("Notifications", "/settings/notifications", Role::Viewer),
        ("Retention", "/settings/retention", Role::Viewer),
        ("Organization", "/settings/organization", Role::Viewer),
        ("Audit log", "/settings/audit", Role::Admin),
    ];
    let all = all.into_iter().filter(|(.., least)| place.may(*least));
    let mut items: Vec<Item> = all.map(|(label, path, _)| Item::new(label, "", format!("{root}{path}"))).collect();
    items.push(Item::new("Your account", "", format!("{}/account", place.base)));
    items.push(Item::new("Other tenants", "", format!("{}/tenants", place.base)));
    if !wanted.pipeline.is_empty() && place.may(Role::Member) {
        let link = format!("{root}/pipelines/{}/run", part(&wanted.pipeline));
        items.insert(0, Item::new(format!("Run {}", wanted.pipeline), "", link));
    }
    let text = wanted.text.to_lowercase();
    items.retain(|item| item.label.to_lowercase().contains(&text));
    items
}

async fn pipelines(state: &ServerState, place: &Place, text: &str) -> Result<Vec<Item>, Problem> {
    let root = place.root();
    let filter = PipelineFilter {
        search: Some(text.to_owned()).filter(|text| !text.is_empty()),
        ..PipelineFilter::of_tenant(place.access.tenant.id)
    };
    let found = state.store().pipelines(&filter, EACH).await?;
    let item = |name: String| Item::new(&name, "", format!("{root}/pipelines/{}", part(&name)));
    Ok(found.into_iter().map(|line| item(line.pipeline.name)).collect())
}

/// The number that a text ends with, and what stands before it: `shop #12`, `12`.
fn numbered(text: &str) -> Option<(&str, u64)> {
    let before = text.trim_end_matches(|character: char| character.is_ascii_digit());
    let number = text[before.len()..].parse().ok()?;
    let name = before.trim_end();
    let name = name.strip_suffix('#').unwrap_or(name).trim_end();
    // The end of a name is no number: `stage2`.
    (name.is_empty() || name.len() < before.len()).then_some((name, number))
}

async fn runs(state: &ServerState, place: &Place, wanted: &Wanted) -> Result<Vec<Item>, Problem> {
    let (root, tenant) = (place.root(), place.access.tenant.id);
    let Some((name, number)) = numbered(&wanted.text) else { return Ok(Vec::new()) };
    let mut named: Vec<String> = Vec::new();
    if name.is_empty() {
        named.extend(Some(wanted.pipeline.clone()).filter(|pipeline| !pipeline.is_empty()));
    } else {
        let filter = PipelineFilter { search: Some(name.to_owned()), ..PipelineFilter::of_tenant(tenant) };
        named.extend(state.store().pipelines(&filter, EACH).await?.into_iter().map(|line| line.pipeline.name));
    }
    let mut found = Vec::new();
    for pipeline in named {
        match state.store().run_by_number(tenant, &pipeline, number).await {
            Ok(run) => found.push(run),
            Err(StoreError::NoSuchNumber { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    if name.is_empty() {
        let recent = state.store().runs(&RunFilter::of_tenant(tenant), RECENT).await?;
        let others = recent.into_iter().filter(|run| run.number == number && run.pipeline != wanted.pipeline);
        found.extend(others.take(EACH));
    }
    Ok(found.iter().map(|run| Item::of_run(&root, run)).collect())
}

async fn stages(state: &ServerState, place: &Place, wanted: &Wanted) -> Result<Vec<Item>, Problem> {
    let Ok(number) = wanted.run.parse() else { return Ok(Vec::new()) };
    let found = match state.store().run_by_number(place.access.tenant.id, &wanted.pipeline, number).await {
        Ok(run) => run,
        // Whoever looks may have an old page before them.
        Err(StoreError::NoSuchNumber { .. }) => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let record = state.store().run(found.id).await?;
    let run = format!("{}/pipelines/{}/runs/{number}", place.root(), part(&wanted.pipeline));
    let text = wanted.text.to_lowercase();
    let names = record.run.plan.stages.iter().map(|stage| stage.name.as_str());
    let found = names.filter(|name| name.to_lowercase().contains(&text)).take(EACH);
    Ok(found.map(|name| Item::new(name, "", stage_link(&run, name, None))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_named_by_its_number() {
        assert_eq!(numbered("12"), Some(("", 12)));
        assert_eq!(numbered("#12"), Some(("", 12)));
        assert_eq!(numbered("shop 12"), Some(("shop", 12)));
        assert_eq!(numbered("web shop #12"), Some(("web shop", 12)));
        assert_eq!(numbered("shop#12"), Some(("shop", 12)));
        for other in ["", "shop", "stage2", "#", "99999999999999999999999"] {
            assert_eq!(numbered(other), None, "{other}");
        }
    }
}
