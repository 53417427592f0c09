//! The executors of this crate pass the suite that every executor must pass.
#![cfg(all(unix, feature = "local"))]

use buildit::testing::executor::{Clause, Suite};
use buildit_executors::local;

#[tokio::test(flavor = "multi_thread")]
async fn the_local_executor_conforms() {
    let state = tempfile::tempdir().unwrap();
    let (place, spool) = (state.path().to_owned(), state.path().to_owned());
    let suite = Suite::new(move || local::executor(&place)).leftovers(move |_| folders_that_hold_something(&spool));
    let report = suite.check().await.unwrap();
    assert_eq!(report.left_out, Vec::<Clause>::new());
}

fn folders_that_hold_something(state: &std::path::Path) -> Vec<String> {
    let folders = std::fs::read_dir(state).into_iter().flatten().flatten().map(|entry| entry.path());
    folders
        .filter(|path| std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some()))
        .map(|path| path.display().to_string())
        .collect()
}

#[cfg(feature = "docker")]
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs docker"]
async fn the_docker_executor_conforms() {
    use buildit::id::JobId;
    use buildit_executors::docker::{self, DockerOptions};

    let connect = || {
        let runtime = tokio::runtime::Handle::current();
        tokio::task::block_in_place(|| runtime.block_on(docker::connect(DockerOptions::new()))).unwrap()
    };
    let left = |run| {
        let filter = format!("name={}", JobId::backend_prefix(run));
        let output = std::process::Command::new("docker").args(["ps", "-aq", "--filter", &filter]).output().unwrap();
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
    };
    let report = Suite::new(connect).image("busybox:local").leftovers(left).check().await.unwrap();
    assert_eq!(report.left_out, Vec::<Clause>::new());
}
