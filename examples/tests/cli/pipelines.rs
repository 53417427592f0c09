//! The pipelines to learn from are valid, formatted, and those that need nothing but a shell run.

use crate::common::Project;

/// A repository with all of the examples, where they include each other.
fn examples() -> (Project, Vec<String>) {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines");
    let project = Project::new("pipeline \"p\"\nstage \"a\" { run \"true\" }\n");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let name = format!("examples/pipelines/{}", entry.file_name().to_str().unwrap());
        project.write(&name, &std::fs::read_to_string(entry.path()).unwrap());
        names.push(name);
    }
    names.sort();
    (project, names)
}

#[test]
fn all_are_valid_and_formatted() {
    let (project, names) = examples();
    for name in names.iter().filter(|name| !name.ends_with("common.kdl")) {
        let done = project.buildit(&["validate", name]).exits(0);
        assert!(done.stderr.is_empty(), "{name}: {}", done.stderr);
        project.buildit(&["fmt", "--check", name]).exits(0);
        project.buildit(&["graph", name]).exits(0);
    }
}

#[test]
fn those_without_images_run() {
    let (project, _) = examples();
    for name in ["hello", "outputs", "matrix", "conditions"] {
        project.json(&[&format!("examples/pipelines/{name}.kdl")]).exits(0);
    }
    let release =
        ["examples/pipelines/release.kdl", "--param", "version=1.2", "--approve-all", "--secret", "SHOP_TOKEN"];
    let mut command = project.command(&["run", "--output", "json"]);
    command.args(release).env("SHOP_TOKEN", "a-long-token");
    let done = crate::common::Done::of(command.output().unwrap()).exits(0);
    assert_eq!(done.log("publish").last().unwrap(), "with the token ***");
}

#[test]
fn everything_is_refused_with_what_is_missing() {
    let (project, _) = examples();
    let secrets = ["REGISTRY_TOKEN", "DB_PASSWORD", "CHAT_TOKEN"];
    let mut command = project.command(&["run", "examples/pipelines/everything.kdl", "--output", "json"]);
    command.args(["--approve-all", "--approve-field", "note=x"]);
    for name in secrets {
        command.args(["--secret", name]).env(name, "a-long-value");
    }
    // A container engine that is not there would be told instead of what the pipeline lacks.
    let done = crate::common::Done::of(command.args(["--executor", "local"]).output().unwrap()).exits(2);
    let lines: Vec<_> = done.objects().iter().map(|object| object["line"].as_u64()).collect();
    assert!(lines.iter().all(Option::is_some) && !lines.is_empty(), "{}", done.stdout);
}

#[test]
fn our_own_pipeline_is_valid() {
    let own = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../.buildit.kdl");
    let (project, _) = examples();
    project.buildit(&["validate", own.to_str().unwrap()]).exits(0);
    project.buildit(&["fmt", "--check", own.to_str().unwrap()]).exits(0);
}
