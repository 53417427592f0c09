//! What lies in a folder, and what is usually run for it.

use std::path::Path;

use super::draft::{Draft, Stage};
use super::{makefile, package};

/// A pipeline for this folder. It always has a stage. What is no part of the source is not there when stages run: a
/// lock file that git ignores, above all.
pub(crate) fn detect(dir: &Path, is_source: impl Fn(&str) -> bool, name: &str, branch: &str) -> Draft {
    let has = |file: &str| dir.join(file).is_file() && is_source(file);
    let read = |file: &str| std::fs::read_to_string(dir.join(file)).unwrap_or_default();
    let mut draft = Draft { name: name.into(), branch: branch.into(), ..Draft::default() };
    if has("Cargo.toml") {
        draft.add("Cargo.toml", "rust", rust(&read("Cargo.toml"), has("Cargo.lock")));
    }
    if has("go.mod") {
        draft.add("go.mod", "go", go());
    }
    if has("package.json") {
        draft.add("package.json", "node", package::stages(&read("package.json"), has));
    }
    if has("pyproject.toml") || has("setup.py") || has("requirements.txt") {
        let found = ["pyproject.toml", "setup.py", "requirements.txt"].into_iter().find(|file| has(file));
        draft.add(found.unwrap_or("pyproject.toml"), "python", python(&read("pyproject.toml"), has));
    }
    if has("gradlew") {
        draft.add("gradlew", "gradle", vec![Stage::new("check", ["./gradlew check"])]);
    } else if has("pom.xml") {
        let maven = if has("mvnw") { "./mvnw -B verify" } else { "mvn -B verify" };
        draft.add("pom.xml", "maven", vec![Stage::new("verify", [maven])]);
    }
    // A makefile beside one of those nearly always calls the same tools again.
    if draft.stages.is_empty()
        && let Some(found) = ["Makefile", "makefile", "GNUmakefile"].into_iter().find(|file| has(file))
    {
        draft.add(found, "make", makefile::stages(&read(found)));
    }
    if draft.stages.is_empty() {
        draft.stages.push(Stage::new("hello", ["echo \"Hello from $(uname -s)\""]));
    }
    draft
}

fn rust(manifest: &str, locked: bool) -> Vec<Stage> {
    let workspace = if manifest.contains("[workspace]") { " --workspace" } else { "" };
    let locked = if locked { " --locked" } else { "" };
    let lint = format!("cargo clippy{workspace}{locked} --all-targets -- -D warnings");
    let test = format!("cargo test{workspace}{locked}");
    vec![
        Stage::new("fmt", ["cargo fmt --all --check"]),
        Stage::new("lint", [lint.as_str()]).after(["fmt"]),
        Stage::new("test", [test.as_str()]).after(["fmt"]),
    ]
}

fn go() -> Vec<Stage> {
    vec![
        Stage::new("vet", ["go vet ./..."]),
        Stage::new("test", ["go test ./..."]),
        Stage::new("build", ["go build ./..."]).after(["vet", "test"]),
    ]
}

fn python(project: &str, has: impl Fn(&str) -> bool) -> Vec<Stage> {
    let mut install = vec!["python3 -m venv .venv"];
    if has("requirements.txt") {
        install.push(".venv/bin/pip install --quiet -r requirements.txt");
    } else if has("pyproject.toml") || has("setup.py") {
        install.push(".venv/bin/pip install --quiet .");
    }
    let mut stages = Vec::new();
    if project.contains("[tool.ruff") {
        stages.push(Stage::new(
            "lint",
            ["python3 -m venv .venv", ".venv/bin/pip install --quiet ruff", ".venv/bin/ruff check ."],
        ));
    }
    let pytest = project.contains("pytest") || has("pytest.ini") || has("conftest.py");
    let test = if pytest {
        [".venv/bin/pip install --quiet pytest", ".venv/bin/python -m pytest"].as_slice()
    } else {
        [".venv/bin/python -m unittest discover"].as_slice()
    };
    stages.push(Stage::new("test", install.into_iter().chain(test.iter().copied())));
    stages
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(files: &[(&str, &str)]) -> Draft {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        detect(dir.path(), |_| true, "shop", "main")
    }

    #[test]
    fn an_empty_folder_gets_a_stage_that_runs_anywhere() {
        insta::assert_snapshot!(draft(&[]).text());
    }

    #[test]
    fn a_folder_of_two_languages_gets_both() {
        let draft = draft(&[
            ("Cargo.toml", "[workspace]\n"),
            ("Cargo.lock", ""),
            ("package.json", r#"{ "scripts": { "lint": "eslint .", "test": "jest", "start": "x" } }"#),
            ("package-lock.json", "{}"),
            ("Makefile", "test:\n\ttrue\n"),
        ]);
        assert_eq!(draft.found, ["Cargo.toml", "package.json"]);
        insta::assert_snapshot!(draft.text());
    }

    #[test]
    fn tools_are_told_by_their_files() {
        let names = |files: &[(&str, &str)]| -> Vec<String> {
            draft(files)
                .stages
                .into_iter()
                .map(|stage| format!("{}: {}", stage.name, stage.commands.join(" && ")))
                .collect()
        };
        insta::assert_debug_snapshot!([
            names(&[("go.mod", "module x")]),
            names(&[("pyproject.toml", "[tool.ruff]\n[tool.pytest.ini_options]")]),
            names(&[("requirements.txt", "")]),
            names(&[("pom.xml", ""), ("mvnw", "")]),
            names(&[("gradlew", "")]),
            names(&[("Makefile", "all: x\n.PHONY: all test\ntest: ; true\nlint:\n\ttrue\nVAR := y\n")]),
            names(&[("package.json", "not json")]),
            names(&[("package.json", r#"{ "scripts": { "test": "vitest" } }"#), ("pnpm-lock.yaml", "")]),
        ]);
    }
}
