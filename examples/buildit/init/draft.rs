//! A pipeline that is being written, and its text.

use std::fmt::Write;

/// A pipeline that is being written.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    /// Its name.
    pub(crate) name: String,
    /// The branch that its triggers watch.
    pub(crate) branch: String,
    /// What was found, for the person: `Cargo.toml`.
    pub(crate) found: Vec<&'static str>,
    /// Its stages.
    pub(crate) stages: Vec<Stage>,
}

/// A stage that is being written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stage {
    pub(crate) name: String,
    pub(crate) needs: Vec<String>,
    pub(crate) commands: Vec<String>,
}

impl Stage {
    /// A stage of this name that runs these commands.
    pub(crate) fn new<'a>(name: &str, commands: impl IntoIterator<Item = &'a str>) -> Self {
        Self { name: name.into(), needs: Vec::new(), commands: commands.into_iter().map(Into::into).collect() }
    }

    /// The same after these stages.
    pub(crate) fn after<'a>(mut self, needs: impl IntoIterator<Item = &'a str>) -> Self {
        self.needs = needs.into_iter().map(Into::into).collect();
        self
    }
}

impl Draft {
    /// Adds the stages for something that was found. Where a name is taken, `prefix` keeps the two apart.
    pub(crate) fn add(&mut self, found: &'static str, prefix: &str, stages: Vec<Stage>) {
        if stages.is_empty() {
            return;
        }
        self.found.push(found);
        let clash = stages.iter().any(|stage| self.stages.iter().any(|known| known.name == stage.name));
        let rename = |name: String| if clash { format!("{prefix}-{name}") } else { name };
        self.stages.extend(stages.into_iter().map(|stage| Stage {
            name: rename(stage.name),
            needs: stage.needs.into_iter().map(rename).collect(),
            commands: stage.commands,
        }));
    }

    /// The pipeline as KDL, in the form that `buildit fmt` gives it.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("pipeline {}\n\n", quote(&self.name));
        let branch = quote(&glob(&self.branch));
        // Writing into a string cannot fail.
        let _ = write!(
            text,
            "on \"push\" {{\n    branches {branch}\n}}\non \"pull_request\" {{\n    branches {branch}\n}}\n"
        );
        for stage in &self.stages {
            let _ = write!(text, "\nstage {} {{\n", quote(&stage.name));
            if !stage.needs.is_empty() {
                let needs: Vec<String> = stage.needs.iter().map(|need| quote(need)).collect();
                let _ = writeln!(text, "    needs {}", needs.join(" "));
            }
            for command in &stage.commands {
                let _ = writeln!(text, "    run {}", quote(&literal(command)));
            }
            text.push_str("}\n");
        }
        text
    }
}

/// Text in which `${` is no reference, for where there may be one. A name is not read so: it would stay doubled.
fn literal(text: &str) -> String {
    text.replace("${", "$${")
}

/// The glob that this branch alone matches. Git allows none of the other signs that mean something in one.
fn glob(branch: &str) -> String {
    let escape = |(at, letter)| match letter {
        '{' | '}' => format!("\\{letter}"),
        '!' if at == 0 => "\\!".to_owned(),
        letter => letter.to_string(),
    };
    branch.char_indices().map(escape).collect()
}

/// A string in KDL.
fn quote(text: &str) -> String {
    let mut quoted = String::from('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            '\n' => quoted.push_str("\\n"),
            character if character.is_control() => {
                let _ = write!(quoted, "\\u{{{:x}}}", u32::from(character));
            }
            character => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_clash_are_kept_apart() {
        let mut draft = Draft::default();
        draft.add("Cargo.toml", "rust", vec![Stage::new("test", ["cargo test"])]);
        draft.add("package.json", "node", vec![Stage::new("lint", ["a"]), Stage::new("test", ["b"]).after(["lint"])]);
        let names: Vec<_> = draft.stages.iter().map(|stage| stage.name.as_str()).collect();
        assert_eq!(names, ["test", "node-lint", "node-test"]);
        assert_eq!(draft.stages[2].needs, ["node-lint"]);
    }

    #[test]
    fn strings_survive_quoting() {
        assert_eq!(quote("a \"b\" \\ \n\u{1} ${git.sha}"), r#""a \"b\" \\ \n\u{1} ${git.sha}""#);
        assert_eq!(literal("echo ${git.sha}"), "echo $${git.sha}");
        assert_eq!(glob("!a!${git.sha}"), r"\!a!$\{git.sha\}");
    }
}
