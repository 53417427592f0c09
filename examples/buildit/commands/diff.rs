//! `buildit diff`.

use std::sync::Arc;
use std::time::Duration;

use buildit::artifact::BlobStore;
use buildit::compare::{Difference, Kind, RunFacts, difference};
use buildit::id::RunId;
use buildit_executors::reports::{Ended, TestChange, TestDifference, changes, read_reports};
use serde::Serialize;
use serde_json::Value;

use super::kept::find;
use crate::args::{DataOutput, DiffArgs};
use crate::exit::{Exit, Failure, Outcome};
use crate::look::Look;
use crate::out::Out;
use crate::remote::failed;
use crate::report::Theme;
use crate::session::{Records, each_event, records};
use crate::text::{clean, duration, fit_middle, pad, width};

/// How wide a value is shown at most.
const VALUE: usize = 60;

/// How much longer or shorter a stage must have run for people to be told, and by which part of what it was: below, it
/// is chance.
const NOTABLE: (Duration, f64) = (Duration::from_millis(500), 0.2);

pub(crate) async fn diff(args: DiffArgs, look: Look) -> Outcome {
    let records = records(&args.place).await?;
    let before = facts(&*records, find(&*records, &args.before).await?).await?;
    let after = facts(&*records, find(&*records, &args.after).await?).await?;
    let differences = difference(&before, &after);
    let tests = match records.reports() {
        Some(blobs) => changes(&tests(&blobs, &before).await?, &tests(&blobs, &after).await?),
        None => {
            if [&before, &after].into_iter().any(has_reports) {
                Out::stderr().line("the test reports of a server are not compared");
            }
            Vec::new()
        }
    };
    let mut out = Out::stdout();
    match args.output {
        DataOutput::Json => {
            for difference in &differences {
                out.line(&serde_json::to_string(difference).map_err(Failure::backend)?);
            }
            for test in &tests {
                out.line(&serde_json::to_string(&Line { kind: "test", test }).map_err(Failure::backend)?);
            }
        }
        DataOutput::Human => {
            let lines = human(&before, &after, &differences, &tests, look.stdout());
            lines.iter().for_each(|line| out.line(line));
        }
    }
    Ok(Exit::Succeeded)
}

async fn facts(records: &dyn Records, run: RunId) -> Result<RunFacts, Failure> {
    let record = records.run(run).await.map_err(failed)?;
    let mut facts = RunFacts::new(record);
    each_event(records, run, 0, |event| facts.apply(&event)).await.map_err(failed)?;
    Ok(facts)
}

fn has_reports(run: &RunFacts) -> bool {
    run.stages.iter().any(|(_, stage)| stage.reports.is_some())
}

/// How each test of a run ended. Reports that are gone or cannot be read are told, and passed over.
async fn tests(blobs: &Arc<dyn BlobStore>, run: &RunFacts) -> Result<Ended, Failure> {
    let mut all = Ended::new();
    let number = run.record.number;
    for (stage, facts) in &run.stages {
        let Some(archive) = &facts.reports else { continue };
        let told = |what: &str| Out::stderr().line(&format!("run #{number}: {}: {}", clean(stage), clean(what)));
        match read_reports(blobs, archive).await {
            Ok(reports) => {
                all.extend(reports.statuses().map(|(test, status)| ((stage.clone(), test.clone()), status)));
                reports.unread.iter().for_each(|(file, why)| told(&format!("{file} is no report: {why}")));
            }
            Err(error) => told(&format!("its test reports cannot be read: {error}")),
        }
    }
    Ok(all)
}

/// A test that does not end as it did, among differences of other kinds.
#[derive(Serialize)]
struct Line<'a> {
    kind: &'static str,
    #[serde(flatten)]
    test: &'a TestDifference,
}

/// A heading for each kind, and a line for each difference.
fn human(
    before: &RunFacts,
    after: &RunFacts,
    all: &[Difference],
    tests: &[TestDifference],
    theme: Theme,
) -> Vec<String> {
    let title = |run: &RunFacts| {
        let record = &run.record;
        format!("{} #{} ({})", clean(&record.run.plan.name), record.number, record.status.as_str())
    };
    let mut lines = vec![theme.strong(&format!("{} → {}", title(before), title(after)))];
    let mut section = |heading: &str, rows: Vec<[String; 3]>| {
        if rows.is_empty() {
            return;
        }
        lines.extend([String::new(), theme.strong(heading)]);
        let columns = rows.iter().map(|row| width(&row[0])).max().unwrap_or_default();
        for [name, before, after] in rows {
            lines.push(format!("  {}  {} → {after}", pad(&name, columns), theme.faint(&before)));
        }
    };
    let kind = |kind: Kind| all.iter().filter(move |difference| difference.kind == kind);
    section("Plan", kind(Kind::Plan).map(|difference| row(difference, &named)).collect());
    section("Images", kind(Kind::Image).map(|difference| row(difference, &value)).collect());
    section("Inputs", kind(Kind::Input).map(|difference| row(difference, &value)).collect());
    section("Stages", kind(Kind::Status).map(|difference| row(difference, &value)).collect());
    let notable: Vec<&Difference> = kind(Kind::Duration).filter(|difference| is_notable(difference)).collect();
    section("Durations", notable.iter().map(|difference| row(difference, &took)).collect());
    for (change, heading) in [(TestChange::NewlyFailing, "Newly failing tests"), (TestChange::Fixed, "Fixed tests")] {
        let found: Vec<&TestDifference> = tests.iter().filter(|test| test.change == change).collect();
        if found.is_empty() {
            continue;
        }
        lines.extend([String::new(), theme.strong(&format!("{heading} ({})", found.len()))]);
        for TestDifference { stage, test, .. } in found {
            lines.push(format!("  {}  {}", clean(stage), clean(&test.to_string())));
        }
    }
    if lines.len() == 1 {
        lines.push("nothing differs but how long it took".into());
    }
    lines
}

fn row(difference: &Difference, show: &dyn Fn(Option<&Value>) -> String) -> [String; 3] {
    let Difference { stage, name, before, after, .. } = difference;
    let name = match stage {
        Some(stage) if name.is_empty() => clean(stage).into_owned(),
        Some(stage) => format!("{} {}", clean(stage), clean(name)),
        None => clean(name).into_owned(),
    };
    [fit_middle(&name, VALUE), show(before.as_ref()), show(after.as_ref())]
}

/// A value as it was written, in one line.
fn value(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "none".into(),
        Some(Value::String(text)) if text.is_empty() => "empty".into(),
        Some(Value::String(text)) => fit_middle(&clean(text), VALUE),
        Some(other) => fit_middle(&clean(&other.to_string()), VALUE),
    }
}

/// The same where a whole stage is there or not.
fn named(part: Option<&Value>) -> String {
    match part {
        Some(Value::Bool(true)) => "there".into(),
        None => "not there".into(),
        part => value(part),
    }
}

fn took(value: Option<&Value>) -> String {
    value.and_then(Value::as_u64).map_or("none".into(), |ms| duration(Duration::from_millis(ms)))
}

fn is_notable(difference: &Difference) -> bool {
    let ms = |value: &Option<Value>| value.as_ref().and_then(Value::as_u64);
    let (Some(before), Some(after)) = (ms(&difference.before), ms(&difference.after)) else { return false };
    let changed = before.abs_diff(after);
    Duration::from_millis(changed) >= NOTABLE.0 && changed as f64 >= before as f64 * NOTABLE.1
}
