//! Infrastructure stacks for BuildIt, around the `terraform` and `tofu` command lines.
//!
//! So far: [`Cli`] finds the tool and its version, and [`PlanSummary`] reads what `show -json` says of a plan. That is
//! what an approval of a plan shows; running stacks comes with a backend of its own.
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod cli;
mod plan;

pub use cli::{Cli, CliError, Tool};
pub use plan::{Change, PlanError, PlanSummary, ResourceChange};
