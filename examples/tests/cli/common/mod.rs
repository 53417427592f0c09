//! What the tests of the command line share.

pub(crate) mod server;
pub(crate) mod terminal;

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use serde_json::Value;

/// The command line that `cargo test` built with these tests.
pub(crate) fn binary() -> PathBuf {
    // …/debug/deps/cli-…: examples lie beside `deps`.
    let own = std::env::current_exe().unwrap();
    let binary = own.parent().and_then(Path::parent).unwrap().join("examples/buildit");
    assert!(binary.exists(), "{} is missing: cargo build -p buildit-examples --example buildit", binary.display());
    binary
}

/// A folder with a pipeline, in a repository of its own, and a state folder of its own.
pub(crate) struct Project {
    dir: tempfile::TempDir,
    state: tempfile::TempDir,
}

impl Project {
    /// A repository that holds this pipeline.
    pub(crate) fn new(pipeline: &str) -> Self {
        let project = Self { dir: tempfile::tempdir().unwrap(), state: tempfile::tempdir().unwrap() };
        project.write(".buildit.kdl", pipeline);
        project.git(&["init", "-q", "-b", "main"]);
        project
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Where the command line keeps what it needs while a run goes.
    pub(crate) fn state(&self) -> &Path {
        self.state.path()
    }

    pub(crate) fn write(&self, file: &str, text: &str) {
        let path = self.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub(crate) fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.path().join(file)).unwrap()
    }

    /// What runs have left in the state folder, but for what says that it is one and for the store.
    pub(crate) fn left(&self) -> Vec<PathBuf> {
        let state = self.state().join("buildit");
        let mut left = files(&state);
        left.retain(|path| {
            let name = path.strip_prefix(&state).unwrap().to_string_lossy();
            name != "FORMAT" && !name.starts_with("runs.db")
        });
        left
    }

    /// A pipe in the state folder, for a job and a test to wait for each other. It lies outside of the source.
    pub(crate) fn pipe(&self, name: &str) -> PathBuf {
        let path = self.state.path().join(name);
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        path
    }

    pub(crate) fn git(&self, args: &[&str]) {
        let mut git = std::process::Command::new("git");
        git.args(["-c", "user.name=Ann", "-c", "user.email=ann@example.com"]).args(args).current_dir(self.path());
        let done = git.output().unwrap();
        assert!(done.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&done.stderr));
    }

    /// The commit that is checked out.
    pub(crate) fn head(&self) -> String {
        let mut git = std::process::Command::new("git");
        let done = git.args(["rev-parse", "HEAD"]).current_dir(self.path()).output().unwrap();
        String::from_utf8(done.stdout).unwrap().trim_end().to_owned()
    }

    /// The command line in this folder, with nothing of this process's environment that changes what it prints.
    pub(crate) fn command(&self, args: &[&str]) -> std::process::Command {
        let mut command = std::process::Command::new(binary());
        command.args(args).current_dir(self.path()).stdin(Stdio::null());
        command.env("XDG_STATE_HOME", self.state.path()).env("USER", "ann");
        command.env_remove("CI").env_remove("NO_COLOR").env_remove("GIT_DIR").env_remove("GIT_WORK_TREE");
        command
    }

    pub(crate) fn buildit(&self, args: &[&str]) -> Done {
        Done::of(self.command(args).output().unwrap())
    }

    /// The same with a store of its own, beside what is in the state folder.
    pub(crate) fn in_store(&self, args: &[&str]) -> Done {
        let store = format!("sqlite:{}", self.state().join("runs.db").display());
        self.buildit(&[args, &["--store", &store]].concat())
    }

    /// Runs the pipeline and reads the objects.
    pub(crate) fn json(&self, args: &[&str]) -> Done {
        let all: Vec<&str> = ["run", "--output", "json"].iter().chain(args).copied().collect();
        self.buildit(&all)
    }
}

/// All files below a folder.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() { folders.push(entry.path()) } else { files.push(entry.path()) }
        }
    }
    files
}

/// What a command did.
pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Done {
    pub(crate) fn of(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or_else(|| panic!("killed: {:?}", output.status)),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The same, once the exit code was looked at.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// The lines on standard output.
    pub(crate) fn lines(&self) -> Vec<&str> {
        self.stdout.lines().collect()
    }

    /// The objects on standard output.
    pub(crate) fn objects(&self) -> Vec<Value> {
        self.stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
            .collect()
    }

    /// The objects of one type.
    pub(crate) fn of_type(&self, kind: &str) -> Vec<Value> {
        self.objects().into_iter().filter(|object| object["type"] == kind).collect()
    }

    /// How each stage ended, in the order of their ends.
    pub(crate) fn ended(&self) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        self.of_type("stage_finished").iter().map(|end| (text(&end["stage"]), text(&end["status"]))).collect()
    }

    /// How this stage ended.
    pub(crate) fn status(&self, stage: &str) -> String {
        let ended = self.ended();
        let found = ended.iter().find(|(name, _)| name == stage);
        found.unwrap_or_else(|| panic!("{stage} is not among {ended:?}")).1.clone()
    }

    /// What this stage printed, without the echo of its commands.
    pub(crate) fn log(&self, stage: &str) -> Vec<String> {
        let lines = self.of_type("log").into_iter();
        lines
            .filter(|line| line["stage"] == stage && line["stream"] != "command")
            .map(|line| line["text"].as_str().unwrap().to_owned())
            .collect()
    }
}

/// The text with everything that differs between two runs made the same.
pub(crate) fn steady(text: &str) -> String {
    let mut steady = String::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split_inclusive(' ').collect();
        for word in words {
            let bare = word.trim_end();
            let number = bare.trim_end_matches(|character: char| character.is_ascii_alphabetic());
            let is_time = !number.is_empty()
                && number.len() < bare.len()
                && matches!(&bare[number.len()..], "ms" | "s" | "m" | "h")
                && number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
            if is_time {
                // What was put before it to align it goes too: a longer time has less of it.
                let ends = steady.trim_end_matches(' ').len();
                steady.truncate(ends);
                steady.push_str("  T");
                steady.push_str(&word[bare.len()..]);
            } else {
                steady.push_str(word);
            }
        }
        steady.push('\n');
    }
    steady
}
