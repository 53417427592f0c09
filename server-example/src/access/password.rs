//! Passwords: argon2id, on threads of its own, a few at a time.

use std::sync::Arc;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;

use crate::problem::Problem;

/// How short one may be, and how long.
const SHORTEST: usize = 10;
const LONGEST: usize = 512;

/// How many are digested at once: each takes 19 MiB and a processor.
const AT_ONCE: usize = 2;

/// Digests passwords.
#[derive(Clone, Debug)]
pub(crate) struct Passwords {
    places: Arc<Semaphore>,
    /// What is compared with when there is no such user, so that it takes as long.
    nobody: Arc<str>,
}

impl Passwords {
    pub(crate) fn new() -> Self {
        Self { places: Arc::new(Semaphore::new(AT_ONCE)), nobody: digest(&"nobody".into()).into() }
    }

    /// What is kept of a new password.
    pub(crate) async fn digest(&self, password: SecretString) -> Result<String, Problem> {
        let length = password.expose_secret().chars().count();
        if !(SHORTEST..=LONGEST).contains(&length) {
            return Err(Problem::invalid(format!("a password has {SHORTEST} to {LONGEST} characters")));
        }
        self.aside(move || digest(&password)).await
    }

    /// Whether this is the password of which that is kept; of nobody none is.
    pub(crate) async fn is_of(&self, password: SecretString, kept: Option<String>) -> Result<bool, Problem> {
        if password.expose_secret().len() > 4 * LONGEST {
            return Ok(false);
        }
        let (is_somebody, kept) = (kept.is_some(), kept.unwrap_or_else(|| self.nobody.to_string()));
        let is_right = self.aside(move || {
            let kept = PasswordHash::new(&kept);
            kept.is_ok_and(|kept| Argon2::default().verify_password(password.expose_secret().as_bytes(), &kept).is_ok())
        });
        Ok(is_right.await? && is_somebody)
    }

    async fn aside<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(|_| Problem::internal())?;
        // Its place is free when the work is done, also when nobody waits for it any more.
        let work = move || {
            let done = work();
            drop(place);
            done
        };
        let done = tokio::task::spawn_blocking(work).await;
        done.map_err(|_| Problem::internal())
    }
}

/// With the usual parameters (19 MiB, two passes) and a random salt.
fn digest(password: &SecretString) -> String {
    let digested = Argon2::default().hash_password(password.expose_secret().as_bytes());
    // It fails for parameters that are out of range or without randomness; nothing is the digest of no password.
    digested.map(|digested| digested.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_known_by_its_digest_alone() {
        let passwords = Passwords::new();
        let kept = passwords.digest("correct horse".into()).await.unwrap();
        assert!(kept.starts_with("$argon2id$") && !kept.contains("horse"));
        assert!(passwords.is_of("correct horse".into(), Some(kept.clone())).await.unwrap());
        assert!(!passwords.is_of("correct horsf".into(), Some(kept)).await.unwrap());
        assert!(!passwords.is_of("nobody".into(), None).await.unwrap());
        assert!(!passwords.is_of("nobody".into(), Some(String::new())).await.unwrap());
    }

    #[tokio::test]
    async fn short_and_endless_passwords_are_refused() {
        let passwords = Passwords::new();
        assert!(passwords.digest("123456789".into()).await.is_err());
        assert!(passwords.digest("x".repeat(LONGEST + 1).into()).await.is_err());
    }
}
