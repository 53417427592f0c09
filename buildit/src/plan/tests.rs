use std::sync::Arc;

use indexmap::IndexMap;

use super::*;
use crate::event::Approval;
use crate::id::RunId;
use crate::job::Status;
use crate::pipeline::{
    Action, ApprovalField, ApprovalSpec, Command, GitContext, ImageSpec, Matrix, ParamSpec, ReadySpec,
    RegistryCredentials, RunAction, RunContext, ServiceSpec, StageSpec, When,
};
use crate::variables::{OutputValue, ResolveError, RunInfo, Scope, StageValues};
use secrecy::{ExposeSecret, SecretString};

fn stage(name: &str, script: &str) -> StageSpec {
    let commands = vec![Command::new(script)];
    StageSpec::new(name, Action::Run(RunAction { commands, ..RunAction::default() }))
}

fn needs(mut stage: StageSpec, needs: &[&str]) -> StageSpec {
    stage.needs = needs.iter().map(|need| (*need).into()).collect();
    stage
}

fn pipeline(stages: Vec<StageSpec>) -> PipelineSpec {
    let region = ParamSpec { name: "region".into(), default: Some("eu".into()), ..ParamSpec::default() };
    PipelineSpec {
        name: "shop".into(),
        params: vec![region],
        stages: stages.into_iter().map(Arc::new).collect(),
        ..PipelineSpec::default()
    }
}

fn plan(stages: Vec<StageSpec>) -> Plan {
    Plan::compile(&pipeline(stages), ExpandLimits::default()).unwrap_or_else(|found| panic!("{found}"))
}

/// Code, part and help of each finding.
fn findings(spec: &PipelineSpec) -> Vec<(&'static str, String, String)> {
    let found = match Plan::compile(spec, ExpandLimits::default()) {
        Ok(plan) => plan.warnings().to_vec(),
        Err(found) => found.0,
    };
    let part = |finding: &Diagnostic| finding.part.as_ref().map(|part| part.path.to_string()).unwrap_or_default();
    found.iter().map(|finding| (finding.code, part(finding), finding.help.clone().unwrap_or_default())).collect()
}

fn codes(stages: Vec<StageSpec>) -> Vec<&'static str> {
    findings(&pipeline(stages)).into_iter().map(|(code, ..)| code).collect()
}

fn matrix(stage: StageSpec) -> StageSpec {
    let axes = IndexMap::from([("db".to_owned(), vec!["a".to_owned(), "b".to_owned()])]);
    StageSpec { matrix: Some(Box::new(Matrix { axes, exclude: Vec::new() })), ..stage }
}

#[derive(Debug)]
struct Build;

impl StageValues for Build {
    fn status(&self, _: &str) -> Option<Status> {
        Some(Status::Succeeded)
    }

    fn output(&self, stage: &str, key: &str) -> OutputValue<'_> {
        match (stage, key) {
            ("build", "version") => OutputValue::Value("1.2 ${secrets.B}"),
            ("skipped", _) => OutputValue::NotRun { reason: "was skipped" },
            _ => OutputValue::Unset,
        }
    }

    fn need_outputs(&self, _: u32, each: &mut dyn FnMut(&str, &str, &str)) {
        each("build", "version", "1.2 ${secrets.B}");
    }
}

fn resolved(plan: &Plan, name: &str, context: &RunContext) -> Result<ResolvedStage, ResolveError> {
    let index = plan.graph().index(name).unwrap();
    let nothing = IndexMap::new();
    let approval = Approval::yes("ann").with_field("note", "it's; fine");
    let scope = Scope {
        context,
        plan: plan.spec(),
        run: RunInfo { id: RunId::new(), number: 1 },
        stage: None,
        index: u32::try_from(index.index()).unwrap(),
        attempt: 1,
        stages: &Build,
        approval: Some(&approval),
        environment: &nothing,
    };
    resolve_stage(&plan.spec().stages[index.index()], &scope)
}

#[test]
fn a_refused_reference_names_the_variable_to_read() {
    for (script, code, name) in [
        ("sh -c 'echo ${git.branch}'", "reference-in-single-quotes", "\"$BUILDIT_GIT_BRANCH\""),
        ("eval echo ${params.region}", "reference-in-code", "\"$BUILDIT_PARAMS_REGION\""),
        ("echo $((${matrix.db}))", "reference-in-arithmetic", "\"$BUILDIT_MATRIX_DB\""),
        ("echo '${secrets.TOKEN}'", "reference-in-single-quotes", "secrets \"TOKEN\""),
        ("echo '${env.HOME_DIR}'", "reference-in-single-quotes", "\"$HOME_DIR\""),
    ] {
        let mut stage = matrix(stage("a", script));
        stage.env.insert("HOME_DIR".into(), "/x".into());
        let found = findings(&pipeline(vec![stage]));
        assert_eq!(found.len(), 1, "{script}: {found:?}");
        let (found_code, part, help) = &found[0];
        assert_eq!((*found_code, part.as_str()), (code, "run[0]"), "{script}");
        assert!(help.contains(name), "{script}: {help}");
    }
}

