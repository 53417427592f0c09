//! The world is counted: side effects, events, logs, and what is left behind.

use std::path::Path;
use std::process::Command;

use buildit::event::Event;
use buildit::id::{JobId, RunId};
use buildit::job::Stream;
use buildit::plan::Plan;
use buildit::run::{Run, RunInfo};
use buildit::store::{RunRecord, Store};
use serde_json::Value;

use super::child;
use super::matrix::Target;
use super::pipelines::Sample;

/// What of an event follows from the hour, and not from the pipeline: archives hold the times of their files.
const OF_THE_HOUR: [&str; 3] = ["at", "digest", "bytes"];

/// Every side effect once.
pub(crate) fn effects(noted: &Path, sample: &Sample, what: &str) {
    let noted = std::fs::read_to_string(noted).unwrap_or_default();
    let mut noted: Vec<&str> = noted.lines().collect();
    noted.sort_unstable();
    assert_eq!(noted, sample.effects, "{what}: side effects");
}

/// A whole record that replays, and every log line once and in order. Gives back what happened, without when.
pub(crate) async fn run(store: &dyn Store, run: RunId, sample: &Sample, what: &str) -> Vec<String> {
    let page = store.events(run, 0, usize::MAX).await.expect("the events are read");
    assert!(page.events.iter().map(|event| event.seq).eq(1..=page.last_seq), "{what}: no gap in the events");
    let record = store.run(run).await.expect("the run is read");
    replay(&record, &page.events);
    logs(store, run, sample, what).await;
    let mut happened: Vec<String> = page.events.iter().map(described).collect();
    // Of two stages that run at the same time either may be the first.
    happened.sort();
    happened
}

async fn logs(store: &dyn Store, run: RunId, sample: &Sample, what: &str) {
    let mut jobs = store.logs_of_run(run).await.expect("the logs are listed");
    jobs.sort();
    let mut expected: Vec<String> = jobs.iter().map(|job| format!("{}#{}", job.stage, job.attempt)).collect();
    expected.sort();
    assert_eq!(expected, sample.effects, "{what}: each job that ran has a log");
    for job in &jobs {
        let log = store.read_log(job, 0, usize::MAX).await.expect("the log is read");
        let lines: Vec<_> = log.chunks.iter().flat_map(|chunk| chunk.iter().collect::<Vec<_>>()).collect();
        assert!(lines.iter().map(|line| line.line).eq(1..=log.last_line), "{what}: {job}: no gap in the lines");
        for (stream, word) in [(Stream::Stdout, "out"), (Stream::Stderr, "err")] {
            let printed: Vec<&str> =
                lines.iter().filter(|line| line.stream == stream).map(|line| line.text.as_str()).collect();
            let whole: Vec<String> = (1..=20).map(|number| format!("{word} {number}")).collect();
            assert_eq!(printed, whole, "{what}: {job}: {stream:?}");
        }
    }
}

/// Guarantee G10: two replays of the stored events give the same state, byte for byte, and it is a final one.
fn replay(record: &RunRecord, events: &[Event]) {
    let plan = Plan::restore(record.run.plan.clone()).expect("the stored plan is one");
    let replay = || {
        let info = RunInfo { id: record.run.id, number: record.number };
        Run::replay(plan.spec().clone(), plan.graph().clone(), record.run.context.clone(), info, events)
            .expect("the stored events are those of a run")
    };
    assert_eq!(replay().snapshot(), replay().snapshot());
    assert!(replay().status().is_final());
    assert_eq!(replay().status(), record.status);
}

/// What an event says, without what differs from run to run.
fn described(event: &Event) -> String {
    let mut value = serde_json::to_value(&event.body).expect("an event is plain data");
    forget_the_hour(&mut value);
    value.to_string()
}

fn forget_the_hour(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| !OF_THE_HOUR.contains(&name.as_str()));
            fields.values_mut().for_each(forget_the_hour);
        }
        Value::Array(items) => items.iter_mut().for_each(forget_the_hour),
        _ => {}
    }
}

/// Guarantee G8: no process, container, network, volume or folder is left of this world.
pub(crate) fn remains(folder: &Path, target: Target, run: RunId, what: &str) {
    let spool: Vec<_> = std::fs::read_dir(child::state(folder))
        .map(|entries| entries.flatten().map(|entry| entry.path()).filter(|path| is_remains(path)).collect())
        .unwrap_or_default();
    assert!(spool.is_empty(), "{what}: left behind {spool:?}");
    let alive = processes_that_hold(&folder.to_string_lossy());
    assert!(alive.is_empty(), "{what}: still alive {alive:?}");
    if target == Target::Docker {
        for kind in [&["ps", "-a"][..], &["network", "ls"], &["volume", "ls"]] {
            let filter = format!("name={}", JobId::backend_prefix(run));
            let output = Command::new("docker").args(kind).args(["-q", "--filter", &filter]).output();
            let output = output.expect("docker is asked");
            assert!(output.status.success(), "{what}: docker {kind:?}: {output:?}");
            let left = output.stdout;
            assert!(left.is_empty(), "{what}: docker {kind:?} {}", String::from_utf8_lossy(&left));
        }
    }
}

/// A folder of the state folder that holds anything of a job.
fn is_remains(path: &Path) -> bool {
    path.is_dir() && std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some())
}

/// Processes, but this one, whose environment names this world.
fn processes_that_hold(folder: &str) -> Vec<String> {
    let own = std::process::id().to_string();
    std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|pid| pid.bytes().all(|byte| byte.is_ascii_digit()) && *pid != own)
        .filter(|pid| {
            std::fs::read(format!("/proc/{pid}/environ"))
                .is_ok_and(|environ| String::from_utf8_lossy(&environ).contains(folder))
        })
        .collect()
}
