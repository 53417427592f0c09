//! [`ingredients`]: what a job is made of.

use std::collections::BTreeSet;
use std::sync::Arc;

use secrecy::ExposeSecret;

use super::{Ingredients, Salt, Selected};
use crate::event::IngredientKind as Kind;
use crate::executor::{JobInputs, JobSecrets};
use crate::id::ExecutorName;
use crate::job::JobSpec;
use crate::pipeline::{ArtifactWhen, ImageSpec, ServiceSpec, StageSpec};

/// A job of a cacheable stage, as its executor gets it.
#[derive(Clone, Copy, Debug)]
pub struct JobParts<'a> {
    /// The job, with its references resolved.
    pub job: &'a JobSpec,
    /// The executor that it goes to.
    pub executor: &'a ExecutorName,
    /// What is laid out for it.
    pub inputs: &'a JobInputs,
    /// The secrets that it gets.
    pub secrets: &'a JobSecrets,
    /// The files of the source that it sees.
    pub files: &'a Arc<Selected>,
}

/// What the result of this job is made of; the [module's documentation](super) says what is in it and why.
#[must_use]
pub fn ingredients(parts: JobParts<'_>, salt: &Salt) -> Ingredients {
    let JobParts { job, executor, inputs, secrets, files } = parts;
    let stage = &*job.stage;
    let mut all = Ingredients::new(salt, Arc::clone(files));
    if let Some(image) = &stage.image {
        all.add(Kind::Image, &image.reference, image_pieces(image));
    }
    if !stage.entrypoint.is_empty() {
        all.add(Kind::Image, "entrypoint", stage.entrypoint.iter().map(String::as_bytes));
    }
    all.add(Kind::Setting, "executor", [executor.as_bytes()]);
    all.add(Kind::Setting, "privileged", [&[u8::from(stage.privileged)][..]]);
    all.add(Kind::Setting, "runs-on", stage.runs_on.iter().map(String::as_bytes));
    all.add(Kind::Setting, "workdir", [stage.workdir.as_deref().unwrap_or_default().as_bytes()]);
    commands(stage, &mut all);
    for (name, value) in &job.environment() {
        // What is secret of it stands there as `${secrets.NAME}`; the value comes below.
        all.add(Kind::Variable, name, [value.as_bytes()]);
    }
    for (name, value) in &secrets.env {
        all.add(Kind::Secret, name, [value.expose_secret().as_bytes()]);
    }
    for service in &stage.services {
        all.add(Kind::Service, &service.name, service_pieces(service).iter().map(Vec::as_slice));
        for (name, value) in secrets.services.get(&service.name).into_iter().flatten() {
            all.add(Kind::Secret, format!("{}.{name}", service.name), [value.expose_secret().as_bytes()]);
        }
    }
    for cache in &inputs.caches {
        let paths = cache.paths.iter().map(String::as_bytes);
        all.add(Kind::Cache, &cache.name, paths.chain([cache.key.as_bytes()]));
    }
    for artifact in &stage.artifacts {
        let name = artifact.name.as_deref().unwrap_or_default();
        let when = match artifact.on {
            ArtifactWhen::Success => 0,
            ArtifactWhen::Failure => 1,
            ArtifactWhen::Always => 2,
        };
        let flags = [u8::from(artifact.optional), when];
        all.add(Kind::Artifact, &artifact.path, [artifact.path.as_bytes(), name.as_bytes(), &flags]);
    }
    for glob in stage.reports.iter().flat_map(|reports| &reports.junit) {
        all.add(Kind::Artifact, format!("reports {glob}"), [glob.as_bytes()]);
    }
    // Whose they are cannot be seen, and no two bring the same path: what lies in the workspace is the sum of them.
    let archives: BTreeSet<_> = inputs.artifacts.iter().map(|artifact| (artifact.archive, &artifact.name)).collect();
    for (archive, name) in archives {
        all.add(Kind::Need, name, [&archive.as_bytes()[..]]);
    }
    all
}

fn commands(stage: &StageSpec, all: &mut Ingredients) {
    let Some(run) = stage.run() else { return };
    all.add(Kind::Setting, "shell", [run.shell.program().as_bytes()]);
    for (number, command) in (1..).zip(&run.commands) {
        let number: u32 = number;
        all.add(Kind::Command, number.to_string(), [command.source.as_bytes(), command.script().as_bytes()]);
    }
}