#[test]
fn all_findings_are_told_at_once() {
    let mut a = needs(stage("a", "echo ${git.shaa} '${git.sha}' ${params.regoin} ${matrix.db}"), &["b"]);
    a.image = Some(Box::new(ImageSpec::new("x:${secrets.TAG}")));
    a.env.insert("X".into(), "${env.Y}".into());
    a.env.insert("BUILDIT_GIT_SHA".into(), "1".into());
    a.env.insert("PS4".into(), "${git.branch}".into());
    a.when = Some(Box::new(When::Properties(crate::pipeline::WhenProperties {
        branch: vec!["${git.branch}".into()],
        ..Default::default()
    })));
    let mut found = codes(vec![a]);
    found.sort_unstable();
    let mut wanted = [
        "bad-reference",
        "reference-in-single-quotes",
        "unknown-name",
        "unknown-name",
        "secret-here",
        "unknown-name",
        "reserved-env",
        "reference-in-code",
        "reference-not-here",
        "unknown-need",
    ];
    wanted.sort_unstable();
    assert_eq!(found, wanted);
}

#[test]
fn results_of_stages_must_come_before() {
    let read = "echo ${stages.build.outputs.x}";
    assert_eq!(codes(vec![stage("build", ":"), stage("a", read)]), ["not-a-need"]);
    assert_eq!(codes(vec![stage("a", read)]), ["unknown-stage"]);
    assert_eq!(codes(vec![matrix(stage("build", ":")), needs(stage("a", read), &["build"])]), ["matrix-result"]);
    let cell = "echo ${stages[\"build[db=a]\"].outputs.x}";
    assert!(codes(vec![matrix(stage("build", ":")), needs(stage("a", cell), &["build"])]).is_empty());
    let direct = vec![stage("build", ":"), needs(stage("a", read), &["build"])];
    assert!(codes(direct).is_empty());
    let through = vec![stage("build", ":"), needs(stage("b", ":"), &["build"]), needs(stage("a", read), &["b"])];
    assert!(codes(through).is_empty());
    let own = stage("build", read);
    assert_eq!(codes(vec![own]), ["not-a-need"]);
}

#[cfg(feature = "condition")]
#[test]
fn conditions_are_checked() {
    let mut a = stage("a", ":");
    a.when = Some(Box::new(When::Expression("stages.build.status == 'failed' && custom.tier == 'x'".into())));
    assert_eq!(codes(vec![stage("build", ":"), a.clone()]), ["not-a-need"]);
    let plan = plan(vec![stage("build", ":"), needs(a, &["build"])]);
    let missing = plan.check_context(&RunContext::manual());
    assert_eq!(missing.iter().map(|finding| finding.code).collect::<Vec<_>>(), ["missing-custom"]);
}

#[test]
fn a_stage_without_references_is_given_back_as_it_is() {
    let plan = plan(vec![stage("a", "echo $HOME ${x:-y}")]);
    let resolved = resolved(&plan, "a", &RunContext::manual()).unwrap();
    assert!(Arc::ptr_eq(&resolved.stage, &plan.spec().stages[0]));
    assert!(resolved.secrets.is_empty());
    assert_eq!(plan.spec().stages[0].run().unwrap().commands[0].script, None);
}

#[test]
fn values_are_put_in_once() {
    let mut ship = needs(stage("ship", "./ship ${stages.build.outputs.version} ${approval.note} ${env.A}"), &["build"]);
    ship.env.insert("A".into(), "v${stages.build.outputs.version}".into());
    ship.env.insert("B".into(), "${env.A}-$${git.sha}-${git.branch}".into());
    let fields = vec![ApprovalField { name: "note".into(), ..ApprovalField::default() }];
    ship.approval = Some(Box::new(ApprovalSpec { fields, ..ApprovalSpec::default() }));
    let plan = plan(vec![stage("build", ":"), ship]);
    let git = GitContext { branch: "${git.sha}".into(), sha: "abc".into(), ..GitContext::default() };
    let context = RunContext { git, ..RunContext::manual() };
    let job = resolved(&plan, "ship", &context).unwrap();
    assert_eq!(job.stage.env["A"], "v1.2 ${secrets.B}");
    assert_eq!(job.stage.env["B"], "v1.2 ${secrets.B}-${git.sha}-${git.sha}");
    assert_eq!(job.variables["BUILDIT_STAGES_BUILD_OUTPUTS_VERSION"], "1.2 ${secrets.B}");
    assert_eq!(job.variables["BUILDIT_APPROVAL_NOTE"], "it's; fine");
    assert_eq!(job.variables["BUILDIT_APPROVAL_BY"], "ann");
    assert_eq!(job.variables["BUILDIT_ENV_A"], "v1.2 ${secrets.B}");
    assert!(job.secrets.is_empty());
    let script = job.stage.run().unwrap().commands[0].script();
    assert_eq!(
        script,
        "./ship \"${BUILDIT_STAGES_BUILD_OUTPUTS_VERSION}\" \"${BUILDIT_APPROVAL_NOTE}\" \"${BUILDIT_ENV_A}\""
    );
}

