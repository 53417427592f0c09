//! The pages of repositories: the list, the form that connects one, and one with what is in it.

use std::num::NonZeroU32;

use askama::Template;
use axum::Form;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use buildit::account::Role;
use buildit::id::RepositoryId;
use buildit::pipeline::CheckoutSpec;
use buildit::store::{Forge, Login, Repository, StatusMode, StoredPipeline, WebhookState};
use buildit_executors::remote::Branch;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::forge::{Line, line};
use super::page::{Crumb, Frame, Place, When, draw, part};
use super::wizard::{SAMPLES, Sample};
use crate::app::host_keys::fingerprints;
use crate::app::logins::Given;
use crate::app::repositories::{self, Change, Check, Found, New, Scan};
use crate::app::{pipelines, statuses, webhooks};
use crate::forge::needs;
use crate::list::{List, Page};
use crate::problem::{Finding, Problem};
use crate::state::ServerState;

pub(super) fn home(place: &Place) -> String {
    format!("{}/repositories", place.root())
}

fn login(repository: &Repository) -> &'static str {
    match repository.settings.login {
        Login::None => "as anybody",
        Login::Token => "with a token",
        Login::Key => "with a key",
    }
}

/// How much of what its forge was told stands on a repository's page.
const LAST: usize = 5;

#[derive(Template)]
#[template(path = "repositories.html")]
struct ListPage {
    frame: Frame,
    repositories: List<Repository>,
    may_change: bool,
    /// What is to be known of one that was let go.
    left: Option<String>,
}

impl ListPage {
    fn link(&self, repository: &Repository) -> String {
        format!("{}/repositories/{}", self.frame.root, repository.id)
    }

    fn more(&self) -> Option<String> {
        let next = self.repositories.next.as_ref()?;
        Some(format!("{}/repositories?cursor={}", self.frame.root, part(next)))
    }

    fn ago(&self, time: &Timestamp) -> When {
        When(*time)
    }
}

pub(crate) async fn list(
    State(state): State<ServerState>,
    place: Place,
    Query(page): Query<Page>,
) -> Result<Response, Problem> {
    draw(&listed(&state, &place, &page, None).await?)
}

async fn listed(state: &ServerState, place: &Place, page: &Page, left: Option<String>) -> Result<ListPage, Problem> {
    let frame = place.frame("repositories", "Repositories", vec![Crumb::here("Repositories")]);
    let repositories = repositories::list(state, &place.access, page).await?;
    Ok(ListPage { frame, repositories, may_change: place.may(Role::Admin), left })
}

/// A repository, as the form has it. A token or a key is never sent back.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Filled {
    url: String,
    name: String,
    token: SecretString,
    key: SecretString,
    forge_token: SecretString,
    /// Whether the forge's own token is to go.
    forge_token_gone: Option<String>,
    forge: String,
    api_url: String,
    default_branch: String,
    depth: String,
    submodules: Option<String>,
    lfs: Option<String>,
    statuses: String,
    webhook: Option<String>,
    version: u64,
}

fn filled(secret: &SecretString) -> Option<&SecretString> {
    Some(secret).filter(|secret| !secret.expose_secret().trim().is_empty())
}

fn trimmed(token: &SecretString) -> SecretString {
    token.expose_secret().trim().into()
}

