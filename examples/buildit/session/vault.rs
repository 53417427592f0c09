//! Secrets as `buildit secrets` keeps them: in a store, or on a server.

use std::sync::Arc;

use async_trait::async_trait;
use buildit::store::{SecretPlace, SecretScope, SecretStore, SecretSummary};
use buildit_storage::secrets::{Keyring, SealError, SealedSecrets};
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use jiff::Timestamp;
use secrecy::SecretString;

use crate::args::Owner;
use crate::exit::Failure;

/// How many secrets are read at once.
const PAGE: usize = 256;

/// Secrets, as they come.
pub(crate) type Listed<'a> = BoxStream<'a, Result<SecretSummary, Failure>>;

/// Where secrets are kept. Places are named as people name them: a server finds out for itself which pipeline is meant.
#[async_trait]
pub(crate) trait Vault: Send + Sync {
    /// Whose a secret is when nobody says.
    async fn usual_owner(&self) -> Result<Owner, Failure>;

    /// Sets a secret, whatever it was before, and says its version, if that is told.
    async fn set(&self, place: &SecretPlace, value: SecretString) -> Result<Option<u64>, Failure>;

    /// Forgets a secret; whether there was one.
    async fn delete(&self, place: &SecretPlace) -> Result<bool, Failure>;

    /// What there is of this owner, by name; without one, what there is in a store, or of the usual owner on a server.
    fn list(&self, owner: Option<Owner>) -> Listed<'_>;
}

/// The secrets of a store.
#[derive(Debug)]
pub(crate) struct LocalVault {
    store: Arc<dyn SecretStore>,
    /// The same with keys, which sealing takes and nothing else does.
    sealed: Option<SealedSecrets<Arc<dyn SecretStore>>>,
}

impl LocalVault {
    /// Those of this store, sealed with these keys.
    pub(crate) fn new(store: Arc<dyn SecretStore>, keys: Option<Keyring>) -> Self {
        let sealed = keys.map(|keys| SealedSecrets::new(Arc::clone(&store), keys));
        Self { store, sealed }
    }

    /// Seals all of them with the first key, and says how many.
    pub(crate) async fn rotate(&self) -> Result<u64, Failure> {
        self.sealed()?.rotate(Timestamp::now()).await.map_err(refused)
    }

    fn sealed(&self) -> Result<&SealedSecrets<Arc<dyn SecretStore>>, Failure> {
        self.sealed.as_ref().ok_or_else(no_key)
    }
}

#[async_trait]
impl Vault for LocalVault {
    async fn usual_owner(&self) -> Result<Owner, Failure> {
        Ok(Owner { scope: SecretScope::Organization, name: String::new() })
    }

    async fn set(&self, place: &SecretPlace, value: SecretString) -> Result<Option<u64>, Failure> {
        self.sealed()?.set(place, &value, Timestamp::now()).await.map(Some).map_err(refused)
    }

    async fn delete(&self, place: &SecretPlace) -> Result<bool, Failure> {
        self.store.delete_secret(place).await.map_err(Failure::backend)
    }

    fn list(&self, owner: Option<Owner>) -> Listed<'_> {
        let first = owner.clone().map(|Owner { scope, name: owner }| SecretPlace { scope, owner, name: String::new() });
        let pages = stream::try_unfold(first, async |after| {
            let page = self.store.secrets(after.as_ref(), PAGE).await.map_err(Failure::backend)?;
            let end = page.last().map(|last| last.place.clone());
            Ok::<_, Failure>(end.map(|end| (stream::iter(page).map(Ok), Some(end))))
        });
        let is_theirs = move |secret: &SecretSummary| {
            owner.as_ref().is_none_or(|of| (of.scope, &of.name) == (secret.place.scope, &secret.place.owner))
        };
        let secrets = pages.try_flatten();
        secrets.take_while(move |secret| std::future::ready(secret.as_ref().map_or(true, &is_theirs))).boxed()
    }
}

/// Sealing takes a key.
pub(crate) fn no_key() -> Failure {
    Failure::usage("there is no key: BUILDIT_SECRET_KEY or --key-file gives one, as `openssl rand -base64 32` makes it")
}

fn refused(error: SealError) -> Failure {
    match error {
        SealError::Store(error) => Failure::backend(error),
        error => Failure::refused(error),
    }
}