#[test]
fn secrets_stay_names_until_they_are_filled() {
    let mut a = stage("a", "curl -H ${env.AUTH} ${secrets.KEY}");
    a.env.insert("AUTH".into(), "Bearer ${secrets.TOKEN}".into());
    a.env.insert("OVER".into(), "plain".into());
    a.image = Some(Box::new(ImageSpec {
        credentials: Some(RegistryCredentials { username: "bot".into(), password: "${secrets.PASS}".into() }),
        ..ImageSpec::new("r.example/x:${params.region}")
    }));
    a.services.push(ServiceSpec {
        name: "db".into(),
        image: ImageSpec::new("db"),
        env: IndexMap::from([("PW".to_owned(), "${secrets.PASS}".to_owned())]),
        ..ServiceSpec::default()
    });
    let mut spec = pipeline(vec![a]);
    spec.env.insert("GLOBAL".into(), "${secrets.G}".into());
    spec.env.insert("OVER".into(), "${secrets.G}".into());
    let plan = Plan::compile(&spec, ExpandLimits::default()).unwrap();
    assert_eq!(plan.spec().stages[0].secrets, ["KEY"], "a secret in a script is listed by it");
    let job = resolved(&plan, "a", &RunContext::manual()).unwrap();
    assert_eq!(job.stage.env["AUTH"], "Bearer ${secrets.TOKEN}");
    assert_eq!(job.stage.env["OVER"], "plain");
    assert_eq!(job.secrets.env.keys().collect::<Vec<_>>(), ["GLOBAL", "KEY", "AUTH", "BUILDIT_ENV_AUTH"]);
    assert_eq!(job.secrets.services["db"]["PW"].to_string(), "${secrets.PASS}");
    let value = SecretString::from("s3cr3t");
    let (user, password) = &job.secrets.registries["r.example/x:eu"];
    assert_eq!(user.plain(), Some("bot"));
    assert_eq!(password.fill(|_| Some(&value)).unwrap().expose_secret(), "s3cr3t");
    assert!(!format!("{job:?}").contains("s3cr3t"));

    let context = RunContext { env: IndexMap::from([("AUTH".to_owned(), "given".to_owned())]), ..RunContext::manual() };
    let job = resolved(&plan, "a", &context).unwrap();
    assert!(!job.secrets.env.contains_key("AUTH"), "what the run was given wins");
    assert_eq!(job.variables["BUILDIT_ENV_AUTH"], "given");
}

#[test]
fn what_has_no_value_fails_with_the_reason() {
    let read = |script: &str| {
        let plan =
            plan(vec![stage("build", ":"), stage("skipped", ":"), needs(stage("a", script), &["build", "skipped"])]);
        let job = resolved(&plan, "a", &RunContext::manual())?;
        let name = plan.spec().stages[2].run().unwrap().commands[0].reads[0].0.clone();
        Ok::<String, ResolveError>(job.variables[&name].clone())
    };
    assert_eq!(read("echo ${git.tag}").unwrap(), "");
    assert_eq!(read("echo ${git.tag:-none}").unwrap(), "none");
    assert_eq!(read("echo ${stages.skipped.outputs.x:-${params.region}}").unwrap(), "eu");
    let error = |script: &str| read(script).unwrap_err().to_string();
    assert_eq!(error("echo ${stages.build.outputs.x}"), "stage `build` did not set the output `x`");
    assert_eq!(error("echo ${stages.skipped.outputs.x}"), "stage `skipped` was skipped, so it has no output `x`");
}

#[test]
fn names_that_would_collide_are_errors() {
    let mut spec = pipeline(vec![stage("a", ":")]);
    for name in ["my-flag", "my_flag"] {
        spec.params.push(ParamSpec { name: name.into(), ..ParamSpec::default() });
    }
    assert_eq!(findings(&spec)[0].0, "name-collision");
    let twice = "echo ${stages.build.outputs.a-b} ${stages.build.outputs.a_b}";
    assert_eq!(codes(vec![stage("build", ":"), needs(stage("a", twice), &["build"])]), ["name-collision"]);
    let mut both = stage("a", ":");
    both.secrets.push("X".into());
    both.env.insert("X".into(), "1".into());
    assert_eq!(codes(vec![both]), ["name-collision"]);
}

