//! The counters of one server.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use metrics::{Key, KeyName, Label, Level, Metadata, Recorder};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusRecorder};

/// Bounds of what a store or a request takes, in seconds.
const QUICK: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];

/// Bounds of what people wait for, in seconds: up to eight hours.
const SLOW: [f64; 12] = [0.5, 1.0, 5.0, 15.0, 30.0, 60.0, 180.0, 600.0, 1800.0, 3600.0, 10_800.0, 28_800.0];

const METADATA: Metadata<'static> = Metadata::new("buildit", Level::INFO, None);

const TEXTS: [(&str, &str); 12] = [
    ("buildit_runs_total", "Runs that ended while this server drove them"),
    ("buildit_run_seconds", "From the start of runs to their end"),
    ("buildit_run_wait_seconds", "From the creation of runs to their start"),
    ("buildit_jobs_running", "Attempts that this server drives"),
    ("buildit_queue_runs", "Runs in the queue of all servers"),
    ("buildit_log_bytes_total", "Bytes of logs that were stored"),
    ("buildit_store_seconds", "How long the store took for what the engine asks"),
    ("buildit_http_requests_total", "Requests that were answered"),
    ("buildit_http_request_seconds", "How long requests took until their answer began"),
    ("buildit_notifications_total", "Tries to deliver a notification"),
    ("buildit_statuses_total", "Tries to tell a forge of a commit"),
    ("buildit_info", "The version of the server"),
];

/// Counters of a server: its own, so that a program may have several, and a recorder beside them. Clones are the same.
#[derive(Clone)]
pub struct Meters(Arc<PrometheusRecorder>);

impl fmt::Debug for Meters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meters").finish_non_exhaustive()
    }
}

impl Default for Meters {
    fn default() -> Self {
        Self::new()
    }
}

type Labels<'a> = &'a [(&'static str, &'a str)];

fn key(name: &'static str, labels: Labels<'_>) -> Key {
    let labels: Vec<Label> = labels.iter().map(|(name, value)| Label::new(*name, (*value).to_owned())).collect();
    Key::from_parts(name, labels)
}

impl Meters {
    /// All at nothing.
    #[must_use]
    pub fn new() -> Self {
        let runs = Matcher::Prefix("buildit_run_".to_owned());
        let bounds = PrometheusBuilder::new().set_buckets(&QUICK);
        let bounds = bounds.and_then(|builder| builder.set_buckets_for_metric(runs, &SLOW));
        // Only bounds of which there are none are refused.
        let meters = Self(Arc::new(bounds.unwrap_or_default().build_recorder()));
        for (name, text) in TEXTS {
            let name = KeyName::from_const_str(name);
            meters.0.describe_counter(name, None, text.into());
        }
        meters.set("buildit_info", &[("version", env!("CARGO_PKG_VERSION"))], 1.0);
        meters
    }

    pub(crate) fn count(&self, name: &'static str, labels: Labels<'_>, by: u64) {
        self.0.register_counter(&key(name, labels), &METADATA).increment(by);
    }

    pub(crate) fn set(&self, name: &'static str, labels: Labels<'_>, to: f64) {
        self.0.register_gauge(&key(name, labels), &METADATA).set(to);
    }

    pub(crate) fn took(&self, name: &'static str, labels: Labels<'_>, how_long: Duration) {
        self.0.register_histogram(&key(name, labels), &METADATA).record(how_long.as_secs_f64());
    }

    /// The text that Prometheus reads.
    pub(crate) fn text(&self) -> String {
        self.0.handle().render()
    }

    /// Sums up what was measured: without, it would lie there until somebody reads it.
    pub(crate) fn sum_up(&self) {
        self.0.handle().run_upkeep();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_measured_is_told_with_its_labels() {
        let (meters, other) = (Meters::new(), Meters::new());
        meters.count("buildit_runs_total", &[("status", "failed")], 2);
        meters.took("buildit_run_seconds", &[("status", "failed")], Duration::from_secs(90));
        meters.took("buildit_store_seconds", &[("operation", "append")], Duration::from_millis(2));
        meters.sum_up();
        let text = meters.text();
        for line in [
            "# HELP buildit_runs_total Runs that ended while this server drove them",
            "# TYPE buildit_runs_total counter",
            "buildit_runs_total{status=\"failed\"} 2",
            "buildit_run_seconds_bucket{status=\"failed\",le=\"60\"} 0",
            "buildit_run_seconds_bucket{status=\"failed\",le=\"180\"} 1",
            "buildit_store_seconds_bucket{operation=\"append\",le=\"0.0025\"} 1",
            "buildit_store_seconds_count{operation=\"append\"} 1",
        ] {
            assert!(text.lines().any(|there| there == line), "{line}\n{text}");
        }
        assert!(!other.text().contains("buildit_runs_total{"), "another server has counters of its own");
    }
}
