//! Secrets: where their values come from, and the filter that keeps them out of everything else (guarantee G4).
//!
//! A [`SecretSource`] finds values by name; [`MemorySecrets`] and [`ChainedSecrets`] are the ones that need nothing
//! else. A [`Masker`] knows every form in which these values may turn up and replaces them by [`MASK`]; a
//! [`MaskStream`] does so for bytes that arrive in pieces, wherever the pieces are cut.
//!
//! ```
//! use std::sync::Arc;
//!
//! use buildit::secret::Masker;
//! use secrecy::SecretString;
//!
//! let token = SecretString::from("s3cr3t-token");
//! let masker = Arc::new(Masker::new([("TOKEN", &token)])?);
//! assert_eq!(masker.mask("Authorization: s3cr3t-token"), "Authorization: ***");
//! assert_eq!(masker.mask("czNjcjN0LXRva2Vu"), "***", "the same in base64");
//!
//! let mut stream = masker.stream();
//! let mut out = Vec::new();
//! stream.push(b"a s3cr3t", &mut out);
//! stream.push(b"-token b", &mut out);
//! stream.finish(&mut out);
//! assert_eq!(out, b"a *** b");
//! # Ok::<(), buildit::secret::SecretError>(())
//! ```

mod error;
mod filter;
mod forms;
mod masker;
mod matcher;
mod source;
mod stream;
#[cfg(test)]
mod tests;

pub use error::SecretError;
pub use masker::{MASK, Masker};
#[cfg(feature = "engine")]
pub(crate) use matcher::{End, Scan};
pub use source::{ChainedSecrets, MemorySecrets, RegistryLogin, SecretReader, SecretSource};
pub use stream::MaskStream;
