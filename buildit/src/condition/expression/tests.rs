use indexmap::IndexMap;

use super::*;
use crate::condition::{ConditionError, Flow, Verdict, evaluate as evaluate_when};
use crate::id::RunId;
use crate::job::Status;
use crate::pipeline::{GitContext, ParamSpec, PipelineSpec, RunContext, When};
use crate::variables::{Names, OutputValue, RunInfo, Scope, StageValues};

#[derive(Debug)]
struct Stages;

impl StageValues for Stages {
    fn status(&self, stage: &str) -> Option<Status> {
        (stage == "build-app").then_some(Status::Failed)
    }

    fn output(&self, stage: &str, key: &str) -> OutputValue<'_> {
        match (stage, key) {
            ("build-app", "version") => OutputValue::Value("1.2"),
            _ => OutputValue::Unset,
        }
    }
}

fn spec() -> PipelineSpec {
    PipelineSpec {
        name: "shop".into(),
        params: vec![ParamSpec { name: "region".into(), default: Some("eu".into()), ..Default::default() }],
        ..Default::default()
    }
}

fn decide(source: &str, flow: Flow) -> Result<Verdict, ConditionError> {
    let git = GitContext { branch: "main".into(), message: "m".repeat(60_000), ..Default::default() };
    let context = RunContext {
        event: "push".into(),
        git,
        changes: Some(vec!["src/a.rs".into()]),
        custom: IndexMap::from([("tier".to_owned(), "gold".to_owned())]),
        ..Default::default()
    };
    let (plan, environment) = (spec(), IndexMap::new());
    let scope = Scope {
        context: &context,
        plan: &plan,
        run: RunInfo { id: RunId::new(), number: 7 },
        stage: None,
        index: 0,
        attempt: 1,
        stages: &Stages,
        approval: None,
        environment: &environment,
    };
    evaluate_when(&When::Expression(source.into()), &scope, flow)
}

fn holds(source: &str) -> bool {
    decide(source, Flow::default()).unwrap_or_else(|error| panic!("{source}: {error}")).holds
}

fn codes(source: &str) -> Vec<&'static str> {
    let spec = spec();
    check(source, &Names::new(&spec).of(None)).errors.iter().map(|error| error.code).collect()
}

#[test]
fn names_have_their_values() {
    for source in [
        "git.branch == 'main' && git.tag == ''",
        "run.number == 7 && !git.dirty && pr.number == 0 && !pr.fork",
        "stages['build-app'].status == 'failed'",
        "stages[\"build-app\"].outputs.version == '1.2'",
        "params.region in ['eu', 'us']",
        "custom.tier == 'gold' && has(custom.tier) && !has(custom.other)",
        "has(custom.other) ? custom.other == 'x' : true",
        "git.branch.startsWith('ma') && git.branch.matches('^m.*n$')",
        "['main', 'dev'].exists(b, git.branch == b)",
        "changed('src/**') && !changed('docs/**')",
        "int('3') > 2 && size(git.branch) == 4",
    ] {
        assert!(holds(source), "{source}");
        assert_eq!(codes(source), [] as [&str; 0], "{source}");
    }
}

#[test]
fn the_false_clause_is_named() {
    let verdict = decide("run.event == 'push' && git.branch in ['a && b', 'c'] && true", Flow::default()).unwrap();
    assert_eq!(verdict, Verdict { holds: false, clause: "git.branch in ['a && b', 'c']".into() });
}

#[test]
fn without_a_status_function_success_is_demanded() {
    let failed = Flow { need_failed: true, any_failed_before: true };
    assert_eq!(decide("true", failed).unwrap(), Verdict { holds: false, clause: "success()".into() });
    assert!(decide("failure()", failed).unwrap().holds);
    assert!(decide("always()", failed).unwrap().holds);
    assert!(!decide("success()", failed).unwrap().holds);
    assert!(!decide("failure()", Flow::default()).unwrap().holds);
    assert!(asks_for_failure("git.branch == 'x' || failure()"));
    assert!(!asks_for_failure("git.branch == 'failure()'"));
    assert!(!asks_for_failure("success()"));
}

