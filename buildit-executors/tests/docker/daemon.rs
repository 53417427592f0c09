//! An engine of our own making: one that is restarted while a job runs, and one that is reached by TLS.

use std::ffi::OsStr;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use buildit::executor::Executor;
use buildit::job::{Status, Stream};
use buildit_executors::docker::{DockerOptions, Network};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::world::World;

/// A Docker daemon with all that it keeps in a folder of its own, and with a network and mounts of its own: one without
/// a bridge removes that of the host's own daemon.
struct Daemon {
    folder: tempfile::TempDir,
    words: Vec<String>,
    /// Keeps the namespaces while the daemon is down.
    holder: Child,
    process: Child,
}

impl Daemon {
    fn start(words: &[String]) -> Self {
        let folder = tempfile::Builder::new().prefix("dockerd").tempdir().unwrap();
        let mut holder = Command::new("unshare");
        holder.args(["--net", "--mount", "sh", "-c", "busybox ip link set lo up; echo up; exec cat"]);
        let mut holder = holder.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        holder.stdout.as_mut().unwrap().read_exact(&mut [0; 3]).unwrap();
        let process = spawn(folder.path(), &holder, words);
        let daemon = Self { folder, words: words.to_vec(), holder, process };
        daemon.await_answer();
        daemon
    }

    fn address(&self) -> String {
        format!("unix://{}", self.folder.path().join("docker.sock").display())
    }

    fn await_answer(&self) {
        let begun = Instant::now();
        while !Command::new("docker").args(["-H", &self.address(), "info"]).output().unwrap().status.success() {
            let log = || std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            assert!(begun.elapsed() < Duration::from_secs(60), "dockerd does not answer: {}", log());
        }
    }

    /// Ends the daemon as a service manager does; without live-restore it takes its containers down.
    fn restart(&mut self) {
        self.stop();
        self.process = spawn(self.folder.path(), &self.holder, &self.words);
        self.await_answer();
    }

    fn stop(&mut self) {
        let _ = kill(Pid::from_raw(self.process.id().cast_signed()), Signal::SIGTERM);
        let _ = self.process.wait();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.stop();
        drop(self.holder.stdin.take());
        let _ = self.holder.wait();
    }
}

/// A program in the network and with the mounts that a process holds.
fn inside(holder: &Child, program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("nsenter");
    command.args(["--net", "--mount", "--target", &holder.id().to_string()]).arg(program);
    command
}

