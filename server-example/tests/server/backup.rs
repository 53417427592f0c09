//! Backups of a server that works, and servers that are made of them: the example `server`, as in `killed`.

#![cfg(unix)]

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::site::program::{Program, program};
use serde_json::{Value, json};

const TOKEN: &str = "a-value-that-nobody-sees";

/// The program with what it is to do instead of serving.
fn instead(data: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(program());
    command.args(args).arg("--data").arg(data).env("BUILDIT_LOG", "warn").env_remove("BUILDIT_SECRET_KEY");
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn done(data: &Path, args: &[&str]) -> Output {
    instead(data, args).output().unwrap()
}

#[track_caller]
fn well(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    said
}

#[track_caller]
fn refused(output: &Output) -> String {
    assert!(!output.status.success());
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Waits for this to be so, as files tell it.
fn until(is_so: impl Fn() -> bool) {
    while !is_so() {
        std::thread::yield_now();
    }
}

fn get(program: &Program, path: &str) -> Value {
    serde_json::from_str(&program.ask("GET", &format!("/api/v1/{path}"), None)).unwrap()
}

/// A server with a run that has ended, one whose stage runs, and one whose stage waits for a person.
struct Worked {
    program: Program,
    ended: String,
    running: String,
    waiting: String,
}

impl Worked {
    fn start(folder: &Path) -> Self {
        let program = Program::start(&folder.join("data"));
        let go = folder.join("go");
        let pipeline = |config: &str| program.id_of("/api/v1/pipelines", json!({ "config": config }));
        let make = pipeline(
            "pipeline \"make\"\nstage \"build\" { secrets \"TOKEN\"; run \"echo made; mkdir out; echo made > out/file\"; artifacts \"out\" name=\"out\" }",
        );
        program.ask("PUT", &format!("/api/v1/pipelines/{make}/secrets/TOKEN"), Some(json!({ "value": TOKEN })));
        let ask = pipeline("pipeline \"ask\"\nstage \"ask\" { approval; run \"echo asked\" }");
        let wait = pipeline(&format!(
            "pipeline \"wait\"\nstage \"wait\" {{ retry 2 on=\"lost\"; run \"touch {go}.begun; while ! test -e {go}; do sleep 0.05; done; echo waited\" }}",
            go = go.display()
        ));
        let run = |pipeline: &str| program.id_of(&format!("/api/v1/pipelines/{pipeline}/runs"), json!({}));
        let (ended, running, waiting) = (run(&make), run(&wait), run(&ask));
        assert_eq!(program.events(&ended).last().unwrap()["status"], "succeeded");
        until(|| folder.join("go.begun").exists());
        until(|| get(&program, &format!("runs/{waiting}"))["status"] == "waiting");
        Self { program, ended, running, waiting }
    }
}

#[test]
fn a_server_is_made_of_a_backup_and_goes_on_with_its_runs() {
    let folder = tempfile::tempdir().unwrap();
    let (data, file, new) = (folder.path().join("data"), folder.path().join("backup"), folder.path().join("new"));
    let Worked { program, ended, running, waiting } = Worked::start(folder.path());
    let said = well(&done(&data, &["--backup", text(&file), "--with-key"]));
    assert!(said.contains("has everything: the database and"), "{said}");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    // It went on meanwhile.
    assert_eq!(get(&program, &format!("runs/{running}"))["status"], "running");
    let artifact = format!("/api/v1/runs/{ended}/stages/build/artifacts/out");
    let log = format!("/api/v1/runs/{ended}/stages/build/attempts/1/log/raw");
    let was = [&artifact, &log].map(|path| program.ask("GET", path, None));
    let runs = get(&program, "runs");
    assert!(refused(&done(&data, &["--backup", text(&file)])).contains("is there already"));
    drop(program);

    well(&done(&new, &["--restore", text(&file)]));
    fs::rename(&data, folder.path().join("old")).unwrap();
    fs::write(folder.path().join("go"), "").unwrap();
    let program = Program::start(&new);
    assert_eq!([&artifact, &log].map(|path| program.ask("GET", path, None)), was);
    let ids = |runs: &Value| -> Vec<Value> {
        runs["items"].as_array().unwrap().iter().map(|run| json!([run["id"], run["number"]])).collect()
    };
    assert_eq!(ids(&get(&program, "runs")), ids(&runs));
    // The jobs of the other machine are lost, and what may be tried again is.
    let events = program.events(&running);
    assert_eq!(events.last().unwrap()["status"], "succeeded", "{events:?}");
    program.ask("POST", &format!("/api/v1/runs/{waiting}/approve"), Some(json!({ "stage": "ask" })));
    assert_eq!(program.events(&waiting).last().unwrap()["status"], "succeeded");
    // The key was in it: the secret is opened.
    let pipelines = get(&program, "pipelines?search=make");
    let make = pipelines["items"][0]["id"].as_str().unwrap();
    let again = program.id_of(&format!("/api/v1/pipelines/{make}/runs"), json!({}));
    assert_eq!(program.events(&again).last().unwrap()["status"], "succeeded");
    drop(program);
    assert!(refused(&done(&new, &["--restore", text(&file)])).contains("is not empty"));
}

#[test]
fn the_key_is_left_out_and_the_secrets_wait_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let (data, file, new) = (folder.path().join("data"), folder.path().join("backup"), folder.path().join("new"));
    drop(Worked::start(folder.path()).program);
    fs::write(folder.path().join("go"), "").unwrap();
    well(&done(&data, &["--backup", text(&file)]));
    let said = well(&done(&new, &["--restore", text(&file)]));
    assert!(said.contains("the key of the secrets was not in it"), "{said}");
    let key = fs::read_to_string(data.join("secret.key")).unwrap();
    for path in [&file, &new.join("buildit.db")] {
        let bytes = fs::read(path).unwrap();
        for hidden in [TOKEN, key.trim()] {
            assert!(!bytes.windows(hidden.len()).any(|window| window == hidden.as_bytes()));
        }
    }
    assert!(!new.join("secret.key").exists());
    let said = refused(&done(&new, &["--listen", "127.0.0.1:0"]));
    assert!(said.contains("put it back") && !new.join("secret.key").exists(), "{said}");
    fs::copy(data.join("secret.key"), new.join("secret.key")).unwrap();
    drop(Program::start(&new));
}

/// The name and the content of an entry.
type Entry = (String, Vec<u8>);

fn unpacked(archive: &[u8]) -> Vec<Entry> {
    let mut archive = tar::Archive::new(zstd::Decoder::new(archive).unwrap());
    let read = |entry: std::io::Result<tar::Entry<'_, _>>| {
        let mut entry = entry.unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        (String::from_utf8(entry.path_bytes().into_owned()).unwrap(), bytes)
    };
    archive.entries().unwrap().map(read).collect()
}

