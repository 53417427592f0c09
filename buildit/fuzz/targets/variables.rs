//! Any text can stand in a `run`: it compiles, or is refused with a diagnostic.
#![no_main]

use buildit::pipeline::{ExpandLimits, PipelineBuilder, StageBuilder};
use buildit::plan::Plan;

libfuzzer_sys::fuzz_target!(|text: &str| {
    drop(buildit::variables::pieces(text));
    let spec = PipelineBuilder::new("fuzz").stage(StageBuilder::run("a", text)).build();
    drop(Plan::compile(&spec, ExpandLimits::default()));
});
