//! What a plan would change.

use serde::Deserialize;

/// The changes of a plan, as counted by `terraform plan` itself: a replacement is one to add and one to destroy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlanSummary {
    /// Resources to create.
    pub add: usize,
    /// Resources to change in place.
    pub change: usize,
    /// Resources to destroy.
    pub destroy: usize,
    /// The resources that change, in the order of the plan.
    pub resources: Vec<ResourceChange>,
}

/// A resource that a plan changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceChange {
    /// Its address: `module.net.aws_subnet.a[0]`.
    pub address: String,
    /// What happens to it.
    pub change: Change,
}

/// What happens to a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// It is created.
    Create,
    /// It is changed in place.
    Update,
    /// It is destroyed.
    Delete,
    /// It is destroyed and created, in either order.
    Replace,
    /// It is taken out of the state and left as it is.
    Forget,
}

/// A plan could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// It is no JSON of the form that is documented.
    #[error("the plan is not what `show -json` prints")]
    Json(#[from] serde_json::Error),
    /// It is of a format that is not known here.
    #[error("the plan has format {found}; format 1 is known")]
    Format {
        /// The format that was found.
        found: String,
    },
    /// It holds a combination of actions that is not known here; nothing is guessed.
    #[error("resource `{address}` has unknown actions {actions:?}")]
    Actions {
        /// The resource.
        address: String,
        /// What the plan says.
        actions: Vec<String>,
    },
}

impl PlanSummary {
    /// Reads what `terraform show -json PLAN` prints
    /// (<https://developer.hashicorp.com/terraform/internals/json-format>).
    ///
    /// # Errors
    ///
    /// [`PlanError`] when it is none, or says something that is not understood.
    pub fn from_json(json: &[u8]) -> Result<Self, PlanError> {
        let plan: Json = serde_json::from_slice(json)?;
        // 0.x was the same form before it was declared stable.
        if !matches!(plan.format_version.split('.').next(), Some("0" | "1")) {
            return Err(PlanError::Format { found: plan.format_version });
        }
        let mut summary = Self::default();
        for resource in plan.resource_changes {
            let actions: Vec<&str> = resource.change.actions.iter().map(String::as_str).collect();
            let change = match actions[..] {
                ["no-op"] | ["read"] => continue,
                ["create"] => Change::Create,
                ["update"] => Change::Update,
                ["delete"] => Change::Delete,
                ["delete", "create"] | ["create", "delete"] => Change::Replace,
                ["forget"] => Change::Forget,
                _ => return Err(PlanError::Actions { address: resource.address, actions: resource.change.actions }),
            };
            match change {
                Change::Create => summary.add += 1,
                Change::Update => summary.change += 1,
                Change::Delete => summary.destroy += 1,
                Change::Replace => {
                    summary.add += 1;
                    summary.destroy += 1;
                }
                Change::Forget => {}
            }
            summary.resources.push(ResourceChange { address: resource.address, change });
        }
        Ok(summary)
    }

    /// Whether an apply would change nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.resources.is_empty()
    }
}

#[derive(Deserialize)]
struct Json {
    format_version: String,
    #[serde(default)]
    resource_changes: Vec<JsonResource>,
}

#[derive(Deserialize)]
struct JsonResource {
    address: String,
    change: JsonChange,
}

#[derive(Deserialize)]
struct JsonChange {
    actions: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(actions: &str) -> String {
        format!(
            r#"{{"format_version":"1.2","resource_changes":[{{"address":"x.y","change":{{"actions":{actions}}}}}]}}"#
        )
    }

    #[test]
    fn changes_are_counted_as_terraform_counts_them() {
        let counts = |actions| {
            let summary = PlanSummary::from_json(plan(actions).as_bytes()).unwrap();
            (summary.add, summary.change, summary.destroy)
        };
        assert_eq!(counts(r#"["create"]"#), (1, 0, 0));
        assert_eq!(counts(r#"["update"]"#), (0, 1, 0));
        assert_eq!(counts(r#"["delete"]"#), (0, 0, 1));
        assert_eq!(counts(r#"["delete","create"]"#), (1, 0, 1));
        assert_eq!(counts(r#"["create","delete"]"#), (1, 0, 1));
        assert_eq!(counts(r#"["no-op"]"#), (0, 0, 0));
        assert_eq!(counts(r#"["read"]"#), (0, 0, 0));
        assert_eq!(counts(r#"["forget"]"#), (0, 0, 0));
    }

    #[test]
    fn what_is_not_understood_is_not_guessed() {
        assert!(matches!(PlanSummary::from_json(b"{}"), Err(PlanError::Json(_))));
        assert!(matches!(PlanSummary::from_json(plan(r#"["explode"]"#).as_bytes()), Err(PlanError::Actions { .. })));
        assert!(matches!(
            PlanSummary::from_json(br#"{"format_version":"9.0"}"#),
            Err(PlanError::Format { found }) if found == "9.0"
        ));
    }
}
