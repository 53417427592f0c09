//! While there is no owner: who may act as the owner-to-be.
//!
//! Somebody at the machine may. A page of another site that the same person looks at must not, nor one who reaches the
//! server through a proxy on this machine; so the peer is loopback, the `Host` is a name of loopback, no header says that
//! the request was passed on, and the `Origin`, if there is one, is the server itself. Everybody else needs the token that
//! the server printed.

use std::net::SocketAddr;

use axum::http::{HeaderMap, header};
use subtle::ConstantTimeEq;

use super::Token;

/// Headers of requests that were passed on.
const PASSED_ON: [&str; 6] =
    ["forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip"];

/// Whether a request was made by somebody at this machine.
pub(crate) fn is_local(peer: SocketAddr, headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let is_own = |origin: &str| {
        let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
    };
    let mut origins = headers.get_all(header::ORIGIN).iter();
    peer.ip().to_canonical().is_loopback()
        && is_loopback_name(host)
        && !PASSED_ON.iter().any(|name| headers.contains_key(*name))
        && origins.all(|origin| origin.to_str().is_ok_and(is_own))
}

/// `localhost`, `127.0.0.1` or `[::1]`, with a port or without.
pub(crate) fn is_loopback_name(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map_or("", |(name, _)| name),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// What the server prints at its start while there is no owner.
#[derive(Clone, Debug)]
pub(crate) struct SetupToken(Token);

impl SetupToken {
    pub(crate) fn new() -> Result<Self, getrandom::Error> {
        Token::new("setup").map(Self)
    }

    pub(crate) fn expose(&self) -> &str {
        self.0.expose()
    }

    pub(crate) fn is(&self, given: &str) -> bool {
        self.0.hash().0.ct_eq(&Token::given(given).hash().0).into()
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn local(peer: &str, headers: &[(&'static str, &'static str)]) -> bool {
        let pairs = headers.iter();
        let headers =
            pairs.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect();
        is_local(peer.parse().unwrap(), &headers)
    }

    #[test]
    fn somebody_at_the_machine_may() {
        for host in ["localhost:30080", "LOCALHOST", "127.0.0.1:30080", "[::1]:30080", "[::1]", "127.8.8.8"] {
            assert!(local("127.0.0.1:5000", &[("host", host)]), "{host}");
        }
        assert!(local("[::1]:5000", &[("host", "localhost")]));
        assert!(local("[::ffff:127.0.0.1]:5000", &[("host", "localhost")]));
        assert!(local("127.0.0.1:5000", &[("host", "localhost:30080"), ("origin", "http://localhost:30080")]));
    }

    #[test]
    fn nobody_else_may() {
        assert!(!local("192.168.1.5:5000", &[("host", "localhost")]));
        // A name that somebody else has made to mean this machine.
        for host in
            ["evil.example:30080", "localhost.evil.example", "127.0.0.1.evil.example", "", "localhost:1:2", "[::1"]
        {
            assert!(!local("127.0.0.1:5000", &[("host", host)]), "{host}");
        }
        assert!(!local("127.0.0.1:5000", &[]));
        for origin in ["http://evil.example", "null", "http://localhost", "http://localhost:30081", "localhost:30080"] {
            assert!(!local("127.0.0.1:5000", &[("host", "localhost:30080"), ("origin", origin)]), "{origin}");
        }
        for passed_on in PASSED_ON {
            assert!(!local("127.0.0.1:5000", &[("host", "localhost"), (passed_on, "127.0.0.1")]), "{passed_on}");
        }
    }

    #[test]
    fn the_setup_token_is_known_by_its_text() {
        let token = SetupToken::new().unwrap();
        assert!(token.is(token.expose()));
        assert!(!token.is("") && !token.is("setup_") && !token.is(&token.expose()[1..]));
    }
}
