//! Who may answer a stage that waits for people.

use buildit::account::Role;
use buildit::pipeline::{ApprovalSpec, Protection, StarterRule};
use buildit::store::RunRecord;

use crate::access::{Access, Actor};
use crate::problem::Problem;

/// Whom a rule names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who<'a> {
    /// Whoever has at least this role.
    Role(Role),
    /// Whoever has this address.
    User(&'a str),
}

impl<'a> Who<'a> {
    /// What `role:admin` and `user:ann@example.org` name.
    pub(crate) fn parse(word: &'a str) -> Option<Self> {
        match word.split_once(':')? {
            ("role", role) => role.parse().ok().map(Self::Role),
            ("user", user) if !user.is_empty() => Some(Self::User(user)),
            _ => None,
        }
    }

    fn is(self, access: &Access) -> bool {
        match self {
            Self::Role(role) => access.role >= role,
            Self::User(address) => match &access.actor {
                Actor::User(user) => user.email.eq_ignore_ascii_case(address),
                _ => false,
            },
        }
    }
}

/// Refuses an answer of somebody whom the stage or its environment does not want it from.
pub(crate) fn check(access: &Access, record: &RunRecord, stage: &str, is_yes: bool) -> Result<(), Problem> {
    let Some(spec) = record.run.plan.stages.iter().find(|known| *known.name == *stage) else { return Ok(()) };
    if let Some(ApprovalSpec { by, .. }) = spec.approval.as_deref() {
        named(access, by, &format!("stage `{stage}`"))?;
    }
    let environments = &record.run.context.environments;
    let Some((name, environment)) = spec.environment.as_ref().and_then(|name| environments.get_key_value(name)) else {
        return Ok(());
    };
    let Protection { approvals, by, starter, .. } = &environment.protection;
    if *approvals == 0 {
        return Ok(());
    }
    if matches!(access.actor, Actor::Key(_)) {
        return Err(Problem::forbidden(format!("environment `{name}` is for people to approve, not for API keys")));
    }
    named(access, by, &format!("environment `{name}`"))?;
    let is_starter = record.run.context.started_by.eq_ignore_ascii_case(&access.actor.name());
    if is_yes && *starter == StarterRule::MayNot && is_starter {
        let why = format!("whoever started a run may not approve it in environment `{name}`: somebody else must");
        return Err(Problem::forbidden(why));
    }
    Ok(())
}

fn named(access: &Access, by: &[String], whose: &str) -> Result<(), Problem> {
    if by.is_empty() || by.iter().filter_map(|word| Who::parse(word)).any(|who| who.is(access)) {
        return Ok(());
    }
    Err(Problem::forbidden(format!("{whose} waits for {}", by.join(", "))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_names_a_role_or_a_person() {
        assert_eq!(Who::parse("role:admin"), Some(Who::Role(Role::Admin)));
        assert_eq!(Who::parse("user:ann@example.org"), Some(Who::User("ann@example.org")));
        for bad in ["", "admin", "role:", "role:king", "user:", "team:x"] {
            assert_eq!(Who::parse(bad), None, "{bad}");
        }
    }
}
