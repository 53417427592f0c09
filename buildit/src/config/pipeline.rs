//! The entry: a text in, a pipeline out.

use std::path::Path;
use std::sync::Arc;

use super::findings::Findings;
use super::loader::{self, SourceTree};
use super::options::Options;
use super::source::Sources;
use super::units::Units;
use super::{document, place};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::pipeline::{Origin, Pipeline, PipelineError, PipelineSpec, RunContext};
use crate::plan::Plan;

/// A pipeline that was read from KDL text, and found valid.
#[derive(Clone, Debug)]
pub struct KdlPipeline {
    spec: Arc<PipelineSpec>,
    warnings: Diagnostics,
    sources: Sources,
}

impl KdlPipeline {
    /// The pipeline as data.
    #[must_use]
    pub fn spec(&self) -> &Arc<PipelineSpec> {
        &self.spec
    }

    /// What is probably not as it was meant, although the pipeline can run.
    #[must_use]
    pub fn warnings(&self) -> &Diagnostics {
        &self.warnings
    }

    /// The texts that it was read from.
    #[must_use]
    pub fn sources(&self) -> &Sources {
        &self.sources
    }
}

impl Pipeline for KdlPipeline {
    fn spec(&self, context: &RunContext) -> Result<Arc<PipelineSpec>, PipelineError> {
        self.spec.check_params(&context.params)?;
        Ok(Arc::clone(&self.spec))
    }
}

/// Why a text is no pipeline: every finding, sorted by place, with the texts to show them in.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{diagnostics}")]
pub struct InvalidPipeline {
    /// All findings, warnings included; at least one is an error.
    pub diagnostics: Diagnostics,
    /// The texts that they are about.
    pub sources: Sources,
}

impl From<InvalidPipeline> for PipelineError {
    fn from(invalid: InvalidPipeline) -> Self {
        Self::Invalid(Box::new(invalid))
    }
}

/// Reads a pipeline from text; `name` is what diagnostics call it, and the path that its includes are relative to
/// the root of.
///
/// ```
/// use buildit::config::{self, Options};
///
/// let pipeline = config::parse("ci.kdl", r#"stage "test" { run "cargo test" }"#, &Options::default())?;
/// assert_eq!(pipeline.spec().stages[0].name, "test");
///
/// let wrong = config::parse("ci.kdl", r#"stage "test" { rum "cargo test" }"#, &Options::default()).unwrap_err();
/// assert_eq!(wrong.diagnostics.0[0].code, "unknown-node");
/// # Ok::<(), buildit::config::InvalidPipeline>(())
/// ```
///
/// # Errors
///
/// [`InvalidPipeline`] with all that is wrong with it.
pub fn parse(name: &str, text: &str, options: &Options) -> Result<KdlPipeline, InvalidPipeline> {
    let mut sources = Sources::default();
    let mut found = Findings::default();
    let units = Units::load(name, text, options, &mut sources, &mut found);
    // A file that could not be read at all leaves names unknown that are fine: nothing is said about those.
    let complete = !found.has_errors();
    let spec = document::decode(&units.nodes(), name, &mut found);
    if complete {
        plan(&spec, options, &sources, &mut found);
    }
    let diagnostics = sorted(found.0, &sources);
    if diagnostics.has_errors() {
        return Err(InvalidPipeline { diagnostics, sources });
    }
    Ok(KdlPipeline { spec: Arc::new(spec), warnings: diagnostics, sources })
}

/// Adds what is wrong with the pipeline as a whole: its references, conditions, scripts, matrices and graph.
fn plan(spec: &PipelineSpec, options: &Options, sources: &Sources, found: &mut Findings) {
    let mut more = match Plan::compile(spec, options.expand) {
        Ok(plan) => plan.warnings().to_vec(),
        Err(findings) => findings.0,
    };
    // Where each stage was refused, that none is left is no news. What `exclude` names and the matrix has not was told
    // where it is written.
    let refused = found.has_errors();
    more.retain(|finding| !refused || !matches!(finding.code, "no-stage" | "unknown-exclude"));
    place::refine(&mut more, spec, sources);
    let start = spec.origins.get("pipeline").cloned().or_else(|| sources.iter().next().map(|main| main.origin(0, 0)));
    for finding in &mut more {
        if finding.origin.is_none() {
            finding.origin.clone_from(&start);
        }
    }
    found.0.append(&mut more);
}

/// Reads a pipeline from a file of a source tree, whose other files it may include. The name of the file in
/// diagnostics is the path as given.
///
/// # Errors
///
/// [`InvalidPipeline`] with all that is wrong with it, also when the file cannot be read.
pub fn load(path: impl AsRef<Path>, root: impl AsRef<Path>, options: &Options) -> Result<KdlPipeline, InvalidPipeline> {
    let name = path.as_ref().display().to_string();
    let unreadable = |error: loader::SourceError| {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
        let code = if matches!(error, loader::SourceError::TooLarge { .. }) { "too-large" } else { "unreadable-file" };
        let finding = Diagnostic::error(code, format!("{error}{cause}"));
        InvalidPipeline { diagnostics: Diagnostics(vec![finding]), sources: Sources::default() }
    };
    let text = loader::read(&name, path.as_ref(), options.limits.bytes).map_err(unreadable)?;
    let mut options = options.clone();
    if options.includes.is_none() {
        options.includes = Some(Arc::new(SourceTree::open(root).map_err(unreadable)?));
    }
    parse(&name, &text, &options)
}

/// The findings in the order of their places: by file in the order of reading, then by line. What is wrong with a
/// template is one finding, however many stages use it.
fn sorted(mut found: Vec<Diagnostic>, sources: &Sources) -> Diagnostics {
    let file = |name: &str| sources.iter().position(|source| source.name() == name).unwrap_or(usize::MAX);
    found.sort_by_cached_key(|finding| match &finding.origin {
        Some(origin) => (file(&origin.file), origin.offset),
        None => (usize::MAX, u32::MAX),
    });
    let mut distinct: Vec<Diagnostic> = Vec::with_capacity(found.len());
    for finding in found {
        match distinct.iter_mut().rev().take_while(|known| same_start(known, &finding)).find(|k| same(k, &finding)) {
            Some(known) => also_used(known, finding.origin),
            None => distinct.push(finding),
        }
    }
    Diagnostics(distinct)
}

/// How many uses of a wrong template are shown.
const MOST_RELATED: usize = 10;

/// Notes one more use of the template that a finding is about.
fn also_used(known: &mut Diagnostic, origin: Option<Origin>) {
    let Some(used_at) = origin.and_then(|origin| origin.used_at) else { return };
    let first = known.origin.as_ref().and_then(|origin| origin.used_at.as_deref()) == Some(&*used_at);
    if !first && known.related.len() < MOST_RELATED && known.related.iter().all(|(origin, _)| *origin != *used_at) {
        known.related.push((*used_at, "also used here".to_owned()));
    }
}

fn same_start(one: &Diagnostic, other: &Diagnostic) -> bool {
    match (&one.origin, &other.origin) {
        (Some(one), Some(other)) => one.offset == other.offset && one.file == other.file,
        (None, None) => true,
        _ => false,
    }
}

fn same(one: &Diagnostic, other: &Diagnostic) -> bool {
    one.code == other.code
        && one.message == other.message
        && one.origin.as_ref().map(|origin| origin.length) == other.origin.as_ref().map(|origin| origin.length)
}
