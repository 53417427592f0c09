//! Cacheable stages of real processes: a hit cannot lie.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use buildit::artifact::BlobStore;
use buildit::cached::SourceIndexer;
use buildit::durable::Durable;
use buildit::engine::RunReport;
use buildit::memory::MemoryStore;
use buildit::pipeline::{
    ApprovalSpec, ArtifactSpec, CacheSpec, GitContext, ParamSpec, PipelineBuilder, PipelineSpec, RunContext, Shell,
    StageBuilder,
};
use buildit::secret::MemorySecrets;
use buildit::{Approval, Engine, RunHandle, RunStatus, StartOptions};
use buildit_executors::local::LocalBackend;
use buildit_executors::source::{ArchiveIndexer, Source};
use buildit_executors::workspace::{Packer, Times, lay_out};
use futures_util::TryStreamExt;
use tempfile::TempDir;

/// Everything that a run of this test is made of.
#[derive(Clone)]
struct Setup {
    files: BTreeMap<&'static str, &'static str>,
    executable: bool,
    spec: PipelineSpec,
    context: RunContext,
    token: &'static str,
    state: &'static str,
}

const STAGE: &str = "build[db=sqlite]";

impl Setup {
    fn new() -> Self {
        let generated = StageBuilder::run(
            "gen",
            "echo \"$SEED\" >gen.txt; echo seed=$SEED >>$BUILDIT_OUTPUT; echo no=$NOISE >>$BUILDIT_OUTPUT",
        )
        .env("SEED", "1")
        .env("NOISE", "1")
        .artifact("gen.txt");
        let command = "cat src/a gen.txt; echo ${git.branch} $A $B $C ${params.region} ${stages.gen.outputs.seed} $TOKEN >out.txt";
        let build = StageBuilder::run("build", command)
            .needs(["gen"])
            .matrix([("db", ["sqlite"])])
            .cacheable(["src/**", "!src/ignored"])
            .env("A", "1")
            .secrets(["TOKEN"])
            .cache("deps")
            .artifact("out.txt");
        let deps =
            CacheSpec { name: "deps".into(), paths: vec!["deps".into()], key: "deps-1".into(), ..CacheSpec::default() };
        let spec = PipelineBuilder::new("shop")
            .env("B", "1")
            .param_spec(ParamSpec { name: "region".into(), default: Some("eu".into()), ..ParamSpec::default() })
            .param_spec(ParamSpec { name: "other".into(), default: Some("eu".into()), ..ParamSpec::default() })
            .cache(deps)
            .stage(generated)
            .stage(build)
            .build();
        let git = GitContext { branch: "main".into(), sha: "a".repeat(40), ..GitContext::default() };
        let context = RunContext { git, ..RunContext::manual() };
        let files = [("src/a", "a\n"), ("src/deep/b", "b\n"), ("src/ignored/c", "c\n"), ("README", "r\n")];
        Self { files: files.into(), executable: false, spec, context, token: "hunter22", state: "one" }
    }

    fn file(&mut self, path: &'static str, text: &'static str) {
        self.files.insert(path, text);
    }

    fn build(&mut self) -> &mut buildit::StageSpec {
        Arc::make_mut(self.spec.stages.iter_mut().find(|stage| stage.name == *"build").unwrap())
    }

    fn gen_env(&mut self, name: &str, value: &str) {
        let stage = Arc::make_mut(self.spec.stages.iter_mut().find(|stage| stage.name == *"gen").unwrap());
        stage.env.insert(name.into(), value.into());
    }

    fn command(&mut self) -> &mut String {
        let buildit::pipeline::Action::Run(run) = &mut self.build().action else { panic!("it runs") };
        &mut run.commands[0].source
    }
}

struct World {
    states: TempDir,
    store: MemoryStore,
}

impl World {
    fn new() -> Self {
        Self { states: tempfile::tempdir().unwrap(), store: MemoryStore::new() }
    }

