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
//! Kubernetes calls the same
//! [ensure secret pulled images](https://github.com/kubernetes/enhancements/tree/master/keps/sig-node/2535-ensure-secret-pulled-images).

use std::collections::HashMap;
use std::sync::Mutex;

use buildit::executor::JobContext;
use buildit::id::Digest;
use secrecy::ExposeSecret;

use super::lock::lock;

/// The first part of the further names.
const PRIVATE: &str = "buildit.invalid/";

/// How many proofs an image has at most: tokens that are renewed make one each.
pub(super) const MOST: usize = 32;

/// The label of the volume of a fetch that has begun: the reference.
pub(super) const LABEL: &str = "buildit.fetching";

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

    /// What keeps an image that its name has left: the last one that goes takes the image along. Nothing while it has another
    /// usual name, or what another repository has of it.
    pub(super) fn left(&self, reference: &str) -> Vec<&str> {
        let is_own = |name: &String| repository(name) == repository(reference);
        if !self.is_private() || self.usual.len() > 1 || !self.digests.iter().all(is_own) {
            return Vec::new();
        }
        // Without a further name it would be for all.
        self.digests.iter().chain(&self.further).map(String::as_str).collect()
    }
}

/// A reference as an engine lists it.
pub(super) fn normal(reference: &str) -> String {
    let short = reference.strip_prefix("docker.io/").unwrap_or(reference);
    let short = short.strip_prefix("library/").unwrap_or(short);
    let has_tag = short.contains('@') || short.rsplit_once(':').is_some_and(|(_, tag)| !tag.contains('/'));
    if has_tag { short.to_owned() } else { format!("{short}:latest") }
}

/// The repository that a reference is of; nothing of what an engine calls an image.
fn repository(reference: &str) -> String {
    let normal = normal(reference);
    let name = normal.split_once('@').map_or(&*normal, |(name, _)| name);
    let name = name.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')).map_or(name, |(name, _)| name);
    if name == "sha256" { String::new() } else { name.to_owned() }
}

/// What jobs of this process fetch in names of their own, and what is in doubt.
#[derive(Debug, Default)]
pub(super) struct Fetches(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// How many were begun.
    begun: u64,
    /// By the reference, as an engine lists it.
    open: HashMap<String, Open>,
}

#[derive(Debug, Default)]
struct Open {
    jobs: usize,
    /// One was broken off.
    in_doubt: bool,
    /// What the reference named when the first of them began.
    before: Option<String>,
}

impl Fetches {
    /// With these in doubt.
    pub(super) fn new(in_doubt: impl IntoIterator<Item = String>) -> Self {
        let open = in_doubt.into_iter().map(|reference| (reference, Open { in_doubt: true, ..Open::default() }));
        Self(Mutex::new(State { begun: 0, open: open.collect() }))
    }

    /// How many were begun until now: what was looked at meanwhile counts only if none was.
    pub(super) fn begun(&self) -> u64 {
        lock(&self.0).begun
    }

    /// Whether the image that the reference names may be somebody's alone without being noted.
    pub(super) fn doubt(&self, reference: &str, id: &str) -> bool {
        let (own, by_digest) = (normal(reference), reference.contains('@'));
        let is_it = |open: &str| open == own || by_digest && repository(open) == repository(&own);
        lock(&self.0).open.iter().any(|(open, of)| is_it(open) && of.before.as_deref() != Some(id))
    }

    /// Whether this is being fetched, or in doubt.
    pub(super) fn is_open(&self, reference: &str) -> bool {
        lock(&self.0).open.contains_key(&normal(reference))
    }

    /// Whether this is in doubt.
    pub(super) fn is_in_doubt(&self, reference: &str) -> bool {
        lock(&self.0).open.get(&normal(reference)).is_some_and(|open| open.in_doubt)
    }

