//! `buildit secrets`.

use std::io::{IsTerminal, Read};
use std::sync::Arc;

use buildit::store::{SecretPlace, SecretStore, SecretSummary};
use buildit_storage::secrets::{SealError, SealedSecrets};
use jiff::Timestamp;
use secrecy::SecretString;
use serde::Serialize;

use crate::args::{DataOutput, KeyArgs, PlaceArgs, SecretsArgs, SecretsCommand, SetSecretArgs};
use crate::exit::{Exit, Failure, Outcome};
use crate::out::Out;
use crate::session::{self, Keep};
use crate::text::clean;

/// How many secrets are listed at once.
const PAGE: usize = 256;

/// How much is read of a value: more than any may have.
const MOST: u64 = 128 * 1024;

pub(crate) async fn secrets(args: SecretsArgs) -> Outcome {
    match args.command {
        SecretsCommand::Set(args) => set(args).await,
        SecretsCommand::List(args) => {
            let keep = Keep::store(&args.store).await?;
            list(&*keep.stores.secrets, args.output).await
        }
        SecretsCommand::Delete(args) => {
            let keep = Keep::store(&args.store).await?;
            let place = place(args.place);
            match keep.stores.secrets.delete_secret(&place).await.map_err(Failure::backend)? {
                true => Ok(Exit::Succeeded),
                false => Err(Failure::usage(format!("there is no secret {place}"))),
            }
        }
        SecretsCommand::RotateKey(args) => {
            let sealed = sealed(&args.keys).await?;
            let rotated = sealed.rotate(Timestamp::now()).await.map_err(refused)?;
            Out::stderr().line(&format!("{rotated} secrets were sealed anew; all open with the first key now"));
            Ok(Exit::Succeeded)
        }
    }
}

async fn set(args: SetSecretArgs) -> Outcome {
    let sealed = sealed(&args.keys).await?;
    let value = match (&args.from_env, &args.from_file) {
        (Some(name), _) => session::variable(name)?.ok_or_else(|| session::unset(name))?,
        (None, Some(path)) => {
            let unreadable = |error| Failure::usage(format!("cannot read {}: {error}", path.display()));
            read(std::fs::File::open(path).map_err(unreadable)?).map_err(unreadable)?
        }
        (None, None) if std::io::stdin().is_terminal() => {
            let asked = dialoguer::Password::new().with_prompt(clean(&args.place.name)).interact();
            SecretString::from(asked.map_err(Failure::refused)?)
        }
        (None, None) => read(std::io::stdin().lock()).map_err(Failure::refused)?,
    };
    let place = place(args.place);
    let version = sealed.set(&place, &value, Timestamp::now()).await.map_err(refused)?;
    Out::stderr().line(&format!("set {}, version {version}", clean(&place.to_string())));
    Ok(Exit::Succeeded)
}

/// A value, without the line end that editors and `echo` add.
fn read(from: impl Read) -> std::io::Result<SecretString> {
    let mut value = String::new();
    from.take(MOST).read_to_string(&mut value)?;
    Ok(session::without_line_end(value))
}

async fn sealed(keys: &KeyArgs) -> Result<SealedSecrets<Arc<dyn SecretStore>>, Failure> {
    let ring = session::keys(keys.key_file.as_deref())?;
    let ring = ring.ok_or_else(|| {
        Failure::usage(
            "there is no key: BUILDIT_SECRET_KEY or --key-file gives one, as `openssl rand -base64 32` makes it",
        )
    })?;
    let keep = Keep::store(&keys.store).await?;
    Ok(SealedSecrets::new(keep.stores.secrets.clone(), ring))
}

fn place(args: PlaceArgs) -> SecretPlace {
    SecretPlace { scope: args.scope.scope, owner: args.scope.name, name: args.name }
}

fn refused(error: SealError) -> Failure {
    match error {
        SealError::Store(error) => Failure::backend(error),
        error => Failure::refused(error),
    }
}

#[derive(Serialize)]
struct Line<'a> {
    name: &'a str,
    scope: &'a str,
    owner: &'a str,
    version: u64,
    key: &'a str,
    created_at: Timestamp,
    updated_at: Timestamp,
}

async fn list(store: &dyn SecretStore, output: DataOutput) -> Outcome {
    let mut out = Out::stdout();
    let mut last: Option<SecretPlace> = None;
    loop {
        let page = store.secrets(last.as_ref(), PAGE).await.map_err(Failure::backend)?;
        let Some(end) = page.last() else { return Ok(Exit::Succeeded) };
        for SecretSummary { place, version, key_id, created_at, updated_at } in &page {
            let line = Line {
                name: &place.name,
                scope: place.scope.as_str(),
                owner: &place.owner,
                version: *version,
                key: key_id,
                created_at: *created_at,
                updated_at: *updated_at,
            };
            match output {
                DataOutput::Json => out.line(&serde_json::to_string(&line).map_err(Failure::backend)?),
                DataOutput::Human => {
                    let when = updated_at.strftime("%Y-%m-%d %H:%M");
                    out.line(&format!("{}  version {version}  {when}  key {key_id}", clean(&place.to_string())));
                }
            }
        }
        last = Some(end.place.clone());
    }
}
