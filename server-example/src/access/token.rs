//! Tokens: what proves something to whoever has it, and is kept as a digest alone.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use buildit::account::TokenHash;
use sha2::{Digest, Sha256};

/// How much of an API key may be shown.
const SHOWN: usize = 8;

/// A token, which is shown once.
#[derive(Clone)]
pub(crate) struct Token(String);

impl Token {
    /// A new one of this kind: `bi` gives `bi_…`, 256 random bits.
    pub(crate) fn new(kind: &str) -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)?;
        Ok(Self(format!("{kind}_{}", URL_SAFE_NO_PAD.encode(bytes))))
    }

    /// The text that somebody gives for one.
    pub(crate) fn given(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    /// By which it is found. A token has too many bits for a slow digest to be of use.
    pub(crate) fn hash(&self) -> TokenHash {
        TokenHash(Sha256::digest(self.0.as_bytes()).into())
    }

    /// How it begins, for lists.
    pub(crate) fn prefix(&self) -> String {
        self.0.chars().take(SHOWN).collect()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_differ_and_are_found_by_their_text() {
        let (one, other) = (Token::new("bi").unwrap(), Token::new("bi").unwrap());
        assert_ne!(one.expose(), other.expose());
        assert!(one.expose().starts_with("bi_") && one.expose().len() == 46);
        assert_eq!(one.hash(), Token::given(one.expose()).hash());
        assert_eq!(one.prefix().len(), SHOWN);
        assert!(!format!("{one:?}").contains(one.expose()));
    }
}
