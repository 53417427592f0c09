//! A pipeline that is no file: its stages are made from what the run is of.
//!
//!     cargo run -p buildit-examples --example generated_pipeline
//!
//! A monorepo has a folder for each service. A run tests the services whose files changed, and on `main` ships them
//! after all tests.

use std::collections::BTreeSet;
use std::sync::Arc;

use buildit::graph::Graph;
use buildit::pipeline::{GitContext, Pipeline, PipelineBuilder, PipelineError, PipelineSpec, RunContext, StageBuilder};

/// The services of a repository, one folder each.
#[derive(Debug)]
struct Monorepo {
    services: Vec<&'static str>,
}

impl Pipeline for Monorepo {
    fn spec(&self, context: &RunContext) -> Result<Arc<PipelineSpec>, PipelineError> {
        let folder = |path: &String| path.split('/').next().map(str::to_owned);
        let changed: Option<BTreeSet<String>> =
            context.changes.as_ref().map(|paths| paths.iter().filter_map(folder).collect());
        // Without a base to compare with, everything counts as changed.
        let touched = |service: &&&str| changed.as_ref().is_none_or(|changed| changed.contains(**service));
        let services: Vec<&str> = self.services.iter().filter(touched).copied().collect();
        let tests: Vec<String> = services.iter().map(|service| format!("test-{service}")).collect();

        let mut pipeline = PipelineBuilder::new("monorepo").stage(StageBuilder::run("lint", "echo linting"));
        for (service, test) in services.iter().zip(&tests) {
            pipeline =
                pipeline.stage(StageBuilder::run(test.as_str(), format!("echo testing {service}")).needs(["lint"]));
        }
        if context.git.branch == "main" {
            for service in services {
                let stage = StageBuilder::run(format!("ship-{service}"), format!("echo shipping {service}"));
                pipeline = pipeline.stage(stage.needs(tests.iter().map(String::as_str)));
            }
        }
        Ok(Arc::new(pipeline.build()))
    }
}

fn main() -> anyhow::Result<()> {
    let monorepo = Monorepo { services: vec!["api", "web", "worker"] };
    let spec = monorepo.spec(&push("main", &["api/src/main.rs", "web/index.html"]))?;
    print_text(&Graph::new(&spec)?.to_mermaid(&spec));
    Ok(())
}

fn push(branch: &str, changes: &[&str]) -> RunContext {
    RunContext {
        event: "push".into(),
        git: GitContext { branch: branch.into(), ..GitContext::default() },
        changes: Some(changes.iter().map(|&path| path.into()).collect()),
        ..RunContext::default()
    }
}

#[expect(clippy::print_stdout, reason = "a program that shows what it does")]
fn print_text(text: &str) {
    print!("{text}");
}

#[cfg(test)]
mod tests {
    use buildit::testing::Simulation;

    use super::*;

    #[test]
    fn only_what_changed_is_tested_and_only_main_ships() {
        let monorepo = Monorepo { services: vec!["api", "web", "worker"] };
        let order = |context| Simulation::new(&monorepo).context(context).run().unwrap().order();
        assert_eq!(order(push("topic", &["web/index.html"])), ["lint", "test-web"]);
        assert_eq!(order(push("main", &["api/a", "web/b"])), ["lint", "test-api", "test-web", "ship-api", "ship-web"]);
        assert_eq!(order(RunContext::manual()).len(), 4, "without a base everything counts as changed");
    }
}
