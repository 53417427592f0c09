//! Who may use an image that is here because somebody has fetched it.
//!
//! An engine asks nobody for credentials for an image that it has, and all tenants of a server share one. So an image that
//! came by the credentials of a job is for jobs that have proven at its registry that they may have it; whoever has not
//! fetches it, which costs a question when it is there. The proofs are further names of the image,
//! `buildit.invalid/ID:PROOF`, of a registry that cannot be: they are gone when it is, and are seen by the look at the image
//! that is needed anyway. Each is for one repository, so that nobody opens an image by having the same elsewhere. What the
//! operator has brought here, or what was fetched with nobody's credentials or those of this host, is for all.
//!
//! ```text
//! look ──► nobody fetches it, and it is for all or has my proof ──► use it
//!   └────► begin ──► fetch ──► look ──► note (a further name) ──► done
//! ```
//!
//! What was begun and not noted, as its job was cancelled or its engine killed, is in doubt: whoever asks for it fetches it.
//! A volume says so to engines that start later ([`LABEL`]); what another engine begins meanwhile on the same host, this one
//! does not see until it is noted.
//!
//! An image whose tag has moved on keeps its further names, so it stays private until `docker image prune --all`. Whoever knows
//! the digest or the id of an image gets it from an engine that has it: a registry of their own need only name it.
//!
//! Kubernetes calls the same
//! [ensure secret pulled images](https://github.com/kubernetes/enhancements/tree/master/keps/sig-node/2535-ensure-secret-pulled-images).

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

use buildit::executor::JobContext;
use buildit::id::Digest;
use secrecy::ExposeSecret;

use super::lock::lock;

/// The first part of the further names.
const PRIVATE: &str = "buildit.invalid/";

/// How many proofs an image has at most: tokens that are renewed make one each.
pub(super) const MOST: usize = 32;

/// The labels of the volume of a fetch that has begun: the reference, and what it named before.
pub(super) const LABEL: &str = "buildit.fetching";
pub(super) const BEFORE: &str = "buildit.fetching.before";

/// In whose name a job fetches an image.
#[derive(Debug)]
pub(super) enum Fetcher {
    /// Nobody's, or that of this host.
    Anybody,
    /// Credentials of its own, of which this is made.
    Own(Digest),
}

impl Fetcher {
    pub(super) fn of(ctx: &JobContext, image: &str) -> Self {
        match ctx.secrets().registries.get(image) {
            Some((user, password)) => Self::Own(Digest::of(format!("{user}\n{}", password.expose_secret()).as_bytes())),
            None => Self::Anybody,
        }
    }

    /// What is behind the further name of an image of this repository. It is another one for each image, so that nobody sees
    /// from the names of two who has both.
    fn proof(&self, id: &str, reference: &str) -> String {
        let who = match self {
            Self::Anybody => "anybody".to_owned(),
            Self::Own(who) => who.to_hex(),
        };
        Digest::of(format!("{id}\n{}\n{who}", repository(reference)).as_bytes()).to_hex()
    }

    /// The further name of an image that says so: its repository and its tag.
    pub(super) fn name(&self, id: &str, reference: &str) -> (String, String) {
        let number = id.rsplit(':').next().unwrap_or(id);
        (format!("{PRIVATE}{number}"), self.proof(id, reference))
    }
}

/// The names of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Names {
    /// Those that people gave it.
    pub(super) usual: Vec<String>,
    /// Those by what a registry has of it, `NAME@sha256:…`.
    pub(super) digests: Vec<String>,
    /// The further ones.
    pub(super) further: Vec<String>,
}

impl Names {
    pub(super) fn of(tags: Vec<String>, digests: Vec<String>) -> Self {
        let (further, usual) = tags.into_iter().partition(|name| name.starts_with(PRIVATE));
        Self { usual, digests, further }
    }

    /// Whether it is for those alone who have proven that they may have it.
    pub(super) fn is_private(&self) -> bool {
        !self.further.is_empty()
    }

    /// Whether whoever fetches in this name may use the image as it is.
    pub(super) fn admit(&self, fetcher: &Fetcher, id: &str, reference: &str) -> bool {
        let proof = || fetcher.proof(id, reference);
        !self.is_private() || self.further.iter().any(|name| name.rsplit_once(':').is_some_and(|(_, of)| of == proof()))
    }