    async fn source(&self, setup: &Setup) -> buildit::id::Digest {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in &setup.files {
            let place = folder.path().join(path);
            std::fs::create_dir_all(place.parent().unwrap()).unwrap();
            std::fs::write(place, text).unwrap();
        }
        if setup.executable {
            use std::os::unix::fs::PermissionsExt;
            std::fs::set_permissions(folder.path().join("src/a"), PermissionsExt::from_mode(0o755)).unwrap();
        }
        let source = Source::open(folder.path(), &[]).await.unwrap();
        let blobs: Arc<dyn BlobStore> = Arc::new(self.store.clone());
        source.store(&blobs, &setup.spec.checkout).await.unwrap().0
    }

    async fn run(&self, setup: &Setup) -> (RunHandle, RunReport) {
        let store = Arc::new(self.store.clone());
        let backend = LocalBackend::new(self.states.path().join(setup.state));
        let engine = Engine::builder()
            .executor(Durable::new(backend))
            .store(store.clone())
            .blobs(store.clone())
            .caches(store.clone())
            .results(store)
            .source_indexer(ArchiveIndexer)
            .secrets(MemorySecrets::new().with("TOKEN", setup.token))
            .build()
            .unwrap();
        let options = StartOptions::new(setup.context.clone()).source(self.source(setup).await);
        let run = engine.start(&setup.spec, options).await.unwrap();
        if setup.spec.stages.iter().any(|stage| stage.approval.is_some()) {
            let asked = run.events().try_filter(|event| {
                std::future::ready(matches!(event.body, buildit::EventBody::ApprovalRequested { .. }))
            });
            std::pin::pin!(asked).try_next().await.unwrap();
            run.approve(STAGE, Approval::yes("ann")).await.unwrap();
        }
        let report = run.wait().await.unwrap();
        (run, report)
    }

    /// Whether the stage took an earlier result; it succeeded in any case.
    async fn hits(&self, setup: &Setup, stage: &str) -> bool {
        let (_, report) = self.run(setup).await;
        assert_eq!(report.status, RunStatus::Succeeded);
        report.stage(stage).unwrap().cached
    }
}