fn image_pieces(image: &ImageSpec) -> [&[u8]; 3] {
    [
        image.reference.as_bytes(),
        image.user.as_deref().unwrap_or_default().as_bytes(),
        image.platform.as_deref().unwrap_or_default().as_bytes(),
    ]
}

fn service_pieces(service: &ServiceSpec) -> Vec<Vec<u8>> {
    let ServiceSpec { name, image, command, env, ready, resources } = service;
    let mut pieces: Vec<Vec<u8>> = vec![name.clone().into()];
    pieces.extend(image_pieces(image).map(<[u8]>::to_vec));
    let number = |number: u64| number.to_le_bytes().to_vec();
    // Counted, so that no word of one list passes for one of the next.
    pieces.push(number(command.len() as u64));
    pieces.extend(command.iter().map(|word| word.clone().into()));
    pieces.push(number(env.len() as u64));
    pieces.extend(env.iter().flat_map(|(name, value)| [name.clone().into(), value.clone().into()]));
    pieces.extend(ready.iter().map(|ready| ready.command.clone().into()));
    pieces.push(number(u64::from(resources.cpu_millis.unwrap_or_default())));
    pieces.push(number(resources.memory_bytes.unwrap_or_default()));
    pieces
}

/// Whether a command of this stage names this environment variable: by a reference, or as a word of its own, as in
/// `sh -c 'echo "$BUILDIT_GIT_BRANCH"'`.
#[must_use]
pub fn names_variable(stage: &StageSpec, variable: &str) -> bool {
    let commands = stage.run().map(|run| run.commands.as_slice()).unwrap_or_default();
    commands
        .iter()
        .any(|command| command.reads.iter().any(|(name, _)| name == variable) || holds_word(command.script(), variable))
}