    /// Whether whoever has fetched the image in this name has to be noted. `before` is what the reference named until then;
    /// of names that are being fetched for somebody alone nothing follows.
    pub(super) fn need(
        &self,
        fetcher: &Fetcher,
        id: &str,
        reference: &str,
        before: Option<&str>,
        is_open: impl Fn(&str) -> bool,
    ) -> bool {
        if self.is_private() {
            return !self.admit(fetcher, id, reference);
        }
        let own = normal(reference);
        let mut others = self.usual.iter().filter(|name| normal(name) != own && !is_open(name));
        // Under another name it was here for all; nobody makes that their own by fetching the same.
        matches!(fetcher, Fetcher::Own(_)) && before != Some(id) && others.next().is_none()
    }
}

/// A reference as an engine lists it.
pub(super) fn normal(reference: &str) -> String {
    let hub = ["docker.io/", "index.docker.io/", "registry-1.docker.io/"].iter();
    let short = hub.filter_map(|hub| reference.strip_prefix(hub)).next().unwrap_or(reference);
    let short = short.strip_prefix("library/").unwrap_or(short);
    match (short.split_once('@'), tag_of(short)) {
        // The digest tells more than the tag.
        (Some((name, digest)), _) => format!("{}@{digest}", without_tag(name)),
        (None, None) => format!("{short}:latest"),
        (None, Some(_)) => short.to_owned(),
    }
}

fn tag_of(name: &str) -> Option<&str> {
    name.rsplit_once(':').map(|(_, tag)| tag).filter(|tag| !tag.contains('/'))
}

fn without_tag(name: &str) -> &str {
    tag_of(name).map_or(name, |tag| &name[..name.len() - tag.len() - 1])
}

/// The repository that a reference is of; nothing of what an engine calls an image.
fn repository(reference: &str) -> String {
    let normal = normal(reference);
    let name = without_tag(normal.split_once('@').map_or(&*normal, |(name, _)| name));
    if name == "sha256" { String::new() } else { name.to_owned() }
}

/// What jobs of this process fetch in names of their own, and what is in doubt.
#[derive(Debug, Default)]
pub(super) struct Fetches(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Counts what begins and what ends.
    changes: u64,
    /// By the reference, as an engine lists it.
    open: HashMap<String, Open>,
}

#[derive(Debug, Default)]
struct Open {
    jobs: usize,
    /// The volumes of those that were broken off.
    left: Vec<String>,
    /// What the reference named when the first of them began.
    before: Option<String>,
}

/// A fetch that an earlier engine has begun.
#[derive(Clone, Debug)]
pub(super) struct Left {
    pub(super) volume: String,
    pub(super) reference: String,
    pub(super) before: Option<String>,
}

impl Fetches {
    /// With these in doubt.
    pub(super) fn new(in_doubt: Vec<Left>) -> Self {
        let mut state = State::default();
        for Left { volume, reference, before } in in_doubt {
            let open = state.open.entry(normal(&reference)).or_insert_with(|| Open { before, ..Open::default() });
            open.left.push(volume);
        }
        Self(Mutex::new(state))
    }

    /// Counts what begins and what ends: what was looked at meanwhile counts only if nothing did.
    pub(super) fn changes(&self) -> u64 {
        lock(&self.0).changes
    }

    /// Whether this image, which the reference names, may be somebody's alone without being noted.
    pub(super) fn doubt(&self, reference: &str, id: &str, names: &Names) -> bool {
        let own = [normal(reference)];
        let listed = names.usual.iter().chain(&names.digests).map(|name| normal(name));
        let all: HashSet<String> = listed.chain(own).collect();
        lock(&self.0).open.iter().any(|(open, of)| all.contains(open) && of.before.as_deref() != Some(id))
    }

    /// Whether this is being fetched, or in doubt.
    pub(super) fn is_open(&self, reference: &str) -> bool {
        lock(&self.0).open.contains_key(&normal(reference))
    }

    /// What the reference named before anybody began to fetch it, if somebody has.
    pub(super) fn before(&self, reference: &str) -> Option<Option<String>> {
        lock(&self.0).open.get(&normal(reference)).map(|open| open.before.clone())
    }

