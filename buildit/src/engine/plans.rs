//! The plans of pipelines that were started lately, and of runs that came back from the store.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use super::placement::Placement;
use crate::diagnostic::Diagnostics;
use crate::pipeline::{ExpandLimits, PipelineSpec};
use crate::plan::{Plan, WeakPlan};

/// How many plans are kept: a large one takes as much memory as its pipeline.
const KEPT: usize = 8;

/// Plans by the very spec that they were made of, so that a pipeline that is started again and again is compiled once.
///
/// A spec behind an `Arc` cannot change while it is referred to, weakly too, and its place in memory is nobody else's
/// meanwhile. So the pointer tells it apart, and its contents are not looked at.
#[derive(Debug, Default)]
pub(super) struct Plans(Mutex<VecDeque<Kept>>);

#[derive(Debug)]
struct Kept {
    spec: Weak<PipelineSpec>,
    limits: ExpandLimits,
    known: Arc<Known>,
}

/// What is known of a pipeline.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) plan: Plan,
    /// Which executor each stage goes to when all of it runs and the stages choose, once that was asked.
    pub(super) placement: OnceLock<Placement>,
}

impl Plans {
    /// The plan of this pipeline.
    ///
    /// # Errors
    ///
    /// All that is wrong with it.
    pub(super) fn compile(&self, spec: Arc<PipelineSpec>, limits: ExpandLimits) -> Result<Arc<Known>, Diagnostics> {
        if let Some(known) = self.find(&spec, limits) {
            return Ok(known);
        }
        let known = Arc::new(Known { plan: Plan::compile(&spec, limits)?, placement: OnceLock::new() });
        // One that nobody else holds is of this run alone, and does not come again.
        if Arc::strong_count(&spec) > 1 {
            let kept = Kept { spec: Arc::downgrade(&spec), limits, known: Arc::clone(&known) };
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            all.retain(|known| !std::ptr::eq(known.spec.as_ptr(), Arc::as_ptr(&spec)) || known.limits != limits);
            all.truncate(KEPT - 1);
            all.push_front(kept);
        }
        Ok(known)
    }

    fn find(&self, spec: &Arc<PipelineSpec>, limits: ExpandLimits) -> Option<Arc<Known>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|kept| kept.spec.strong_count() > 0);
        let is_it = |kept: &Kept| std::ptr::eq(kept.spec.as_ptr(), Arc::as_ptr(spec)) && kept.limits == limits;
        let at = all.iter().position(is_it)?;
        let kept = all.remove(at)?;
        let known = Arc::clone(&kept.known);
        all.push_front(kept);
        Some(known)
    }
}

/// How many plans are known that came back from the store.
const KNOWN: usize = 64;

/// The plans of runs that came back from the store, as long as one of these has it: runs whose store gave them one spec have
/// one graph.
#[derive(Debug, Default)]
pub(super) struct Restored(Mutex<VecDeque<WeakPlan>>);

impl Restored {
    /// The plan of what was compiled before.
    ///
    /// # Errors
    ///
    /// [`Diagnostics`] when it is no pipeline that was.
    pub(super) fn restore(&self, spec: &Arc<PipelineSpec>) -> Result<Plan, Diagnostics> {
        let all = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = all().iter().find(|known| known.is_of(spec)).and_then(WeakPlan::upgrade);
        if let Some(plan) = known {
            return Ok(plan);
        }
        let plan = Plan::restore(Arc::clone(spec))?;
        let mut all = all();
        all.retain(|known| known.is_there() && !known.is_of(spec));
        all.truncate(KNOWN - 1);
        all.push_front(plan.downgrade());
        Ok(plan)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::{PipelineBuilder, StageBuilder};

    fn spec() -> Arc<PipelineSpec> {
        Arc::new(PipelineBuilder::new("p").stage(StageBuilder::run("s", "true")).build())
    }

    fn kept(plans: &Plans) -> usize {
        plans.0.lock().unwrap().len()
    }

    #[test]
    fn the_same_spec_is_compiled_once() {
        let (plans, spec) = (Plans::default(), spec());
        let first = plans.compile(Arc::clone(&spec), ExpandLimits::default()).unwrap();
        let second = plans.compile(Arc::clone(&spec), ExpandLimits::default()).unwrap();
        assert!(Arc::ptr_eq(&first, &second));
        let narrower = ExpandLimits { cells: 1, ..ExpandLimits::default() };
        let third = plans.compile(Arc::clone(&spec), narrower).unwrap();
        assert!(!Arc::ptr_eq(&first, &third));
    }

    #[test]
    fn what_nobody_holds_any_more_is_not_kept() {
        let plans = Plans::default();
        plans.compile(spec(), ExpandLimits::default()).unwrap();
        assert_eq!(kept(&plans), 0);
        let all: Vec<_> = (0..20).map(|_| spec()).collect();
        for spec in &all {
            plans.compile(Arc::clone(spec), ExpandLimits::default()).unwrap();
        }
        assert_eq!(kept(&plans), KEPT);
        drop(all);
        let last = spec();
        plans.compile(Arc::clone(&last), ExpandLimits::default()).unwrap();
        assert_eq!(kept(&plans), 1);
    }

    #[test]
    fn runs_of_one_spec_have_one_graph() {
        let (restored, one) = (Restored::default(), spec());
        let plans = [&one, &one, &spec()].map(|spec| restored.restore(spec).unwrap());
        assert!(Arc::ptr_eq(plans[0].graph(), plans[1].graph()));
        assert!(!Arc::ptr_eq(plans[0].graph(), plans[2].graph()));
        drop(plans);
        restored.restore(&one).unwrap();
        assert_eq!(restored.0.lock().unwrap().len(), 1, "what nobody has is forgotten");
    }
}