fn packed(entries: impl Iterator<Item = Entry>) -> Vec<u8> {
    let mut archive = tar::Builder::new(zstd::Encoder::new(Vec::new(), 1).unwrap());
    for (name, bytes) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        // As somebody writes it who means no good.
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        archive.append(&header, &bytes[..]).unwrap();
    }
    archive.into_inner().unwrap().finish().unwrap()
}

#[test]
fn an_archive_that_is_damaged_is_refused_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (data, file, new) = (folder.path().join("data"), folder.path().join("backup"), folder.path().join("new"));
    let program = Program::start(&data);
    let make = program.id_of(
        "/api/v1/pipelines",
        json!({ "config": "pipeline \"make\"\nstage \"build\" { run \"mkdir out; head -c 300000 /dev/urandom > out/file\"; artifacts \"out\" name=\"out\" }" }),
    );
    let run = program.id_of(&format!("/api/v1/pipelines/{make}/runs"), json!({}));
    assert_eq!(program.events(&run).last().unwrap()["status"], "succeeded");
    well(&done(&data, &["--backup", text(&file)]));
    let whole = fs::read(&file).unwrap();
    let turned = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x55;
        bytes
    };
    let entries = unpacked(&whole);
    let without = |gone: &str| packed(entries.iter().filter(|(name, _)| !name.starts_with(gone)).cloned());
    let with = |changed: &dyn Fn(&mut Entry)| {
        packed(entries.iter().cloned().map(|mut entry| {
            changed(&mut entry);
            entry
        }))
    };
    let twice = |name: &str| {
        let again = entries.iter().find(|entry| entry.0 == name).cloned();
        packed(entries.iter().take(2).cloned().chain(again).chain(entries.iter().skip(2).cloned()))
    };
    for (name, bytes) in [
        ("cut off", whole[..whole.len() / 2].to_vec()),
        ("cut off at its end", whole[..whole.len() - 5].to_vec()),
        ("one bit in the middle", turned(whole.len() / 2)),
        ("the sum", turned(whole.len() - 2)),
        ("no archive", b"pipeline \"shop\"".to_vec()),
        ("empty", Vec::new()),
        (
            "another blob",
            with(&|(name, bytes)| {
                if name.starts_with("blobs/") {
                    bytes[700] ^= 1
                }
            }),
        ),
        (
            "another database",
            with(&|(name, bytes)| {
                if name == "buildit.db" {
                    bytes[700] ^= 1
                }
            }),
        ),
        (
            "another name",
            with(&|(name, _)| {
                if name.starts_with("blobs/") {
                    *name = "../../name".into()
                }
            }),
        ),
        ("no head", without("backup.json")),
        ("no database", without("buildit.db")),
        ("two databases", twice("buildit.db")),
        ("two heads", twice("backup.json")),
        ("no blobs", without("blobs/")),
        ("no end", without("end.json")),
        ("more", [&whole[..], b"more"].concat()),
    ] {
        let damaged = folder.path().join("damaged");
        fs::write(&damaged, bytes).unwrap();
        let said = refused(&done(&new, &["--restore", text(&damaged)]));
        assert!(said.contains("damaged"), "{name}: {said}");
        assert_eq!(fs::read_dir(&new).unwrap().count(), 0, "{name}");
    }
    let missing = folder.path().join("missing");
    assert!(refused(&done(&new, &["--restore", text(&missing)])).contains("cannot be read"));
    assert!(refused(&done(&missing, &["--backup", text(&new.join("backup"))])).contains("cannot be used"));
    assert!(!missing.exists());
    let same = folder.path().join("same");
    fs::write(&same, packed(entries.into_iter())).unwrap();
    well(&done(&new, &["--restore", text(&same)]));
}

