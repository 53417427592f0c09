//! The same tests on Podman, which answers the same protocol.

use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// A Podman of its own, with its images and containers in a folder that goes with it.
struct Podman {
    folder: tempfile::TempDir,
    service: Child,
}

/// What a Podman needs where it may not raise its limits; it harms nowhere.
const CONFIG: &str = r#"
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=30000:30000"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"#;

impl Podman {
    fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("podman").tempdir().unwrap();
        std::fs::write(folder.path().join("containers.conf"), CONFIG).unwrap();
        let socket = format!("unix://{}", socket(folder.path()));
        let service = command(folder.path(), &["system", "service", "--time", "0", &socket]).spawn();
        let podman = Self { service: service.expect("the test needs podman"), folder };
        let until = Instant::now() + Duration::from_secs(30);
        while std::os::unix::net::UnixStream::connect(socket.trim_start_matches("unix://")).is_err() {
            assert!(Instant::now() < until, "podman does not answer");
            std::thread::yield_now();
        }
        podman
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        let _ = command(self.folder.path(), &["system", "reset", "--force"]).output();
        let _ = self.service.kill();
        let _ = self.service.wait();
    }
}

fn socket(folder: &Path) -> String {
    folder.join("podman.sock").to_string_lossy().into_owned()
}

fn command(folder: &Path, words: &[&str]) -> Command {
    let mut command = Command::new("podman");
    command.env("CONTAINERS_CONF", folder.join("containers.conf"));
    command.arg("--root").arg(folder.join("root")).arg("--runroot").arg(folder.join("runroot")).args(words);
    command
}

#[test]
#[ignore = "needs podman"]
fn all_of_it_holds_on_podman() {
    let podman = Podman::start();
    let tests = Command::new(std::env::current_exe().unwrap())
        .args([
            "--include-ignored",
            "--skip",
            "podman::",
            "--skip",
            "remote::",
            "--skip",
            "registry::",
            // It asks the small registry by https alone.
            "--skip",
            "private::",
            "--skip",
            "daemon::",
            // Its log is read anew again and again, which takes minutes for so much of it.
            "--skip",
            "log::two_hundred_mebibytes",
            "--test-threads",
            "2",
        ])
        .env("BUILDIT_TEST_ENGINE", format!("unix://{}", socket(podman.folder.path())))
        .output()
        .unwrap();
    assert!(tests.status.success(), "{}", String::from_utf8_lossy(&tests.stdout));
}
