//! Where a forge shows what a run is of.

use buildit::store::{Forge, Repository};

/// The page of a repository at its forge; none for one that is at no forge, or at none that people can look at.
pub(crate) fn repository(repository: &Repository) -> Option<String> {
    repository.settings.forge?;
    let url = repository.url.trim_end_matches('/');
    let url = url.strip_suffix(".git").unwrap_or(url);
    if url.starts_with("https://") || url.starts_with("http://") {
        return Some(url.to_owned());
    }
    // What is spoken to over ssh is shown at the same host.
    let rest = url.strip_prefix("ssh://").unwrap_or(url);
    let rest = rest.split_once('@').map_or(rest, |(_, rest)| rest);
    let (host, path) = rest.split_once(['/', ':'])?;
    // Behind the host may be the port of ssh.
    let path = path.split_once('/').filter(|(port, _)| port.parse::<u16>().is_ok()).map_or(path, |(_, path)| path);
    (!host.is_empty() && !path.is_empty()).then(|| format!("https://{host}/{path}"))
}

/// The page of a commit.
pub(crate) fn commit(of: &Repository, sha: &str) -> Option<String> {
    let word = match of.settings.forge? {
        Forge::GitHub | Forge::Gitea => "commit",
        Forge::GitLab => "-/commit",
        Forge::Bitbucket => "commits",
    };
    Some(format!("{}/{word}/{sha}", repository(of)?))
}

/// The page of a pull request.
pub(crate) fn request(of: &Repository, number: u64) -> Option<String> {
    let word = match of.settings.forge? {
        Forge::GitHub => "pull",
        Forge::Gitea => "pulls",
        Forge::GitLab => "-/merge_requests",
        Forge::Bitbucket => "pull-requests",
    };
    Some(format!("{}/{word}/{number}", repository(of)?))
}

#[cfg(test)]
mod tests {
    use buildit::store::RepositorySettings;

    use super::*;
    use crate::samples;

    fn at(url: &str, forge: Option<Forge>) -> Repository {
        samples::repository(url, RepositorySettings { forge, ..RepositorySettings::default() })
    }

    #[test]
    fn each_forge_shows_commits_and_pull_requests_in_its_own_way() {
        for (url, forge, shown, asked) in [
            (
                "https://github.com/a/b.git",
                Forge::GitHub,
                "https://github.com/a/b/commit/c0",
                "https://github.com/a/b/pull/7",
            ),
            (
                "git@gitlab.org:a/s/b.git",
                Forge::GitLab,
                "https://gitlab.org/a/s/b/-/commit/c0",
                "https://gitlab.org/a/s/b/-/merge_requests/7",
            ),
            (
                "ssh://git@git.org:2222/a/b",
                Forge::Gitea,
                "https://git.org/a/b/commit/c0",
                "https://git.org/a/b/pulls/7",
            ),
            (
                "https://bitbucket.org/a/b/",
                Forge::Bitbucket,
                "https://bitbucket.org/a/b/commits/c0",
                "https://bitbucket.org/a/b/pull-requests/7",
            ),
        ] {
            let repository = at(url, Some(forge));
            let found = (commit(&repository, "c0"), request(&repository, 7));
            assert_eq!(found, (Some(shown.to_owned()), Some(asked.to_owned())));
        }
        assert_eq!(commit(&at("https://example.org/a", None), "c0"), None);
        assert_eq!(commit(&at("/srv/a", Some(Forge::Gitea)), "c0"), None);
    }
}