#[test]
fn a_restore_that_was_killed_is_no_server() {
    let folder = tempfile::tempdir().unwrap();
    let (data, file, new) = (folder.path().join("data"), folder.path().join("backup"), folder.path().join("new"));
    drop(Program::start(&data));
    well(&done(&data, &["--backup", text(&file)]));
    let whole = fs::read(&file).unwrap();
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let mut restore = instead(&new, &["--restore", text(&pipe)]).spawn().unwrap();
    let mut feed = fs::OpenOptions::new().write(true).open(&pipe).unwrap();
    feed.write_all(&whole[..whole.len() - 100]).unwrap();
    until(|| new.join("RESTORING").exists());
    let second = refused(&done(&new, &["--restore", text(&file)]));
    assert!(second.contains("is not empty"), "{second}");
    restore.kill().unwrap();
    restore.wait().unwrap();
    for args in [&["--listen", "127.0.0.1:0"][..], &["--migrate-only"], &["--backup", text(&folder.path().join("b"))]] {
        let said = refused(&done(&new, args));
        assert!(said.contains("holds a part of a backup"), "{args:?}: {said}");
    }
    fs::remove_dir_all(&new).unwrap();
    well(&done(&new, &["--restore", text(&file)]));
    drop(Program::start(&new));
}

#[test]
fn a_full_disk_is_told_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (data, to) = (folder.path().join("data"), folder.path().join("to"));
    drop(Program::start(&data));
    fs::create_dir(&to).unwrap();
    let backup = to.join("backup");
    // A limit of the system for one file stands for a disk that is full.
    let limited = |kib: u32, data: &Path, args: &[&str]| {
        let line = format!("trap '' XFSZ; ulimit -f {kib}; exec \"$0\" \"$@\"");
        let mut command = Command::new("bash");
        command.args(["-c", &line, text(&program())]).args(args).arg("--data").arg(data);
        command.env("BUILDIT_LOG", "warn").output().unwrap()
    };
    let said = refused(&limited(8, &data, &["--backup", text(&backup)]));
    assert!(said.contains("cannot be"), "{said}");
    assert_eq!(fs::read_dir(&to).unwrap().count(), 0);
    well(&done(&data, &["--backup", text(&backup)]));
    let new = folder.path().join("new");
    let said = refused(&limited(8, &new, &["--restore", text(&backup)]));
    assert!(said.contains("cannot be written"), "{said}");
    assert_eq!(fs::read_dir(&new).unwrap().count(), 0, "{said}");
}

#[test]
fn a_store_that_is_in_no_file_is_backed_up_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    for args in [["--backup", "there"], ["--restore", "there"]] {
        let mut command = instead(folder.path(), &args);
        let output = command.env("BUILDIT_STORE", "postgres://ann:hunter2@host/db").output().unwrap();
        let said = refused(&output);
        assert!(said.contains("pg_dump") && !said.contains("hunter2"), "{said}");
    }
}
