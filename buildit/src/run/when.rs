//! What the state machine asks of conditions and references.

use super::Fixed;
use super::state::State;
use crate::pipeline::When;

pub(super) fn asks_for_failure(when: &When) -> bool {
    match when {
        When::Properties(_) => false,
        When::Expression(text) => text.contains("failure()") || text.contains("always()"),
    }
}

pub(super) struct Verdict {
    pub(super) holds: bool,
    pub(super) clause: String,
}

pub(super) fn evaluate(_: &Fixed, state: &State, at: u32, when: &When) -> Result<Verdict, String> {
    use super::state::Cell;
    let holds = match when {
        When::Properties(_) => true,
        When::Expression(text) if text == "failure()" => state.cell(at).has(Cell::FAILED_BEFORE),
        When::Expression(text) => text != "false",
    };
    Ok(Verdict { holds, clause: format!("{when:?}") })
}

pub(super) fn message(fixed: &Fixed, _: &State, at: u32) -> Result<String, String> {
    let stage = fixed.stage(at);
    let asked = stage.approval.as_ref().and_then(|approval| approval.message.clone());
    Ok(asked.unwrap_or_else(|| format!("Approve `{}`?", stage.name)))
}
