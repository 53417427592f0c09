//! What goes into a job and what comes out of it.

use std::path::Path;
use std::sync::Arc;

use buildit::artifact::{BlobStore, blob_of};
use buildit::executor::{ArtifactInput, CacheInput, Executor, JobInputs};
use buildit::id::Digest;
use buildit::job::{Cause, JobProducts, Status, Stream};
use buildit::pipeline::{ArtifactSpec, ImageSpec};
use buildit_executors::workspace::{Packer, Times};
use futures_util::TryStreamExt;

use super::world::{IMAGE, World, with};

async fn archive(blobs: &Arc<dyn BlobStore>, files: &[(&str, &str)]) -> Digest {
    let mut packer = Packer::new(Vec::new(), Times::Dropped);
    for (path, content) in files {
        packer.add_bytes(Path::new(path), 0o755, content.as_bytes()).unwrap();
    }
    blobs.put(blob_of(packer.finish().unwrap())).await.unwrap().0
}

#[tokio::test]
#[ignore = "needs docker"]
async fn products_of_one_stage_are_inputs_of_another() {
    let world = World::docker().await;
    let source = archive(&world.blobs, &[("src/main", "echo from source"), ("deep/er/x", "x")]).await;
    let artifact = |path: &str| ArtifactSpec { path: path.into(), ..Default::default() };
    let commands = [
        "sh src/main >out.txt; mkdir -p dist/a; echo 1 >dist/a/1.bin; echo 2 >dist/2.bin; echo no >dist/no.txt",
        "echo version=1.2 >>$BUILDIT_OUTPUT; echo '# Done' >$BUILDIT_SUMMARY",
    ];
    let job = with(world.job("build", &commands), |stage| {
        stage.artifacts = vec![artifact("dist/**/*.bin"), artifact("out.txt")];
    });
    let ctx = world.context().inputs(JobInputs { source: Some(source), ..Default::default() }).build();
    let outcome = world.executor.run(&job, ctx).await.unwrap();
    assert_eq!(outcome.status, Status::Succeeded, "{outcome:?} {:?}", world.host.lines());
    let products = outcome.products.unwrap();
    assert_eq!(products.outputs["version"], "1.2");
    assert_eq!(products.summary.as_deref().map(str::trim), Some("# Done"));
    assert_eq!(products.artifacts[0].paths, ["dist/2.bin", "dist/a/1.bin"]);
    let artifacts = products.artifacts.iter().map(|artifact| ArtifactInput {
        stage: "build".into(),
        name: artifact.name.clone(),
        archive: artifact.digest,
        paths: artifact.paths.clone(),
    });
    let inputs = JobInputs { source: Some(source), artifacts: artifacts.collect(), ..Default::default() };
    let next = world.job("test", &["cat dist/a/1.bin dist/2.bin out.txt; ls dist; [ -x src/main ]"]);
    let outcome = world.executor.run(&next, world.context().inputs(inputs).build()).await.unwrap();
    assert_eq!(outcome.status, Status::Succeeded, "{:?}", world.host.lines());
    assert_eq!(world.host.text(Stream::Stdout), ["1", "2", "from source", "2.bin", "a"]);
    world.end().await;
}

#[tokio::test]
#[ignore = "needs docker"]
async fn a_cacheable_job_sees_what_it_declares_and_nothing_else() {
    let world = World::docker().await;
    let files = [("src/a", "a"), ("src/no/b", "b"), ("README", "r"), (".git/config", "c")];
    let source = Some(archive(&world.blobs, &files).await);
    let only = Some(vec!["src/**".to_owned(), "!src/no/**".to_owned()]);
    let job = world.job("build", &["find . -type f | sort; env | grep -c '^BUILDIT_STAGE\\|^BUILDIT_JOB' || true"]);
    let job = with(job, |stage| stage.cacheable = true);
    let ctx = world.context().inputs(JobInputs { source, only, ..Default::default() }).build();
    let outcome = world.executor.run(&job, ctx).await.unwrap();
    assert_eq!(outcome.status, Status::Succeeded, "{:?}", world.host.lines());
    assert_eq!(world.host.text(Stream::Stdout), ["./src/a", "0"]);
    world.end().await;
}

#[tokio::test]
#[ignore = "needs docker"]
async fn a_promised_artifact_that_is_missing_fails_the_job() {
    let world = World::docker().await;
    let job = with(world.job("promise", &["true"]), |stage| {
        stage.artifacts = vec![ArtifactSpec { path: "none/*".into(), ..Default::default() }];
    });
    let outcome = world.run(&job).await;
    assert_eq!((outcome.status, outcome.cause), (Status::Failed, Some(Cause::Output)));
    let job = with(world.job("kept", &["echo x >log; exit 4"]), |stage| {
        let on = buildit::pipeline::ArtifactWhen::Always;
        stage.artifacts = vec![ArtifactSpec { path: "*".into(), on, ..Default::default() }];
    });
    let outcome = world.run(&job).await;
    assert_eq!(outcome.exit_code, Some(4));
    assert_eq!(outcome.products.unwrap().artifacts[0].paths, ["log"]);
    world.end().await;
}

