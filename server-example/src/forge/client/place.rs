//! Where the API of a repository's forge is.

use buildit::store::{Forge, Repository};
use url::{Origin, Url};

use super::super::pages;
use super::error::NoPlace;

/// A repository at the API of its forge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    forge: Forge,
    base: Url,
    path: Vec<String>,
}

impl Place {
    /// Where that of a repository is: where its settings say, or where its address suggests.
    ///
    /// # Errors
    ///
    /// [`NoPlace`] when it is at no forge, or its address is none that a forge gives.
    pub(crate) fn of(repository: &Repository) -> Result<Self, NoPlace> {
        let forge = repository.settings.forge.ok_or(NoPlace::NoForge)?;
        let page = pages::repository(repository).and_then(|page| Url::parse(&page).ok()).ok_or(NoPlace::Address)?;
        let base = match &repository.settings.api_url {
            Some(said) => Url::parse(said.trim_end_matches('/')).map_err(|_| NoPlace::Api)?,
            None => usual(forge, &page).ok_or(NoPlace::Address)?,
        };
        if base.cannot_be_a_base() || base.query().is_some() || base.fragment().is_some() {
            return Err(NoPlace::Api);
        }
        let parts = |url: &Url| -> Vec<String> {
            url.path_segments().into_iter().flatten().filter(|part| !part.is_empty()).map(str::to_owned).collect()
        };
        let (mut path, above) = (parts(&page), parts(&base));
        // A forge that is below a path of its host has its repositories there too, and its API in two more parts.
        let above = &above[..above.len().saturating_sub(2)];
        if base.host() == page.host() && path.starts_with(above) {
            path.drain(..above.len());
        }
        match (forge, path.len()) {
            (Forge::GitLab, 2..) | (_, 2) => Ok(Self { forge, base, path }),
            _ => Err(NoPlace::Address),
        }
    }

    /// Which forge that is.
    pub(crate) fn forge(&self) -> Forge {
        self.forge
    }

    /// Whoever is at the API.
    pub(crate) fn origin(&self) -> Origin {
        self.base.origin()
    }

    /// The address of the API.
    pub(super) fn base(&self) -> &Url {
        &self.base
    }

    /// The parts of the repository's path.
    pub(super) fn path(&self) -> &[String] {
        &self.path
    }
}

/// Where the API of a forge usually is, whose repository has this page.
fn usual(forge: Forge, page: &Url) -> Option<Url> {
    let fixed = match (forge, page.host_str()?) {
        (Forge::GitHub, "github.com" | "www.github.com" | "ssh.github.com") => Some("https://api.github.com"),
        (Forge::Bitbucket, "bitbucket.org" | "www.bitbucket.org" | "altssh.bitbucket.org") => {
            Some("https://api.bitbucket.org/2.0")
        }
        // One of one's own speaks otherwise.
        (Forge::Bitbucket, _) => return None,
        _ => None,
    };
    let below = match forge {
        Forge::GitHub => "/api/v3",
        Forge::GitLab => "/api/v4",
        Forge::Gitea | Forge::Bitbucket => "/api/v1",
    };
    fixed.map_or_else(|| page.join(below), Url::parse).ok()
}

#[cfg(test)]
mod tests {
    use buildit::store::RepositorySettings;

    use super::*;
    use crate::samples;

    fn place(url: &str, forge: Forge, api_url: Option<&str>) -> Result<Place, NoPlace> {
        let settings =
            RepositorySettings { forge: Some(forge), api_url: api_url.map(str::to_owned), ..Default::default() };
        Place::of(&samples::repository(url, settings))
    }

    #[test]
    fn the_api_is_where_the_address_suggests_or_the_settings_say() {
        for (url, forge, api_url, base, path) in [
            ("https://github.com/acme/shop.git", Forge::GitHub, None, "https://api.github.com/", "acme/shop"),
            ("git@github.com:acme/shop", Forge::GitHub, None, "https://api.github.com/", "acme/shop"),
            ("https://git.acme.example/a/b", Forge::GitHub, None, "https://git.acme.example/api/v3", "a/b"),
            ("https://gitlab.com/a/b/c.git", Forge::GitLab, None, "https://gitlab.com/api/v4", "a/b/c"),
            (
                "ssh://git@gitlab.acme.example:2222/a/b.git",
                Forge::GitLab,
                None,
                "https://gitlab.acme.example/api/v4",
                "a/b",
            ),
            ("http://gitea:3000/a/b", Forge::Gitea, None, "http://gitea:3000/api/v1", "a/b"),
            ("https://bitbucket.org/acme/shop", Forge::Bitbucket, None, "https://api.bitbucket.org/2.0", "acme/shop"),
            (
                "https://acme.example/git/a/b",
                Forge::Gitea,
                Some("https://acme.example/git/api/v1/"),
                "https://acme.example/git/api/v1",
                "a/b",
            ),
            (
                "https://acme.example/a/b",
                Forge::GitHub,
                Some("http://127.0.0.1:9/x/api/v3"),
                "http://127.0.0.1:9/x/api/v3",
                "a/b",
            ),
        ] {
            let place = place(url, forge, api_url).unwrap();
            assert_eq!((place.base.as_str(), place.path.join("/").as_str()), (base, path), "{url}");
        }
    }

    #[test]
    fn what_is_at_no_forge_has_no_api() {
        for (url, api_url, why) in [
            ("/srv/git/shop.git", None, NoPlace::Address),
            ("https://github.com/shop", None, NoPlace::Address),
            ("https://github.com/a/b/c", None, NoPlace::Address),
            ("https://github.com/a/b", Some("data:,x"), NoPlace::Api),
            ("https://github.com/a/b", Some("https://acme.example/?x"), NoPlace::Api),
            ("https://github.com/a/b", Some("nowhere"), NoPlace::Api),
        ] {
            assert_eq!(place(url, Forge::GitHub, api_url), Err(why), "{url}");
        }
    }
}
