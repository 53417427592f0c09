//! The server's own log.

use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::settings::LogFormat;

/// What is written when nothing, or nothing that can be meant, is said.
const DIRECTIVES: &str = "info";

/// What writes the server's log, for a program to install: lines for people or objects of JSON, those that these directives
/// let through (`info,buildit_server=debug`). What is written for a request has its id, that of the answer's
/// `x-request-id`.
pub fn subscriber<W>(format: LogFormat, directives: Option<&str>, writer: W) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(directives.unwrap_or(DIRECTIVES)).unwrap_or_else(|_| EnvFilter::new(DIRECTIVES));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).log_internal_errors(false);
    match format {
        LogFormat::Text => Box::new(lines.finish()),
        LogFormat::Json => Box::new(lines.json().flatten_event(true).with_current_span(false).finish()),
    }
}
