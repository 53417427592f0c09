//! The graphs that are measured: which stages each stage needs, the same in every run.

use std::sync::Arc;

use buildit::pipeline::{Action, PipelineSpec, RunAction, StageSpec};

/// A family of graphs of any size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One stage, then all others beside each other, then one that needs them all.
    Wide,
    /// One stage, then all others beside each other.
    Fan,
    /// Layers of about the square root of the size; each stage needs five neighbours of the layer before it.
    Layered,
    /// Each stage needs five earlier ones, anywhere.
    Random,
    /// One after another.
    Chain,
}

impl Shape {
    /// Its name in tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Wide => "wide",
            Self::Fan => "fan",
            Self::Layered => "layered",
            Self::Random => "random",
            Self::Chain => "chain",
        }
    }

    /// The stages that stage `at` of `size` needs, added to `out`; all are before it.
    pub fn needs(self, size: usize, at: usize, out: &mut Vec<u32>) {
        match self {
            Self::Wide if at + 1 == size && size > 2 => out.extend(1..at as u32),
            Self::Wide | Self::Fan => out.extend((at > 0).then_some(0)),
            Self::Chain => out.extend((at > 0).then(|| at as u32 - 1)),
            Self::Layered => {
                let width = size.isqrt().max(5);
                if at >= width {
                    let start = (at / width - 1) * width;
                    out.extend((0..5).map(|step| (start + (at % width + step) % width) as u32));
                }
            }
            Self::Random => {
                let first = out.len();
                for draw in 0..at.min(5) as u64 {
                    let mut need = (mix(at as u64 * 8 + draw) % at as u64) as u32;
                    while out[first..].contains(&need) {
                        need = (need + 1) % at as u32;
                    }
                    out.push(need);
                }
            }
        }
    }

    /// The edges as flat arrays: the needs of stage `n` are `targets[offsets[n]..offsets[n + 1]]`.
    #[must_use]
    pub fn edges(self, size: usize) -> (Vec<u32>, Vec<u32>) {
        let (mut offsets, mut targets) = (vec![0], Vec::new());
        for at in 0..size {
            self.needs(size, at, &mut targets);
            offsets.push(targets.len() as u32);
        }
        (offsets, targets)
    }

    /// A pipeline of this shape; its stages are named `s0`, `s1`, … and do nothing.
    #[must_use]
    pub fn pipeline(self, size: usize) -> Arc<PipelineSpec> {
        let names: Vec<buildit::id::StageName> = (0..size).map(|at| format!("s{at}").into()).collect();
        let mut needs = Vec::new();
        let stages = (0..size).map(|at| {
            needs.clear();
            self.needs(size, at, &mut needs);
            let mut stage = StageSpec::new(names[at].clone(), Action::Run(RunAction::default()));
            stage.needs = needs.iter().map(|need| names[*need as usize].clone()).collect();
            Arc::new(stage)
        });
        let stages = stages.collect();
        Arc::new(PipelineSpec { name: self.name().into(), stages, ..PipelineSpec::default() })
    }
}

/// SplitMix64's finish: numbers that look random and are the same in every run.
fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
