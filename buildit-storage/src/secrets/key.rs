//! [`Keyring`].

use std::fmt::{self, Debug};
use std::io::Read;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::{KeyInit, XChaCha20Poly1305};
use zeroize::Zeroizing;

use super::KeyError;

/// What the id of a key is derived for: nothing else of ours has the same words.
const ID: &str = "buildit 2026 the id of a key that seals secrets";

/// A key and its id, by which a sealed secret names it.
pub(super) struct Key {
    pub(super) id: String,
    pub(super) cipher: XChaCha20Poly1305,
}

impl Key {
    fn new(bytes: &[u8; 32]) -> Self {
        let id = blake3::Hash::from_bytes(blake3::derive_key(ID, bytes)).to_hex()[..16].to_owned();
        Self { id, cipher: XChaCha20Poly1305::new(bytes.into()) }
    }
}

/// The keys of secrets: one that seals, and those of earlier that still open. `Debug` shows their ids.
pub struct Keyring {
    pub(super) active: Key,
    pub(super) older: Vec<Key>,
}

impl Keyring {
    /// Reads keys, 32 bytes in base64 each, between spaces or line ends: the first one seals.
    ///
    /// # Errors
    ///
    /// [`KeyError`] when there is none, or what is no key; no error holds any part of one.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let key = |(text, number): (&str, usize)| {
            let malformed = || KeyError::Malformed { number };
            let mut bytes = Zeroizing::new([0; 32]);
            // A little more than 32, which its length is not known to be exactly.
            let mut decoded = Zeroizing::new([0; 48]);
            let length = STANDARD.decode_slice(text, &mut *decoded).map_err(|_| malformed())?;
            if length != bytes.len() {
                return Err(malformed());
            }
            bytes.copy_from_slice(&decoded[..length]);
            Ok(Key::new(&bytes))
        };
        let mut keys = text.split_whitespace().zip(1..).map(key);
        let active = keys.next().ok_or(KeyError::None)??;
        Ok(Self { active, older: keys.collect::<Result<_, _>>()? })
    }

    /// Reads keys from a file that only its owner can read.
    ///
    /// # Errors
    ///
    /// [`KeyError`] when others can read it, or as of [`parse`](Self::parse).
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        let unreadable = |source| KeyError::Unreadable { path: path.to_owned(), source };
        let mut file = std::fs::File::open(path).map_err(unreadable)?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = file.metadata().map_err(unreadable)?.permissions().mode();
            if mode & 0o077 != 0 {
                return Err(KeyError::Exposed(path.to_owned()));
            }
        }
        let mut text = Zeroizing::new(String::new());
        Read::by_ref(&mut file).take(64 * 1024).read_to_string(&mut text).map_err(unreadable)?;
        Self::parse(&text)
    }

    /// The id of the key that seals.
    #[must_use]
    pub fn active_id(&self) -> &str {
        &self.active.id
    }

    pub(super) fn find(&self, id: &str) -> Option<&Key> {
        std::iter::once(&self.active).chain(&self.older).find(|key| key.id == id)
    }
}

impl Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(std::iter::once(&self.active).chain(&self.older).map(|key| &key.id)).finish()
    }
}
