//! The scripts of a `package.json` that a pipeline is usually made of.

use super::draft::Stage;

/// What is taken, in this order; `build` waits for the others.
const USUAL: [&str; 4] = ["lint", "typecheck", "test", "build"];

/// Stages for the usual scripts, or one that only installs.
pub(crate) fn stages(manifest: &str, has: impl Fn(&str) -> bool) -> Vec<Stage> {
    let (install, run) = if has("pnpm-lock.yaml") {
        ("pnpm install --frozen-lockfile", "pnpm run")
    } else if has("yarn.lock") {
        ("yarn install --frozen-lockfile", "yarn run")
    } else if has("bun.lock") || has("bun.lockb") {
        ("bun install --frozen-lockfile", "bun run")
    } else if has("package-lock.json") {
        ("npm ci", "npm run")
    } else {
        ("npm install", "npm run")
    };
    // A file that is no JSON is the business of the package manager, which says so better.
    let manifest: serde_json::Value = serde_json::from_str(manifest).unwrap_or_default();
    let scripts: Vec<&str> = USUAL.into_iter().filter(|script| manifest["scripts"][script].is_string()).collect();
    if scripts.is_empty() {
        return vec![Stage::new("install", [install])];
    }
    let gates: Vec<&str> = scripts.iter().copied().filter(|script| *script != "build").collect();
    scripts
        .iter()
        .map(|script| {
            let stage = Stage::new(script, [install, format!("{run} {script}").as_str()]);
            if *script == "build" { stage.after(gates.iter().copied()) } else { stage }
        })
        .collect()
}
