//! Repositories: connected, looked into, changed and let go.

use std::sync::Arc;

use buildit::account::Role;
use buildit::diagnostic::{Diagnostic, Severity};
use buildit::id::RepositoryId;
use buildit::pipeline::CheckoutSpec;
use buildit::store::{
    Fetch, Forge, Login, PipelineFilter, Repository, RepositorySettings, SecretScope, StatusMode, StoredPipeline,
};
use buildit_executors::remote::{Branch, Credential, Head, Mirror, Remote, RemoteAddress, RemoteError, Revision};
use jiff::Timestamp;
use secrecy::SecretString;
use url::Url;

use super::commits::{self, Commit};
use super::logins::{Anew, Given, credential, forget, forget_forge, keep};
use super::{audit, pipelines, secrets, webhooks};
use crate::access::{Access, Actor};
use crate::forge::Place;
use crate::list::{List, Page};
use crate::mirrors::{PATIENCE, SHORT_PATIENCE};
use crate::problem::Problem;
use crate::secrets::of_repository;
use crate::state::ServerState;

/// How many branches are listed.
const BRANCHES: usize = 100;

/// How many pipelines of one repository there may be: each change of it is a run of each.
pub(crate) const MOST_PIPELINES: usize = 100;

/// What the secret of a repository's webhook is called.
const WEBHOOK: &str = "WEBHOOK";

/// A repository that is to be connected.
#[derive(Debug, Default)]
pub(crate) struct New {
    /// The last part of its address without.
    pub(crate) name: Option<String>,
    pub(crate) url: String,
    /// What its address suggests without.
    pub(crate) forge: Option<Forge>,
    pub(crate) api_url: Option<String>,
    pub(crate) given: Given,
    /// What the API of its forge is shown; what lets us in without.
    pub(crate) forge_token: Option<SecretString>,
    pub(crate) default_branch: Option<String>,
    pub(crate) checkout: CheckoutSpec,
    pub(crate) statuses: StatusMode,
    /// Whether its forge is to get the webhook. That it could not be made is noted, and no reason not to connect it.
    pub(crate) with_webhook: bool,
}

/// What is to be changed; the rest stays.
#[derive(Debug, Default)]
pub(crate) struct Change {
    pub(crate) name: Option<String>,
    pub(crate) url: Option<String>,
    pub(crate) forge: Option<Option<Forge>>,
    pub(crate) api_url: Option<Option<String>>,
    pub(crate) given: Option<Given>,
    pub(crate) forge_token: Option<Option<SecretString>>,
    pub(crate) default_branch: Option<Option<String>>,
    pub(crate) checkout: Option<CheckoutSpec>,
    pub(crate) statuses: Option<StatusMode>,
}

/// Whether the repository itself is asked before it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Check {
    Asked,
    /// It may not be there yet, or not for us.
    Unasked,
}

/// What went wrong with a repository, for whoever wanted something of it.
pub(crate) fn told(error: RemoteError) -> Problem {
    match error {
        RemoteError::Address(_) | RemoteError::Host(_) | RemoteError::NoRevision(_) => {
            Problem::invalid(error.to_string())
        }
        RemoteError::UnknownHost { .. } | RemoteError::Git(_) | RemoteError::Slow(_) | RemoteError::Large(_) => {
            Problem::unreachable(error.to_string())
        }
        RemoteError::OtherHost => {
            let then = "if that is as it should be, give the repository its key again";
            Problem::unreachable(format!("{error}; {then}"))
        }
        RemoteError::NoGit(_) => Problem::unreachable("the server has no `git` to ask it with"),
        error => {
            tracing::error!(error = &error as &dyn std::error::Error, "a repository cannot be read");
            Problem::internal()
        }
    }
}

/// The last part of an address, which people call it by.
fn name_of(address: &RemoteAddress) -> String {
    let text = address.as_str().trim_end_matches('/');
    let text = text.strip_suffix("/.git").or(text.strip_suffix(".git")).unwrap_or(text);
    text.rsplit(['/', ':']).next().unwrap_or(text).trim_start_matches('.').to_owned()
}