fn spawn(folder: &Path, holder: &Child, words: &[String]) -> Child {
    let log = std::fs::File::options().create(true).append(true).open(folder.join("log")).unwrap();
    let at = |name: &str| folder.join(name).display().to_string();
    inside(holder, "dockerd")
        .args(["--data-root", &at("data"), "--exec-root", &at("exec"), "--pidfile", &at("pid")])
        .args(["--host", &format!("unix://{}", at("docker.sock"))])
        .args(["--bridge=none", "--iptables=false", "--ip6tables=false", "--storage-driver=vfs"])
        .args(["--shutdown-timeout=1"])
        .args(words)
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("the test needs dockerd")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs docker"]
async fn a_job_whose_engine_is_restarted_ends() {
    let mut daemon = Daemon::start(&[]);
    let world = World::at(&daemon.address(), DockerOptions::new().with_network(Network::None)).await;
    let job = world.job("restarted", &["echo up; while :; do sleep 0.1; done"]);
    let (outcome, daemon) = tokio::join!(world.executor.run(&job, world.context().build()), async {
        world.host.saw("stdout up").await;
        tokio::task::spawn_blocking(move || {
            daemon.restart();
            daemon
        })
        .await
        .unwrap()
    });
    // Its container was killed with the daemon: nobody asked for that, and a new attempt can help.
    assert_eq!(outcome.unwrap().status, Status::Lost, "{:?}", world.host.lines());
    assert_eq!(world.host.text(Stream::Stdout), ["up"]);
    world.end().await;
    drop(daemon);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs docker"]
async fn a_job_outlives_an_engine_that_restores_it() {
    let mut daemon = Daemon::start(&["--live-restore".to_owned()]);
    let world = World::at(&daemon.address(), DockerOptions::new().with_network(Network::None)).await;
    let job = world.job("restored", &["echo up; while [ ! -e /tmp/go ]; do sleep 0.1; done; echo down"]);
    let name = job.id.backend_name();
    let (outcome, daemon) = tokio::join!(world.executor.run(&job, world.context().build()), async {
        world.host.saw("stdout up").await;
        tokio::task::spawn_blocking(move || {
            daemon.restart();
            let touch = ["-H", &daemon.address(), "exec", &name, "touch", "/tmp/go"];
            assert!(Command::new("docker").args(touch).status().unwrap().success());
            daemon
        })
        .await
        .unwrap()
    });
    assert_eq!(outcome.unwrap().status, Status::Succeeded, "{:?}", world.host.lines());
    assert_eq!(world.host.text(Stream::Stdout), ["up", "down"]);
    world.end().await;
    drop(daemon);
}

/// An authority, a certificate of the daemon for 127.0.0.1, and one of its client, as `docker` wants them.
const CERTIFICATES: &str = r#"set -e
cd "$1"
new() { openssl req -newkey rsa:2048 -nodes -keyout "$1-key.pem" -subj "/CN=$1" "${@:2}" 2>/dev/null; }
new ca -x509 -days 1 -out ca.pem
sign() { openssl x509 -req -days 1 -in "$1.csr" -CA ca.pem -CAkey ca-key.pem -CAcreateserial -out "$1.pem" -extfile "$2" 2>/dev/null; }
echo 'subjectAltName=IP:127.0.0.1' >server.ext
echo 'extendedKeyUsage=clientAuth' >client.ext
new server -out server.csr; sign server server.ext
new client -out client.csr; sign client client.ext
cp client.pem cert.pem; cp client-key.pem key.pem
"#;

/// Names the address to the process that connects as it says in its environment.
const ADDRESS: &str = "BUILDIT_TLS_ADDRESS";

/// Not a test of its own: what an embedding program does, with the environment that the test gives it.
#[tokio::test]
async fn tls_client() {
    let Some(kind) = std::env::var_os(ADDRESS) else { return };
    let options = DockerOptions::new().with_network(Network::None);
    let executor = match kind.to_str() {
        Some("usual") => buildit_executors::docker::connect(options).await.unwrap(),
        address => buildit_executors::docker::connect_to(address.unwrap(), options).await.unwrap(),
    };
    let world = World::of(executor, bollard::Docker::connect_with_unix_defaults().unwrap());
    let outcome = world.run(&world.job("tls", &["echo secure"])).await;
    assert_eq!(outcome.status, Status::Succeeded, "{outcome:?}");
    assert_eq!(world.host.text(Stream::Stdout), ["secure"]);
    world.executor.reap(world.run).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs docker"]
async fn an_engine_is_reached_by_tls_and_by_its_context() {
    let folder = tempfile::tempdir().unwrap();
    let certificates = folder.path().display().to_string();
    assert!(Command::new("bash").args(["-c", CERTIFICATES, "bash", &certificates]).status().unwrap().success());
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = format!("tcp://127.0.0.1:{port}");
    let files = [("--tlscacert", "ca.pem"), ("--tlscert", "server.pem"), ("--tlskey", "server-key.pem")];
    let mut words = vec![format!("--host={address}"), "--tlsverify".to_owned()];
    words.extend(files.map(|(word, file)| format!("{word}={certificates}/{file}")));
    let daemon = Daemon::start(&words);
    // Makes the image.
    World::at(&daemon.address(), DockerOptions::new()).await;
    let client = |environment: &[(&str, &str)]| {
        let mut client = inside(&daemon.holder, std::env::current_exe().unwrap());
        client.args(["daemon::tls_client", "--exact", "--nocapture"]).env_remove("DOCKER_HOST");
        client.envs(environment.iter().copied()).output().unwrap()
    };
    let by_variables = [("DOCKER_TLS_VERIFY", "1"), ("DOCKER_CERT_PATH", &*certificates)];
    let client_of = |kind: &str, more: &[(&str, &str)]| client(&[&[(ADDRESS, kind)], more].concat());
    let passed = |output: std::process::Output| {
        assert!(
            output.status.success(),
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    };
    passed(client_of(&address, &by_variables));
    passed(client_of("usual", &[by_variables.as_slice(), &[("DOCKER_HOST", &*address)]].concat()));

    let config = folder.path().join("config").display().to_string();
    let docker = |words: &[&str]| Command::new("docker").env("DOCKER_CONFIG", &config).args(words).output().unwrap();
    let endpoint =
        format!("host={address},ca={certificates}/ca.pem,cert={certificates}/cert.pem,key={certificates}/key.pem");
    passed(docker(&["context", "create", "far", "--docker", &endpoint]));
    passed(client_of("usual", &[("DOCKER_CONFIG", &config), ("DOCKER_CONTEXT", "far")]));
    passed(docker(&["context", "use", "far"]));
    passed(client_of("usual", &[("DOCKER_CONFIG", &config)]));

    // An authority that the client does not know.
    let strangers = tempfile::tempdir().unwrap();
    let strange = strangers.path().display().to_string();
    assert!(Command::new("bash").args(["-c", CERTIFICATES, "bash", &strange]).status().unwrap().success());
    let refused = client_of(&address, &[("DOCKER_TLS_VERIFY", "1"), ("DOCKER_CERT_PATH", &strange)]);
    assert!(!refused.status.success());
    drop(daemon);
}