type Change = (&'static str, fn(&mut Setup));

/// What the stage is made of.
const INGREDIENTS: &[Change] = &[
    ("the content of an input", |setup| setup.file("src/a", "A\n")),
    ("the name of an input", |setup| {
        let text = setup.files.remove("src/deep/b").unwrap();
        setup.files.insert("src/deep/c", text);
    }),
    ("the permissions of an input", |setup| setup.executable = true),
    ("a new input", |setup| setup.file("src/new", "n\n")),
    ("a lost input", |setup| setup.files.retain(|path, _| *path != "src/deep/b")),
    ("the globs, so that more is seen", |setup| setup.build().inputs.push("README".into())),
    ("the command", |setup| setup.command().push_str("; true")),
    ("a comment in the command, which is echoed", |setup| setup.command().push_str(" # new")),
    ("the shell", |setup| {
        let buildit::pipeline::Action::Run(run) = &mut setup.build().action else { panic!("it runs") };
        run.shell = Shell::new("bash");
    }),
    ("the folder", |setup| setup.build().workdir = Some(".".into())),
    ("the stage's environment", |setup| drop(setup.build().env.insert("A".into(), "2".into()))),
    ("a new variable", |setup| drop(setup.build().env.insert("NEW".into(), "2".into()))),
    ("the pipeline's environment", |setup| drop(setup.spec.env.insert("B".into(), "2".into()))),
    ("what the run was given", |setup| drop(setup.context.env.insert("C".into(), "2".into()))),
    ("a variable that a command refers to", |setup| setup.context.git.branch = "dev".into()),
    ("a parameter that a command refers to", |setup| drop(setup.context.params.insert("region".into(), "us".into()))),
    ("the secret's value", |setup| setup.token = "hunter33"),
    ("what a need left, and an output of it that a command refers to", |setup| setup.gen_env("SEED", "2")),
    ("what is gathered", |setup| {
        setup.build().artifacts.push(ArtifactSpec { path: "*.log".into(), optional: true, ..ArtifactSpec::default() });
    }),
    ("the key of a cache", |setup| setup.spec.caches[0].key = "deps-2".into()),
];

/// What it is not made of.
const OTHER: &[Change] = &[
    ("nothing", |_| {}),
    ("a file that no input names", |setup| setup.file("README", "R\n")),
    ("a file that an input takes away", |setup| setup.file("src/ignored/c", "C\n")),
    ("a new file elsewhere", |setup| setup.file("docs/new", "n\n")),
    ("the globs, so that the same is seen", |setup| setup.build().inputs.push("src/deep/**".into())),
    ("the order of variables", |setup| {
        setup.build().env.insert("Z".into(), "1".into());
        setup.build().env.shift_remove("Z");
    }),
    ("a variable that no command names", |setup| setup.context.git.sha = "b".repeat(40)),
    ("the commit's message", |setup| setup.context.git.message = "another".into()),
    ("a parameter that no command names", |setup| drop(setup.context.params.insert("other".into(), "us".into()))),
    ("the event", |setup| setup.context.event = "push".into()),
    ("an output of a need that no command names", |setup| setup.gen_env("NOISE", "2")),
    ("a stage before it", |setup| {
        setup.spec.stages.insert(0, Arc::new(StageBuilder::run("first", "true").build()));
    }),
    ("a timeout", |setup| setup.build().timeout = Some(std::time::Duration::from_secs(60))),
    ("retries", |setup| {
        let retried = StageBuilder::run("x", "true").retry(2, std::time::Duration::ZERO).build();
        setup.build().retry = retried.retry;
    }),
    ("that its failure is allowed", |setup| setup.build().allow_failure = true),
    ("a condition that holds", |setup| {
        setup.build().when = StageBuilder::run("x", "true").when("git.branch == 'main'").build().when;
    }),
    ("an approval", |setup| setup.build().approval = Some(Box::new(ApprovalSpec::default()))),
    ("where jobs are kept", |setup| setup.state = "two"),
    ("the pipeline's description", |setup| setup.spec.description = Some("a shop".into())),
    ("how many stages run at once", |setup| setup.spec.max_parallel = std::num::NonZeroU32::new(1)),
];

#[tokio::test]
async fn each_ingredient_is_a_miss_and_every_other_thing_a_hit() {
    let world = World::new();
    assert!(!world.hits(&Setup::new(), STAGE).await);
    for (what, change) in OTHER {
        let mut setup = Setup::new();
        change(&mut setup);
        assert!(world.hits(&setup, STAGE).await, "{what}: it ran");
    }
    for (what, change) in INGREDIENTS {
        let mut setup = Setup::new();
        change(&mut setup);
        assert!(!world.hits(&setup, STAGE).await, "{what}: a result of something else was taken");
        assert!(world.hits(&setup, STAGE).await, "{what}: it ran twice");
    }
    // The cell of a matrix, and the name of the stage.
    let mut setup = Setup::new();
    setup.build().matrix.as_mut().unwrap().axes["db"] = vec!["postgres".into()];
    assert!(!world.hits(&setup, "build[db=postgres]").await);
    let mut setup = Setup::new();
    setup.build().name = "compile".into();
    assert!(world.hits(&setup, "compile[db=sqlite]").await);
}

#[tokio::test]
async fn a_hit_brings_what_the_first_run_left() {
    let world = World::new();
    let mut setup = Setup::new();
    let reader = StageBuilder::run("reader", "cat out.txt").needs(["build"]).build();
    setup.spec.stages.push(Arc::new(reader));
    let (first, _) = world.run(&setup).await;
    let (second, report) = world.run(&setup).await;
    assert!(report.stage(STAGE).unwrap().cached && !report.stage("reader").unwrap().cached);
    let text = async |run: &RunHandle, stage: &str| {
        let log: Vec<_> = run.logs(stage.to_owned()).try_collect().await.unwrap();
        log.iter().flat_map(|log| log.chunk.iter().map(|line| line.text)).collect::<Vec<_>>()
    };
    let log = text(&second, STAGE).await;
    assert_eq!(log, text(&first, STAGE).await);
    assert!(log.contains(&"a".to_owned()) && log[0].starts_with("cat src/a gen.txt; echo ${git.branch}"), "{log:?}");
    // The artifact holds what was masked in every log, and lies in the workspace of who needs it.
    assert_eq!(text(&second, "reader").await.last().unwrap(), "main 1 1 eu 1 ***");
}

#[tokio::test]
async fn a_cacheable_stage_sees_what_it_declares_and_nothing_else() {
    let world = World::new();
    let mut setup = Setup::new();
    setup.files.insert("src/deep/.git/config", "x");
    setup.context.env.insert("C".into(), "3".into());
    setup.context.url = "https://ci.example/1".into();
    let see = "find . -type f | sort; env | cut -d= -f1 | sort";
    for (inputs, files) in [
        (&["src/**", "!src/ignored"][..], &["./gen.txt", "./src/a", "./src/deep/b"][..]),
        (&[], &["./gen.txt"]),
        (&["**"], &["./README", "./gen.txt", "./src/a", "./src/deep/b", "./src/ignored/c"]),
    ] {
        *setup.command() = see.into();
        setup.build().inputs = inputs.iter().map(|&glob| glob.to_owned()).collect();
        setup.build().artifacts.clear();
        let (run, report) = world.run(&setup).await;
        assert_eq!(report.status, RunStatus::Succeeded);
        let log: Vec<_> = run.logs(STAGE.to_owned()).try_collect().await.unwrap();
        let lines: Vec<String> = log.iter().flat_map(|log| log.chunk.iter().map(|line| line.text)).skip(1).collect();
        assert_eq!(lines[..files.len()], *files, "{inputs:?}");
        let names: Vec<&str> = lines[files.len()..].iter().map(String::as_str).collect();
        // A shell sets these itself.
        let names: Vec<&str> =
            names.into_iter().filter(|name| !["OLDPWD", "PWD", "SHLVL", "_"].contains(name)).collect();
        let inherited = ["HOME", "PATH", "TMPDIR", "USER"];
        let names: Vec<&str> = names.into_iter().filter(|name| !inherited.contains(name)).collect();
        let own = ["A", "B", "BUILDIT_JOB_ID", "BUILDIT_MATRIX_DB", "BUILDIT_OUTPUT", "BUILDIT_SUMMARY"];
        assert_eq!(names, [&own[..], &["BUILDIT_WORKSPACE", "C", "CI", "TOKEN"]].concat());
    }
}

#[tokio::test]
async fn the_index_sees_what_a_workspace_gets() {
    // Of two entries with one path the later counts.
    let store = MemoryStore::new();
    let mut packer = Packer::new(Vec::new(), Times::Dropped);
    packer.add_bytes(Path::new("src/a"), 0o644, b"old").unwrap();
    packer.add_bytes(Path::new("src/a"), 0o755, b"new").unwrap();
    packer.add_bytes(Path::new("other/b"), 0o644, b"b").unwrap();
    let archive = packer.finish().unwrap();
    let blobs: Arc<dyn BlobStore> = Arc::new(store);
    let (source, _) = blobs.put(buildit::artifact::blob_of(archive)).await.unwrap();
    let index = ArchiveIndexer.index(&source, &blobs).await.unwrap();
    let only = vec!["src".to_owned()];
    let indexed: Vec<_> = index.select(&only).unwrap().files.iter().map(|file| file.path.clone()).collect();
    let folder = tempfile::tempdir().unwrap();
    let inputs = buildit::executor::JobInputs { source: Some(source), only: Some(only), ..Default::default() };
    lay_out(&inputs, &blobs, folder.path(), None).await.unwrap();
    let laid_out: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!((laid_out, indexed), (vec!["src".into()], vec!["src/a".into()]));
    assert_eq!(std::fs::read(folder.path().join("src/a")).unwrap(), b"new");
    let damaged = buildit::id::Digest::of(b"no archive");
    assert!(ArchiveIndexer.index(&damaged, &blobs).await.is_err());
}
