//! What a run means, rule by rule, and for random pipelines against a model of its own.

mod rules;
mod support;
