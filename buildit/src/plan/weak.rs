//! [`WeakPlan`].

use std::sync::{Arc, Weak};

use super::{Plan, StageFlags};
use crate::graph::Graph;
use crate::pipeline::PipelineSpec;

impl Plan {
    /// The same plan, as long as somebody has it.
    pub(crate) fn downgrade(&self) -> WeakPlan {
        WeakPlan {
            spec: Arc::downgrade(&self.spec),
            graph: Arc::downgrade(&self.graph),
            flags: Arc::downgrade(&self.flags),
        }
    }
}

/// A [restored](Plan::restore) plan that is not kept for this.
#[derive(Clone, Debug)]
pub(crate) struct WeakPlan {
    spec: Weak<PipelineSpec>,
    graph: Weak<Graph>,
    flags: Weak<[StageFlags]>,
}

impl WeakPlan {
    /// Whether it is of this very spec. One behind an `Arc` cannot change while it is referred to, weakly too, and its place in
    /// memory is nobody else's meanwhile.
    pub(crate) fn is_of(&self, spec: &Arc<PipelineSpec>) -> bool {
        std::ptr::eq(self.spec.as_ptr(), Arc::as_ptr(spec))
    }

    /// Whether all of it is still there.
    pub(crate) fn is_there(&self) -> bool {
        self.spec.strong_count() > 0 && self.graph.strong_count() > 0 && self.flags.strong_count() > 0
    }

    pub(crate) fn upgrade(&self) -> Option<Plan> {
        let (spec, graph, flags) = (self.spec.upgrade()?, self.graph.upgrade()?, self.flags.upgrade()?);
        Some(Plan { spec, graph, warnings: Vec::new(), customs: Arc::default(), flags })
    }
}
