//! What a run means: rule by rule, and for random pipelines against a judge of its own.
#![cfg(feature = "condition")]

mod explain;
mod generate;
mod judge;
mod protection;
mod random;
mod rerun;
mod rules;
mod support;
