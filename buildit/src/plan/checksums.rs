//! What `${checksum.PATH}` names in a pipeline.

use std::collections::BTreeSet;

use super::Plan;
use super::texts;
use crate::variables::{PieceKind, Reference, Variable, may_refer, pieces};

impl Plan {
    /// The paths and globs whose digests the pipeline refers to. Whoever starts a run takes them from the source and
    /// puts them into [`RunContext::checksums`](crate::pipeline::RunContext::checksums).
    #[must_use]
    pub fn checksums(&self) -> BTreeSet<String> {
        let spec = self.spec();
        let mut found = BTreeSet::new();
        let mut look = |text: &str| {
            if may_refer(text) {
                found.extend(pieces(text).into_iter().filter_map(|piece| match piece.kind {
                    PieceKind::Reference(reference) => path(reference),
                    _ => None,
                }));
            }
        };
        spec.env.values().for_each(|value| look(value));
        spec.concurrency.iter().for_each(|concurrency| look(&concurrency.group));
        for cache in &spec.caches {
            cache.restore_keys.iter().chain([&cache.key]).for_each(|key| look(key));
        }
        for stage in &spec.stages {
            texts::each(stage, &mut |_, _, text| look(text));
            // The scripts are compiled: what they refer to is noted with them, and the source is still there.
            stage.run().iter().flat_map(|run| &run.commands).for_each(|command| look(&command.source));
        }
        found
    }
}

fn path(reference: Reference) -> Option<String> {
    match reference.variable {
        Variable::Checksum(path) => Some(path.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::pipeline::{CacheSpec, ExpandLimits, PipelineBuilder, StageBuilder};
    use crate::plan::Plan;

    #[test]
    fn every_text_is_looked_at() {
        let cache = CacheSpec {
            name: "cargo".into(),
            paths: vec!["target".into()],
            key: "cargo-${checksum.Cargo.lock}".into(),
            ..CacheSpec::default()
        };
        let spec = PipelineBuilder::new("p")
            .env("A", "${checksum.a.txt}")
            .cache(cache)
            .stage(StageBuilder::run("s", "true").env("B", "${checksum.src/**} ${git.sha}"))
            .build();
        let plan = Plan::compile(&spec, ExpandLimits::default()).unwrap();
        assert_eq!(Vec::from_iter(plan.checksums()), ["Cargo.lock", "a.txt", "src/**"]);
    }
}
