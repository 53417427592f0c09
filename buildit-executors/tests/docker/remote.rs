//! An engine that is reached by TCP and sees nothing of this host's files.

use std::path::Path;

use buildit::artifact::{BlobStore as _, blob_of};
use buildit::executor::{Executor, JobInputs, RetryClass};
use buildit::job::{Status, Stream};
use buildit::pipeline::ArtifactSpec;
use buildit_executors::docker::{self, DockerOptions, Network};
use buildit_executors::workspace::{Packer, Times};
use tokio::net::{TcpListener, UnixStream};

use super::world::{World, with};

/// Passes connections on loopback to the engine's socket, and gives their address.
async fn by_tcp() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("tcp://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut from, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut to = UnixStream::connect("/var/run/docker.sock").await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut from, &mut to).await;
            });
        }
    });
    address
}

#[tokio::test]
#[ignore = "needs docker"]
async fn a_remote_engine_needs_nothing_of_this_host() {
    let world = World::at(&by_tcp().await, DockerOptions::new().with_network(Network::None)).await;
    let mut packer = Packer::new(Vec::new(), Times::Dropped);
    packer.add_bytes(Path::new("a/b"), 0o644, b"from here").unwrap();
    let source = Some(world.blobs.put(blob_of(packer.finish().unwrap())).await.unwrap().0);
    let job = with(world.job("far", &["cat a/b; echo; echo back >c"]), |stage| {
        stage.artifacts = vec![ArtifactSpec { path: "c".into(), ..Default::default() }];
    });
    let ctx = world.context().inputs(JobInputs { source, ..Default::default() }).build();
    let outcome = world.executor.run(&job, ctx).await.unwrap();
    assert_eq!(outcome.status, Status::Succeeded, "{outcome:?} {:?}", world.host.lines());
    assert_eq!(world.host.text(Stream::Stdout), ["from here"]);
    assert_eq!(outcome.products.unwrap().artifacts[0].paths, ["c"]);
    let mounts = world.docker.inspect_container(&job.id.backend_name(), None).await.unwrap().mounts;
    assert!(mounts.unwrap_or_default().is_empty());
    world.end().await;
}

#[tokio::test]
async fn an_engine_that_is_not_there_is_named() {
    for address in ["unix:///no/such/socket", "tcp://127.0.0.1:1", "ftp://x"] {
        let error = docker::connect_to(address, DockerOptions::new()).await.unwrap_err();
        assert!(error.to_string().contains(address), "{error}");
        assert_eq!(error.retry_class(), RetryClass::Safe);
    }
}
