//! The keys of hosts that are talked to by `ssh`, as people compare them.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use sha2::{Digest, Sha256};

/// What people compare, out of lines as in `known_hosts` (`sshd(8)`): the kind of each key and its fingerprint, as `ssh-keygen -l`
/// shows it.
pub(crate) fn fingerprints(host_keys: &str) -> Vec<String> {
    let fingerprint = |line: &str| {
        let mut words = line.split(' ').skip(1);
        let (kind, key) = (words.next()?, STANDARD.decode(words.next()?).ok()?);
        Some(format!("{kind} SHA256:{}", STANDARD_NO_PAD.encode(Sha256::digest(key))))
    };
    host_keys.lines().filter_map(fingerprint).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// GitHub's, as its documentation has them both.
    #[test]
    fn they_are_those_that_forges_publish() {
        let line = "github.com ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl\n";
        assert_eq!(fingerprints(line), ["ssh-ed25519 SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU"]);
        assert!(fingerprints("nonsense\n\nh ssh-rsa *").is_empty());
    }
}