/// The forge that an address suggests.
fn forge_of(address: &RemoteAddress) -> Option<Forge> {
    let text = address.as_str();
    let host = text.split_once("://").map_or(text, |(_, rest)| rest).split(['/', ':']).next().unwrap_or_default();
    let host = host.rsplit('@').next().unwrap_or(host);
    let known = [
        ("github", Forge::GitHub),
        ("gitlab", Forge::GitLab),
        ("bitbucket", Forge::Bitbucket),
        ("gitea", Forge::Gitea),
        ("forgejo", Forge::Gitea),
        ("codeberg", Forge::Gitea),
    ];
    known.into_iter().find(|(word, _)| host.contains(word)).map(|(_, forge)| forge)
}

fn check_login(address: &RemoteAddress, login: Login) -> Result<(), Problem> {
    match login {
        Login::Token if !address.is_web() => {
            Err(Problem::invalid("a token is shown over https: this address has none"))
        }
        Login::Key if address.is_web() => Err(Problem::invalid("a key is for ssh: this address wants a token")),
        _ => Ok(()),
    }
}

fn check_branch(branch: Option<&String>) -> Result<(), Problem> {
    match branch {
        Some(branch) if crate::forge::ref_name(branch).is_err() => {
            Err(Problem::invalid(format!("`{branch}` is no name of a branch")))
        }
        _ => Ok(()),
    }
}

fn check_api(state: &ServerState, url: Option<&String>) -> Result<(), Problem> {
    let Some(url) = url else { return Ok(()) };
    let refused = |why: &dyn std::fmt::Display| Problem::invalid(format!("the address of the forge's API: {why}"));
    let url = Url::parse(url).map_err(|error| refused(&error))?;
    state.forges().guard().check(&url).map_err(|error| refused(&error))
}

/// Asks the repository itself, as nobody can be told that it is there otherwise.
async fn ask(
    state: &ServerState,
    id: RepositoryId,
    address: &RemoteAddress,
    credential: Credential,
) -> Result<Head, Problem> {
    let remote = briefly(state, address, credential);
    let _turn = state.mirrors().turn().await;
    state.mirrors().of(id).ask_anew(&remote).await.map_err(told)
}

/// A repository that is asked nothing that takes long.
fn briefly(state: &ServerState, address: &RemoteAddress, credential: Credential) -> Remote {
    Remote::new(address.clone(), credential, state.mirrors().here(), SHORT_PATIENCE)
}

/// Connects a repository.
pub(crate) async fn connect(
    state: &ServerState,
    access: &Access,
    new: New,
    check: Check,
) -> Result<Repository, Problem> {
    let New { name, url, forge, api_url, given, forge_token, default_branch, checkout, statuses, with_webhook } = new;
    let address = state.mirrors().address(&url).map_err(told)?;
    check_login(&address, given.login())?;
    check_branch(default_branch.as_ref())?;
    check_api(state, api_url.as_ref())?;
    let (id, now) = (RepositoryId::new(), Timestamp::now());
    let settings = RepositorySettings {
        forge: forge.or_else(|| forge_of(&address)),
        api_url,
        login: given.login(),
        host_keys: String::new(),
        forge_token: forge_token.is_some(),
        default_branch,
        checkout,
        statuses,
    };
    let mut repository = Repository {
        id,
        tenant: access.tenant.id,
        name: pipelines::named("a repository", &name.unwrap_or_else(|| name_of(&address)))?,
        url: address.as_str().to_owned(),
        settings,
        last_fetch: None,
        webhook: None,
        version: 1,
        created_at: now,
        updated_at: now,
    };
    let made = async {
        if check == Check::Asked {
            repository.settings.host_keys = ask(state, id, &address, given.credential()).await?.host_keys;
        }
        // Who is broken off in between leaves a secret of nothing, never a repository without one.
        let anew = Anew { given: Some(&given), forge_token: forge_token.as_ref() };
        keep(state, None, &repository, anew).await?;
        secrets::seal(state, &of_repository(id, WEBHOOK), &random()?).await?;
        Ok::<_, Problem>(state.store().put_repository(repository.clone()).await?)
    };
    if let Err(problem) = made.await {
        state.mirrors().forget(id);
        secrets::forget_all(state, SecretScope::Repository, &id.to_string()).await?;
        return Err(problem);
    }
    audit::of_tenant(state, access, "repository.connect", &repository.name, &[("url", repository.url.clone().into())])
        .await;
    if with_webhook && let Err(problem) = webhooks::make(state, access, &repository).await {
        webhooks::note_failure(id, "made", &problem);
    }
    state.store().repository(id).await?.ok_or_else(Problem::not_found)
}

