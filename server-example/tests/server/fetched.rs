//! Repositories that are fetched by `ssh`, from its real server, and files that Git LFS keeps beside them.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::site::git::{GitWeb, Origin};
use crate::site::{Site, Who};
use axum::http::{Method, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use buildit::store::RepositoryStore;
use buildit_storage::sqlite::SqliteStore;
use serde_json::{Value, json};

const KDL: &str = "pipeline \"shop\"\nstage \"show\" { run \"cat word.txt; git status --porcelain\" }";

const TOKEN: &str = "forge-s3cr3t-t0ken-1";

const LARGE: &str =
    "pipeline \"shop\" { checkout lfs=#true }\nstage \"show\" { run \"cat large.bin; git lfs ls-files\" }";

/// OpenSSH's server, for whoever runs this test, with a key of its own and one that it lets in.
struct Sshd {
    folder: tempfile::TempDir,
    port: u16,
    server: Option<Child>,
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Sshd {
    /// Every command that comes is run with this folder before all others on the path.
    fn new(programs: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Free now, and nobody else's soon.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut sshd = Self { folder, port, server: None };
        for name in ["host", "let-in", "stranger"] {
            sshd.new_key(name, "ed25519");
        }
        let key = std::fs::read_to_string(sshd.path("let-in.pub")).unwrap();
        let path = format!("PATH={}:$PATH exec sh -c \\\"$SSH_ORIGINAL_COMMAND\\\"", programs.display());
        std::fs::write(sshd.path("let-in-keys"), format!("command=\"{path}\" {key}")).unwrap();
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nStrictModes no\nUsePAM no\n\
             PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\n",
            sshd.path("host").display(),
            sshd.path("let-in-keys").display(),
        );
        std::fs::write(sshd.path("config"), config).unwrap();
        sshd.start();
        sshd
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn new_key(&self, name: &str, kind: &str) {
        let path = self.path(name);
        let _ = std::fs::remove_file(&path);
        let made = Command::new("ssh-keygen").args(["-q", "-t", kind, "-N", "", "-f"]).arg(path).status();
        assert!(made.unwrap().success());
    }

    fn key(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    fn start(&mut self) {
        // It wants to be called by its whole path, and for root this folder, which a service manager would make.
        std::fs::create_dir_all("/run/sshd").ok();
        let mut command = Command::new("/usr/sbin/sshd");
        let mut child =
            command.args(["-D", "-e", "-f"]).arg(self.path("config")).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let is_there = lines.any(|line| line.unwrap().contains("Server listening"));
        assert!(is_there, "it does not start");
        std::thread::spawn(move || lines.for_each(drop));
        self.server = Some(child);
    }

    fn stop(&mut self) {
        if let Some(mut child) = self.server.take() {
            child.kill().ok();
            child.wait().ok();
        }
    }

    /// The address of a folder, for whoever runs this.
    fn url(&self, path: &Path) -> String {
        let who = Command::new("id").arg("-un").output().unwrap().stdout;
        let who = String::from_utf8(who).unwrap();
        format!("ssh://{}@127.0.0.1:{}{}", who.trim(), self.port, path.display())
    }
}

async fn open(folder: &Path) -> Site {
    Site::open(folder).await
}

/// Connects a repository, runs its pipeline, and gives what it says.
async fn run(site: &Site, owner: &Who, repository: Value) -> String {
    let made = site.post(owner, "/api/v1/repositories", repository).await.ok().json();
    let pipeline = site.post(owner, "/api/v1/pipelines", json!({ "repository": made["id"] })).await.ok().json();
    let path = format!("/api/v1/pipelines/{}/runs", pipeline["id"].as_str().unwrap());
    let run = site.post(owner, &path, json!({ "branch": "main" })).await.ok().json();
    let id = run["id"].as_str().unwrap();
    site.events(owner, id).await;
    let ended = site.get(owner, &format!("/api/v1/runs/{id}")).await.ok().json();
    let log = site.get(owner, &format!("/api/v1/runs/{id}/stages/show/attempts/1/log/raw")).await.text;
    assert_eq!(ended["status"], "succeeded", "{ended} {log}");
    // Before it stands the command.
    log.split_once('\n').unwrap().1.to_owned()
}

/// A repository with a file that Git LFS keeps.
fn with_large_file() -> Origin {
    let origin =
        Origin::new(&[(".buildit.kdl", LARGE), (".gitattributes", "*.bin filter=lfs diff=lfs merge=lfs -text\n")]);
    origin.git(&["lfs", "install", "--local", "--skip-repo"]);
    origin.commit("large", &[("large.bin", "all of what is large\n")]);
    let pointer = origin.git(&["show", "HEAD:large.bin"]);
    assert!(pointer.starts_with("version https://git-lfs.github.com/spec/v1"), "{pointer}");
    origin
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs sshd"]
async fn a_repository_is_fetched_by_ssh_with_the_key_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let mut sshd = Sshd::new(folder.path());
    let site = open(&folder.path().join("data")).await;
    let (owner, origin) = (site.owner().await, Origin::new(&[(".buildit.kdl", KDL), ("word.txt", "by ssh\n")]));
    let url = sshd.url(origin.path());

    let stranger = json!({ "url": url, "key": sshd.key("stranger"), "name": "shop" });
    for refused in [stranger, json!({ "url": url, "name": "shop" })] {
        let refused = site.post(&owner, "/api/v1/repositories", refused).await;
        assert_eq!(refused.status, StatusCode::FAILED_DEPENDENCY, "{}", refused.text);
        assert!(refused.text.contains("Permission denied"), "{}", refused.text);
    }
    let key = sshd.key("let-in");
    let said = run(&site, &owner, json!({ "url": url, "key": key, "name": "shop" })).await;
    assert_eq!(said, "by ssh\n", "it is as it was committed");
    let listed = site.get(&owner, "/api/v1/repositories").await.ok().text;
    let secret = key.lines().nth(2).unwrap();
    assert!(!listed.contains(secret), "{listed}");
    let shown = Command::new("ssh-keygen").args(["-lf"]).arg(sshd.path("host.pub")).output().unwrap().stdout;
    let fingerprint = String::from_utf8(shown).unwrap().split(' ').nth(1).unwrap().to_owned();
    assert!(listed.contains(&format!("ssh-ed25519 {fingerprint}")), "{listed}");
    let id = serde_json::from_str::<Value>(&listed).unwrap()["items"][0]["id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/repositories/{id}");

    // One that an earlier version connected is known as well once it was fetched.
    let store = SqliteStore::open(folder.path().join("data/buildit.db")).await.unwrap();
    let mut known = store.repository(id.parse().unwrap()).await.unwrap().unwrap();
    known.settings.host_keys = String::new();
    known.version += 1;
    store.put_repository(known).await.unwrap();
    site.post(&owner, &format!("{path}/scan"), json!({})).await.ok();
    let found = site.get(&owner, &path).await.ok().text;
    assert!(found.contains(&format!("ssh-ed25519 {fingerprint}")), "{found}");

    // Somebody else who answers there is not taken for it.
    sshd.stop();
    sshd.new_key("host", "ed25519");
    sshd.start();
    let refused = site.post(&owner, &format!("{path}/scan"), json!({})).await;
    assert_eq!(refused.status, StatusCode::FAILED_DEPENDENCY, "{}", refused.text);
    assert!(refused.text.contains("another key of its own than it did before"), "{}", refused.text);
    // Nor by a server that has never talked to the first one, nor with a key of another kind.
    sshd.stop();
    sshd.new_key("host", "ecdsa");
    sshd.start();
    std::fs::remove_dir_all(folder.path().join("data/repositories").join(&id)).unwrap();
    let refused = site.post(&owner, &format!("{path}/scan"), json!({})).await;
    assert_eq!(refused.status, StatusCode::FAILED_DEPENDENCY, "{}", refused.text);
    assert!(refused.text.contains("another key of its own than it did before"), "{}", refused.text);
    // Who mistypes a key trusts nobody by that.
    let mistyped = json!({ "key": sshd.key("stranger") });
    let refused = site.ask(&owner, Method::PATCH, &path, Some(mistyped)).await;
    assert_eq!(refused.status, StatusCode::FAILED_DEPENDENCY, "{}", refused.text);
    let refused = site.post(&owner, &format!("{path}/scan"), json!({})).await;
    assert!(refused.text.contains("another key of its own than it did before"), "{}", refused.text);
    let given = json!({ "key": key });
    site.ask(&owner, Method::PATCH, &path, Some(given)).await.ok();
    site.post(&owner, &format!("{path}/scan"), json!({})).await.ok();
    site.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs git-lfs"]
async fn large_files_come_along_from_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let site = open(folder.path()).await;
    let (owner, origin) = (site.owner().await, with_large_file());
    let said = run(&site, &owner, json!({ "url": origin.url(), "name": "shop" })).await;
    assert!(said.starts_with("all of what is large\n") && said.ends_with("* large.bin\n"), "{said}");
    site.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs git-lfs"]
async fn large_files_come_along_with_a_token() {
    let folder = tempfile::tempdir().unwrap();
    let site = open(folder.path()).await;
    let (owner, origin) = (site.owner().await, with_large_file());
    let web = GitWeb::serve(origin.path().parent().unwrap(), TOKEN).await;
    let url = format!("{}/{}", web.url, origin.path().file_name().unwrap().to_str().unwrap());
    let said = run(&site, &owner, json!({ "url": url, "token": TOKEN, "name": "shop" })).await;
    assert!(said.starts_with("all of what is large\n") && said.ends_with("* large.bin\n"), "{said}");
    assert_eq!(*web.seen.lock().unwrap(), Vec::<String>::new(), "the token stood on a command line");
    site.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs git-lfs and sshd"]
async fn large_files_come_along_by_ssh() {
    let folder = tempfile::tempdir().unwrap();
    let origin = with_large_file();
    let web = GitWeb::serve(origin.path().parent().unwrap(), TOKEN).await;
    // What a forge answers who asks by `ssh` where its large files are.
    let place = format!("{}/{}/info/lfs", web.url, origin.path().file_name().unwrap().to_str().unwrap());
    let header = format!("Basic {}", STANDARD.encode(format!("x-access-token:{TOKEN}")));
    let answer = json!({ "href": place, "header": { "Authorization": header } });
    let (asked, program) = (folder.path().join("asked"), folder.path().join("git-lfs-authenticate"));
    std::fs::write(&program, format!("#!/bin/sh\necho \"$@\" >> {}\necho '{answer}'\n", asked.display())).unwrap();
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    let sshd = Sshd::new(folder.path());
    let site = open(&folder.path().join("data")).await;
    let owner = site.owner().await;
    let url = sshd.url(origin.path());
    let said = run(&site, &owner, json!({ "url": url, "key": sshd.key("let-in"), "name": "shop" })).await;
    assert!(said.starts_with("all of what is large\n") && said.ends_with("* large.bin\n"), "{said}");
    let asked = std::fs::read_to_string(&asked).unwrap();
    assert_eq!(asked.trim(), format!("{} download", origin.path().display()), "the repository, and nothing below it");
    site.server.shutdown().await;
}
