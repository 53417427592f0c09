//! Any text can stand in a `when`: it is refused, or costs little.
#![no_main]

use buildit::pipeline::{ExpandLimits, PipelineBuilder, StageBuilder};
use buildit::plan::Plan;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let spec = PipelineBuilder::new("fuzz").stage(StageBuilder::run("a", "true").when(text)).build();
    drop(Plan::compile(&spec, ExpandLimits::default()));
});
