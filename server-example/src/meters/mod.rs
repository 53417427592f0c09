//! What is counted and measured, as Prometheus reads it at `/metrics`.
//!
//! | name | labels | |
//! |---|---|---|
//! | `buildit_runs_total` | `status` | runs that ended while this server drove them |
//! | `buildit_run_seconds` | `status` | from their start to their end |
//! | `buildit_run_wait_seconds` | | from their creation to their start |
//! | `buildit_jobs_running` | | attempts that this server drives |
//! | `buildit_queue_runs` | `status` | runs in the queue of all servers, by how they stand |
//! | `buildit_log_bytes_total` | | bytes of logs that were stored |
//! | `buildit_store_seconds` | `operation` | how long the store took for what the engine asks |
//! | `buildit_http_requests_total` | `method`, `route`, `status` | requests that were answered |
//! | `buildit_http_request_seconds` | `method`, `route` | how long they took until their answer began |
//! | `buildit_notifications_total` | `kind`, `outcome` | tries to deliver a notification |
//! | `buildit_statuses_total` | `outcome` | tries to tell a forge of a commit |
//! | `buildit_info` | `version` | 1 |
//!
//! Labels have few values: none is the id or the name of anything that people make.

mod page;
mod registry;
mod requests;

pub(crate) use page::router;
pub use registry::Meters;
pub(crate) use requests::measure;
