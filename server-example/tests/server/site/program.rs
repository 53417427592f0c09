//! The server as a program: the example `server`, which `cargo test` builds unless it is told to build one test alone.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

/// The program, and where it listens.
pub(crate) struct Program(pub(crate) Child, pub(crate) String);

impl Program {
    pub(crate) fn start(data: &Path) -> Self {
        let mut command = Command::new(program());
        command
            .args(["--listen", "127.0.0.1:0", "--data"])
            .arg(data)
            .env("BUILDIT_LOG", "warn")
            .env("BUILDIT_DOCKER", "false")
            .env("BUILDIT_PRIVATE_TARGETS", "true")
            .env("BUILDIT_REQUESTS_PER_SECOND", "100000");
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let address =
            lines.map(Result::unwrap).find_map(|line| line.strip_prefix("listening on http://").map(str::to_owned));
        Self(child, address.expect("it says where it listens"))
    }

    /// The same with everything that it says, added to this file.
    pub(crate) fn logged(data: &Path, log: &Path) -> Self {
        let file = std::fs::OpenOptions::new().create(true).append(true).open(log).unwrap();
        let begun = file.metadata().unwrap().len() as usize;
        let mut command = Command::new(program());
        command.args(["--listen", "127.0.0.1:0", "--data"]).arg(data).envs([
            ("BUILDIT_LOG", "trace"),
            ("BUILDIT_DOCKER", "false"),
            ("BUILDIT_LOCAL_REPOSITORIES", "true"),
        ]);
        let mut program = Self(command.stderr(file).spawn().unwrap(), String::new());
        while program.1.is_empty() {
            let said = std::fs::read(log).unwrap();
            let said = String::from_utf8_lossy(&said[begun..]).into_owned();
            let whole = said.rsplit_once('\n').map_or("", |(whole, _)| whole);
            if let Some(address) = whole.lines().find_map(|line| line.strip_prefix("listening on http://")) {
                program.1 = address.to_owned();
            }
            assert!(program.0.try_wait().unwrap().is_none(), "it says where it listens: {said}");
            std::thread::yield_now();
        }
        program
    }

    pub(crate) fn ask(&self, method: &str, path: &str, body: Option<Value>) -> String {
        let mut stream = TcpStream::connect(&self.1).unwrap();
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            self.1,
            body.len()
        );
        stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 2"), "{head}");
        body.to_owned()
    }

    pub(crate) fn id_of(&self, path: &str, body: Value) -> String {
        let made: Value = serde_json::from_str(&self.ask("POST", path, Some(body))).unwrap();
        made["id"].as_str().unwrap().to_owned()
    }

    /// Its last state, when it has ended.
    pub(crate) fn events(&self, run: &str) -> Vec<Value> {
        let told = self.ask("GET", &format!("/api/v1/runs/{run}/events"), None);
        told.lines()
            .filter_map(|line| line.strip_prefix("data: "))
            .map(|data| serde_json::from_str(data).unwrap())
            .collect()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The example beside this test.
pub(crate) fn program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent().unwrap().parent().unwrap().join("examples/server")
}