#[tokio::test]
#[ignore = "needs docker"]
async fn another_user_owns_its_files() {
    let world = World::docker().await;
    let source = archive(&world.blobs, &[("a/b", "x")]).await;
    for (index, inputs) in
        [JobInputs::default(), JobInputs { source: Some(source), ..Default::default() }].into_iter().enumerate()
    {
        let job = with(
            world.job(
                &format!("user{index}"),
                &["id -u; id -g; echo y >a-file; mkdir -p a; echo z >>a/b; echo k=v >$BUILDIT_OUTPUT"],
            ),
            |stage| {
                stage.image = Some(Box::new(ImageSpec { user: Some("1000:1001".into()), ..ImageSpec::new(IMAGE) }));
            },
        );
        let outcome = world.executor.run(&job, world.context().inputs(inputs).build()).await.unwrap();
        assert_eq!(outcome.status, Status::Succeeded, "{:?}", world.host.lines());
        assert_eq!(outcome.products.unwrap().outputs["k"], "v");
    }
    assert_eq!(world.host.text(Stream::Stdout), ["1000", "1001", "1000", "1001"]);
    world.end().await;
}

#[tokio::test]
#[ignore = "needs docker"]
async fn a_cache_is_saved_and_restored() {
    let world = World::docker().await;
    let cache = |archive| CacheInput {
        name: "c".into(),
        paths: vec!["target".into(), "~/.tool/registry".into()],
        key: "k".into(),
        archive,
        exact: false,
    };
    let job = world.job("fill", &["mkdir -p target ~/.tool/registry; echo t >target/t; echo r >~/.tool/registry/r"]);
    let inputs = JobInputs { caches: vec![cache(None)], ..Default::default() };
    let outcome = world.executor.run(&job, world.context().inputs(inputs).build()).await.unwrap();
    assert_eq!(outcome.status, Status::Succeeded, "{outcome:?}");
    let JobProducts { caches, .. } = *outcome.products.unwrap();
    let inputs = JobInputs { caches: vec![cache(Some(caches[0].digest))], ..Default::default() };
    let job = world.job("use", &["cat target/t ~/.tool/registry/r"]);
    let outcome = world.executor.run(&job, world.context().inputs(inputs).build()).await.unwrap();
    assert_eq!(outcome.status, Status::Succeeded, "{:?}", world.host.lines());
    assert_eq!(world.host.text(Stream::Stdout), ["t", "r"]);
    world.end().await;
}

#[tokio::test]
#[ignore = "needs docker"]
async fn a_link_in_the_place_of_the_output_file_is_not_followed() {
    let world = World::docker().await;
    let outcome = world.run(&world.job("link", &["echo a=b >x; ln -sf /etc/passwd $BUILDIT_OUTPUT"])).await;
    assert_eq!(outcome.products, None, "{outcome:?}");
    world.end().await;
}

/// The archive of a container's files is laid out here: a link in it must not lead to files of this host.
#[tokio::test]
#[ignore = "needs docker"]
async fn a_link_in_place_of_a_folder_brings_no_file_of_this_host() {
    let world = World::docker().await;
    let host = tempfile::tempdir().unwrap();
    std::fs::write(host.path().join("id"), "of the host").unwrap();
    let link = format!("mkdir -p {0}; echo mine >{0}/id; ln -s {0} dist", host.path().display());
    let job = with(world.job("steal", &[&link]), |stage| {
        stage.artifacts = vec![ArtifactSpec { path: "dist/*".into(), ..Default::default() }];
    });
    let outcome = world.executor.run(&job, world.context().build()).await.unwrap();
    // Podman gives what the link leads to in the container, Docker the link.
    match outcome.products.as_deref().map(|products| products.artifacts.as_slice()) {
        Some([artifact]) => {
            let pieces: Vec<_> = world.blobs.open(&artifact.digest).await.unwrap().try_collect().await.unwrap();
            let text = String::from_utf8_lossy(&pieces.concat()).into_owned();
            assert!(text.contains("mine") && !text.contains("of the host"), "{text}");
        }
        _ => assert!(outcome.message.as_ref().unwrap().contains("leads out of the tree"), "{outcome:?}"),
    }
    world.end().await;
}

/// The cache's second path lies below its first, which the job has made a link.
#[tokio::test]
#[ignore = "needs docker"]
async fn a_cache_below_a_link_writes_no_file_of_this_host() {
    let world = World::docker().await;
    let host = tempfile::tempdir().unwrap();
    let command = format!(
        "mkdir -p {0}/b; echo x >{0}/b/planted; ln -s {0} a; mkdir more; echo y >more/y",
        host.path().display()
    );
    let caches = vec![CacheInput {
        name: "deps".into(),
        paths: ["a", "a/b", "more", "more"].map(Into::into).into(),
        key: "k".into(),
        archive: None,
        exact: false,
    }];
    let ctx = world.context().inputs(JobInputs { caches, ..Default::default() }).build();
    let outcome = world.executor.run(&world.job("plant", &[&command]), ctx).await.unwrap();
    assert_eq!(outcome.status, Status::Succeeded, "{outcome:?} {:?}", world.host.lines());
    assert_eq!(std::fs::read_dir(host.path()).unwrap().count(), 0);
    assert_eq!(outcome.products.unwrap().caches.len(), 1);
    world.end().await;
}
