//! What the settings of a provider mean for somebody who comes from it.

use std::collections::BTreeMap;

use buildit::account::Role;
use serde_json::{Map, Value};

use crate::providers::{Admission, ProviderError, ProviderSettings};
use crate::settings::Hidden;

/// The secret of a provider, from where it stands.
pub(super) fn secret(provider: &ProviderSettings) -> Result<Option<Hidden>, ProviderError> {
    let Some(file) = &provider.client_secret_file else { return Ok(provider.client_secret.clone()) };
    let text = std::fs::read_to_string(file);
    let (name, file) = (provider.name.clone(), file.clone());
    let text = text.map_err(|source| ProviderError::Secret { name, file, source })?;
    Ok(Some(text.trim().to_owned().into()))
}

/// What a provider says of somebody, beside who they are.
#[derive(Debug)]
pub(super) struct Claimed<'a> {
    /// The address, where it is verified.
    pub(super) email: Option<&'a str>,
    pub(super) claims: &'a Map<String, Value>,
}

fn admits(rule: &Admission, claimed: &Claimed<'_>) -> bool {
    if let Some(domain) = &rule.email_domain {
        let own = claimed.email.and_then(|email| email.rsplit_once('@'));
        return own.is_some_and(|(_, own)| own.eq_ignore_ascii_case(domain));
    }
    let (Some(claim), Some(value)) = (&rule.claim, &rule.value) else { return false };
    match claimed.claims.get(claim) {
        Some(Value::Array(all)) => all.iter().any(|one| is(one, value)),
        Some(one) => is(one, value),
        None => false,
    }
}

/// Whether a claim is this, as it is written in the settings.
fn is(claimed: &Value, value: &str) -> bool {
    match claimed {
        Value::String(text) => text == value,
        Value::Bool(truth) => truth.to_string() == value,
        Value::Number(number) => number.to_string() == value,
        _ => false,
    }
}

/// The organizations that these rules let somebody into, each with the highest role of those that do.
pub(super) fn admitted(rules: &[Admission], claimed: &Claimed<'_>) -> BTreeMap<String, Role> {
    let mut admitted = BTreeMap::new();
    for rule in rules.iter().filter(|rule| admits(rule, claimed)) {
        let role = admitted.entry(rule.organization.clone()).or_insert(rule.role);
        *role = rule.role.max(*role);
    }
    admitted
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rules_admit_whom_they_say() {
        let rules = json!([
            { "organization": "acme", "role": "viewer", "email_domain": "example.com" },
            { "organization": "acme", "role": "admin", "claim": "groups", "value": "ops" },
            { "organization": "lab", "role": "member", "claim": "staff", "value": "true" },
        ]);
        let rules: Vec<Admission> = serde_json::from_value(rules).unwrap();
        let into = |email: Option<&str>, claims: Value| {
            let claimed = Claimed { email, claims: claims.as_object().unwrap() };
            admitted(&rules, &claimed).into_iter().map(|(name, role)| format!("{name} {role}")).collect::<Vec<_>>()
        };
        assert_eq!(into(Some("ada@Example.com"), json!({})), ["acme viewer"]);
        for email in [None, Some("ada@evil.example.com"), Some("ada@example.com.evil"), Some("example.com")] {
            assert!(into(email, json!({ "groups": "op", "staff": null })).is_empty(), "{email:?}");
        }
        let all = json!({ "groups": ["dev", "ops"], "staff": true });
        assert_eq!(into(Some("ada@example.com"), all), ["acme admin", "lab member"]);
        assert_eq!(into(None, json!({ "groups": "ops" })), ["acme admin"]);
        assert!(into(None, json!({ "groups": [["ops"]], "staff": { "true": 1 } })).is_empty());
    }

    #[test]
    fn a_secret_is_read_from_its_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "s3cret\n").unwrap();
        let provider = |more: Value| -> ProviderSettings {
            let mut all = json!({ "name": "acme", "issuer": "https://id.example.com", "client_id": "ci" });
            all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            serde_json::from_value(all).unwrap()
        };
        let known = provider(json!({ "client_secret_file": file.path() }));
        assert_eq!(secret(&known).unwrap(), Some("s3cret".to_owned().into()));
        let gone = provider(json!({ "client_secret_file": "/nowhere" }));
        assert!(secret(&gone).unwrap_err().to_string().contains("/nowhere"));
        assert!(!format!("{:?}", provider(json!({ "client_secret": "s3cret" }))).contains("s3cret"));
    }
}
