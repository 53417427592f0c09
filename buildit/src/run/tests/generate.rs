//! Random pipelines: small, so that a million of them take minutes, and with every rule in them.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::pipeline::{ApprovalField, ApprovalSpec, PipelineBuilder, PipelineSpec, RetryCause, StageBuilder};

/// SplitMix64: a handful of instructions, and one number tells the whole sequence.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    /// True in one of `of` cases.
    pub(super) fn one_in(&mut self, of: usize) -> bool {
        self.below(of) == 0
    }

    pub(super) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

pub(super) const NAMES: [&str; 12] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];

pub(super) fn pipeline(random: &mut Random) -> PipelineSpec {
    let stages = 1 + random.below(NAMES.len());
    let density = 1 + random.below(4);
    let plain = random.one_in(3);
    let mut builder = PipelineBuilder::new("random");
    if random.one_in(4) {
        builder = builder.fail_fast();
    }
    if random.one_in(3) {
        builder = builder.max_parallel(NonZeroU32::MIN.saturating_add(random.below(3) as u32));
    }
    for (at, name) in NAMES.into_iter().enumerate().take(stages) {
        let needs = (0..at).filter(|_| random.below(4) < density - 1).map(|need| NAMES[need]);
        let stage = StageBuilder::run(name, "true").needs(needs.collect::<Vec<_>>());
        builder = builder.stage(if plain { stage } else { with_rules(stage, random) });
    }
    let mut spec = builder.build();
    // Stages need not be written in an order in which they can run.
    for at in (1..spec.stages.len()).rev() {
        spec.stages.swap(at, random.below(at + 1));
    }
    spec
}

fn with_rules(mut stage: StageBuilder, random: &mut Random) -> StageBuilder {
    if random.one_in(5) {
        stage = stage.when(random.pick(&["false", "failure()", "always()"]));
    }
    if random.one_in(6) {
        stage = stage.allow_failure();
    }
    if random.one_in(4) {
        let backoff = Duration::from_secs(random.below(4) as u64);
        let causes: &[RetryCause] = random.pick(&[
            &[][..],
            &[RetryCause::Lost],
            &[RetryCause::Failed, RetryCause::Timeout],
            &[RetryCause::Oom],
        ]);
        stage = stage.retry_on(random.below(3) as u32, backoff, causes.iter().copied());
    }
    if random.one_in(4) {
        stage = stage.timeout(Duration::from_secs(1 + random.below(5) as u64));
    }
    if random.one_in(7) {
        let timeout = random.one_in(2).then(|| Duration::from_secs(1 + random.below(5) as u64));
        let required = ApprovalField { name: "note".into(), required: true, ..ApprovalField::default() };
        let fields = if random.one_in(2) { vec![required] } else { Vec::new() };
        stage = stage.approval(ApprovalSpec { timeout, fields, ..ApprovalSpec::default() });
    }
    stage
}