#[test]
fn an_error_never_counts_as_true() {
    for source in
        ["custom.other == 'x'", "stages.other.outputs.x == ''", "int(params.region) > 1", "params.region", "1 / 0 == 1"]
    {
        assert!(decide(source, Flow::default()).is_err(), "{source}");
    }
    let message = decide("custom.other == 'x'", Flow::default()).unwrap_err().to_string();
    assert_eq!(message, "`custom.other` was not given");
}

#[test]
fn what_is_wrong_shows_before_a_run() {
    for (source, code) in [
        ("git.nope == 'x' || true", "unknown-name"),
        ("gti.branch == 'x'", "unknown-name"),
        ("main == git.branch", "unknown-name"),
        ("git == 'x'", "bad-expression"),
        ("params[git.branch] == 'x'", "bad-expression"),
        ("params.regoin == 'x'", "unknown-name"),
        ("matrix.db == 'x'", "unknown-name"),
        ("secrets.TOKEN == 'x'", "secret-here"),
        ("approval.by == 'x'", "unknown-name"),
        ("stages.build.outcome == 'x'", "unknown-name"),
        ("stages.build-app.status == 'x'", "unknown-name"),
        ("${git.branch} == 'main'", "bad-expression"),
        ("git.branch == ", "bad-expression"),
        ("git.branch.lower() == 'x'", "unknown-function"),
        ("sucess()", "unknown-function"),
        ("changed(git.branch)", "bad-expression"),
        ("changed('a[')", "bad-glob"),
        ("git.branch.matches('(')", "bad-expression"),
        ("'main'", "not-a-condition"),
        ("git.branch", "not-a-condition"),
        ("git.dirty == 'true'", "unlike-kinds"),
        ("pr.number == '5'", "unlike-kinds"),
        ("params.region > 3", "unlike-kinds"),
        ("[1].exists(git, true)", "bad-expression"),
    ] {
        assert!(codes(source).contains(&code), "{source}: {:?}", codes(source));
    }
}

#[test]
fn hostile_expressions_are_refused_at_once() {
    let nested = |depth: usize| {
        let list = "[0,1,2,3,4,5,6,7,8,9]";
        (0..depth).fold("true".to_owned(), |inner, at| format!("{list}.all(x{at},{inner})"))
    };
    let long = ["git.message"; 60].join("+") + " == ''";
    let growing = format!("[{}].map(x, {}).size() > 0", ["0"; 200].join(","), ["git.message"; 30].join("+"));
    let patterns = format!("[{}].exists(x, git.message.matches('a*b'))", ["0"; 300].join(","));
    let cases = [
        nested(6),
        nested(7),
        "[0,1].map(a,[0,1].map(b,[0,1].map(c,[0,1].map(d,[0,1].map(e,[0,1].map(f,1)))))).size()>0".to_owned(),
        "[[0,1].map(a,1)].map(b,1).size()>0".to_owned(),
        growing,
        long,
        "1".to_owned() + &"+1".repeat(400) + " == 0",
        patterns,
        "git.branch.matches('((a{99}){99}){99}')".to_owned(),
        "(".repeat(500) + &")".repeat(500),
        "!".repeat(1000),
        "-".repeat(1000),
        "[".repeat(1000),
        "a.".repeat(500),
        "a?".repeat(500),
        "x".repeat(2000),
    ];
    let begun = std::time::Instant::now();
    for source in cases {
        assert!(!codes(&source).is_empty(), "{source}");
        assert!(decide(&source, Flow::default()).is_err(), "{source}");
    }
    // What is allowed at most still fits the stack of a worker.
    assert!(holds(&["git.branch == 'main'"; 45].join("&&")));
    assert!(holds(&["git.branch == 'x'"; 45].join("||").replacen("'x'", "'main'", 1)));
    assert!(!holds(&(["git.message"; 17].join("+") + " == ''")));
    assert!(begun.elapsed() < std::time::Duration::from_secs(5), "{:?}", begun.elapsed());
}
