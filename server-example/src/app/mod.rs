//! What can be done, whoever asks: the API and the pages are thin on these.

pub(crate) mod account;
pub(crate) mod approvals;
pub(crate) mod audit;
pub(crate) mod badges;
#[expect(dead_code, reason = "deliveries are what brings changes, and they come next")]
pub(crate) mod changes;
pub(crate) mod channels;
pub(crate) mod commits;
pub(crate) mod environments;
pub(crate) mod hooks;
pub(crate) mod keys;
pub(crate) mod letter;
pub(crate) mod logs;
pub(crate) mod members;
pub(crate) mod organizations;
pub(crate) mod pipelines;
pub(crate) mod queue;
pub(crate) mod reports;
pub(crate) mod repositories;
pub(crate) mod requests;
pub(crate) mod runs;
pub(crate) mod schedules;
pub(crate) mod secrets;
pub(crate) mod upkeep;
pub(crate) mod workers;
