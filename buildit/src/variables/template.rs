//! Text that is resolved but for the secrets in it.

use std::borrow::Cow;
use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

/// A resolved text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolved<'a> {
    /// It is complete; borrowed when it held no reference.
    Plain(Cow<'a, str>),
    /// It still waits for secrets.
    Secret(Template),
}

impl<'a> Resolved<'a> {
    /// The text, if no secret is missing in it.
    #[must_use]
    pub fn plain(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Plain(text) => Some(text),
            Self::Secret(_) => None,
        }
    }

    /// The same as a template; a plain text is one without secrets.
    #[must_use]
    pub fn into_template(self) -> Template {
        match self {
            Self::Plain(text) => Template::from(text.into_owned()),
            Self::Secret(template) => template,
        }
    }
}

/// A text in which nothing but the values of secrets is missing. It holds names of secrets, never values; a value
/// that somebody gave and that looks like a reference is plain text in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Secret(String),
}

impl From<String> for Template {
    fn from(text: String) -> Self {
        Self { parts: vec![Part::Text(text)] }
    }
}

impl Template {
    /// The value of this secret and nothing else.
    pub fn secret(name: impl Into<String>) -> Self {
        Self { parts: vec![Part::Secret(name.into())] }
    }

    /// The names of the secrets in it.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Secret(name) => Some(name.as_str()),
            Part::Text(_) => None,
        })
    }

    /// The text, if there is no secret in it.
    #[must_use]
    pub fn plain(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// The length of the text without its secrets.
    #[must_use]
    pub fn text_len(&self) -> usize {
        self.parts.iter().map(|part| if let Part::Text(text) = part { text.len() } else { 0 }).sum()
    }

    /// The whole text, with each secret from `lookup`.
    ///
    /// # Errors
    ///
    /// [`MissingSecret`] for the first secret that `lookup` does not know.
    pub fn fill<'s>(
        &self,
        mut lookup: impl FnMut(&str) -> Option<&'s SecretString>,
    ) -> Result<SecretString, MissingSecret> {
        let mut whole = Zeroizing::new(String::new());
        for part in &self.parts {
            match part {
                Part::Text(text) => whole.push_str(text),
                Part::Secret(name) => {
                    let value = lookup(name).ok_or_else(|| MissingSecret { name: name.clone() })?;
                    whole.push_str(value.expose_secret());
                }
            }
        }
        Ok(SecretString::from(whole.as_str()))
    }

    pub(super) fn push_str(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        match self.parts.last_mut() {
            Some(Part::Text(last)) => last.push_str(text),
            _ => self.parts.push(Part::Text(text.to_owned())),
        }
    }

    pub(super) fn push(&mut self, other: &Template) {
        for part in &other.parts {
            match part {
                Part::Text(text) => self.push_str(text),
                Part::Secret(name) => self.push_secret(name),
            }
        }
    }

    pub(super) fn push_secret(&mut self, name: &str) {
        self.parts.push(Part::Secret(name.to_owned()));
    }

    pub(super) fn into_resolved(mut self) -> Resolved<'static> {
        match self.parts.pop() {
            None => Resolved::Plain(Cow::Borrowed("")),
            Some(Part::Text(text)) if self.parts.is_empty() => Resolved::Plain(Cow::Owned(text)),
            Some(last) => {
                self.parts.push(last);
                Resolved::Secret(self)
            }
        }
    }
}

impl fmt::Display for Template {
    /// The text for people, with `${secrets.NAME}` where a secret is to be.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts.iter().try_for_each(|part| match part {
            Part::Text(text) => f.write_str(text),
            Part::Secret(name) => write!(f, "${{secrets.{name}}}"),
        })
    }
}

/// A secret has no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no secret `{name}`")]
pub struct MissingSecret {
    /// The secret.
    pub name: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_looks_like_a_reference_stays_text() {
        let mut template = Template::secret("A");
        template.push_str("${secrets.B}");
        let value = SecretString::from("x");
        let filled = template.fill(|name| (name == "A").then_some(&value)).unwrap();
        assert_eq!(filled.expose_secret(), "x${secrets.B}");
        assert_eq!(template.secrets().collect::<Vec<_>>(), ["A"]);
        assert_eq!(template.fill(|_| None).unwrap_err(), MissingSecret { name: "A".into() });
    }
}
