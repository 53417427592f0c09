//! The page of what is kept.

use askama::Template;
use axum::Form;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use buildit::account::Role;
use serde::Deserialize;

use super::page::{Crumb, Frame, Place, draw};
use crate::app::upkeep::{self, Kept};
use crate::problem::Problem;
use crate::state::ServerState;

/// Bytes that a form counts in.
const MIB: u64 = 1 << 20;

#[derive(Template)]
#[template(path = "settings_retention.html")]
struct RetentionPage {
    frame: Frame,
    filled: Filled,
    version: u64,
    problem: Option<String>,
    may_change: bool,
}

/// The limits, as the form has them: empty for none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Filled {
    run_days: String,
    latest_runs: String,
    log_days: String,
    log_mib: String,
    log_runs: String,
    /// The version that the form was filled with.
    version: u64,
}

impl Filled {
    fn of(kept: &Kept, version: u64) -> Self {
        let say = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
        Self {
            run_days: say(kept.run_days),
            latest_runs: say(kept.latest_runs),
            log_days: say(kept.log_days),
            log_mib: say(kept.log_bytes.map(|bytes| bytes.div_ceil(MIB))),
            log_runs: say(kept.log_runs),
            version,
        }
    }

    fn read(&self) -> Result<Kept, Problem> {
        let read = |text: &str| match text.trim() {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|_| Problem::invalid(format!("`{text}` is no number"))),
        };
        Ok(Kept {
            run_days: read(&self.run_days)?,
            latest_runs: read(&self.latest_runs)?,
            log_days: read(&self.log_days)?,
            log_bytes: read(&self.log_mib)?.map(|mib: u64| mib.saturating_mul(MIB)),
            log_runs: read(&self.log_runs)?,
        })
    }
}

impl RetentionPage {
    async fn new(state: &ServerState, place: &Place) -> Result<Self, Problem> {
        let (kept, version) = upkeep::policy(state, &place.access).await?;
        let crumbs = vec![Crumb::to("Settings", format!("{}/settings", place.root())), Crumb::here("Retention")];
        Ok(Self {
            frame: place.frame("settings", "Retention", crumbs),
            filled: Filled::of(&kept, version),
            version,
            problem: None,
            may_change: place.may(Role::Admin),
        })
    }
}

pub(crate) async fn show(State(state): State<ServerState>, place: Place) -> Result<Response, Problem> {
    draw(&RetentionPage::new(&state, &place).await?)
}

pub(crate) async fn set(
    State(state): State<ServerState>,
    place: Place,
    Form(filled): Form<Filled>,
) -> Result<Response, Problem> {
    let access = place.grant(Role::Admin)?;
    let set = async { upkeep::set_policy(&state, &access, filled.read()?, Some(filled.version)).await };
    match set.await {
        Ok(_) => Ok(Redirect::to(&format!("{}/settings/retention", place.root())).into_response()),
        Err(problem) => {
            let said = problem.said();
            let page = RetentionPage { problem: Some(said), filled, ..RetentionPage::new(&state, &place).await? };
            Ok((problem.status(), draw(&page)?).into_response())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_form_says_is_what_it_shows() {
        let kept = Kept { run_days: Some(90), log_bytes: Some(5 * MIB), log_runs: Some(0), ..Kept::default() };
        assert_eq!(Filled::of(&kept, 3).read().unwrap(), kept);
        assert_eq!(Filled::default().read().unwrap(), Kept::default());
        let odd = Filled { latest_runs: "many".into(), ..Filled::default() };
        assert_eq!(odd.read().unwrap_err().detail(), Some("`many` is no number"));
    }
}
