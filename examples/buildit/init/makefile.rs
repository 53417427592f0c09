//! The targets of a makefile that a pipeline is usually made of.

use super::draft::Stage;

/// What is taken, in this order; the later ones wait for the earlier.
const USUAL: [&str; 4] = ["lint", "check", "test", "build"];

/// Stages for the usual targets, or for the first target if it has none of them.
pub(crate) fn stages(makefile: &str) -> Vec<Stage> {
    let targets: Vec<&str> = makefile.lines().filter_map(target).collect();
    let usual: Vec<&str> = USUAL.into_iter().filter(|usual| targets.contains(usual)).collect();
    if usual.is_empty() {
        return targets.first().map(|_| Stage::new("make", ["make"])).into_iter().collect();
    }
    let stage = |name: &str| Stage::new(name, [format!("make {name}").as_str()]);
    let gates = usual.iter().copied().filter(|name| *name != "build");
    let stages = gates.clone().map(stage);
    let build = usual.contains(&"build").then(|| stage("build").after(gates.clone()));
    stages.chain(build).collect()
}

/// The target that a line defines. Patterns, variables and special targets are none.
fn target(line: &str) -> Option<&str> {
    let (name, rest) = line.split_once(':')?;
    let plain = |character: char| character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '/');
    (!rest.starts_with('=') && !rest.starts_with(":=") && !name.is_empty() && name.chars().all(plain)).then_some(name)
}
