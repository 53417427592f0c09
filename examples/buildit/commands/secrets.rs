//! `buildit secrets`.

use std::io::{IsTerminal, Read};

use buildit::store::{SecretPlace, SecretSummary};
use buildit_storage::secrets::Keyring;
use futures_util::TryStreamExt;
use jiff::Timestamp;
use secrecy::SecretString;
use serde::Serialize;

use crate::args::{DataOutput, KeyArgs, Owner, SecretsArgs, SecretsCommand, SetSecretArgs, StoreArgs, WhereArgs};
use crate::exit::{Exit, Failure, Outcome};
use crate::out::Out;
use crate::remote::{Client, RemoteVault};
use crate::session::{self, Keep, LocalVault, Vault};
use crate::text::clean;

/// How much is read of a value: more than any may have.
const MOST: u64 = 128 * 1024;

pub(crate) async fn secrets(args: SecretsArgs) -> Outcome {
    match args.command {
        SecretsCommand::Set(args) => set(args).await,
        SecretsCommand::List(args) => {
            let vault = vault(&args.place, || Ok(None)).await?;
            list(&*vault, args.scope, args.output).await
        }
        SecretsCommand::Delete(args) => {
            let vault = vault(&args.place, || Ok(None)).await?;
            let place = place(&*vault, args.secret.scope, args.secret.name).await?;
            match vault.delete(&place).await? {
                true => Ok(Exit::Succeeded),
                false => Err(Failure::usage(format!("there is no secret {place}"))),
            }
        }
        SecretsCommand::RotateKey(args) => {
            let rotated = local(&args.store, Some(keys(&args.keys)?)).await?.rotate().await?;
            Out::stderr().line(&format!("{rotated} secrets were sealed anew; all open with the first key now"));
            Ok(Exit::Succeeded)
        }
    }
}

/// The secrets of the store or of the server that is asked for. Keys are asked for if it takes them.
async fn vault(
    place: &WhereArgs,
    keys: impl FnOnce() -> Result<Option<Keyring>, Failure>,
) -> Result<Box<dyn Vault>, Failure> {
    Ok(match place.server() {
        Some(server) => Box::new(RemoteVault::new(Client::open(&server)?)),
        None => Box::new(local(&place.store, keys()?).await?),
    })
}

async fn local(store: &StoreArgs, keys: Option<Keyring>) -> Result<LocalVault, Failure> {
    let keep = Keep::store(store).await?;
    Ok(LocalVault::new(keep.stores.secrets.clone(), keys))
}

fn keys(args: &KeyArgs) -> Result<Keyring, Failure> {
    session::keys(args.key_file.as_deref())?.ok_or_else(session::no_key)
}

/// The place of a secret of this name.
async fn place(vault: &dyn Vault, owner: Option<Owner>, name: String) -> Result<SecretPlace, Failure> {
    let owner = match owner {
        Some(owner) => owner,
        None => vault.usual_owner().await?,
    };
    Ok(SecretPlace { scope: owner.scope, owner: owner.name, name })
}

async fn set(args: SetSecretArgs) -> Outcome {
    let vault = vault(&args.place, || keys(&args.keys).map(Some)).await?;
    let value = match (&args.from_env, &args.from_file) {
        (Some(name), _) => session::variable(name)?.ok_or_else(|| session::unset(name))?,
        (None, Some(path)) => {
            let unreadable = |error| Failure::usage(format!("cannot read {}: {error}", path.display()));
            read(std::fs::File::open(path).map_err(unreadable)?).map_err(unreadable)?
        }
        (None, None) if std::io::stdin().is_terminal() => {
            let asked = dialoguer::Password::new().with_prompt(clean(&args.secret.name)).interact();
            SecretString::from(asked.map_err(Failure::refused)?)
        }
        (None, None) => read(std::io::stdin().lock()).map_err(Failure::refused)?,
    };
    let place = place(&*vault, args.secret.scope, args.secret.name).await?;
    let version = vault.set(&place, value).await?.map_or_else(String::new, |version| format!(", version {version}"));
    Out::stderr().line(&format!("set {}{version}", clean(&place.to_string())));
    Ok(Exit::Succeeded)
}

/// A value, without the line end that editors and `echo` add.
fn read(from: impl Read) -> std::io::Result<SecretString> {
    let mut value = String::new();
    from.take(MOST).read_to_string(&mut value)?;
    Ok(session::without_line_end(value))
}

#[derive(Serialize)]
struct Line<'a> {
    name: &'a str,
    scope: &'a str,
    owner: &'a str,
    version: u64,
    /// Of a store's alone: a server does not tell.
    #[serde(skip_serializing_if = "str::is_empty")]
    key: &'a str,
    created_at: Timestamp,
    updated_at: Timestamp,
}

async fn list(vault: &dyn Vault, owner: Option<Owner>, output: DataOutput) -> Outcome {
    let mut out = Out::stdout();
    let mut secrets = vault.list(owner);
    while let Some(SecretSummary { place, version, key_id, created_at, updated_at }) = secrets.try_next().await? {
        let line = Line {
            name: &place.name,
            scope: place.scope.as_str(),
            owner: &place.owner,
            version,
            key: &key_id,
            created_at,
            updated_at,
        };
        match output {
            DataOutput::Json => out.line(&serde_json::to_string(&line).map_err(Failure::backend)?),
            DataOutput::Human => {
                let when = updated_at.strftime("%Y-%m-%d %H:%M");
                let key = if key_id.is_empty() { String::new() } else { format!("  key {key_id}") };
                out.line(&format!("{}  version {version}  {when}{key}", clean(&place.to_string())));
            }
        }
    }
    Ok(Exit::Succeeded)
}
