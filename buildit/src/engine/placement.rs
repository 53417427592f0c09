//! [`Placement`].

use std::sync::Arc;

/// Which executor each stage goes to, by its place in the registry. Nearly always one for all.
#[derive(Clone, Debug)]
pub(super) enum Placement {
    All(usize),
    Each(Arc<[usize]>),
}

impl Placement {
    pub(super) fn of(&self, stage: usize) -> usize {
        match self {
            Self::All(executor) => *executor,
            Self::Each(executors) => executors[stage],
        }
    }

    pub(super) fn is_uniform(&self) -> bool {
        matches!(self, Self::All(_))
    }
}
