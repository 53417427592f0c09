//! Findings about a pipeline, each with its part and its place.

use std::ops::Range;

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::pipeline::{Origin, Origins, PipelineSpec, StageSpec};
use crate::variables::NameError;

/// Findings about a pipeline, as they are gathered.
#[derive(Debug, Default)]
pub(super) struct Findings(pub(super) Vec<Diagnostic>);

impl Findings {
    /// Adds a finding about a part of a stage.
    pub(super) fn stage(&mut self, stage: &StageSpec, path: String, range: Option<Range<usize>>, finding: Diagnostic) {
        let origin = origin_of(&stage.origins, &path).or_else(|| stage.origins.get("stage")).cloned();
        let finding = finding.with_part(Some(stage.written_name().clone()), path, range);
        self.add(finding, origin);
    }

    /// Adds a finding about a part of the pipeline itself.
    pub(super) fn pipeline(
        &mut self,
        spec: &PipelineSpec,
        path: String,
        range: Option<Range<usize>>,
        finding: Diagnostic,
    ) {
        let origin = origin_of(&spec.origins, &path).or_else(|| spec.origins.get("pipeline")).cloned();
        self.add(finding.with_part(None, path, range), origin);
    }

    pub(super) fn add(&mut self, finding: Diagnostic, origin: Option<Origin>) {
        let finding = match origin.or_else(|| finding.origin.clone()) {
            Some(origin) => finding.with_origin(origin),
            None => finding,
        };
        self.0.push(finding);
    }

    /// All of them in the order of their places; those without one, at the end.
    pub(super) fn sorted(mut self) -> Diagnostics {
        let place = |finding: &Diagnostic| {
            let origin = finding.origin.as_ref();
            let within = finding.part.as_ref().and_then(|part| part.range.as_ref()).map_or(0, |range| range.start);
            (origin.is_none(), origin.map(|origin| (origin.file.clone(), origin.offset)), within)
        };
        self.0.sort_by_key(place);
        self.0.dedup();
        Diagnostics(self.0)
    }
}

impl From<NameError> for Diagnostic {
    fn from(error: NameError) -> Self {
        let finding = Self::error(error.code, error.message);
        match error.help {
            Some(help) => finding.with_help(help),
            None => finding,
        }
    }
}

/// Where a part was written, or the nearest part around it whose place is known.
fn origin_of<'o>(origins: &'o Origins, path: &str) -> Option<&'o Origin> {
    let mut path = path;
    loop {
        if let Some(origin) = origins.get(path) {
            return Some(origin);
        }
        path = &path[..path.rfind(['.', '['])?];
    }
}
