//! What starts a run by itself.

use serde::{Deserialize, Serialize};

use super::Origin;

/// An `on` node: an event that starts a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trigger {
    /// The event: `push`, `pull_request`, `tag`, `schedule`, `webhook` or `manual`.
    pub event: String,
    /// Globs of branches (the target branch, for a pull request); empty for any. `!glob` takes away.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub branches: Vec<String>,
    /// Globs of changed paths; empty for any. `!glob` takes away.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// A glob of tags, for `tag`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// A cron expression of five fields, for `schedule`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cron: Option<String>,
    /// An IANA time zone for `cron`; UTC without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// The name of the secret that a `webhook` must prove to know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// Where it was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
}

impl Trigger {
    /// A trigger of this event with no filter.
    pub fn new(event: impl Into<String>) -> Self {
        Self {
            event: event.into(),
            branches: Vec::new(),
            paths: Vec::new(),
            pattern: None,
            cron: None,
            timezone: None,
            secret: None,
            origin: None,
        }
    }
}
