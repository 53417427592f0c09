//! References to variables: `${git.sha}`.
//!
//! [`pieces`] finds them in a text, [`resolve`] puts the values in, and [`shell`] turns those of a `run` script into
//! expansions of environment variables, so that a value never becomes code (guarantee G6).
//!
//! `env.NAME` is what people set: the pipeline's `env`, the variables of the stage's `environment`, the stage's
//! `env`, and what the run was given, the later before the earlier. A value in `env` sees what was set before it.

mod code;
mod environment;
mod names;
mod reference;
mod resolve;
mod scope;
pub mod shell;
mod suggest;
mod template;
mod variable;

pub(crate) use code::is_code_variable;
pub use environment::{PipelineEnv, pipeline_env, run_variables};
pub use names::{NameError, Names, Place, StageNames};
pub use reference::{Piece, PieceKind, Reference, ReferenceError, may_refer, pieces};
pub(crate) use resolve::Resolver;
pub use resolve::{LONGEST_VALUE, ResolveError, resolve, resolve_plain};
pub use scope::{NoStages, OutputValue, RunInfo, Scope, StageValues};
pub(crate) use suggest::closest;
pub use template::{MissingSecret, Resolved, Template};
pub use variable::{Fixed, NAMESPACES, Variable, is_shell_name};
