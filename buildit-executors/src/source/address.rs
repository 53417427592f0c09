//! Where a repository is.

use std::fmt;
use std::path::Path;

use super::SourceError;

/// The address of a repository that may be fetched: `https://`, `http://`, `ssh://`, `user@host:path`, or, for an owner
/// who allows it, an absolute path of this machine. It holds no password and nothing that `git` takes for an option
/// or for a program to run.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RemoteAddress {
    text: String,
    protocol: &'static str,
}

/// Whether paths of this machine are addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LocalPaths {
    /// Who names a path reads what this program can read.
    Allowed,
    /// They are refused.
    Refused,
}

impl RemoteAddress {
    /// Reads an address.
    ///
    /// # Errors
    ///
    /// [`SourceError::Address`] with the reason, which never repeats the address: there may be a password in it.
    pub fn parse(text: &str, local: LocalPaths) -> Result<Self, SourceError> {
        let text = text.trim();
        if text.is_empty() || text.len() > 2048 || text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return refuse("it is empty, too long, or has a space in it");
        }
        let protocol = match text.split_once("://") {
            Some(("https", rest)) => checked(rest, "https", true)?,
            Some(("http", rest)) => checked(rest, "http", true)?,
            Some(("ssh", rest)) => checked(rest, "ssh", false)?,
            Some(_) => return refuse("only https, http and ssh are spoken"),
            None if Path::new(text).is_absolute() => match local {
                LocalPaths::Allowed => "file",
                LocalPaths::Refused => return refuse("paths of this machine are not allowed"),
            },
            None => match text.split_once(':') {
                Some((host, path)) if !path.is_empty() && !path.starts_with([':', '-']) && !host.contains('/') => {
                    checked(host, "ssh", false)?
                }
                _ => return refuse("it is no address"),
            },
        };
        Ok(Self { text: text.into(), protocol })
    }

    /// The address, for `git` and for people.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The one protocol that `git` may speak for it, in its words.
    #[must_use]
    pub fn protocol(&self) -> &'static str {
        self.protocol
    }
}

impl fmt::Display for RemoteAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The protocol, when what follows it begins with a host and no password.
fn checked(rest: &str, protocol: &'static str, web: bool) -> Result<&'static str, SourceError> {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let (user, host) = authority.rsplit_once('@').map_or((None, authority), |(user, host)| (Some(user), host));
    match user {
        Some(_) if web => return refuse("it has a user in it: give the token beside it"),
        Some(user) if user.contains(':') => return refuse("it has a password in it: give the key beside it"),
        // `ssh` would take it for an option, one of which runs a program.
        Some(user) if user.is_empty() || user.starts_with('-') => return refuse("its user is none"),
        _ => {}
    }
    if web && rest.contains(['?', '#']) {
        return refuse("it has a query in it");
    }
    let fits = |c: char| c.is_ascii_alphanumeric() || ".-_:[]".contains(c);
    if host.is_empty() || host.starts_with(['-', ':']) || !host.chars().all(fits) {
        return refuse("its host is none");
    }
    Ok(protocol)
}

fn refuse<T>(reason: &'static str) -> Result<T, SourceError> {
    Err(SourceError::Address(reason))
}

#[cfg(test)]
mod tests {
    use super::{LocalPaths, RemoteAddress};

    #[test]
    fn what_git_would_run_or_take_for_an_option_is_no_address() {
        for text in [
            "",
            "ext::sh -c id",
            "ext::id",
            "-oProxyCommand=id",
            "ssh://-oProxyCommand=id/x",
            "-oProxyCommand=id:x",
            "ssh://-x@host/y",
            "file:///etc",
            "git://host/x",
            "a b:c",
            "https://",
            "https:///x",
            "host:-x",
            "fd::1",
            "/etc",
            "../x",
            "https://ho\nst/x",
            "https://h%0ast/x",
            "ssh://:22/x",
        ] {
            assert!(RemoteAddress::parse(text, LocalPaths::Refused).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_password_is_refused_and_not_repeated() {
        for text in
            ["https://me:hunter2@host/x", "https://hunter2@host/x", "ssh://me:hunter2@host/x", "https://h/?t=hunter2"]
        {
            let refused = RemoteAddress::parse(text, LocalPaths::Allowed).unwrap_err();
            assert!(!refused.to_string().contains("hunter2"), "{refused}");
        }
    }

    #[test]
    fn each_address_speaks_one_protocol() {
        for (text, protocol) in [
            ("https://example.org/shop.git", "https"),
            ("http://127.0.0.1:3000/a/b", "http"),
            ("ssh://git@example.org:2222/shop.git", "ssh"),
            ("git@example.org:shop.git", "ssh"),
            ("/srv/shop.git", "file"),
        ] {
            assert_eq!(RemoteAddress::parse(text, LocalPaths::Allowed).unwrap().protocol(), protocol, "{text}");
        }
    }
}