/// The repositories of a tenant, a page at a time.
pub(crate) async fn list(state: &ServerState, access: &Access, page: &Page) -> Result<List<Repository>, Problem> {
    let limit = page.limit();
    let found = state.store().repositories(access.tenant.id, page.cursor.as_deref(), limit + 1).await?;
    Ok(List::cut(found, limit, |repository| repository.name.clone()))
}

/// The repository, and leave to act on it.
pub(crate) async fn find(
    state: &ServerState,
    actor: Actor,
    id: RepositoryId,
    least: Role,
) -> Result<(Access, Repository), Problem> {
    let actor = actor.known()?;
    let repository = state.store().repository(id).await?.ok_or_else(Problem::not_found)?;
    Ok((Access::to(state, actor, repository.tenant, least).await?, repository))
}

/// The repository of this id within a tenant.
pub(crate) async fn within(state: &ServerState, access: &Access, id: RepositoryId) -> Result<Repository, Problem> {
    let found = state.store().repository(id).await?;
    found.filter(|found| found.tenant == access.tenant.id).ok_or_else(Problem::not_found)
}

/// The repository of this id or address; one at an address that is not connected yet is, without being asked.
pub(crate) async fn find_or_connect(state: &ServerState, access: &Access, word: &str) -> Result<Repository, Problem> {
    if let Ok(id) = word.parse() {
        return within(state, access, id).await;
    }
    let address = state.mirrors().address(word).map_err(told)?;
    if let Some(known) = state.store().repository_at(access.tenant.id, address.as_str()).await? {
        return Ok(known);
    }
    let access = access.clone().at_least(Role::Admin)?;
    let new = New { url: word.to_owned(), ..New::default() };
    connect(state, &access, new, Check::Unasked).await
}

/// Changes a repository of this version.
pub(crate) async fn update(
    state: &ServerState,
    access: &Access,
    known: &Repository,
    version: u64,
    change: Change,
) -> Result<Repository, Problem> {
    if version != known.version {
        return Err(Problem::changed());
    }
    let Change { name, url, forge, api_url, given, forge_token, default_branch, checkout, statuses } = change;
    let mut to = known.clone();
    if let Some(name) = name {
        to.name = pipelines::named("a repository", &name)?;
    }
    let address = state.mirrors().address(url.as_ref().unwrap_or(&known.url)).map_err(told)?;
    // What was given for one host is not shown to another.
    if address.as_str() != known.url && given.is_none() && known.settings.login != Login::None {
        return Err(Problem::invalid("a new address needs its token or key anew"));
    }
    address.as_str().clone_into(&mut to.url);
    let settings = &mut to.settings;
    settings.forge = forge.unwrap_or(settings.forge);
    settings.api_url = api_url.unwrap_or_else(|| settings.api_url.take());
    settings.default_branch = default_branch.unwrap_or_else(|| settings.default_branch.take());
    settings.checkout = checkout.unwrap_or_else(|| settings.checkout.clone());
    settings.statuses = statuses.unwrap_or(settings.statuses);
    settings.login = given.as_ref().map_or(settings.login, Given::login);
    settings.forge_token = forge_token.as_ref().map_or(settings.forge_token, Option::is_some);
    check_login(&address, settings.login)?;
    check_branch(settings.default_branch.as_ref())?;
    check_api(state, settings.api_url.as_ref())?;
    let anew = Anew { given: given.as_ref(), forge_token: forge_token.as_ref().and_then(Option::as_ref) };
    if leads_away(&to, known, anew) {
        return Err(Problem::invalid("a new address of the forge's API needs the token anew"));
    }
    if given.is_some() || address.as_str() != known.url {
        // Whoever gives what lets somebody in says whom they trust with it, as at first; an address of nobody's is another's.
        let credential = match &given {
            Some(given) => given.credential(),
            None => credential(state, known).await?,
        };
        to.settings.host_keys = ask(state, known.id, &address, credential).await?.host_keys;
    }
    to.version += 1;
    to.updated_at = Timestamp::now();
    let moves = (&to.url, &to.settings.api_url) != (&known.url, &known.settings.api_url);
    if moves {
        keep(state, Some(known), &to, anew).await?;
    }
    state.store().put_repository(to.clone()).await?;
    // Of two who change it at once, only the one that the store took comes here.
    match moves {
        true => forget(state, known).await?,
        false => keep(state, None, &to, anew).await?,
    }
    if known.settings.forge_token && !to.settings.forge_token && !moves {
        forget_forge(state, &to).await?;
    }
    let place = |of: &Repository| (of.url.clone(), of.settings.forge, of.settings.api_url.clone());
    if place(&to) != place(known) {
        // What the one before had says nothing of this one.
        state.store().note_webhook(known.id, None).await?;
        to.webhook = None;
    }
    audit::of_tenant(state, access, "repository.update", &to.name, &[("url", to.url.clone().into())]).await;
    Ok(to)
}

