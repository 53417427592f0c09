//! What goes into a workspace and what comes out of it.

use std::path::Path;

use buildit::executor::{ArtifactInput, CacheInput, JobInputs};
use buildit::job::{Cause, JobOutcome, Stream};
use buildit::pipeline::{ArtifactSpec, ArtifactWhen, ReportsSpec};
use buildit_executors::local::LocalBackend;
use buildit_executors::workspace::{Packer, Times};
use rstest::rstest;

use crate::World;
use crate::host::{context, job, job_with};

fn archive(files: &[(&str, &str)]) -> Vec<u8> {
    let mut packer = Packer::new(Vec::new(), Times::Dropped);
    for (path, text) in files {
        packer.add_bytes(Path::new(path), 0o644, text.as_bytes()).unwrap();
    }
    packer.finish().unwrap()
}

fn artifact(path: &str) -> ArtifactSpec {
    ArtifactSpec { path: path.into(), ..ArtifactSpec::default() }
}

#[tokio::test]
async fn inputs_are_laid_out_and_products_gathered() {
    let world = World::new();
    let inputs = JobInputs {
        source: Some(world.blobs.add(archive(&[("src/a", "source\n")]))),
        artifacts: vec![ArtifactInput {
            stage: "build".into(),
            name: "bin".into(),
            archive: world.blobs.add(archive(&[("dist/b", "artifact\n")])),
            paths: vec!["dist/b".into()],
        }],
        caches: vec![CacheInput {
            name: "deps".into(),
            paths: vec!["deps".into()],
            key: "k".into(),
            archive: Some(world.blobs.add(archive(&[("workspace/deps/c", "cache\n")]))),
            exact: false,
        }],
        ..JobInputs::default()
    };
    let job = job_with(
        &[
            "cat src/a dist/b deps/c; mkdir out; echo x >out/x; ln -s x out/y; echo d >deps/d; echo '<a>hunter2</a>' >r.xml",
            "echo version=1.10 >>$BUILDIT_OUTPUT; echo '# hunter2' >>$BUILDIT_SUMMARY",
        ],
        |stage| {
            stage.artifacts = vec![artifact("out"), ArtifactSpec { optional: true, ..artifact("*.log") }];
            stage.reports = Some(ReportsSpec { junit: vec!["**/*.xml".into()] });
        },
    );
    let ctx = context(&world.host, &world.blobs).inputs(inputs).build();
    let outcome = buildit::executor::Executor::run(&world.executor, &job, ctx).await.unwrap();
    assert_eq!(outcome.cause, None, "{outcome:?}");
    assert_eq!(world.host.text(Stream::Stdout), "source\nartifact\ncache\n");
    let products = outcome.products.unwrap();
    assert_eq!(products.outputs["version"], "1.10");
    assert_eq!(products.summary.as_deref(), Some("# ***\n"));
    assert_eq!(products.artifacts[0].paths, ["out/x", "out/y"]);
    let reports = products.reports.unwrap();
    assert_eq!(reports.paths, ["r.xml"]);
    let (archive, mut report) = (world.blobs.get(&reports.digest), String::new());
    let mut archive = tar::Archive::new(&archive[..]);
    let mut files =
        archive.entries().unwrap().map(Result::unwrap).filter(|entry| entry.header().entry_type().is_file());
    std::io::Read::read_to_string(&mut files.next().unwrap(), &mut report).unwrap();
    assert_eq!(report, "<a>***</a>\n", "what tests print is masked");
    let cache = world.blobs.get(&products.caches[0].digest);
    let paths: Vec<String> = tar::Archive::new(&cache[..])
        .entries()
        .unwrap()
        .map(|entry| entry.unwrap().path().unwrap().to_string_lossy().into_owned())
        .collect();
    assert_eq!(paths, ["workspace/deps", "workspace/deps/c", "workspace/deps/d"]);
    world.leaves_nothing(&job).await;
}

