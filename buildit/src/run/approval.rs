//! Whether an answer to an approval can be taken.

use crate::event::Approval;
use crate::pipeline::ApprovalSpec;

/// An answer that cannot be taken; the stage still waits for a better one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ApprovalError {
    /// The stage waits for no answer: not yet, no longer, or never.
    #[error("the stage waits for no approval")]
    NotWaiting,
    /// This person has agreed already, and it takes others.
    #[error("{by} has approved already, and others must")]
    Again {
        /// Who.
        by: String,
    },
    /// A field that must be filled in is empty.
    #[error("`{field}` must be filled in")]
    Missing {
        /// The field.
        field: String,
    },
    /// A field has a value that is not among its choices.
    #[error("`{field}` cannot be `{value}`: choose {}", .choices.join(", "))]
    NotAChoice {
        /// The field.
        field: String,
        /// What was filled in.
        value: String,
        /// What may be.
        choices: Vec<String>,
    },
    /// There is no such field.
    #[error("there is no field `{field}`{}", .guess.as_ref().map_or_else(String::new, |guess| format!(" (did you mean `{guess}`?)")))]
    UnknownField {
        /// The field.
        field: String,
        /// The one that was probably meant.
        guess: Option<String>,
    },
}

/// The answer with defaults filled in. A refusal needs no field.
pub(super) fn check(spec: &ApprovalSpec, mut approval: Approval) -> Result<Approval, ApprovalError> {
    if let Some(field) = approval.fields.keys().find(|name| spec.fields.iter().all(|field| field.name != **name)) {
        let near = |name: &&String| strsim::osa_distance(name, field) * 3 <= field.len().max(3);
        let guess = spec.fields.iter().map(|field| &field.name).find(near).cloned();
        return Err(ApprovalError::UnknownField { field: field.clone(), guess });
    }
    if !approval.approved {
        return Ok(approval);
    }
    for field in &spec.fields {
        if approval.fields.get(&field.name).is_none_or(String::is_empty)
            && let Some(default) = &field.default
        {
            approval.fields.insert(field.name.clone(), default.clone());
        }
        match approval.fields.get(&field.name).filter(|value| !value.is_empty()) {
            None if field.required => return Err(ApprovalError::Missing { field: field.name.clone() }),
            Some(value) if !field.choices.is_empty() && !field.choices.contains(value) => {
                return Err(ApprovalError::NotAChoice {
                    field: field.name.clone(),
                    value: value.clone(),
                    choices: field.choices.clone(),
                });
            }
            _ => {}
        }
    }
    Ok(approval)
}
