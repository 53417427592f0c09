//! Secrets at rest: sealed each by itself, bound to their place and version.
//!
//! ```
//! use buildit::id::TenantId;
//! use buildit::memory::MemoryStore;
//! use buildit::pipeline::RunContext;
//! use buildit::secret::{SecretReader, SecretSource};
//! use buildit::store::{SecretPlace, SecretScope};
//! use buildit_storage::secrets::{Keyring, SealedSecrets};
//! use secrecy::ExposeSecret;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let keys = Keyring::parse("q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA=")?;
//! let secrets = SealedSecrets::new(MemoryStore::new(), keys);
//! let place = SecretPlace { scope: SecretScope::Pipeline, owner: "shop".into(), name: "TOKEN".into() };
//! secrets.set(&place, &"s3cr3t".into(), jiff::Timestamp::now()).await?;
//! let context = RunContext::manual();
//! let of = |pipeline| SecretReader { tenant: TenantId::NONE, pipeline, context: &context, environment: None };
//! let found = secrets.secret_for(of("shop"), "TOKEN").await?.unwrap();
//! assert_eq!(found.expose_secret(), "s3cr3t");
//! assert!(secrets.secret_for(of("other"), "TOKEN").await?.is_none());
//! # Ok(())
//! # }
//! ```

mod error;
mod key;
mod registries;
mod seal;
mod store;
#[cfg(test)]
mod tests;

pub use error::{KeyError, SealError};
pub use key::Keyring;
pub use store::SealedSecrets;