#[test]
fn places_without_values_refuse_references() {
    let mut a = stage("a", ":");
    a.executor = Some("${params.region}".into());
    a.runs_on.push("${params.region}".into());
    a.entrypoint = vec!["sh".into(), "-c".into(), "echo ${git.branch}".into()];
    a.services.push(ServiceSpec {
        name: "db".into(),
        image: ImageSpec::new("db"),
        ready: Some(ReadySpec { command: "ping ${git.branch}".into(), timeout: ReadySpec::DEFAULT_TIMEOUT }),
        ..ServiceSpec::default()
    });
    let mut found = codes(vec![a]);
    found.sort_unstable();
    assert_eq!(found, ["reference-in-code", "reference-in-ready", "reference-not-here", "reference-not-here"]);
}

#[test]
fn a_value_that_no_environment_can_hold_is_refused() {
    let plan = plan(vec![stage("a", ":")]);
    let long = "x".repeat(70_000);
    let mut context = RunContext::manual();
    context.git.message = format!("{long}\0");
    assert!(plan.check_context(&context).is_empty(), "a message is cut");
    context.git.author = long;
    assert_eq!(plan.check_context(&context)[0].code, "bad-value");
    context.git.author.clear();
    context.env.insert("BUILDIT_GIT_SHA".into(), "x".into());
    assert_eq!(plan.check_context(&context)[0].code, "reserved-env");
}

#[test]
fn a_plan_comes_back_from_a_store() {
    let compiled = plan(vec![stage("a", "echo ${git.branch}")]);
    let json = serde_json::to_string(compiled.spec()).unwrap();
    let restored = Plan::restore(Arc::new(serde_json::from_str(&json).unwrap())).unwrap();
    assert_eq!(restored.spec(), compiled.spec());
    assert_eq!(restored.graph().len(), 1);
}

/// Each text of a value, one after another, replaced by this one.
fn each_text(value: &serde_json::Value, by: &str) -> Vec<serde_json::Value> {
    use serde_json::Value;
    let wrapped =
        |inner: &Value, wrap: &dyn Fn(Value) -> Value| each_text(inner, by).into_iter().map(wrap).collect::<Vec<_>>();
    match value {
        Value::String(_) => vec![by.into()],
        Value::Array(items) => (0..items.len())
            .flat_map(|at| {
                wrapped(&items[at], &|new| {
                    let mut items = items.clone();
                    items[at] = new;
                    Value::Array(items)
                })
            })
            .collect(),
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(name, inner)| {
                wrapped(inner, &|new| {
                    let mut fields = fields.clone();
                    fields.insert(name.clone(), new);
                    Value::Object(fields)
                })
            })
            .collect(),
        _ => Vec::new(),
    }
}

/// A stage that is driven without a look at its texts must have none that is to be looked at: a reference is put into
/// every text of every stage of the pipeline that uses every node.
#[cfg(feature = "kdl")]
#[test]
fn a_plain_stage_is_its_own_job_whatever_text_refers_to_something() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let path = root.join("examples/pipelines/everything.kdl");
    let pipeline = crate::config::load(path, root, &crate::config::Options::default()).unwrap();
    let (mut tried, mut plain) = (0, 0);
    for stage in &pipeline.spec().stages {
        let mut stage = StageSpec::clone(stage);
        stage.needs.clear();
        stage.matrix = None;
        stage.approval = None;
        // Never plain: what it sees is its own.
        stage.cacheable = false;
        stage.origins = Default::default();
        let json = serde_json::to_value(&stage).unwrap();
        for changed in std::iter::once(json.clone()).chain(each_text(&json, "${git.sha}")) {
            // A word of a closed list cannot be another one.
            let Ok(stage) = serde_json::from_value::<StageSpec>(changed) else { continue };
            let spec = PipelineSpec { name: "p".into(), stages: vec![Arc::new(stage)], ..PipelineSpec::default() };
            let plan = Plan::restore(Arc::new(spec)).unwrap();
            tried += 1;
            if !plan.flags()[0].has(StageFlags::PLAIN) {
                continue;
            }
            plain += 1;
            let (context, nothing) = (RunContext::manual(), IndexMap::new());
            let scope = Scope {
                context: &context,
                plan: plan.spec(),
                run: RunInfo { id: RunId::new(), number: 1 },
                stage: None,
                index: 0,
                attempt: 1,
                stages: &crate::variables::NoStages,
                approval: None,
                environment: &nothing,
            };
            let stage = &plan.spec().stages[0];
            let resolved = resolve_stage(stage, &scope).unwrap();
            assert!(Arc::ptr_eq(&resolved.stage, stage), "{stage:?}");
            assert!(resolved.variables.is_empty() && resolved.secrets.is_empty(), "{stage:?}");
        }
    }
    assert!(plain > 10 && tried > 2 * plain, "{plain} of {tried} were plain");
}
