//! Secrets that a store keeps, sealed.
#![cfg(unix)]

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use crate::common::{Done, Project};

const ONE: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE=";
const TWO: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAI=";

const SHOP: &str = r##"
    pipeline "shop"
    stage "ship" { secrets "TOKEN"; run #"printf '%s' "$TOKEN" | wc -c; echo "$TOKEN""# }
"##;

/// The command on the store beside the state, with these keys and this input.
fn with(project: &Project, keys: Option<&str>, input: &str, args: &[&str]) -> Done {
    let store = format!("sqlite:{}", project.state().join("runs.db").display());
    let mut command = project.command(&[args, &["--store", &store]].concat());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.env_remove("BUILDIT_SECRET_KEY_FILE").env_remove("BUILDIT_SECRET_KEY");
    if let Some(keys) = keys {
        command.env("BUILDIT_SECRET_KEY", keys);
    }
    let mut child = command.spawn().unwrap();
    // Who is refused does not read it.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    Done::of(child.wait_with_output().unwrap())
}

fn is_silent(done: &Done, value: &str) {
    assert!(!done.stdout.contains(value) && !done.stderr.contains(value), "{}{}", done.stdout, done.stderr);
}

#[test]
fn a_run_finds_the_secrets_of_its_store_and_nothing_shows_them() {
    let project = Project::new(SHOP);
    let key = Some(ONE);
    assert!(with(&project, key, "", &["run"]).exits(2).stderr.contains("TOKEN"), "there is none yet");
    with(&project, key, "wide-value\n", &["secrets", "set", "TOKEN"]).exits(0);
    let wide = with(&project, key, "", &["run"]).exits(0);
    assert_eq!(wide.stdout.lines().filter(|line| *line == "ship | 10" || *line == "ship | ***").count(), 2);
    let set = with(&project, key, "narrow", &["secrets", "set", "TOKEN", "--scope", "pipeline:shop"]).exits(0);
    assert!(set.stderr.contains("TOKEN of the pipeline shop, version 1"), "{}", set.stderr);
    is_silent(&set, "narrow");
    let narrow = with(&project, key, "", &["run"]).exits(0);
    assert!(narrow.stdout.lines().any(|line| line == "ship | 6"), "{}", narrow.stdout);
    is_silent(&narrow, "narrow");

    let list = with(&project, None, "", &["secrets", "list", "--output", "json"]).exits(0);
    let listed: Vec<_> = list.objects().iter().map(|line| (line["scope"].clone(), line["version"].clone())).collect();
    assert_eq!(listed, [("organization".into(), 1.into()), ("pipeline".into(), 1.into())]);
    is_silent(&list, "narrow");
    let list = with(&project, None, "", &["secrets", "list"]).exits(0);
    assert!(list.stdout.starts_with("TOKEN of the organization  version 1"), "{}", list.stdout);

    with(&project, None, "", &["secrets", "delete", "TOKEN", "--scope", "pipeline:shop"]).exits(0);
    let again = with(&project, None, "", &["secrets", "delete", "TOKEN", "--scope", "pipeline:shop"]).exits(2);
    assert!(again.stderr.contains("there is no secret TOKEN of the pipeline shop"), "{}", again.stderr);
    assert!(with(&project, key, "", &["run"]).exits(0).stdout.lines().any(|line| line == "ship | 10"));
}

#[test]
fn keys_are_changed_by_a_command() {
    let project = Project::new(SHOP);
    with(&project, Some(ONE), "the value", &["secrets", "set", "TOKEN"]).exits(0);
    let wrong = with(&project, Some(TWO), "", &["run"]).exits(2);
    assert!(
        wrong.stderr.contains("was sealed with key") || wrong.stderr.contains("cannot be read"),
        "{}",
        wrong.stderr
    );
    let wrong = with(&project, Some(TWO), "", &["secrets", "rotate-key"]).exits(2);
    assert!(wrong.stderr.contains("TOKEN of the organization was sealed with key"), "{}", wrong.stderr);
    let both = format!("{TWO} {ONE}");
    let rotated = with(&project, Some(&both), "", &["secrets", "rotate-key"]).exits(0);
    assert!(rotated.stderr.contains("1 secrets were sealed anew"), "{}", rotated.stderr);
    with(&project, Some(TWO), "", &["run"]).exits(0);
    with(&project, Some(ONE), "", &["run"]).exits(2);
}

#[test]
fn what_is_wrong_is_said_without_a_value() {
    let project = Project::new(SHOP);
    let set = |keys, input: &str, more: &[&str]| with(&project, keys, input, &[&["secrets", "set"], more].concat());
    assert!(set(None, "value", &["TOKEN"]).exits(2).stderr.contains("there is no key"));
    assert!(set(Some("hunter2"), "value", &["TOKEN"]).exits(2).stderr.contains("key 1 is not 32 bytes"));
    assert!(set(Some(ONE), "abc", &["TOKEN"]).exits(2).stderr.contains("at least 4 bytes"));
    let on_the_line = set(Some(ONE), "", &["TOKEN=opensesame"]).exits(2);
    assert!(on_the_line.stderr.contains("is no name of a secret"), "{}", on_the_line.stderr);
    assert!(set(Some(ONE), "value", &["TOKEN", "--scope", "pipeline"]).exits(2).stderr.contains("pipeline:NAME"));

    let file = project.state().join("key");
    fs::write(&file, ONE).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let key_file = ["TOKEN", "--key-file", file.to_str().unwrap()];
    assert!(set(None, "value", &key_file).exits(2).stderr.contains("others can read the key file"));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    set(None, "value", &key_file).exits(0);
    let value = project.state().join("value");
    fs::write(&value, "from a file\n").unwrap();
    set(Some(ONE), "", &["TOKEN", "--from-file", value.to_str().unwrap()]).exits(0);
    set(Some(ONE), "", &["TOKEN", "--from-env", "HOME"]).exits(0);
    assert!(set(Some(ONE), "", &["TOKEN", "--from-env", "THERE_IS_NONE"]).exits(2).stderr.contains("THERE_IS_NONE"));
}
