//! `buildit login` and `buildit logout`.

use std::io::{IsTerminal, Read};

use secrecy::{ExposeSecret, SecretString};

use crate::args::{LoginArgs, LogoutArgs};
use crate::exit::{Exit, Failure, Outcome};
use crate::out::Out;
use crate::remote::{Client, Keys, Me, address};
use crate::session;
use crate::text::clean;

/// How much is read of a key: more than any has.
const MOST: u64 = 4096;

pub(crate) async fn login(args: LoginArgs) -> Outcome {
    let base = address(&args.server.server()?)?;
    let key = match &args.key_file {
        Some(path) => {
            let unreadable = |error| Failure::usage(format!("cannot read {}: {error}", path.display()));
            read(std::fs::File::open(path).map_err(unreadable)?).map_err(unreadable)?
        }
        None if std::io::stdin().is_terminal() => {
            let asked = dialoguer::Password::new().with_prompt(format!("API key for {base}")).interact();
            SecretString::from(asked.map_err(Failure::refused)?)
        }
        None => read(std::io::stdin().lock()).map_err(Failure::refused)?,
    };
    if key.expose_secret().is_empty() {
        return Err(Failure::usage("there is no key: it is read from standard input, or from --key-file"));
    }
    // One that does not open anything is not kept.
    let client = Client::with_key(base.clone(), Some(key.clone()))?;
    let me: Me = client.get(&["me"], &[]).await?;
    Keys::open()?.keep(&base, &key)?;
    Out::stderr().line(&format!("logged in to {base} with {}", clean(&me.name)));
    Ok(Exit::Succeeded)
}

pub(crate) fn logout(args: &LogoutArgs) -> Outcome {
    let base = address(&args.server.server()?)?;
    match Keys::open()?.forget(&base)? {
        true => Ok(Exit::Succeeded),
        false => Err(Failure::usage(format!("there is no key for {base}"))),
    }
}

fn read(from: impl Read) -> std::io::Result<SecretString> {
    let mut key = String::new();
    from.take(MOST).read_to_string(&mut key)?;
    Ok(session::without_line_end(key))
}
