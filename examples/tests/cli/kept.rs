//! Runs that a store keeps, and the commands that find them there.

use std::fs;
use std::process::Stdio;

use crate::common::{Done, Project};

const SHOP: &str = r##"
    pipeline "shop"
    stage "build" { run "echo building; echo hello >app.txt"; artifacts "app.txt" }
    stage "test" { needs "build"; run "cat app.txt; echo late >&2" }
"##;

#[test]
fn a_kept_run_is_listed_with_its_logs_and_artifacts() {
    let project = Project::new(SHOP);
    project.in_store(&["run"]).exits(0);
    project.in_store(&["run", "--stage", "build"]).exits(0);

    let runs = project.in_store(&["runs", "--output", "json"]).exits(0);
    let numbers: Vec<_> = runs.objects().iter().map(|run| run["number"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [2, 1]);
    let first = &runs.objects()[1];
    assert_eq!((&first["pipeline"], &first["status"]), (&"shop".into(), &"succeeded".into()));
    assert!(first["duration_ms"].is_u64() && first["created_at"].is_string(), "{first}");

    let logs = project.in_store(&["logs", "@2"]).exits(0);
    assert_eq!(
        logs.lines(),
        [
            "build | + echo building; echo hello >app.txt",
            "build | building",
            "test | + cat app.txt; echo late >&2",
            "test | hello",
            "test | late"
        ]
    );
    let id = first["id"].as_str().unwrap();
    let of_stage = project.in_store(&["logs", id, "test"]).exits(0);
    assert_eq!(of_stage.lines(), ["+ cat app.txt; echo late >&2", "hello", "late"]);
    let as_json = project.in_store(&["logs", "@2", "test", "--output", "json", "--follow"]).exits(0);
    let last = as_json.objects().pop().unwrap();
    assert_eq!((&last["type"], &last["stream"], &last["line"]), (&"log".into(), &"stderr".into(), &3.into()));

    let out = project.state().join("out");
    project.in_store(&["artifacts", "@2", "app.txt", "--out", out.to_str().unwrap()]).exits(0);
    assert_eq!(fs::read_to_string(out.join("app.txt")).unwrap(), "hello\n");
}

#[test]
fn runs_are_kept_in_the_state_folder() {
    let project = Project::new(SHOP);
    project.buildit(&["run"]).exits(0);
    project.buildit(&["run", "--stage", "build"]).exits(0);
    // A journal is a place of its own.
    project.buildit(&["run", "--journal", "journal"]).exits(0);
    let runs = project.buildit(&["runs", "--output", "json"]).exits(0);
    let numbers: Vec<_> = runs.objects().iter().map(|run| run["number"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [2, 1]);
    assert_eq!(project.buildit(&["logs", "@2", "test"]).exits(0).lines()[1..], ["hello", "late"]);
}

#[test]
fn a_line_is_searched_in_all_runs_that_have_ended_or_in_one() {
    let project = Project::new(SHOP);
    project.in_store(&["run"]).exits(0);
    project.in_store(&["run", "--stage", "build"]).exits(0);
    let all = project.in_store(&["logs", "--search", "BUILDING"]).exits(0);
    let commands = [2, 1].map(|run| format!("shop #{run} build:1 | + echo building; echo hello >app.txt"));
    let expected = ["shop #2 build:2 | building", &commands[0], "shop #1 build:2 | building", &commands[1]];
    assert_eq!(all.lines(), expected);
    let one = project.in_store(&["logs", "@2", "--search", "building", "--limit", "1", "--output", "json"]).exits(0);
    let found = one.objects();
    assert_eq!((found.len(), &found[0]["text"], &found[0]["line"]), (1, &"building".into(), &2.into()));
    let of_stage = project.in_store(&["logs", "@2", "test", "--search", "echo"]).exits(0);
    assert_eq!(of_stage.lines(), ["shop #1 test:1 | + cat app.txt; echo late >&2"]);
    assert_eq!(project.in_store(&["logs", "--search", "\" OR *"]).exits(0).lines(), [""; 0]);
    assert!(project.in_store(&["logs", "--search", "ab"]).exits(2).stderr.contains("fewer than 3 bytes"));
}

#[test]
fn more_logs_are_followed_at_once_than_the_store_has_readers() {
    let stages: String = (1..=12).map(|number| format!("stage \"s{number}\" {{ run \"echo {number}\" }}\n")).collect();
    let project = Project::new(&stages);
    let done = project.json(&[]).exits(0);
    assert!((1..=12).all(|number| done.log(&format!("s{number}")) == [number.to_string()]));
}

#[test]
fn what_is_not_there_is_said_to_be_not_there() {
    let project = Project::new(SHOP);
    assert!(project.in_store(&["runs"]).exits(0).stderr.contains("no runs"));
    assert!(project.in_store(&["logs", "@1"]).exits(2).stderr.contains("only 0 runs"));
    project.in_store(&["run"]).exits(0);
    assert!(project.in_store(&["logs", "zzz"]).exits(2).stderr.contains("no run `zzz`"));
    assert!(project.in_store(&["logs", "@1", "nope"]).exits(2).stderr.contains("no stage `nope`"));
    assert!(project.in_store(&["artifacts", "@1", "nope"]).exits(2).stderr.contains("no artifact `nope`"));
    assert!(project.in_store(&["resume"]).exits(0).stderr.contains("no run was broken off"));
    let other = project.command(&["runs", "--store", "mysql://host/db"]).output().unwrap();
    assert!(Done::of(other).exits(2).stderr.contains("mysql"));
}

#[test]
fn g2_resume_takes_up_what_was_killed() {
    let project = Project::new(
        r##"
        pipeline "p"
        stage "during" {
            run #"echo once >> "$EFFECTS"; echo go > "$STARTED""#
            run #"read -r answer < "$GO"; echo "got $answer""#
        }
        stage "after" { needs "during"; run #"echo after >> "$EFFECTS""# }
        "##,
    );
    let (begun, go) = (project.pipe("started"), project.pipe("go"));
    let effects = project.state().join("effects");
    let store = format!("sqlite:{}", project.state().join("runs.db").display());
    let mut args = vec!["run".to_owned(), "--store".into(), store.clone()];
    for (name, path) in [("STARTED", &begun), ("GO", &go), ("EFFECTS", &effects)] {
        args.extend(["--env".into(), format!("{name}={}", path.display())]);
    }
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let mut child = project.command(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    assert_eq!(fs::read_to_string(&begun).unwrap(), "go\n");
    project.write("quick.kdl", r#"stage "quick" { run "true" }"#);
    let hint = |output: &str| {
        let done = project.buildit(&["run", "quick.kdl", "--store", &store, "--output", output]).exits(0);
        done.stderr.lines().find(|line| line.contains("broken off")).map(str::to_owned)
    };
    assert_eq!(hint("human"), None, "it is driven");
    child.kill().unwrap();
    child.wait().unwrap();
    let told = format!(
        "buildit: an earlier run of this store was broken off; `buildit resume --store {store}` goes on with it"
    );
    assert_eq!(hint("human"), Some(told));
    assert_eq!((hint("plain"), hint("json")), (None, None), "for people only");

    let resume = ["resume", "--store", &store, "--output", "json"];
    let child = project.command(&resume).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    fs::write(&go, "42\n").unwrap();
    let done = Done::of(child.wait_with_output().unwrap()).exits(0);
    assert_eq!(fs::read_to_string(&effects).unwrap(), "once\nafter\n", "each happened once (G1)");
    assert_eq!(done.log("during"), ["got 42"], "the log is whole (G3)");
    assert_eq!(done.of_type("run_finished")[0]["status"], "succeeded");
    assert_eq!(hint("human"), None);
}

/// The bytes of all files below a folder.
fn bytes_below(folder: &std::path::Path) -> u64 {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let bytes = |entry: fs::DirEntry| match entry.file_type().unwrap().is_dir() {
        true => bytes_below(&entry.path()),
        false => entry.metadata().unwrap().len(),
    };
    entries.map(bytes).sum()
}

#[test]
fn a_run_that_waits_for_one_that_was_killed_says_so_until_that_is_taken_up() {
    let project = Project::new(
        r##"
        pipeline "p" { concurrency "one" }
        stage "a" { run #"if [ -n "$STARTED" ]; then echo go > "$STARTED"; read -r answer < "$GO"; fi"# }
        "##,
    );
    let (begun, go) = (project.pipe("started"), project.pipe("go"));
    let given = [("STARTED", &begun), ("GO", &go)].map(|(name, path)| format!("{name}={}", path.display()));
    let mut killed = project.command(&["run", "--env", &given[0], "--env", &given[1]]).stdout(Stdio::null()).spawn();
    assert_eq!(fs::read_to_string(&begun).unwrap(), "go\n");
    killed.as_mut().unwrap().kill().unwrap();
    killed.unwrap().wait().unwrap();

    let mut waiting = project.command(&["run"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut told = std::io::BufRead::lines(std::io::BufReader::new(waiting.stderr.take().unwrap()));
    assert!(told.any(|line| line.unwrap().contains("waits for run")));
    let resume = project.command(&["resume"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    fs::write(&go, "on\n").unwrap();
    assert!(resume.unwrap().wait().unwrap().success());
    assert!(told.all(|line| line.is_ok()) && waiting.wait().unwrap().success());
}

const TALKS: &str = r##"
    pipeline "talks"
    param "WORD" default="x"
    stage "say" { run #"echo "${params.WORD}" >word.txt"#; artifacts "word.txt" }
"##;

#[test]
fn gc_leaves_what_is_referred_to() {
    let project = Project::new(TALKS);
    for word in ["one", "two", "three"] {
        project.in_store(&["run", "--param", &format!("WORD={word}")]).exits(0);
    }
    let gc = |more: &[&str]| {
        let done = project.in_store(&[&["gc", "--output", "json"], more].concat()).exits(0);
        done.objects().remove(0)
    };
    let first = gc(&[]);
    assert_eq!((&first["archived_logs"], &first["indexed_logs"]), (&3.into(), &3.into()), "{first}");
    assert_eq!(first["kept_blobs"], 7, "three artifacts, three logs and one source");
    let would = gc(&["--keep", "1", "--dry-run"]);
    assert_eq!((&would["runs"], &would["blobs"]), (&2.into(), &0.into()), "{would}");
    let young = gc(&["--keep", "1"]);
    assert_eq!((&young["runs"], &young["blobs"], &young["kept_blobs"]), (&2.into(), &0.into(), &7.into()), "{young}");
    let done = gc(&["--grace", "0s"]);
    assert_eq!((&done["runs"], &done["blobs"], &done["kept_blobs"]), (&0.into(), &4.into(), &3.into()), "{done}");
    let blobs = project.state().join("runs.db.blobs");
    assert_eq!(Some(bytes_below(&blobs)), done["kept_bytes"].as_u64(), "the bytes on the disk");

    let out = project.state().join("out");
    project.in_store(&["artifacts", "@1", "--out", out.to_str().unwrap()]).exits(0);
    assert_eq!(fs::read_to_string(out.join("word.txt")).unwrap(), "three\n");
    let say = ["logs", "@1", "say"];
    assert!(project.in_store(&say).exits(0).stdout.starts_with("+ echo"), "out of the blob");
    assert_eq!(gc(&["--keep-logs", "0", "--grace", "0s"])["logs"], 1);
    assert!(project.in_store(&say).exits(0).stderr.contains("removed"), "told, and no failure");
    let everything = gc(&["--older-than", "0s", "--grace", "0s"]);
    assert_eq!((&everything["runs"], &everything["kept_blobs"]), (&1.into(), &0.into()), "{everything}");
    assert_eq!(bytes_below(&blobs), 0);
    assert!(
        project.in_store(&["gc"]).exits(0).stdout.contains("removed 0 runs, the logs of 0, 0 caches, 0 blobs (0 B)")
    );
}

#[test]
fn gc_tidies_a_journal() {
    let project = Project::new(TALKS);
    let journal = project.state().join("journal");
    let journal = journal.to_str().unwrap();
    let in_journal =
        |args: &[&str]| Done::of(project.command(&[args, &["--journal", journal]].concat()).output().unwrap());
    assert!(in_journal(&["gc"]).exits(2).stderr.contains("there is no journal"));
    in_journal(&["run", "--param", "WORD=one"]).exits(0);
    in_journal(&["run", "--param", "WORD=two"]).exits(0);
    let done = in_journal(&["gc", "--keep", "1", "--output", "json"]).exits(0).objects().remove(0);
    assert_eq!((&done["runs"], &done["blobs"], &done["kept_blobs"]), (&1.into(), &1.into(), &2.into()), "{done}");
    assert_eq!(Some(bytes_below(&project.state().join("journal/blobs"))), done["kept_bytes"].as_u64());
}