    /// Begins a fetch in a name of one's own, of which this volume is to tell.
    pub(super) fn begin<'a>(&'a self, reference: &str, before: Option<&str>, volume: String) -> Fetch<'a> {
        let reference = normal(reference);
        let mut state = lock(&self.0);
        state.changes += 1;
        let new = || Open { before: before.map(str::to_owned), ..Open::default() };
        state.open.entry(reference.clone()).or_insert_with(new).jobs += 1;
        Fetch { all: self, reference, volume: Some(volume) }
    }

    /// It is known whose what the reference names is. The volumes that told of it.
    pub(super) fn settle(&self, reference: &str) -> Vec<String> {
        let mut state = lock(&self.0);
        state.changes += 1;
        let reference = normal(reference);
        let Some(open) = state.open.get_mut(&reference) else { return Vec::new() };
        let left = std::mem::take(&mut open.left);
        if open.jobs == 0 {
            state.open.remove(&reference);
        }
        left
    }
}

/// A fetch that has begun; dropped before it has [ended](Self::noted), what it fetches is in doubt.
#[derive(Debug)]
pub(super) struct Fetch<'a> {
    all: &'a Fetches,
    reference: String,
    /// None once it has ended.
    volume: Option<String>,
}

impl Fetch<'_> {
    /// It is noted who has fetched it. The volumes that told of it.
    pub(super) fn noted(self) -> Vec<String> {
        let (all, reference) = (self.all, self.reference.clone());
        let mut volumes = self.refused();
        volumes.extend(all.settle(&reference));
        volumes
    }

    /// Nothing has come, so that nothing is to be noted; what was in doubt still is. The volume that told of it.
    pub(super) fn refused(mut self) -> Vec<String> {
        let mut state = lock(&self.all.0);
        state.changes += 1;
        if let Some(open) = state.open.get_mut(&self.reference) {
            open.jobs -= 1;
            if open.jobs == 0 && open.left.is_empty() {
                state.open.remove(&self.reference);
            }
        }
        drop(state);
        self.volume.take().into_iter().collect()
    }
}

