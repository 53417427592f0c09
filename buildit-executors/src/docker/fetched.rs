//! Who may use an image that is here because somebody has fetched it.
//!
//! An engine asks nobody for credentials for an image that it has, and all tenants of a server share one. So an image that
//! came by the credentials of a job is for jobs that have proven at its registry that they may have it; whoever has not
//! fetches it, which costs a question when it is there. The proofs are further names of the image,
//! `buildit.invalid/ID:PROOF`, of a registry that cannot be: they are gone when it is, and are seen by the look at the image that is needed anyway. What
//! the operator has brought here, or what was fetched with nobody's credentials or those of this host, is for all.
//!
//! Kubernetes calls the same
//! [ensure secret pulled images](https://github.com/kubernetes/enhancements/tree/master/keps/sig-node/2535-ensure-secret-pulled-images).
//! Between the end of a fetch and its proof, for a few milliseconds, this process alone knows whose the image is.

use buildit::executor::JobContext;
use buildit::id::Digest;
use secrecy::ExposeSecret;

/// The first part of the further names.
const PRIVATE: &str = "buildit.invalid/";

/// The proof of everybody.
const ANYBODY: &str = "anybody";

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

    /// What is behind the name of an image that it may use. It is another one for each image, so that nobody sees from the
    /// names of two who has both.
    fn proof(&self, id: &str) -> String {
        match self {
            Self::Anybody => ANYBODY.to_owned(),
            Self::Own(who) => Digest::of(format!("{id}\n{}", who.to_hex()).as_bytes()).to_hex(),
        }
    }
}

/// The names of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Names {
    /// Those that people gave it.
    pub(super) usual: Vec<String>,
    /// The further ones.
    further: Vec<String>,
}

impl Names {
    pub(super) fn of(all: Vec<String>) -> Self {
        let (further, usual) = all.into_iter().partition(|name| name.starts_with(PRIVATE));
        Self { usual, further }
    }

    /// The further ones, if it is for those alone who have proven that they may have it.
    pub(super) fn further(&self) -> &[String] {
        &self.further
    }

    /// Whether whoever fetches in this name may use the image as it is.
    pub(super) fn admit(&self, fetcher: &Fetcher, id: &str) -> bool {
        let mut proofs = self.further.iter().filter_map(|name| Some(name.rsplit_once(':')?.1));
        self.further.is_empty() || proofs.any(|proof| proof == ANYBODY || proof == fetcher.proof(id))
    }

    /// Whether whoever has fetched the image in this name has to be noted. `before` is what the reference named until then.
    pub(super) fn need(&self, fetcher: &Fetcher, id: &str, reference: &str, before: Option<&str>) -> bool {
        if !self.further.is_empty() {
            return !self.admit(fetcher, id);
        }
        // Under another name it was here for all; nobody makes that their own by fetching the same.
        let own = usize::from(!reference.contains('@'));
        matches!(fetcher, Fetcher::Own(_)) && before != Some(id) && self.usual.len() <= own
    }
}

/// The further name of an image that says so: its repository and its tag.
pub(super) fn name(fetcher: &Fetcher, id: &str) -> (String, String) {
    let number = id.rsplit(':').next().unwrap_or(id);
    (format!("{PRIVATE}{number}"), fetcher.proof(id))
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
        let further = fetchers.iter().map(|fetcher| name(fetcher, ID)).map(|(name, tag)| format!("{name}:{tag}"));
        Names::of(usual.iter().map(|&name| name.to_owned()).chain(further).collect())
    }

    #[test]
    fn whoever_has_proven_it_is_admitted() {
        let admitted = |fetchers: &[Fetcher]| {
            let names = names(&[TOOL], fetchers);
            [own("ann"), own("bob"), Fetcher::Anybody].map(|who| names.admit(&who, ID))
        };
        assert_eq!(admitted(&[]), [true; 3]);
        assert_eq!(admitted(&[own("ann")]), [true, false, false]);
        assert_eq!(admitted(&[own("ann"), own("bob")]), [true, true, false]);
        assert_eq!(admitted(&[own("ann"), Fetcher::Anybody]), [true; 3]);
        assert!(name(&own("ann"), ID).0.ends_with("/00ff"));
        assert_ne!(own("ann").proof(ID), own("ann").proof("sha256:01"));
    }

    #[test]
    fn what_somebody_alone_has_brought_here_is_noted() {
        let need = |names: Names, who: Fetcher, before| names.need(&who, ID, TOOL, before);
        assert!(need(names(&[TOOL], &[]), own("ann"), None));
        assert!(need(names(&[TOOL], &[]), own("ann"), Some("sha256:01")), "a newer one");
        assert!(need(names(&[TOOL], &[own("ann")]), own("bob"), Some(ID)));
        assert!(need(names(&[TOOL], &[own("ann")]), Fetcher::Anybody, Some(ID)));
        assert!(names(&[], &[]).need(&own("ann"), ID, "r.example/x@sha256:77", None));
        assert!(!need(names(&[TOOL], &[]), Fetcher::Anybody, None));
        assert!(!need(names(&[TOOL], &[]), own("ann"), Some(ID)), "it was here for all");
        assert!(!need(names(&["tool:local", TOOL], &[]), own("ann"), None), "it was here under another name");
        assert!(!names(&["tool:local"], &[]).need(&own("ann"), ID, "r.example/x@sha256:77", None));
        assert!(!need(names(&[TOOL], &[own("ann")]), own("ann"), Some(ID)));
    }
}
