//! What the commands about runs need around them: stores, executors, secrets, answers, and how a run is followed.

mod answers;
mod ask;
mod context;
mod course;
mod env_file;
mod executors;
mod follow;
mod held;
mod interrupt;
mod keep;
mod logs;
mod open;
mod place;
mod records;
mod scene;
mod secrets;
mod signals;
pub(crate) mod state;
mod tidy;
mod upkeep;

pub(crate) use answers::Answers;
pub(crate) use context::context;
pub(crate) use course::{Course, Killed, Pieces};
pub(crate) use executors::{Executors, Remains};
pub(crate) use follow::Follower;
pub(crate) use interrupt::unless_signalled;
pub(crate) use keep::{Keep, Local, Stores};
pub(crate) use open::decided;
pub(crate) use place::Place;
pub(crate) use records::{Fetched, Records, each_event, records};
pub(crate) use scene::Scene;
pub(crate) use secrets::{FoundAgain, kept_secrets, keys, secrets, unset, variable, without_line_end};
pub(crate) use signals::{Signal, Signals};
pub(crate) use tidy::{GRACE, Policy, Tidied, tidy};
pub(crate) use upkeep::{UpkeepDone, daily};
