//! Runs by the clock.
//!
//! Every server looks for schedules that are due, and each may start the run: its id follows from the schedule and the
//! time at which that was due, so however many try, and wherever one is killed, there is one run. What was missed while no
//! server was there is made up for by one run, however often it was due meanwhile.

use std::time::Duration;

use super::audit;
use super::pipelines::{self, Origin, Start};
use super::requests::{kept, settled};
use crate::access::Access;
use crate::problem::Problem;
use crate::state::ServerState;
use buildit::id::{PipelineId, RunId};
use buildit::pipeline::PipelineSpec;
use buildit::store::{Schedule, StoreError, StoredPipeline};
use croner::parser::CronParser;
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// How many that are due are looked at together.
const PAGE: usize = 100;

/// How often it is looked for those that are due: they are due at whole minutes, and nobody sees a second.
const LOOK: Duration = Duration::from_secs(1);

/// The zone of a schedule that names none.
const ZONE: &str = "UTC";

/// When such a schedule is due next after this time; none when it never is.
///
/// An hour that a clock change skips is made up for when it is over, and one that comes twice counts once.
pub(crate) fn next(cron: &str, timezone: &str, after: Timestamp) -> Option<Timestamp> {
    let cron = CronParser::new().parse(cron).ok()?;
    let zone = TimeZone::get(timezone).ok()?;
    cron.find_next_occurrence(&after.to_zoned(zone), false).ok().map(|next| next.timestamp())
}

/// What a pipeline says of its schedules; one that is never due is none.
fn of_spec(pipeline: PipelineId, spec: &PipelineSpec, now: Timestamp) -> Vec<Schedule> {
    let triggers = spec.triggers.iter().filter(|trigger| trigger.event == "schedule");
    let schedules = triggers.filter_map(|trigger| {
        let (cron, timezone) = (trigger.cron.clone()?, trigger.timezone.clone().unwrap_or_else(|| ZONE.to_owned()));
        let next_at = next(&cron, &timezone, now)?;
        Some(Schedule { pipeline, cron, timezone, next_at, paused: false })
    });
    schedules.collect()
}

/// Makes the schedules of a pipeline those that it says it has.
pub(crate) async fn set(state: &ServerState, pipeline: &StoredPipeline, spec: &PipelineSpec) -> Result<(), StoreError> {
    state.store().set_schedules(pipeline.id, of_spec(pipeline.id, spec, Timestamp::now())).await
}

/// Pauses a schedule, or lets it go on from now: what it missed meanwhile is not made up for.
pub(crate) async fn pause(
    state: &ServerState,
    access: &Access,
    pipeline: &StoredPipeline,
    place: (&str, &str),
    paused: bool,
) -> Result<Schedule, Problem> {
    let all = state.store().schedules(pipeline.id).await?;
    let known = all.into_iter().find(|schedule| schedule.place() == place).ok_or_else(Problem::not_found)?;
    if known.paused == paused {
        return Ok(known);
    }
    let next_at = next(&known.cron, &known.timezone, Timestamp::now()).ok_or_else(Problem::not_found)?;
    let to = Schedule { next_at, paused, ..known.clone() };
    if !state.store().change_schedule(&known, to.clone()).await? {
        return Err(Problem::changed());
    }
    let action = if paused { "schedule.pause" } else { "schedule.resume" };
    let details = [("cron", to.cron.clone().into()), ("timezone", to.timezone.clone().into())];
    audit::of_tenant(state, access, action, &pipeline.name, &details).await;
    Ok(to)
}

/// Starts what is due, until the server stops.
pub(crate) async fn work(state: ServerState) {
    loop {
        if let Err(error) = start_due(&state, Timestamp::now()).await {
            tracing::warn!(%error, "schedules cannot be looked for");
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = state.stopping().cancelled() => return,
        }
    }
}

/// Starts what is due by now; how many schedules were.
pub(crate) async fn start_due(state: &ServerState, now: Timestamp) -> Result<usize, StoreError> {
    let due = state.store().due_schedules(now, PAGE).await?;
    for schedule in &due {
        if let Err(error) = start(state, schedule, now).await {
            // It stays due, and is tried again.
            tracing::warn!(%error, pipeline = %schedule.pipeline, cron = schedule.cron, "a schedule starts no run");
        }
    }
    Ok(due.len())
}

async fn start(state: &ServerState, due: &Schedule, now: Timestamp) -> Result<(), StoreError> {
    let pipeline = match state.store().pipeline(due.pipeline).await {
        Err(StoreError::NotFound(_)) => return state.store().set_schedules(due.pipeline, Vec::new()).await,
        found => found?,
    };
    let run = run_of(due);
    if kept(state, run).await?.is_none() {
        let origin = Origin::of_server(state, &pipeline, "schedule", format!("the schedule {}", due.cron)).await?;
        let start = Start { run: Some(run), ..Start::default() };
        if let Err(problem) = pipelines::start(state, &origin, &pipeline, start).await
            && kept(state, run).await?.is_none()
        {
            let why = problem.said();
            if !problem.status().is_client_error() {
                return Err(StoreError::backend("schedules", why));
            }
            // It would be refused again: the next time is another chance.
            origin.note(state, "schedule.refuse", &pipeline, &[("why", why.into())]).await;
        }
    }
    match next(&due.cron, &due.timezone, now) {
        Some(next_at) => state.store().change_schedule(due, Schedule { next_at, ..due.clone() }).await.map(drop),
        None => {
            let left = state.store().schedules(due.pipeline).await?;
            let left = left.into_iter().filter(|schedule| schedule.place() != due.place());
            state.store().set_schedules(due.pipeline, left.collect()).await
        }
    }
}

