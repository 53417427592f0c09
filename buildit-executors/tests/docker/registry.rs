//! Private registries: what the container engine is told when it is to fetch an image. The engine is a small fake.

use std::path::Path;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use buildit::executor::{Executor, JobContext, JobSecrets};
use buildit::job::{Cause, JobSpec};
use buildit_executors::docker::{self, DockerOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

use super::world::{Host, job_of};

/// Answers like an engine that has no image, and keeps who was to fetch it.
struct Fake {
    address: String,
    seen: Arc<Mutex<Vec<String>>>,
    _folder: tempfile::TempDir,
}

impl Fake {
    fn start(pull: &'static str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("engine.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                tokio::spawn(answer(connection, Arc::clone(&told), pull));
            }
        });
        Self { address: format!("unix://{}", path.display()), seen, _folder: folder }
    }

    /// Runs a job of this image and gives its message and the credentials that the engine saw.
    async fn run(&self, image: &str, secrets: JobSecrets) -> (JobSpec, String, Vec<serde_json::Value>) {
        let executor = docker::connect_to(&self.address, DockerOptions::new()).await.unwrap();
        let job = job_of(image);
        let host: Arc<Host> = Arc::default();
        let blobs = Arc::new(buildit::memory::MemoryStore::new());
        let ctx = JobContext::builder(host.clone(), blobs).secrets(secrets).build();
        let outcome = executor.run(&job, ctx).await.unwrap();
        assert_eq!(outcome.cause, Some(Cause::Start));
        assert!(host.lines().contains(&format!("command buildit: pulling {image}")), "{:?}", host.lines());
        let seen = std::mem::take(&mut *self.seen.lock().unwrap());
        let decoded = seen.iter().map(|auth| serde_json::from_slice(&STANDARD.decode(auth).unwrap()).unwrap());
        (job, outcome.message.unwrap().into(), decoded.collect())
    }
}

async fn answer(mut connection: UnixStream, seen: Arc<Mutex<Vec<String>>>, pull: &'static str) {
    let mut request = Vec::new();
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        if connection.read_buf(&mut request).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let request = String::from_utf8_lossy(&request);
    let (status, body) = if request.starts_with("GET") && request.contains("/version") {
        ("200 OK", r#"{"ApiVersion":"1.41","Version":"20.10"}"#)
    } else if request.contains("/images/create") {
        let header = request.lines().find(|line| line.to_lowercase().starts_with("x-registry-auth"));
        let auth = header.and_then(|line| line.split_once(": ")).map(|(_, value)| value.to_owned());
        seen.lock().unwrap().extend(auth);
        ("200 OK", pull)
    } else {
        ("404 Not Found", r#"{"message":"no such thing"}"#)
    };
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    let _ = connection.write_all(answer.as_bytes()).await;
}

const DENIED: &str = r#"{"status":"Pulling from team/tool"}
{"errorDetail":{"message":"pull access denied for r.example/team/tool"},"error":"pull access denied for r.example/team/tool"}
"#;

/// A `docker-credential-test` that answers for one registry.
fn helper(folder: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let script = r#"#!/bin/sh
read -r registry
[ "$1 $registry" = "get helped.example" ] || { echo "credentials not found in native keychain"; exit 1; }
echo '{"ServerURL":"helped.example","Username":"<token>","Secret":"tok"}'
"#;
    let path = folder.join("docker-credential-test");
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// The configuration and the path are of the process, so that a process of its own looks at them: see below.
#[tokio::test]
#[ignore = "run by `credentials_come_from_secrets_helpers_and_the_configuration` with an environment of its own"]
async fn in_an_environment() {
    if std::env::var_os("BUILDIT_TEST_REGISTRY").is_none() {
        return;
    }
    let fake = Fake::start(DENIED);
    let secrets = JobSecrets {
        registries: [("r.example/team/tool:1".to_owned(), ("ann".to_owned(), "s3cret".to_owned().into()))].into(),
        ..Default::default()
    };
    let (_, message, seen) = fake.run("r.example/team/tool:1", secrets).await;
    assert_eq!(message, "image `r.example/team/tool:1` cannot be pulled: pull access denied for r.example/team/tool");
    assert_eq!((&seen[0]["username"], &seen[0]["password"]), (&"ann".into(), &"s3cret".into()));
    assert_eq!(seen[0]["serveraddress"], "r.example");
    let (_, _, seen) = fake.run("plain.example/x", JobSecrets::default()).await;
    assert_eq!((&seen[0]["username"], &seen[0]["password"]), (&"bob".into(), &"pw:1".into()));
    let (_, _, seen) = fake.run("helped.example/x", JobSecrets::default()).await;
    assert_eq!(seen[0]["identitytoken"], "tok");
    let (_, _, seen) = fake.run("other.example/x", JobSecrets::default()).await;
    assert!(seen.is_empty(), "{seen:?}");
}

#[test]
fn credentials_come_from_secrets_helpers_and_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    helper(folder.path());
    let auth = STANDARD.encode("bob:pw:1");
    let config =
        format!(r#"{{"auths":{{"plain.example":{{"auth":"{auth}"}}}},"credHelpers":{{"helped.example":"test"}}}}"#);
    std::fs::write(folder.path().join("config.json"), config).unwrap();
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap());
    let test = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--include-ignored", "--exact", "registry::in_an_environment"])
        .env("BUILDIT_TEST_REGISTRY", "1")
        .env("DOCKER_CONFIG", folder.path())
        .env("PATH", path)
        .output()
        .unwrap();
    assert!(test.status.success(), "{}", String::from_utf8_lossy(&test.stdout));
}
