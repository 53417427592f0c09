//! Durations as people read them.

use std::time::Duration;

use jiff::Timestamp;

/// `40ms`, `2.1s`, `31s`, `1m 04s`, `2h 03m`, `3d 04h`: two units at most, so that a column stays narrow.
pub(crate) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 => format!("{}ms", duration.as_millis()),
        1..10 => format!("{}.{}s", seconds, duration.subsec_millis() / 100),
        10..60 => format!("{seconds}s"),
        60..3600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h {:02}m", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{}d {:02}h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// The same for what still goes on: no unit smaller than a tenth of a second, which would only flicker.
pub(crate) fn running(time: Duration) -> String {
    if time < Duration::from_secs(1) { format!("0.{}s", time.subsec_millis() / 100) } else { duration(time) }
}

/// The time from `from` to `to`; zero when a clock was set back in between.
pub(crate) fn since(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_units_at_most() {
        let shown = [0, 40, 999, 2_140, 9_999, 31_000, 64_000, 7_380_000, 273_600_000]
            .map(|milliseconds| duration(Duration::from_millis(milliseconds)));
        assert_eq!(shown, ["0ms", "40ms", "999ms", "2.1s", "9.9s", "31s", "1m 04s", "2h 03m", "3d 04h"]);
    }

    #[test]
    fn a_clock_that_was_set_back_counts_as_nothing() {
        let early = Timestamp::UNIX_EPOCH;
        let late = Timestamp::from_second(5).unwrap();
        assert_eq!(since(late, early), Duration::ZERO);
        assert_eq!(since(early, late), Duration::from_secs(5));
    }
}
