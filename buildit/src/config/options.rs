//! How a text is read.

use std::sync::Arc;

use super::loader::SourceLoader;
use crate::pipeline::ExpandLimits;

/// How a text is read.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Where included files come from; without it, `include` is refused.
    pub includes: Option<Arc<dyn SourceLoader>>,
    /// How large a text may be.
    pub limits: Limits,
    /// How far matrices may grow.
    pub expand: ExpandLimits,
}

impl Options {
    /// The same, with included files from here.
    #[must_use]
    pub fn with_includes(mut self, includes: impl SourceLoader + 'static) -> Self {
        self.includes = Some(Arc::new(includes));
        self
    }

    /// The same with other limits.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }
}

/// How large a text may be. What is beyond is refused before it is parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the text and all that it includes.
    pub bytes: usize,
    /// How deep blocks and comments may nest. The KDL parser is recursive, and a worker's stack of 2 MiB holds about
    /// 300 levels.
    pub depth: usize,
    /// How many files may be included.
    pub files: usize,
}

impl Default for Limits {
    /// 4 MiB (1,000 stages are about 200 KiB), 64 levels, 256 files.
    fn default() -> Self {
        Self { bytes: 4 << 20, depth: 64, files: 256 }
    }
}
