//! The example `server` beside the tests, and the command line against it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use super::{Done, Project};

/// A server in a folder of its own, and where it listens.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: String,
}

impl Server {
    pub(crate) fn start(data: &Path) -> Self {
        Self::listen(data, "127.0.0.1:0")
    }

    pub(crate) fn listen(data: &Path, address: &str) -> Self {
        let mut command = Command::new(program());
        command.args(["--listen", address, "--data"]).arg(data);
        command.env("BUILDIT_LOG", "warn").env("BUILDIT_DOCKER", "false");
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        let address = lines.find_map(|line| line.strip_prefix("listening on http://").map(str::to_owned));
        // Whoever says more finds somebody who listens.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address: address.expect("it says where it listens") }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What the API answers; as long as the server has no owner, nobody from here needs a key.
    pub(crate) fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let (_, body) = self.send(method, &format!("/api/v1/{path}"), "application/json", "", &body.to_string());
        serde_json::from_str(&body).unwrap_or_default()
    }

    /// The head and the body of an answer; the request has these headers too, each with its line end.
    pub(crate) fn send(&self, method: &str, path: &str, kind: &str, headers: &str, body: &str) -> (String, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Type: {kind}\r\n{headers}Content-Length: {}\r\n\r\n",
            self.address,
            body.len()
        );
        stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 2") || head.starts_with("HTTP/1.1 303"), "{answer}");
        (head.to_owned(), body.to_owned())
    }

    /// Makes the owner, and a viewer's key of the first tenant.
    pub(crate) fn viewer(&self) -> String {
        let form = "organization=acme&email=ada%40example.com&name=Ada&password=correct+horse";
        let (head, _) = self.send("POST", "/setup", "application/x-www-form-urlencoded", "", form);
        let cookie = head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
        let headers = format!("Cookie: {}\r\nSec-Fetch-Site: same-origin\r\n", cookie.split(';').next().unwrap());
        let ask = |method: &str, path: &str, body: &Value| -> Value {
            let (_, body) = self.send(method, path, "application/json", &headers, &body.to_string());
            serde_json::from_str(&body).unwrap()
        };
        let organizations = ask("GET", "/api/v1/organizations", &json!({}));
        let organization = organizations["items"][0]["id"].as_str().unwrap();
        let tenants = ask("GET", &format!("/api/v1/organizations/{organization}/tenants"), &json!({}));
        let keys = format!("/api/v1/tenants/{}/keys", tenants["items"][0]["id"].as_str().unwrap());
        let made = ask("POST", &keys, &json!({ "name": "laptop", "role": "viewer" }));
        made["token"].as_str().unwrap().to_owned()
    }

    pub(crate) fn pipeline(&self, config: &str) {
        self.ask("POST", "pipelines", &json!({ "config": config }));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The example beside this test.
fn program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent().unwrap().parent().unwrap().join("examples/server")
}

/// The command line with keys of its own, against a server.
pub(crate) struct Away {
    pub(crate) project: Project,
    server: String,
}

impl Away {
    pub(crate) fn new(server: &Server) -> Self {
        Self { project: Project::new(""), server: server.url() }
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = self.project.command(args);
        command.env("XDG_CONFIG_HOME", self.project.state()).env("BUILDIT_SERVER", &self.server);
        command
    }

    pub(crate) fn buildit(&self, args: &[&str]) -> Done {
        Done::of(self.command(args).output().unwrap())
    }

    /// The objects that were printed.
    pub(crate) fn objects(&self, args: &[&str]) -> Vec<Value> {
        let output = self.command(&[args, &["--output", "json"]].concat()).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout.lines().map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect()
    }
}
