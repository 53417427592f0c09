//! The command line as those see it who call it, in one program.

#![expect(clippy::unwrap_used, reason = "what fails here fails a test")]

mod common;

mod approvals;
mod arguments;
mod cached;
mod commands;
mod contract;
mod controls;
mod data;
mod diff;
mod docker;
mod elsewhere;
mod full_disk;
mod in_place;
mod journal;
mod kept;
mod like;
mod lost_output;
mod output;
mod own_pipeline;
mod pipelines;
mod postgres;
mod rerun;
mod secrets;
mod signals;
mod terminal;
mod upkeep;
