//! With whom people may sign in, as the settings say.

use std::collections::HashSet;
use std::io;
use std::path::PathBuf;

use buildit::account::Role;
use serde::Deserialize;
use url::Url;

use crate::access::is_loopback_name;
use crate::settings::Hidden;

/// Somebody who vouches for people, by OpenID Connect.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ProviderSettings {
    /// The name, which stands in addresses: lower-case letters, digits and `-`. The provider is told that people come back to
    /// `/login/NAME/callback` below the external URL.
    pub name: String,
    /// What its button says behind “Sign in with”; without, the name.
    pub label: Option<String>,
    /// Its address, exactly as its own description has it: `https://…`, or `http://…` at this machine.
    pub issuer: String,
    /// What it calls this server.
    pub client_id: String,
    /// What this server proves that by, where it is asked to. The variable `BUILDIT_OIDC_NAME_SECRET` sets it too.
    pub client_secret: Option<Hidden>,
    /// A file that has it instead.
    pub client_secret_file: Option<PathBuf>,
    /// What it is asked to tell, beside `openid`.
    #[serde(default = "usual_scopes")]
    pub scopes: Vec<String>,
    /// Whether every address that it names is taken for verified: some say nothing about it. Only for one that lets nobody
    /// choose their address themselves.
    #[serde(default)]
    pub trusts_addresses: bool,
    /// Whether its account is linked to the one here that has the same address, verified on either side, without asking for
    /// the password of that.
    #[serde(default)]
    pub links_addresses: bool,
    /// Who is let in without an invitation.
    #[serde(default)]
    pub admit: Vec<Admission>,
}

fn usual_scopes() -> Vec<String> {
    ["email", "profile"].map(str::to_owned).into()
}

/// Who becomes a member of an organization when they sign in: those with an address of a domain, or those of whom the provider
/// claims something. Who is a member already stays what they are.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Admission {
    /// The organization's name.
    pub organization: String,
    /// What they become.
    pub role: Role,
    /// Whose verified address is of this domain; not of one below it.
    pub email_domain: Option<String>,
    /// Of whom the provider makes this claim: `groups`.
    pub claim: Option<String>,
    /// What the claim is, or what is in it when it is a list.
    pub value: Option<String>,
}

/// A provider cannot be meant as it is set.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProviderError {
    /// This server was built without it.
    #[error("there are providers to sign in with, and this server was built without the feature `oidc`")]
    NotBuilt,
    /// Its name cannot stand in an address, or another one has it.
    #[error("`{0}` is no name of a provider: it has lower-case letters, digits and `-`, and is there once")]
    Name(String),
    /// Its address cannot be asked safely, or another one has it.
    #[error(
        "the issuer of `{0}` is no address: it begins with https://, or http:// at this machine, and is there once"
    )]
    Issuer(String),
    /// The file with its secret cannot be read.
    #[error("the client secret of `{name}` cannot be read from {file}")]
    Secret {
        /// Whose it is.
        name: String,
        /// Where it should be.
        file: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A rule admits nobody, or it is not clear whom.
    #[error("a rule of `{0}` to admit has either `email_domain`, or `claim` and `value`")]
    Rule(String),
    /// The address that people come back to is none.
    #[error("the external URL is no address that a provider could send people back to")]
    Back,
    /// Nobody can be asked over the network.
    #[error("nobody can be asked over the network")]
    Network(#[source] reqwest::Error),
}

impl ProviderSettings {
    /// What people know it by.
    pub(crate) fn label(&self) -> &str {
        self.label.as_deref().unwrap_or(&self.name)
    }

    /// Which part of the variable's name its secret stands under.
    pub(crate) fn variable(&self) -> String {
        format!("oidc_{}_secret", self.name.replace('-', "_"))
    }

    fn check(&self) -> Result<(), ProviderError> {
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if !(1..=40).contains(&self.name.len()) || !self.name.bytes().all(is_plain) {
            return Err(ProviderError::Name(self.name.clone()));
        }
        let issuer = Url::parse(&self.issuer).ok();
        let is_safe = issuer.is_some_and(|url| match url.scheme() {
            "https" => url.has_host(),
            "http" => url.host_str().is_some_and(is_loopback_name),
            _ => false,
        });
        if !is_safe {
            return Err(ProviderError::Issuer(self.name.clone()));
        }
        let is_clear = |rule: &Admission| match (&rule.email_domain, &rule.claim, &rule.value) {
            (Some(domain), None, None) => !domain.is_empty(),
            (None, Some(claim), Some(_)) => !claim.is_empty(),
            _ => false,
        };
        if self.admit.iter().all(is_clear) { Ok(()) } else { Err(ProviderError::Rule(self.name.clone())) }
    }
}

/// Refuses providers that cannot be meant.
pub(crate) fn check(providers: &[ProviderSettings]) -> Result<(), ProviderError> {
    if !cfg!(feature = "oidc") && !providers.is_empty() {
        return Err(ProviderError::NotBuilt);
    }
    let (mut names, mut issuers) = (HashSet::new(), HashSet::new());
    for provider in providers {
        provider.check()?;
        if !names.insert(provider.variable()) {
            return Err(ProviderError::Name(provider.name.clone()));
        }
        if !issuers.insert(&provider.issuer) {
            return Err(ProviderError::Issuer(provider.name.clone()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn provider(more: Value) -> ProviderSettings {
        let mut all = json!({ "name": "acme", "issuer": "https://id.example.com", "client_id": "ci" });
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(all).unwrap()
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for (more, what) in [
            (json!({ "name": "Acme" }), "is no name"),
            (json!({ "name": "" }), "is no name"),
            (json!({ "issuer": "http://id.example.com" }), "is no address"),
            (json!({ "issuer": "id.example.com" }), "is no address"),
            (json!({ "admit": [{ "organization": "a", "role": "viewer" }] }), "a rule"),
            (json!({ "admit": [{ "organization": "a", "role": "viewer", "claim": "groups" }] }), "a rule"),
            (
                json!({ "admit": [{ "organization": "a", "role": "viewer", "email_domain": "b", "claim": "c", "value": "d" }] }),
                "a rule",
            ),
        ] {
            let told = provider(more).check().unwrap_err().to_string();
            assert!(told.contains(what), "{told}");
        }
        provider(json!({ "issuer": "http://127.0.0.1:8080/realms/a" })).check().unwrap();
    }

    #[test]
    #[cfg(feature = "oidc")]
    fn two_have_neither_a_name_nor_an_issuer_in_common() {
        let other = json!({ "issuer": "https://other.example.com" });
        assert!(check(&[provider(json!({})), provider(json!({ "name": "b" }))]).is_err());
        assert!(check(&[provider(json!({})), provider(other)]).is_err());
    }

    #[test]
    #[cfg(not(feature = "oidc"))]
    fn a_server_that_was_built_without_says_so() {
        assert!(matches!(check(&[provider(json!({}))]), Err(ProviderError::NotBuilt)));
        check(&[]).unwrap();
    }
}
