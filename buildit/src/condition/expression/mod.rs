//! `when "git.branch == 'main' && git.tag == ''"`: CEL, guarded.

mod evaluate;
mod guard;
mod kinds;
mod parse;

pub(super) use evaluate::evaluate;

use super::Checked;
use crate::variables::{Place, Reference, StageNames, Variable};
use parse::Parsed;

/// Whether the expression calls `failure()` or `always()`.
pub(super) fn asks_for_failure(source: &str) -> bool {
    // The words are looked for first: this is asked for each stage, and parsing costs a hundred times as much.
    (source.contains("failure") || source.contains("always"))
        && parse::parse(source).is_ok_and(|parsed| parsed.calls("failure") || parsed.calls("always"))
}

/// Looks for what is wrong with an expression before any run.
pub(super) fn check(source: &str, names: &StageNames<'_, '_>) -> Checked {
    let parsed = match parse::parse(source) {
        Ok(parsed) => parsed,
        Err(errors) => return Checked { errors, noted: Vec::new() },
    };
    let mut errors = kinds::check(&parsed);
    let Parsed { uses, .. } = parsed;
    for used in &uses {
        // `has(custom.x)` asks whether there is one.
        let default = used.is_test.then(String::new);
        let reference = Reference { variable: used.variable.clone(), default };
        errors.extend(names.check(&reference, Place::When).err());
    }
    // Who asks whether a value is there can do without it.
    let is_asked = |variable: &Variable| uses.iter().any(|used| used.is_test && used.variable == *variable);
    let is_needed = |variable: &&Variable| match variable {
        Variable::Custom(_) => !is_asked(variable),
        other => other.stage().is_some(),
    };
    let noted = uses.iter().map(|used| &used.variable).filter(is_needed).cloned().collect();
    Checked { errors, noted }
}

#[cfg(test)]
mod tests;