#[rstest]
#[case::missing("true", "out", "no file matches the artifact `out`")]
#[case::link_out(
    "ln -s /etc/passwd out",
    "out",
    "artifact `out`: the archive holds the link `out` to `/etc/passwd`, which leads out of the tree"
)]
#[case::below_a_link_out(
    "ln -s /etc etc",
    "etc/*",
    "artifact `etc/*`: the archive holds the link `etc` to `/etc`, which leads out of the tree"
)]
#[case::through_a_link(
    "ln -s /etc etc",
    "etc/passwd",
    "artifact `etc/passwd`: `etc/passwd` of the archive lies behind something that is no folder"
)]
#[case::sparse("truncate -s 2T hole", "hole", "artifact `hole`: the archive holds more than 1099511627776 bytes")]
#[case::bad_output(
    "echo nonsense >>$BUILDIT_OUTPUT; touch out",
    "out",
    "line 1 of the output file is neither `key=value` nor `key<<END`"
)]
#[case::secret_output("echo a=hunter2 >>$BUILDIT_OUTPUT; touch out", "out", "the output `a` holds a secret")]
#[tokio::test]
async fn bad_products_fail_the_job(#[case] command: &str, #[case] path: &str, #[case] message: &str) {
    let world = World::new();
    let job = job_with(&[command], |stage| stage.artifacts = vec![artifact(path)]);
    let outcome = world.run(&job).await;
    assert_eq!((outcome.cause, outcome.message.as_deref()), (Some(Cause::Output), Some(message)));
    world.leaves_nothing(&job).await;
}

/// What a cache names is no link: what that leads to is not kept, and the next job is not refused for it.
#[tokio::test]
async fn a_cached_folder_that_is_a_link_is_not_kept() {
    let world = World::new();
    let inputs = JobInputs {
        caches: vec![CacheInput {
            name: "deps".into(),
            paths: vec!["deps".into(), "more".into()],
            key: "k".into(),
            archive: None,
            exact: false,
        }],
        ..JobInputs::default()
    };
    let job = job(&["ln -s /etc deps; mkdir more; echo x >more/x"]);
    let ctx = context(&world.host, &world.blobs).inputs(inputs).build();
    let outcome = buildit::executor::Executor::run(&world.executor, &job, ctx).await.unwrap();
    let cache = world.blobs.get(&outcome.products.unwrap().caches[0].digest);
    let mut archive = tar::Archive::new(&cache[..]);
    let paths = archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().into_owned());
    assert_eq!(paths.collect::<Vec<_>>(), [Path::new("workspace/more"), Path::new("workspace/more/x")]);
    world.leaves_nothing(&job).await;
}

#[tokio::test]
async fn a_failed_job_keeps_its_exit_code_and_what_is_kept_after_a_failure() {
    let world = World::new();
    let job = job_with(&["echo x >a.log; echo y >b; exit 9"], |stage| {
        stage.artifacts = vec![
            ArtifactSpec { on: ArtifactWhen::Always, name: Some("log".into()), ..artifact("*.log") },
            ArtifactSpec { on: ArtifactWhen::Failure, ..artifact("none") },
            artifact("b"),
        ];
    });
    let outcome = world.run(&job).await;
    assert_eq!((outcome.exit_code, outcome.cause), (Some(9), Some(Cause::Exit)));
    let names: Vec<_> = outcome.products.unwrap().artifacts.into_iter().map(|artifact| artifact.name).collect();
    assert_eq!(names, ["log"]);
}

#[tokio::test]
async fn in_place_a_job_works_in_the_folder_itself() {
    let mut world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let backend = LocalBackend::new(world.state.path()).with_in_place(folder.path());
    world.executor = buildit::durable::Durable::new(backend);
    let job = job(&["echo x >left"]);
    assert_eq!(world.run(&job).await, JobOutcome::succeeded());
    world.leaves_nothing(&job).await;
    assert_eq!(std::fs::read_to_string(folder.path().join("left")).unwrap(), "x\n");
}

#[tokio::test]
async fn a_workspace_can_be_kept() {
    let mut world = World::new();
    world.executor = buildit::durable::Durable::new(LocalBackend::new(world.state.path()).with_kept_workspaces());
    let job = job(&["mkdir d; echo x >d/left; chmod 500 d"]);
    world.run(&job).await;
    buildit::executor::Executor::release(&world.executor, &job.id).await.unwrap();
    buildit::executor::Executor::reap(&world.executor, job.id.run).await.unwrap();
    let backend = world.executor.backend();
    assert!(backend.workspace(&job.id).join("d/left").exists());
    backend.discard_workspaces(job.id.run).unwrap();
    assert!(crate::is_empty(&world.state.path().join("jobs")));
}
