//! Sealing and opening.

use buildit::store::{SealedSecret, SecretPlace, SecretScope};
use chacha20poly1305::XNonce;
use chacha20poly1305::aead::{Aead, Payload};
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroize;

use super::SealError;
use super::key::Keyring;

/// What every secret is bound to begins with this: another form gets another number.
const FORM: &[u8] = b"buildit secret 1";

/// The longest value: what a job's environment may hold.
const LONGEST: usize = 64 * 1024;

/// Seals a value with the active key.
pub(super) fn seal(
    keys: &Keyring,
    place: &SecretPlace,
    version: u64,
    value: &SecretString,
) -> Result<SealedSecret, SealError> {
    check(place, value)?;
    let mut nonce = [0; 24];
    getrandom::fill(&mut nonce).map_err(SealError::Random)?;
    let key_id = keys.active.id.clone();
    let bound = bound_to(place, version, &key_id);
    let payload = Payload { msg: value.expose_secret().as_bytes(), aad: &bound };
    // It fails for what is longer than any memory.
    let sealed = keys.active.cipher.encrypt(&XNonce::from(nonce), payload).map_err(|_| SealError::TooLong)?;
    Ok(SealedSecret { version, key_id, nonce: nonce.to_vec(), sealed })
}

/// Opens what was sealed for this place.
pub(super) fn open(keys: &Keyring, place: &SecretPlace, secret: &SealedSecret) -> Result<SecretString, SealError> {
    let key = keys
        .find(&secret.key_id)
        .ok_or_else(|| SealError::UnknownKey { place: place.clone(), key_id: secret.key_id.clone() })?;
    let forged = || SealError::Forged(place.clone());
    let nonce: [u8; 24] = secret.nonce.as_slice().try_into().map_err(|_| forged())?;
    let bound = bound_to(place, secret.version, &secret.key_id);
    let payload = Payload { msg: &secret.sealed, aad: &bound };
    let opened = key.cipher.decrypt(&XNonce::from(nonce), payload).map_err(|_| forged())?;
    match String::from_utf8(opened) {
        Ok(value) => Ok(SecretString::from(value)),
        Err(error) => {
            error.into_bytes().zeroize();
            Err(forged())
        }
    }
}

/// What a sealed value is only good for. Each part with its length, so that no two places read the same.
fn bound_to(place: &SecretPlace, version: u64, key_id: &str) -> Vec<u8> {
    let version = version.to_le_bytes();
    let parts = [
        FORM,
        place.scope.as_str().as_bytes(),
        place.owner.as_bytes(),
        place.name.as_bytes(),
        &version,
        key_id.as_bytes(),
    ];
    parts.iter().flat_map(|part| (part.len() as u64).to_le_bytes().into_iter().chain(part.iter().copied())).collect()
}

/// Whether it can be the host of a registry, with a port or without.
fn is_host(name: &str) -> bool {
    let (host, port) = name.split_once(':').unwrap_or((name, "443"));
    let is_part = |symbol: char| symbol.is_ascii_lowercase() || symbol.is_ascii_digit() || matches!(symbol, '.' | '-');
    host.starts_with(|symbol: char| symbol.is_ascii_alphanumeric())
        && host.chars().all(is_part)
        && port.parse::<u16>().is_ok()
}

fn check(place: &SecretPlace, value: &SecretString) -> Result<(), SealError> {
    let SecretPlace { scope, owner, name } = place;
    let is_first = |symbol: char| symbol.is_ascii_alphabetic() || symbol == '_';
    let is_fit = match scope {
        SecretScope::Registry => is_host(name),
        _ => name.starts_with(is_first) && name.chars().all(|symbol| is_first(symbol) || symbol.is_ascii_digit()),
    };
    if !is_fit || name.len() > 128 {
        let name = name.chars().take(128).collect();
        return Err(if *scope == SecretScope::Registry { SealError::Registry(name) } else { SealError::Name(name) });
    }
    let needs_owner = *scope != SecretScope::Organization;
    if (needs_owner && owner.is_empty()) || owner.len() > 512 || owner.contains(char::is_control) {
        return Err(SealError::Owner(scope.as_str()));
    }
    match value.expose_secret() {
        value if value.len() < 4 => Err(SealError::TooShort),
        value if value.len() > LONGEST || value.contains('\0') => Err(SealError::TooLong),
        _ => Ok(()),
    }
}
