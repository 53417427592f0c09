//! `buildit diff`.

use std::time::Duration;

use buildit::compare::{Difference, Kind, RunFacts, difference};
use buildit::id::RunId;
use buildit_executors::reports::{TestChange, TestDifference};
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

pub(crate) async fn diff(args: DiffArgs, look: Look) -> Outcome {
    let records = records(&args.place).await?;
    let before = facts(&*records, find(&*records, &args.before).await?).await?;
    let after = facts(&*records, find(&*records, &args.after).await?).await?;
    let differences = difference(&before, &after);
    let tests = records.test_changes(&before, &after).await?;
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
    let notable: Vec<&Difference> = kind(Kind::Duration).filter(|difference| difference.is_notable()).collect();
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