/// Whether a token that was not given anew would be shown to a host that it was not given for.
fn leads_away(to: &Repository, known: &Repository, anew: Anew<'_>) -> bool {
    let origin = |url: &str| Url::parse(url).ok().map(|url| url.origin());
    if to.settings.forge_token {
        let at = |of: &Repository| Place::of(of).ok().map(|place| place.origin());
        return anew.forge_token.is_none() && at(to) != at(known);
    }
    let was_shown = |url: &String| known.settings.api_url.as_ref() == Some(url) && !known.settings.forge_token;
    match &to.settings.api_url {
        Some(url) if to.settings.login == Login::Token && anew.given.is_none() && !was_shown(url) => {
            origin(url) != origin(&to.url)
        }
        // Without one it is the repository's, or that of a forge that has one of its own.
        _ => false,
    }
}

/// Lets a repository go, once no pipeline is of it, and its webhook as far as its forge allows: why not, if that stays.
pub(crate) async fn delete(
    state: &ServerState,
    access: &Access,
    repository: &Repository,
) -> Result<Option<String>, Problem> {
    if let Some(pipeline) = pipelines_of(state, repository).await?.first() {
        let why = format!("the pipeline `{}` is of this repository: delete it first", pipeline.name);
        return Err(Problem::conflict(why));
    }
    let left = match webhooks::may_be_there(repository) {
        true => webhooks::remove(state, access, repository).await.err(),
        false => None,
    };
    let left = left.map(|problem: Problem| problem.said());
    if !state.store().delete_repository(repository.id).await? {
        return Err(Problem::not_found());
    }
    secrets::forget_all(state, SecretScope::Repository, &repository.id.to_string()).await?;
    state.mirrors().forget(repository.id);
    let details = left.clone().map(|why| ("webhook left", why.into()));
    audit::of_tenant(state, access, "repository.delete", &repository.name, details.as_slice()).await;
    Ok(left)
}

/// The pipelines whose definitions are in a repository, by name.
pub(crate) async fn pipelines_of(state: &ServerState, repository: &Repository) -> Result<Vec<StoredPipeline>, Problem> {
    let filter = PipelineFilter { repository: Some(repository.id), ..PipelineFilter::of_tenant(repository.tenant) };
    let found = state.store().pipelines(&filter, MOST_PIPELINES).await?;
    Ok(found.into_iter().map(|line| line.pipeline).collect())
}

/// A repository with what lets us in.
pub(crate) async fn remote(state: &ServerState, repository: &Repository) -> Result<Remote, Problem> {
    let address = state.mirrors().address(&repository.url).map_err(told)?;
    let remote = Remote::new(address, credential(state, repository).await?, state.mirrors().here(), PATIENCE);
    Ok(remote.known_by(&repository.settings.host_keys))
}

/// What whoever sends webhooks of a repository signs them with; an empty one, which lets nobody in, when there is none.
pub(crate) async fn webhook_secret(state: &ServerState, repository: &Repository) -> Result<SecretString, Problem> {
    Ok(secrets::open(state, &of_repository(repository.id, WEBHOOK)).await?.unwrap_or_default())
}