fn text(text: &str) -> Option<String> {
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

impl Filled {
    fn given(&self) -> Result<Given, Problem> {
        // Forms send every line end as two characters.
        let key = filled(&self.key).map(|key| SecretString::from(key.expose_secret().replace("\r\n", "\n")));
        Given::of(filled(&self.token).map(trimmed), key)
    }

    /// What is to become of the forge's own token.
    fn forge_token(&self) -> Option<Option<SecretString>> {
        match filled(&self.forge_token).map(trimmed) {
            Some(token) => Some(Some(token)),
            None => self.forge_token_gone.is_some().then_some(None),
        }
    }

    fn forge(&self) -> Result<Option<Forge>, Problem> {
        text(&self.forge).map(|word| word.parse::<Forge>().map_err(Problem::from)).transpose()
    }

    fn statuses(&self) -> Result<Option<StatusMode>, Problem> {
        text(&self.statuses).map(|word| word.parse::<StatusMode>().map_err(Problem::from)).transpose()
    }

    fn is_at(&self, forge: &Forge) -> bool {
        self.forge == forge.as_str()
    }

    fn checkout(&self) -> Result<CheckoutSpec, Problem> {
        let depth = text(&self.depth).map(|depth| depth.parse::<NonZeroU32>());
        let depth =
            depth.transpose().map_err(|_| Problem::invalid("how many commits of history is a number from 1"))?;
        Ok(CheckoutSpec { depth, submodules: self.submodules.is_some(), lfs: self.lfs.is_some() })
    }
}

#[derive(Template)]
#[template(path = "repository_new.html")]
struct NewPage {
    frame: Frame,
    filled: Filled,
    problem: Option<String>,
}

impl NewPage {
    fn new(place: &Place, filled: Filled) -> Self {
        let crumbs = vec![Crumb::to("Repositories", home(place)), Crumb::here("Connect")];
        Self { frame: place.frame("repositories", "Connect a repository", crumbs), filled, problem: None }
    }
}

pub(crate) async fn form(place: Place) -> Result<Response, Problem> {
    place.grant(Role::Admin)?;
    draw(&NewPage::new(&place, Filled::default()))
}

pub(crate) async fn connect(
    State(state): State<ServerState>,
    place: Place,
    Form(filled): Form<Filled>,
) -> Result<Response, Problem> {
    let access = place.grant(Role::Admin)?;
    let made = async {
        let new = New {
            name: text(&filled.name),
            url: filled.url.clone(),
            forge: filled.forge()?,
            api_url: text(&filled.api_url),
            given: filled.given()?,
            forge_token: filled.forge_token().flatten(),
            default_branch: text(&filled.default_branch),
            with_webhook: filled.webhook.is_some(),
            ..New::default()
        };
        repositories::connect(&state, &access, new, Check::Asked).await
    };
    match made.await {
        Ok(made) => Ok(Redirect::to(&format!("{}/{}", home(&place), made.id)).into_response()),
        Err(problem) => {
            let page = NewPage { problem: Some(problem.said()), ..NewPage::new(&place, filled) };
            Ok((problem.status(), draw(&page)?).into_response())
        }
    }
}

/// A file that was found, as the page shows it.
struct Row {
    path: String,
    about: String,
    findings: Vec<Finding>,
    /// The name and the address of the pipeline that it is of.
    pipeline: Option<(String, String)>,
    is_valid: bool,
}

#[derive(Template)]
#[template(path = "repository.html")]
struct OnePage {
    frame: Frame,
    repository: Repository,
    pipelines: Vec<StoredPipeline>,
    branches: Vec<Branch>,
    link: String,
    may_change: bool,
    may_make: bool,
    scan: Option<(Scanned, Vec<Row>)>,
    /// Where the forge sends its webhooks, and what it signs them with, when that was just made.
    hook: String,
    secret: Option<String>,
    /// Whether its forge can be asked for it, and what was said there last.
    is_reachable: bool,
    lines: Vec<Line>,
    samples: &'static [Sample],
    problem: Option<String>,
}

/// Where it was looked.
struct Scanned {
    branch: String,
    commit: String,
}

impl OnePage {
    async fn new(state: &ServerState, place: &Place, id: RepositoryId) -> Result<Self, Problem> {
        let repository = repositories::within(state, &place.access, id).await?;
        let crumbs = vec![Crumb::to("Repositories", home(place)), Crumb::here(&repository.name)];
        Ok(Self {
            frame: place.frame("repositories", &repository.name, crumbs),
            pipelines: repositories::pipelines_of(state, &repository).await?,
            // A copy that cannot be read is made anew by the next fetch.
            branches: repositories::branches(state, &repository).await.unwrap_or_default(),
            link: format!("{}/{id}", home(place)),
            may_change: place.may(Role::Admin),
            may_make: place.may(Role::Member),
            scan: None,
            hook: repositories::webhook_url(state, &repository),
            secret: None,
            is_reachable: webhooks::is_reachable(&repository),
            lines: statuses::list(state, &repository, &Page::first(LAST)).await?.items.iter().map(line).collect(),
            samples: &SAMPLES,
            problem: None,
            repository,
        })
    }

    fn with_scan(self, scan: Scan) -> Self {
        let rows = scan.files.into_iter().map(|found| self.row(found)).collect();
        Self { scan: Some((Scanned { branch: scan.branch, commit: scan.commit }, rows)), ..self }
    }

    fn row(&self, found: Found) -> Row {
        let is_valid = found.is_valid();
        let stages = if found.stages == 1 { "1 stage".to_owned() } else { format!("{} stages", found.stages) };
        let about = match (&found.name, is_valid) {
            (_, false) => "cannot run".to_owned(),
            (Some(name), true) => format!("{name}, {stages}"),
            (None, true) => stages,
        };
        Row {
            about,
            is_valid,
            findings: found.findings.iter().map(Finding::from).collect(),
            pipeline: found.pipeline.map(|pipeline| (pipeline.name.clone(), self.of_pipeline(&pipeline))),
            path: found.path,
        }
    }

    fn of_pipeline(&self, pipeline: &StoredPipeline) -> String {
        format!("{}/pipelines/{}", self.frame.root, part(&pipeline.name))
    }

    fn path(&self, pipeline: &StoredPipeline) -> String {
        pipelines::path_of(pipeline).unwrap_or_default().to_owned()
    }

    fn ago(&self, time: &Timestamp) -> When {
        When(*time)
    }

    fn login(&self) -> &'static str {
        login(&self.repository)
    }

    fn host_keys(&self) -> Vec<String> {
        fingerprints(&self.repository.settings.host_keys)
    }

    fn is_by_token(&self) -> bool {
        self.repository.settings.login == Login::Token
    }

    fn is_web(&self) -> bool {
        self.repository.url.starts_with("https://") || self.repository.url.starts_with("http://")
    }

    /// What the forge has of the webhook, in words.
    fn standing(&self) -> &'static str {
        match self.repository.webhook.as_ref().map(|webhook| webhook.state) {
            Some(WebhookState::Made) => "made",
            Some(WebhookState::Wrong) => "wrong",
            Some(WebhookState::Missing) => "missing",
            Some(_) => "the forge did not say",
            None => "not looked for yet",
        }
    }

    /// What makes the webhook what it is to be, if anything is to be made.
    fn making(&self) -> Option<&'static str> {
        match self.repository.webhook.as_ref().map(|webhook| webhook.state) {
            Some(WebhookState::Made) => None,
            Some(WebhookState::Wrong) => Some("Mend it"),
            _ => Some("Make it"),
        }
    }

    fn may_be_there(&self) -> bool {
        webhooks::may_be_there(&self.repository)
    }

    /// What a token must be allowed.
    fn needs(&self) -> Option<&'static str> {
        self.repository.settings.forge.map(needs)
    }

    fn tells(&self, mode: &StatusMode) -> bool {
        self.repository.settings.statuses == *mode
    }

    fn is_at(&self, forge: &Forge) -> bool {
        self.repository.settings.forge == Some(*forge)
    }

    fn depth(&self) -> String {
        self.repository.settings.checkout.depth.map(|depth| depth.to_string()).unwrap_or_default()
    }

    fn short(&self, commit: &str) -> String {
        commit.get(..10).unwrap_or(commit).to_owned()
    }
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct Named {
    repository: RepositoryId,
}

