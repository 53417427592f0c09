//! Where a repository is.

use std::fmt;
use std::path::Path;

use super::RemoteError;

/// How long an address may be.
const LONGEST: usize = 1000;

/// The address of a repository: `https://`, `http://`, `ssh://`, `user@host:path`, or, where that is allowed, an absolute
/// path of this machine. It holds no password, and nothing that `git` or `ssh` take for an option or a program to run.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RemoteAddress {
    text: String,
    protocol: Protocol,
}

/// Whether an address may be of this machine: a path, or a host that only this machine sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ThisMachine {
    /// Whoever gives an address may read what this program can read.
    Allowed,
    /// Such addresses are refused.
    Refused,
}

/// How a repository is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Protocol {
    Https,
    Http,
    Ssh,
    File,
}

impl Protocol {
    /// What `git` calls it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Http => "http",
            Self::Ssh => "ssh",
            Self::File => "file",
        }
    }

    pub(super) fn port(self) -> u16 {
        match self {
            Self::Https => 443,
            Self::Http => 80,
            Self::Ssh | Self::File => 22,
        }
    }
}

impl RemoteAddress {
    /// Reads an address.
    ///
    /// # Errors
    ///
    /// [`RemoteError::Address`] with the reason, which never repeats the address: there may be a password in it.
    pub fn parse(text: &str, here: ThisMachine) -> Result<Self, RemoteError> {
        let text = text.trim();
        if text.is_empty() || text.len() > LONGEST || text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return refuse("it is empty, too long, or has a space in it");
        }
        let protocol = match text.split_once("://") {
            Some(("https", rest)) => checked(rest, Protocol::Https)?,
            Some(("http", rest)) => checked(rest, Protocol::Http)?,
            Some(("ssh", rest)) => checked(rest, Protocol::Ssh)?,
            Some(_) => return refuse("only https, http and ssh are spoken"),
            None if Path::new(text).is_absolute() => match here {
                ThisMachine::Allowed => Protocol::File,
                ThisMachine::Refused => return refuse("folders of this machine are not allowed"),
            },
            None => match text.split_once(':') {
                Some((host, path)) if !path.is_empty() && !path.starts_with([':', '-']) && !host.contains('/') => {
                    checked(host, Protocol::Ssh)?
                }
                _ => return refuse("it is neither https://…, ssh://… nor user@host:path"),
            },
        };
        Ok(Self { text: text.into(), protocol })
    }

    /// The address, for `git` and for people.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub(super) fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Whether it is spoken to by HTTP, where a token lets somebody in.
    #[must_use]
    pub fn is_web(&self) -> bool {
        matches!(self.protocol, Protocol::Https | Protocol::Http)
    }

    /// Where its files of Git LFS are asked for: below it by HTTP, and else at itself, for `ssh` names the place by a command
    /// and a folder has them in it
    /// ([server discovery](https://github.com/git-lfs/git-lfs/blob/main/docs/api/server-discovery.md)).
    pub(super) fn large_files(&self) -> String {
        match self.protocol {
            Protocol::Https | Protocol::Http => format!("{}/info/lfs", self.text.trim_end_matches('/')),
            Protocol::Ssh => self.text.clone(),
            Protocol::File => format!("file://{}", self.text),
        }
    }

    /// The protocol, the host and the port, as the address has them: what all repositories there share.
    pub(super) fn origin(&self) -> &str {
        let start = self.text.find("://").map_or(0, |at| at + 3);
        let end = self.text[start..].find('/').map_or(self.text.len(), |at| start + at);
        &self.text[..end]
    }

    /// The host and the port; none of a path.
    pub(super) fn host(&self) -> Option<(&str, u16)> {
        let authority = match self.text.split_once("://") {
            Some((_, rest)) => rest.split('/').next()?,
            None if self.protocol == Protocol::File => return None,
            None => self.text.split_once(':')?.0,
        };
        let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let usual = self.protocol.port();
        if let Some(rest) = authority.strip_prefix('[') {
            let (host, port) = rest.split_once(']')?;
            return Some((host, port.strip_prefix(':').map_or(Some(usual), |port| port.parse().ok())?));
        }
        match authority.split_once(':') {
            Some((host, port)) => Some((host, port.parse().ok()?)),
            None => Some((authority, usual)),
        }
    }
}

impl fmt::Display for RemoteAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The protocol, when what follows it begins with a host and no password.
fn checked(rest: &str, protocol: Protocol) -> Result<Protocol, RemoteError> {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let (user, host) = authority.rsplit_once('@').map_or((None, authority), |(user, host)| (Some(user), host));
    let is_web = protocol != Protocol::Ssh;
    match user {
        Some(_) if is_web => return refuse("it has a user in it: give the token beside it"),
        Some(user) if user.contains(':') => return refuse("it has a password in it: give the key beside it"),
        // `ssh` would take it for an option, one of which runs a program.
        Some(user) if user.is_empty() || user.starts_with('-') => return refuse("its user is none"),
        _ => {}
    }
    if is_web && rest.contains(['?', '#']) {
        return refuse("it has a query in it");
    }
    if !is_host(host) {
        return refuse("its host is none");
    }
    Ok(protocol)
}

/// Whether it is a name or an address, with or without a port.
fn is_host(host: &str) -> bool {
    let is_port = |port: &str| !port.is_empty() && port.len() <= 5 && port.bytes().all(|digit| digit.is_ascii_digit());
    if let Some(rest) = host.strip_prefix('[') {
        let Some((address, port)) = rest.split_once(']') else { return false };
        return address.parse::<std::net::Ipv6Addr>().is_ok()
            && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port));
    }
    let (name, port) = host.split_once(':').map_or((host, None), |(name, port)| (name, Some(port)));
    let fits = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
    !name.is_empty() && !name.starts_with('-') && name.chars().all(fits) && port.is_none_or(is_port)
}

fn refuse<T>(reason: &'static str) -> Result<T, RemoteError> {
    Err(RemoteError::Address(reason))
}

#[cfg(test)]
mod tests {
    use super::{RemoteAddress, ThisMachine};

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
            "https://host:port/x",
            "https://[::1/x",
            "https://host:99:1/x",
        ] {
            assert!(RemoteAddress::parse(text, ThisMachine::Refused).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_password_is_refused_and_not_repeated() {
        for text in
            ["https://me:hunter2@host/x", "https://hunter2@host/x", "ssh://me:hunter2@host/x", "https://h/?t=hunter2"]
        {
            let refused = RemoteAddress::parse(text, ThisMachine::Allowed).unwrap_err();
            assert!(!refused.to_string().contains("hunter2"), "{refused}");
        }
    }

    #[test]
    fn each_address_has_a_host_and_speaks_one_protocol() {
        for (text, protocol, host, origin) in [
            ("https://example.org/shop.git", "https", Some(("example.org", 443)), "https://example.org"),
            ("http://127.0.0.1:3000/a/b", "http", Some(("127.0.0.1", 3000)), "http://127.0.0.1:3000"),
            ("https://[::1]:8443/a", "https", Some(("::1", 8443)), "https://[::1]:8443"),
            ("ssh://git@example.org:2222/a", "ssh", Some(("example.org", 2222)), "ssh://git@example.org:2222"),
            ("git@example.org:shop.git", "ssh", Some(("example.org", 22)), "git@example.org:shop.git"),
            ("/srv/shop.git", "file", None, ""),
        ] {
            let address = RemoteAddress::parse(text, ThisMachine::Allowed).unwrap();
            assert_eq!((address.protocol().as_str(), address.host(), address.origin()), (protocol, host, origin));
        }
    }
}
