//! Whether a webhook comes from whoever knows the secret. All comparisons take the same time, whatever is wrong.

use axum::http::HeaderMap;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::headers::{Forge, header};

/// A webhook that nobody who knows the secret has sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unsigned {
    /// It has no signature.
    #[error("the signature is missing")]
    Missing,
    /// It has one of another secret or another body.
    #[error("the signature is wrong")]
    Wrong,
}

/// Whether whoever sent this body to the webhook of a forge knows the secret.
///
/// # Errors
///
/// [`Unsigned`] when not. An empty secret lets nobody in.
pub(crate) fn check(forge: Forge, headers: &HeaderMap, body: &[u8], secret: &SecretString) -> Result<(), Unsigned> {
    let (names, prefix): (&[&str], _) = match forge {
        Forge::GitHub => (&["x-hub-signature-256"], "sha256="),
        Forge::Gitea => (&["x-forgejo-signature", "x-gitea-signature", "x-gogs-signature"], ""),
        Forge::Bitbucket => (&["x-hub-signature"], "sha256="),
        Forge::GitLab => {
            let given = header(headers, &["x-gitlab-token"]).ok_or(Unsigned::Missing)?;
            return check_token(given, secret);
        }
    };
    let given = header(headers, names).ok_or(Unsigned::Missing)?;
    check_hmac(given.strip_prefix(prefix).ok_or(Unsigned::Wrong)?, body, secret)
}

/// Whether whoever sent this body to a webhook that is of no forge knows the secret: by an HMAC of the body in
/// `X-BuildIt-Signature` or `X-Hub-Signature-256`, or by the secret itself as a bearer token.
///
/// # Errors
///
/// [`Unsigned`] when not.
pub(crate) fn check_generic(headers: &HeaderMap, body: &[u8], secret: &SecretString) -> Result<(), Unsigned> {
    if let Some(given) = header(headers, &["x-buildit-signature", "x-hub-signature-256"]) {
        return check_hmac(given.strip_prefix("sha256=").unwrap_or(given), body, secret);
    }
    let given = header(headers, &["authorization"]).ok_or(Unsigned::Missing)?;
    check_token(given.strip_prefix("Bearer ").ok_or(Unsigned::Missing)?.trim(), secret)
}

/// The HMAC-SHA-256 of a body, in hexadecimal digits.
#[cfg(test)]
pub(crate) fn sign(body: &[u8], secret: &SecretString) -> String {
    hex::encode(mac(body, secret).map(|mac| mac.finalize().into_bytes().to_vec()).unwrap_or_default())
}

fn mac(body: &[u8], secret: &SecretString) -> Option<Hmac<Sha256>> {
    let secret = Some(secret.expose_secret().as_bytes()).filter(|secret| !secret.is_empty())?;
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).ok()?;
    mac.update(body);
    Some(mac)
}

fn check_hmac(given: &str, body: &[u8], secret: &SecretString) -> Result<(), Unsigned> {
    let given = hex::decode(given).map_err(|_| Unsigned::Wrong)?;
    let mac = mac(body, secret).ok_or(Unsigned::Wrong)?;
    mac.verify_slice(&given).map_err(|_| Unsigned::Wrong)
}

fn check_token(given: &str, secret: &SecretString) -> Result<(), Unsigned> {
    let secret = secret.expose_secret().as_bytes();
    let is_same = !secret.is_empty() && bool::from(given.as_bytes().ct_eq(secret));
    if is_same { Ok(()) } else { Err(Unsigned::Wrong) }
}
