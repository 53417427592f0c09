//! The files that pipelines are read from.

use std::path::{Path, PathBuf};

use buildit::config::{self, KdlPipeline, Options};
use buildit::diagnostic::Diagnostics;
use buildit::pipeline::ExpandLimits;
use buildit::plan::Plan;

use crate::args::DEFAULT_FILE;
use crate::diagnostics::Teller;
use crate::exit::Failure;
use crate::source;

/// The file that is meant.
pub(crate) fn file(named: Option<PathBuf>) -> PathBuf {
    named.unwrap_or_else(|| DEFAULT_FILE.into())
}

/// The files that are meant.
pub(crate) fn files(named: Vec<PathBuf>) -> Vec<PathBuf> {
    if named.is_empty() { vec![DEFAULT_FILE.into()] } else { named }
}

/// A pipeline that was read and found valid.
#[derive(Debug)]
pub(crate) struct Compiled {
    /// The pipeline as it was written.
    pub(crate) pipeline: KdlPipeline,
    /// The same, ready to run.
    pub(crate) plan: Plan,
    /// The file, as it was named.
    pub(crate) file: String,
}

/// Reads a pipeline and tells its errors. What it includes lies in the source tree around it.
pub(crate) fn read(file: &Path, teller: Teller) -> Result<KdlPipeline, Failure> {
    config::load(file, source::around(file), &Options::default()).map_err(|invalid| {
        teller.tell(&invalid.diagnostics, &invalid.sources, &file.display().to_string());
        Failure::Told
    })
}

/// Reads a pipeline and tells all that is wrong with it, warnings too.
pub(crate) fn compile(file: &Path, teller: Teller) -> Result<Compiled, Failure> {
    let name = file.display().to_string();
    let pipeline = read(file, teller)?;
    let plan = Plan::compile(pipeline.spec(), ExpandLimits::default()).map_err(|found| {
        let mut all = pipeline.warnings().clone();
        all.0.extend(found.0);
        teller.tell(&all, pipeline.sources(), &name);
        Failure::Told
    })?;
    let mut warnings = pipeline.warnings().0.clone();
    let further = plan.warnings().iter().filter(|warning| !pipeline.warnings().0.contains(warning));
    warnings.extend(further.cloned());
    teller.tell(&Diagnostics(warnings), pipeline.sources(), &name);
    Ok(Compiled { pipeline, plan, file: name })
}