/// Makes another secret for its webhooks, which is shown this once.
pub(crate) async fn renew_webhook(
    state: &ServerState,
    access: &Access,
    repository: &Repository,
) -> Result<SecretString, Problem> {
    let made = random()?;
    if webhooks::may_be_there(repository) {
        webhooks::doubt(state, repository).await?;
    }
    secrets::seal(state, &of_repository(repository.id, WEBHOOK), &made).await?;
    audit::of_tenant(state, access, "repository.webhook", &repository.name, &[]).await;
    webhooks::renew(state, access, repository).await;
    Ok(made)
}

/// Where the forge is to send the webhooks of a repository.
pub(crate) fn webhook_url(state: &ServerState, repository: &Repository) -> String {
    format!("{}/hooks/{}", state.settings().url(), repository.id)
}

fn random() -> Result<SecretString, Problem> {
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(|_| Problem::internal())?;
    Ok(hex::encode(random).into())
}

/// The copy of a repository as it is there now. How that went is noted.
pub(crate) async fn fetch(state: &ServerState, repository: &Repository) -> Result<(Arc<Mirror>, Remote), Problem> {
    let (mirror, remote) = (state.mirrors().of(repository.id), remote(state, repository).await?);
    let fetched = {
        let _turn = state.mirrors().turn().await;
        mirror.fetch(&remote).await
    };
    let error = fetched.as_ref().err().map(ToString::to_string);
    state.store().note_fetch(repository.id, Fetch { at: Timestamp::now(), error }).await?;
    fetched.map_err(told)?;
    if repository.settings.login == Login::Key && repository.settings.host_keys.is_empty() {
        know_host(state, repository, mirror.host_keys(remote.address())).await;
    }
    Ok((mirror, remote))
}

/// Tells other servers by which keys the host of a repository is known that an earlier version connected.
async fn know_host(state: &ServerState, repository: &Repository, host_keys: String) {
    if host_keys.is_empty() {
        return;
    }
    let settings = RepositorySettings { host_keys, ..repository.settings.clone() };
    let to = Repository { settings, version: repository.version + 1, ..repository.clone() };
    // Whoever changes it meanwhile is not overwritten; the next fetch tries again.
    if let Err(error) = state.store().put_repository(to).await {
        tracing::debug!(%error, repository = %repository.id, "the keys of a host are not kept");
    }
}

/// The branches that the copy has, those with the newest commits first.
pub(crate) async fn branches(state: &ServerState, repository: &Repository) -> Result<Vec<Branch>, Problem> {
    state.mirrors().of(repository.id).branches(BRANCHES).await.map_err(told)
}

/// A file of a repository that is a pipeline, or would be one.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) path: String,
    /// What it calls itself, when it can be read.
    pub(crate) name: Option<String>,
    pub(crate) stages: usize,
    pub(crate) findings: Vec<Diagnostic>,
    /// What it is a pipeline of already.
    pub(crate) pipeline: Option<StoredPipeline>,
}

impl Found {
    pub(crate) fn is_valid(&self) -> bool {
        self.findings.iter().all(|found| found.severity != Severity::Error)
    }
}

/// What was found in a repository.
#[derive(Debug)]
pub(crate) struct Scan {
    pub(crate) branch: String,
    pub(crate) commit: String,
    pub(crate) files: Vec<Found>,
}

/// Looks at a branch, or the default one, as it is there now.
pub(crate) async fn scan(state: &ServerState, repository: &Repository, branch: &str) -> Result<Scan, Problem> {
    let asked = pipelines::Start { branch: branch.to_owned(), ..pipelines::Start::default() };
    let commit = commits::fetch(state, repository, &asked).await?;
    let known = pipelines_of(state, repository).await?;
    let mut files = Vec::new();
    for path in commit.files().await? {
        files.push(judge(&commit, path, &known).await?);
    }
    Ok(Scan { branch: commit.git.branch, commit: commit.git.sha, files })
}

async fn judge(commit: &Commit, path: String, known: &[StoredPipeline]) -> Result<Found, Problem> {
    let is_of = |pipeline: &&StoredPipeline| pipelines::path_of(pipeline) == Some(path.as_str());
    let pipeline = known.iter().find(is_of).cloned();
    let (name, stages, findings) = match commit.compile(&path).await? {
        Ok((spec, warnings)) => (Some(spec.name).filter(|name| !name.is_empty()), spec.stages.len(), warnings),
        Err(findings) => (None, 0, findings),
    };
    Ok(Found { path, name, stages, findings, pipeline })
}