fn holds_word(text: &str, word: &str) -> bool {
    let is_inner = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    let bytes = text.as_bytes();
    text.match_indices(word).any(|(at, _)| {
        let before = at.checked_sub(1).and_then(|at| bytes.get(at));
        !is_inner(before) && !is_inner(bytes.get(at + word.len()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::executor::ArtifactInput;
    use crate::id::{Digest, JobId, RunId};
    use crate::job::Environment;
    use crate::pipeline::{
        Action, ArtifactSpec, Command, Origin, PullPolicy, RegistryCredentials, ReportsSpec, RunAction,
    };

    type Change = (&'static str, fn(&mut Parts));

    struct Parts {
        stage: StageSpec,
        executor: &'static str,
        inputs: JobInputs,
        secrets: JobSecrets,
    }

    fn key(change: fn(&mut Parts)) -> Digest {
        let run = RunAction { commands: vec![Command::new("make")], ..RunAction::default() };
        let mut stage = StageSpec::new("build", Action::Run(run));
        stage.cacheable = true;
        stage.image = Some(Box::new(ImageSpec::new("rust:1.90")));
        stage.services = vec![ServiceSpec { name: "db".into(), image: ImageSpec::new("pg"), ..Default::default() }];
        let mut parts =
            Parts { stage, executor: "docker", inputs: JobInputs::default(), secrets: JobSecrets::default() };
        change(&mut parts);
        let Parts { stage, executor, inputs, secrets } = parts;
        let id = JobId { run: RunId::new(), stage: stage.name.clone(), attempt: 1 };
        let (stage, run_env, variables) = (Arc::new(stage), Arc::default(), Environment::new());
        let job = JobSpec { id, stage, index: 0, run_env, variables };
        let parts = JobParts {
            job: &job,
            executor: &executor.into(),
            inputs: &inputs,
            secrets: &secrets,
            files: &Arc::default(),
        };
        ingredients(parts, &[7; 32].into()).key()
    }

    fn image(parts: &mut Parts) -> &mut ImageSpec {
        parts.stage.image.as_mut().unwrap()
    }

    fn archive(stage: &str, content: &str) -> ArtifactInput {
        let archive = Digest::of(content.as_bytes());
        ArtifactInput { stage: stage.into(), name: "bin".into(), archive, paths: vec![content.into()] }
    }

    #[test]
    fn each_part_of_a_job_has_a_key_of_its_own() {
        let ingredients: &[Change] = &[
            ("nothing", |_| {}),
            ("image", |parts| image(parts).reference.push('1')),
            ("digest", |parts| image(parts).reference.push_str("@sha256:00")),
            ("user", |parts| image(parts).user = Some("1000".into())),
            ("platform", |parts| image(parts).platform = Some("1000".into())),
            ("no image", |parts| parts.stage.image = None),
            ("executor", |parts| parts.executor = "kubernetes"),
            ("entry point", |parts| parts.stage.entrypoint = vec!["sh".into()]),
            ("entry point of two words", |parts| parts.stage.entrypoint = vec!["s".into(), "h".into()]),
            ("privileged", |parts| parts.stage.privileged = true),
            ("label", |parts| parts.stage.runs_on = vec!["gpu".into()]),
            ("service", |parts| parts.stage.services.clear()),
            ("service's image", |parts| parts.stage.services[0].image.reference.push('1')),
            ("service's name", |parts| parts.stage.services[0].name.push('1')),
            ("service's command", |parts| parts.stage.services[0].command = vec!["a".into(), "b".into()]),
            ("service's variable", |parts| drop(parts.stage.services[0].env.insert("a".into(), "b".into()))),
            ("service's memory", |parts| parts.stage.services[0].resources.memory_bytes = Some(1)),
            ("service's processor", |parts| parts.stage.services[0].resources.cpu_millis = Some(1)),
            ("service's secret", |parts| {
                let secret = [("A".to_owned(), "x".into())].into_iter().collect();
                parts.secrets.services.insert("db".into(), secret);
            }),
            ("secret", |parts| drop(parts.secrets.env.insert("A".into(), "x".into()))),
            ("variable of the same name and value", |parts| drop(parts.stage.env.insert("A".into(), "x".into()))),
            ("reports", |parts| parts.stage.reports = Some(ReportsSpec { junit: vec!["a".into()] })),
            ("artifact", |parts| parts.stage.artifacts = vec![artifact("a", false)]),
            ("optional artifact", |parts| parts.stage.artifacts = vec![artifact("a", true)]),
            ("what a need left", |parts| parts.inputs.artifacts = vec![archive("a", "x")]),
            ("other that a need left", |parts| parts.inputs.artifacts = vec![archive("a", "y")]),
        ];
        let mut keys: Vec<_> = ingredients.iter().map(|(what, change)| (key(*change), what)).collect();
        keys.sort();
        let same = keys.windows(2).find(|pair| pair[0].0 == pair[1].0);
        assert_eq!(same, None);
    }

    #[test]
    fn other_things_leave_the_key_as_it_is() {
        let others: &[Change] = &[
            ("the stage's name", |parts| parts.stage.name = "compile".into()),
            ("needs", |parts| parts.stage.needs = vec!["fmt".into()]),
            ("how the image is fetched", |parts| image(parts).pull = PullPolicy::Always),
            ("credentials", |parts| image(parts).credentials = Some(RegistryCredentials::default())),
            ("resources", |parts| parts.stage.resources.memory_bytes = Some(1)),
            ("origins", |parts| parts.stage.origins.insert("image", Origin::default())),
        ];
        for (what, change) in others {
            assert_eq!(key(*change), key(|_| {}), "{what}");
        }
        // Whose an artifact is, and the order of needs.
        let one: fn(&mut Parts) = |parts| parts.inputs.artifacts = vec![archive("a", "x"), archive("b", "y")];
        let other: fn(&mut Parts) = |parts| parts.inputs.artifacts = vec![archive("c", "y"), archive("d", "x")];
        assert_eq!(key(one), key(other));
    }

    fn artifact(path: &str, optional: bool) -> ArtifactSpec {
        ArtifactSpec { path: path.into(), optional, ..ArtifactSpec::default() }
    }

    #[test]
    fn a_variable_is_named_as_a_whole_word() {
        for (text, named) in [
            ("echo $BUILDIT_RUN_ID", true),
            ("sh -c 'echo \"${BUILDIT_RUN_ID}\"'", true),
            ("printenv BUILDIT_RUN_ID", true),
            ("echo $BUILDIT_RUN_IDS", false),
            ("echo $MY_BUILDIT_RUN_ID", false),
            ("echo", false),
        ] {
            assert_eq!(holds_word(text, "BUILDIT_RUN_ID"), named, "{text}");
        }
    }
}