pub(crate) async fn show(
    State(state): State<ServerState>,
    place: Place,
    Path(named): Path<Named>,
) -> Result<Response, Problem> {
    draw(&OnePage::new(&state, &place, named.repository).await?)
}

/// The same page with what is wrong.
pub(super) async fn refuse(
    state: &ServerState,
    place: &Place,
    id: RepositoryId,
    problem: &Problem,
) -> Result<Response, Problem> {
    let page = OnePage { problem: Some(problem.said()), ..OnePage::new(state, place, id).await? };
    Ok((problem.status(), draw(&page)?).into_response())
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct At {
    branch: String,
}

/// Fetches it and shows what is in it.
pub(crate) async fn scan(
    State(state): State<ServerState>,
    place: Place,
    Path(named): Path<Named>,
    Form(at): Form<At>,
) -> Result<Response, Problem> {
    let access = place.grant(Role::Member)?;
    let repository = repositories::within(&state, &access, named.repository).await?;
    match repositories::scan(&state, &repository, at.branch.trim()).await {
        Ok(scan) => draw(&OnePage::new(&state, &place, named.repository).await?.with_scan(scan)),
        Err(problem) => refuse(&state, &place, named.repository, &problem).await,
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct NewPipeline {
    name: String,
    path: String,
}

/// Makes a pipeline of one of its files.
pub(crate) async fn create_pipeline(
    State(state): State<ServerState>,
    place: Place,
    Path(named): Path<Named>,
    Form(new): Form<NewPipeline>,
) -> Result<Response, Problem> {
    let access = place.grant(Role::Member)?;
    let repository = repositories::within(&state, &access, named.repository).await?;
    let (name, path) = (text(&new.name), text(&new.path));
    match pipelines::create_from(&state, &access, name.as_deref(), &repository, path.as_deref()).await {
        Ok(made) => Ok(Redirect::to(&format!("{}/pipelines/{}", place.root(), part(&made.name))).into_response()),
        Err(problem) => refuse(&state, &place, named.repository, &problem).await,
    }
}

/// Changes how it is called, where it is and how it is checked out.
pub(crate) async fn save(
    State(state): State<ServerState>,
    place: Place,
    Path(named): Path<Named>,
    Form(filled): Form<Filled>,
) -> Result<Response, Problem> {
    let access = place.grant(Role::Admin)?;
    let known = repositories::within(&state, &access, named.repository).await?;
    let done = async {
        let given = match filled.given()? {
            Given::Nothing => None,
            given => Some(given),
        };
        let change = Change {
            name: Some(filled.name.clone()),
            url: Some(filled.url.clone()),
            forge: Some(filled.forge()?),
            api_url: Some(text(&filled.api_url)),
            given,
            forge_token: filled.forge_token(),
            default_branch: Some(text(&filled.default_branch)),
            checkout: Some(filled.checkout()?),
            statuses: filled.statuses()?,
        };
        repositories::update(&state, &access, &known, filled.version, change).await
    };
    match done.await {
        Ok(_) => Ok(Redirect::to(&format!("{}/{}", home(&place), named.repository)).into_response()),
        Err(problem) => refuse(&state, &place, named.repository, &problem).await,
    }
}

/// Makes another secret for its webhooks, and shows it.
pub(crate) async fn renew_webhook(
    State(state): State<ServerState>,
    place: Place,
    Path(named): Path<Named>,
) -> Result<Response, Problem> {
    let access = place.grant(Role::Admin)?;
    let known = repositories::within(&state, &access, named.repository).await?;
    let secret = repositories::renew_webhook(&state, &access, &known).await?;
    let secret = Some(secret.expose_secret().to_owned());
    draw(&OnePage { secret, ..OnePage::new(&state, &place, named.repository).await? })
}

#[derive(Debug, Deserialize)]
pub(crate) struct Typed {
    typed: String,
}

pub(crate) async fn delete(
    State(state): State<ServerState>,
    place: Place,
    Path(named): Path<Named>,
    Form(sure): Form<Typed>,
) -> Result<Response, Problem> {
    let access = place.grant(Role::Admin)?;
    let known = repositories::within(&state, &access, named.repository).await?;
    let done = match sure.typed.trim() == known.name {
        true => repositories::delete(&state, &access, &known).await,
        false => Err(Problem::invalid("type the name of the repository to let it go")),
    };
    match done {
        Ok(None) => Ok(Redirect::to(&home(&place)).into_response()),
        Ok(left) => draw(&listed(&state, &place, &Page::default(), left).await?),
        Err(problem) => refuse(&state, &place, named.repository, &problem).await,
    }
}