/// The run of a schedule that is due, whoever starts it.
fn run_of(due: &Schedule) -> RunId {
    let Schedule { pipeline, cron, timezone, next_at, .. } = due;
    settled(&format!("{pipeline}\n{cron}\n{timezone}\n{next_at}"), *next_at)
}

#[cfg(test)]
mod tests {
    use buildit::store::{NewPipeline, PipelineSource, RunFilter};
    use futures_util::future::join_all;
    use jiff::ToSpan;
    use uuid::Uuid;

    use super::*;
    use crate::open::Server;
    use crate::settings::Settings;

    fn times(cron: &str, zone: &str, from: &str, count: usize) -> Vec<String> {
        let mut after: Timestamp = from.parse().unwrap();
        let each = (0..count).map(|_| {
            after = next(cron, zone, after).unwrap();
            after.to_string()
        });
        each.collect()
    }

    #[test]
    fn an_hour_that_is_skipped_is_made_up_for_once() {
        // In Berlin the clock goes from 2:00 to 3:00 on 2026-03-29.
        let nights = times("30 2 * * *", "Europe/Berlin", "2026-03-28T00:00:00Z", 3);
        assert_eq!(nights, ["2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]);
    }

    #[test]
    fn an_hour_that_comes_twice_counts_once() {
        // In Berlin the clock goes from 3:00 to 2:00 on 2026-10-25.
        let nights = times("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2);
        assert_eq!(nights, ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]);
    }

    #[test]
    fn a_time_that_never_comes_is_none() {
        assert_eq!(next("0 0 30 2 *", "UTC", Timestamp::UNIX_EPOCH), None);
        assert_eq!(next("0 0 * * *", "Nowhere/At_All", Timestamp::UNIX_EPOCH), None);
    }

    #[test]
    fn each_time_has_a_run_of_its_own() {
        let due = Schedule {
            pipeline: Uuid::from_u128(7).into(),
            cron: "0 0 * * *".into(),
            timezone: "UTC".into(),
            next_at: Timestamp::constant(1_767_225_600, 0),
            paused: false,
        };
        let later = Schedule { next_at: Timestamp::constant(1_767_312_000, 0), ..due.clone() };
        let elsewhere = Schedule { pipeline: Uuid::from_u128(8).into(), ..due.clone() };
        assert_eq!(run_of(&due), run_of(&due.clone()));
        assert_ne!(run_of(&due), run_of(&later));
        assert_ne!(run_of(&due), run_of(&elsewhere));
        assert_eq!(run_of(&due).as_uuid().get_version_num(), 7);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn one_run_is_started_however_many_look_and_however_late() {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings { data: folder.path().to_owned(), docker: false, runs: 0, ..Settings::default() };
        let server = Server::open(settings).await.unwrap();
        let state = server.state();
        let kdl = "pipeline \"night\"\non \"schedule\" cron=\"0 3 * * *\"\nstage \"s\" { run \"true\" }";
        let new = NewPipeline {
            tenant: state.default_tenant(),
            name: "night".into(),
            source: PipelineSource::Text { kdl: kdl.into() },
            settings: serde_json::Map::new(),
            created_at: Timestamp::now(),
        };
        let pipeline = state.store().create_pipeline(new).await.unwrap();
        set(state, &pipeline, &pipelines::spec(state, &pipeline).await.unwrap()).await.unwrap();
        let known = state.store().schedules(pipeline.id).await.unwrap().remove(0);
        let runs = async || state.store().runs(&RunFilter::of_pipeline("night"), 99).await.unwrap();

        assert_eq!(start_due(state, known.next_at - 1.second()).await.unwrap(), 0);
        let late = known.next_at + (7 * 24).hours() + 1.minute();
        for done in join_all((0..4).map(|_| start_due(state, late))).await {
            done.unwrap();
        }
        assert_eq!(runs().await.len(), 1, "a week of nights is made up for by one run");
        let record = state.store().run(runs().await[0].id).await.unwrap();
        assert_eq!(record.run.context.event, "schedule");
        let then = state.store().schedules(pipeline.id).await.unwrap().remove(0);
        assert!(then.next_at > late && then.next_at <= late + 24.hours(), "{then:?}");

        // Killed after the run was kept, and before that was noted.
        assert!(state.store().change_schedule(&then, known.clone()).await.unwrap());
        assert_eq!(start_due(state, late).await.unwrap(), 1);
        assert_eq!(runs().await.len(), 1);
        assert_eq!(start_due(state, late).await.unwrap(), 0);
        start_due(state, then.next_at).await.unwrap();
        assert_eq!(runs().await.len(), 2, "the next night is another run");

        let orphan = Schedule { pipeline: PipelineId::new(), ..known };
        state.store().set_schedules(orphan.pipeline, vec![orphan.clone()]).await.unwrap();
        start_due(state, orphan.next_at).await.unwrap();
        assert_eq!(state.store().schedules(orphan.pipeline).await.unwrap(), [], "its pipeline is gone");
    }
}