    /// Begins a fetch in a name of one's own.
    pub(super) fn begin<'a>(&'a self, reference: &str, before: Option<&str>) -> Fetch<'a> {
        let reference = normal(reference);
        let mut state = lock(&self.0);
        state.begun += 1;
        let new = || Open { before: before.map(str::to_owned), ..Open::default() };
        state.open.entry(reference.clone()).or_insert_with(new).jobs += 1;
        Fetch { all: self, reference, is_noted: false }
    }

    /// It is known whose what the reference names is. Whether nothing is left to be known.
    pub(super) fn settle(&self, reference: &str) -> bool {
        let mut state = lock(&self.0);
        let reference = normal(reference);
        let Some(open) = state.open.get_mut(&reference) else { return false };
        open.in_doubt = false;
        let is_over = open.jobs == 0;
        if is_over {
            state.open.remove(&reference);
        }
        is_over
    }
}

/// A fetch that has begun; dropped before it is [noted](Self::noted), what it fetches is in doubt.
#[derive(Debug)]
pub(super) struct Fetch<'a> {
    all: &'a Fetches,
    reference: String,
    is_noted: bool,
}

impl Fetch<'_> {
    /// It is noted who has fetched it. Whether nothing is left to be known.
    pub(super) fn noted(mut self) -> bool {
        self.is_noted = true;
        let (all, reference) = (self.all, std::mem::take(&mut self.reference));
        if let Some(open) = lock(&all.0).open.get_mut(&reference) {
            open.jobs -= 1;
        }
        all.settle(&reference)
    }
}

impl Drop for Fetch<'_> {
    fn drop(&mut self) {
        if self.is_noted {
            return;
        }
        if let Some(open) = lock(&self.all.0).open.get_mut(&self.reference) {
            open.jobs -= 1;
            open.in_doubt = true;
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
    fn an_image_that_its_name_has_left_goes_whole_or_stays_private() {
        let digests = |all: &[&str]| all.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let of = |fetchers: &[Fetcher], all: &[&str]| Names { digests: digests(all), ..names(&[TOOL], fetchers) };
        let private = of(&[own("ann")], &["r.example:5000/team/tool@sha256:77"]);
        assert_eq!(private.left(TOOL), ["r.example:5000/team/tool@sha256:77", &*private.further[0]]);
        assert!(of(&[], &["r.example:5000/team/tool@sha256:77"]).left(TOOL).is_empty());
        assert!(of(&[own("ann")], &["eve.example/x@sha256:77"]).left(TOOL).is_empty());
        assert!(names(&[TOOL, "tool:local"], &[own("ann")]).left(TOOL).is_empty());
    }

    #[test]
    fn references_are_told_apart_as_an_engine_does() {
        for (written, listed, of) in [
            ("busybox", "busybox:latest", "busybox"),
            ("docker.io/library/busybox", "busybox:latest", "busybox"),
            ("docker.io/team/tool:1", "team/tool:1", "team/tool"),
            ("r.example:5000/tool", "r.example:5000/tool:latest", "r.example:5000/tool"),
            ("r.example:5000/tool:1@sha256:77", "r.example:5000/tool:1@sha256:77", "r.example:5000/tool"),
            (ID, ID, ""),
        ] {
            assert_eq!((normal(written), repository(written)), (listed.to_owned(), of.to_owned()), "{written}");
        }
    }

    #[test]
    fn what_was_broken_off_is_in_doubt_until_somebody_has_fetched_it() {
        let fetches = Fetches::new(["left:1".to_owned()]);
        assert!(fetches.doubt("left:1", ID) && fetches.is_in_doubt("left:1") && !fetches.doubt("left:2", ID));
        let (fetch, other) = (fetches.begin("tool", Some("sha256:01")), fetches.begin("tool:latest", None));
        assert_eq!(fetches.begun(), 2);
        assert!(fetches.doubt("docker.io/library/tool", ID) && fetches.doubt("tool@sha256:77", ID));
        assert!(!fetches.doubt("tool", "sha256:01"), "what was there before is nobody's new one");
        assert!(!fetches.doubt("tool:1", ID), "another tag");
        assert!(!fetches.is_in_doubt("tool") && !fetch.noted());
        drop(other);
        assert!(fetches.is_in_doubt("tool") && fetches.doubt("tool", ID));
        assert!(fetches.begin("tool", None).noted());
        assert!(!fetches.is_open("tool") && !fetches.settle("tool") && fetches.settle("left:1"));
    }
}
