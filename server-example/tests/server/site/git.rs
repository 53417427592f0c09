//! Repositories for a server to connect: in a folder, and behind a web server that wants a password.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// A repository with a working tree, on the branch `main`.
pub(crate) struct Origin {
    folder: TempDir,
}

impl Origin {
    /// One with these files in its first commit.
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        let origin = Self { folder: tempfile::tempdir().unwrap() };
        origin.git(&["init", "-q", "-b", "main"]);
        origin.commit("first", files);
        origin
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn url(&self) -> &str {
        self.folder.path().to_str().unwrap()
    }

    /// What `git` prints in it.
    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        let who = ["-c", "user.name=Ann Ü", "-c", "user.email=ann@example.org", "-c", "commit.gpgsign=false"];
        let command = std::process::Command::new("git").args(who).args(arguments).current_dir(self.path()).output();
        let done = command.unwrap();
        assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap().trim().to_owned()
    }

    /// Writes these files and commits everything; the id of the commit.
    pub(crate) fn commit(&self, message: &str, files: &[(&str, &str)]) -> String {
        for (path, text) in files {
            let path = self.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        self.git(&["add", "--all"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", message]);
        self.git(&["rev-parse", "HEAD"])
    }
}

/// A web server of repositories that lets in who knows the password, and looks at what everybody can see meanwhile.
pub(crate) struct GitWeb {
    pub(crate) url: String,
    /// Programs on whose command line the secret stood while they asked.
    pub(crate) seen: Arc<Mutex<Vec<String>>>,
    /// How often somebody was let in.
    pub(crate) let_in: Arc<Mutex<usize>>,
}

impl GitWeb {
    /// Serves the repositories below this folder to who shows this token.
    pub(crate) async fn serve(root: &Path, token: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (seen, let_in) = (Arc::<Mutex<Vec<String>>>::default(), Arc::<Mutex<usize>>::default());
        let shared = Arc::new(Shared {
            root: root.to_owned(),
            secrets: vec![token.to_owned(), STANDARD.encode(format!("x-access-token:{token}"))],
            seen: Arc::clone(&seen),
            let_in: Arc::clone(&let_in),
        });
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, Arc::clone(&shared)));
            }
        });
        Self { url, seen, let_in }
    }
}

struct Shared {
    root: PathBuf,
    secrets: Vec<String>,
    seen: Arc<Mutex<Vec<String>>>,
    let_in: Arc<Mutex<usize>>,
}

async fn answer(stream: TcpStream, shared: Arc<Shared>) {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).await.unwrap();
    let mut words = line.split(' ');
    let (method, target) = (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default().to_owned());
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        let Some((name, value)) = line.trim().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    look(&shared);
    let shown = headers.get("authorization").map(String::as_str).unwrap_or_default();
    if shown != format!("Basic {}", shared.secrets[1]) {
        let refusal = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"git\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        stream.write_all(refusal.as_bytes()).await.unwrap();
        return;
    }
    *shared.let_in.lock().unwrap() += 1;
    let mut body = Vec::new();
    if let Some(length) = headers.get("content-length") {
        body.resize(length.parse().unwrap(), 0);
        stream.read_exact(&mut body).await.unwrap();
    }
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    if let Some((kind, body)) = large_files(&shared.root, path, headers.get("host"), shown, &body) {
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&body).await.unwrap();
        return;
    }
    let header = |name: &str| headers.get(name).cloned().unwrap_or_default();
    let mut backend = tokio::process::Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", &shared.root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REQUEST_METHOD", &method)
        .env("PATH_INFO", path)
        .env("QUERY_STRING", query)
        .env("REMOTE_USER", "somebody")
        .env("CONTENT_TYPE", header("content-type"))
        .env("CONTENT_LENGTH", body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
        .env("GIT_PROTOCOL", header("git-protocol"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = backend.stdin.take().unwrap();
    let writing = tokio::spawn(async move { drop(stdin.write_all(&body).await) });
    let output = backend.wait_with_output().await.unwrap().stdout;
    writing.await.unwrap();
    let end = output.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let said = String::from_utf8_lossy(&output[..end]).into_owned();
    let status = said.lines().find_map(|line| line.strip_prefix("Status: ")).unwrap_or("200 OK");
    let head = format!("HTTP/1.1 {status}\r\n{said}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&output[end + 4..]).await.unwrap();
    stream.shutdown().await.unwrap();
}

/// An answer of Git LFS, by its kind and its bytes: where files are, or one of them
/// ([batch API](https://github.com/git-lfs/git-lfs/blob/main/docs/api/batch.md)).
fn large_files(
    root: &Path,
    path: &str,
    host: Option<&String>,
    shown: &str,
    body: &[u8],
) -> Option<(&'static str, Vec<u8>)> {
    if let Some((repository, id)) = path.split_once("/large/") {
        let folder =
            root.join(repository.trim_start_matches('/')).join(".git/lfs/objects").join(&id[..2]).join(&id[2..4]);
        return Some(("application/octet-stream", std::fs::read(folder.join(id)).unwrap()));
    }
    let repository = path.strip_suffix("/info/lfs/objects/batch")?;
    let asked: serde_json::Value = serde_json::from_slice(body).unwrap();
    assert_eq!(asked["operation"], "download", "{asked}");
    let place = |one: &serde_json::Value| {
        let href = format!("http://{}{repository}/large/{}", host.unwrap(), one["oid"].as_str().unwrap());
        serde_json::json!({ "oid": one["oid"], "size": one["size"], "actions": { "download": { "href": href, "header": { "Authorization": shown } } } })
    };
    let objects: Vec<_> = asked["objects"].as_array().unwrap().iter().map(place).collect();
    let said = serde_json::json!({ "transfer": "basic", "objects": objects });
    Some(("application/vnd.git-lfs+json", said.to_string().into_bytes()))
}

/// Looks at the command lines of all programs, as any user of the machine can.
fn look(shared: &Shared) {
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if shared.secrets.iter().any(|secret| line.contains(secret)) {
            shared.seen.lock().unwrap().push(line);
        }
    }
}