/// A revision that a person or a forge has named.
pub(crate) fn revision(branch: &str, tag: &str, commit: &str) -> Option<Revision> {
    let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    given(commit)
        .map(Revision::Commit)
        .or_else(|| given(tag).map(Revision::Tag))
        .or_else(|| given(branch).map(Revision::Branch))
}

#[cfg(test)]
mod tests {
    use buildit_executors::remote::ThisMachine;

    use super::*;
    use crate::samples;

    #[test]
    fn an_address_suggests_a_name_and_a_forge() {
        for (url, name, forge) in [
            ("https://github.com/acme/shop.git", "shop", Some(Forge::GitHub)),
            ("git@gitlab.example.org:acme/tools/shop", "shop", Some(Forge::GitLab)),
            ("https://codeberg.org/acme/shop/", "shop", Some(Forge::Gitea)),
            ("ssh://git@bitbucket.org/acme/shop.git", "shop", Some(Forge::Bitbucket)),
            ("https://git.example.org/github/shop", "shop", None),
            ("/srv/git/shop.git", "shop", None),
            ("/home/ann/.shop/.git", "shop", None),
        ] {
            let address = RemoteAddress::parse(url, ThisMachine::Allowed).unwrap();
            assert_eq!((name_of(&address).as_str(), forge_of(&address)), (name, forge), "{url}");
        }
    }

    #[test]
    fn a_credential_fits_its_address() {
        let (web, ssh) = ("https://example.org/a", "git@example.org:a");
        let address = |text| RemoteAddress::parse(text, ThisMachine::Refused).unwrap();
        assert!(check_login(&address(web), Login::Token).is_ok() && check_login(&address(ssh), Login::Key).is_ok());
        assert!(check_login(&address(web), Login::Key).is_err() && check_login(&address(ssh), Login::Token).is_err());
    }

    /// A repository of a GitHub of one's own, or at GitHub, with this API, login, and perhaps a token for the API alone.
    fn at(url: &str, api_url: Option<&str>, login: Login, forge_token: bool) -> Repository {
        let (forge, api_url) = (Some(Forge::GitHub), api_url.map(str::to_owned));
        samples::repository(
            url,
            RepositorySettings { forge, api_url, login, forge_token, ..RepositorySettings::default() },
        )
    }

    #[test]
    fn no_token_goes_where_it_was_not_given_for() {
        let (own, other) = ("https://git.example.org/acme/shop", "https://git.example.com/acme/shop");
        let (ssh, api) = ("git@git.example.org:acme/shop", "https://api.example.org/v3");
        let given = Given::Token("new".into());
        let token: SecretString = "new".into();
        let nothing = Anew { given: None, forge_token: None };
        let login = Anew { given: Some(&given), forge_token: None };
        let forge = Anew { given: None, forge_token: Some(&token) };
        use Login::{Key, Token};
        for (what, known, to, anew, leads) in [
            ("nothing changed", at(own, None, Token, true), at(own, None, Token, true), nothing, false),
            (
                "another API for what lets in",
                at(own, None, Token, false),
                at(own, Some(api), Token, false),
                nothing,
                true,
            ),
            ("given anew", at(own, None, Token, false), at(own, Some(api), Token, false), login, false),
            ("the same host", at(own, None, Token, false), at(own, Some(own), Token, false), nothing, false),
            ("a key is shown to no API", at(ssh, None, Key, false), at(ssh, Some(api), Key, false), nothing, false),
            ("another API for its token", at(ssh, None, Key, true), at(ssh, Some(api), Key, true), nothing, true),
            ("another API, another token", at(ssh, None, Key, true), at(ssh, Some(api), Key, true), forge, false),
            ("another host", at(own, None, Token, true), at(other, None, Token, true), login, true),
            (
                "its own token in place of it",
                at(own, Some(api), Token, true),
                at(own, Some(api), Token, false),
                nothing,
                true,
            ),
            ("the API goes", at(own, Some(api), Token, true), at(own, None, Token, true), nothing, true),
            ("a first one", at(ssh, None, Key, false), at(ssh, None, Key, true), forge, false),
        ] {
            assert_eq!(leads_away(&to, &known, anew), leads, "{what}");
        }
    }
}