impl Drop for Fetch<'_> {
    fn drop(&mut self) {
        let Some(volume) = self.volume.take() else { return };
        let mut state = lock(&self.all.0);
        state.changes += 1;
        if let Some(open) = state.open.get_mut(&self.reference) {
            open.jobs -= 1;
            open.left.push(volume);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "sha256:00ff";
    const TOOL: &str = "r.example:5000/team/tool:1";

    fn own(who: &str) -> Fetcher {
        Fetcher::Own(Digest::of(who.as_bytes()))
    }

    fn names(usual: &[&str], fetchers: &[Fetcher]) -> Names {
        let further = fetchers.iter().map(|fetcher| fetcher.name(ID, TOOL)).map(|(name, tag)| format!("{name}:{tag}"));
        Names::of(usual.iter().map(|&name| name.to_owned()).chain(further).collect(), Vec::new())
    }

    #[test]
    fn whoever_has_proven_it_is_admitted() {
        let admitted = |fetchers: &[Fetcher], reference: &str| {
            let names = names(&[TOOL], fetchers);
            [own("ann"), own("bob"), Fetcher::Anybody].map(|who| names.admit(&who, ID, reference))
        };
        assert_eq!(admitted(&[], TOOL), [true; 3]);
        assert_eq!(admitted(&[own("ann")], TOOL), [true, false, false]);
        assert_eq!(admitted(&[own("ann")], "r.example:5000/team/tool@sha256:77"), [true, false, false]);
        assert_eq!(admitted(&[own("ann"), own("bob")], TOOL), [true, true, false]);
        assert_eq!(admitted(&[own("ann"), Fetcher::Anybody], TOOL), [true, false, true]);
        for elsewhere in ["eve.example/tool:1", "r.example:5000/eve/tool:1", ID, "tool"] {
            assert_eq!(admitted(&[own("ann"), Fetcher::Anybody], elsewhere), [false; 3], "{elsewhere}");
        }
        assert!(own("ann").name(ID, TOOL).0.ends_with("/00ff"));
        assert_ne!(own("ann").proof(ID, TOOL), own("ann").proof("sha256:01", TOOL));
    }

    #[test]
    fn what_somebody_alone_has_brought_here_is_noted() {
        let is_open = |name: &str| name.ends_with(":open");
        let need = |names: Names, who: Fetcher, before| names.need(&who, ID, TOOL, before, is_open);
        assert!(need(names(&[TOOL], &[]), own("ann"), None));
        assert!(need(names(&[TOOL], &[]), own("ann"), Some("sha256:01")), "a newer one");
        assert!(need(names(&[TOOL, "r.example:5000/team/tool:open"], &[]), own("ann"), None), "two at once");
        assert!(need(names(&[TOOL], &[own("ann")]), own("bob"), Some(ID)));
        assert!(need(names(&[TOOL], &[own("ann")]), Fetcher::Anybody, Some(ID)));
        let digest = "r.example/x@sha256:77";
        assert!(names(&[], &[]).need(&own("ann"), ID, digest, None, is_open));
        assert!(!need(names(&[TOOL], &[]), Fetcher::Anybody, None));
        assert!(!need(names(&[TOOL], &[]), own("ann"), Some(ID)), "it was here for all");
        assert!(!need(names(&["tool:local", TOOL], &[]), own("ann"), None), "it was here under another name");
        assert!(!names(&["tool:local"], &[]).need(&own("ann"), ID, digest, None, is_open));
        assert!(!need(names(&[TOOL], &[own("ann")]), own("ann"), Some(ID)));
    }

    #[test]
    fn references_are_told_apart_as_an_engine_does() {
        for (written, listed, of) in [
            ("busybox", "busybox:latest", "busybox"),
            ("docker.io/library/busybox", "busybox:latest", "busybox"),
            ("docker.io/team/tool:1", "team/tool:1", "team/tool"),
            ("r.example:5000/tool", "r.example:5000/tool:latest", "r.example:5000/tool"),
            ("index.docker.io/team/tool", "team/tool:latest", "team/tool"),
            ("r.example:5000/tool:1@sha256:77", "r.example:5000/tool@sha256:77", "r.example:5000/tool"),
            ("tool@sha256:77", "tool@sha256:77", "tool"),
            (ID, ID, ""),
        ] {
            assert_eq!((normal(written), repository(written)), (listed.to_owned(), of.to_owned()), "{written}");
        }
    }

    #[test]
    fn what_was_broken_off_is_in_doubt_until_somebody_has_fetched_it() {
        let left =
            |volume: &str| Left { volume: volume.into(), reference: "left:1".into(), before: Some("old".into()) };
        let fetches = Fetches::new(vec![left("v1"), left("v2")]);
        let none = Names::default();
        let listed = |name: &str| Names { usual: vec![name.to_owned()], ..Names::default() };
        assert!(fetches.doubt("left:1", ID, &none) && !fetches.doubt("left:2", ID, &none));
        assert!(!fetches.doubt("left:1", "old", &none), "what was there before is nobody's new one");
        assert!(fetches.doubt(ID, ID, &listed("left:1")), "by what the engine calls it");
        let (fetch, other) =
            (fetches.begin("tool", Some("older"), "v3".into()), fetches.begin("tool:latest", None, "v4".into()));
        assert!(fetches.doubt("docker.io/library/tool", ID, &none) && !fetches.doubt("tool:1", ID, &none));
        assert_eq!(fetches.before("tool"), Some(Some("older".to_owned())));
        let changes = fetches.changes();
        assert_eq!(fetch.noted(), ["v3"]);
        assert!(fetches.changes() > changes && fetches.is_open("tool"));
        drop(other);
        assert!(fetches.doubt("tool", ID, &none));
        assert_eq!(fetches.begin("tool", None, "v5".into()).refused(), ["v5"]);
        assert!(fetches.doubt("tool", ID, &none), "that tells nothing");
        assert_eq!(fetches.begin("tool", None, "v6".into()).noted(), ["v6", "v4"]);
        assert!(!fetches.is_open("tool") && fetches.settle("tool").is_empty());
        assert_eq!(fetches.settle("left:1"), ["v1", "v2"]);
        assert_eq!(fetches.begin("typo", None, "v7".into()).refused(), ["v7"]);
        assert!(!fetches.is_open("typo"));
    }
}
