//! Single values.

use std::time::Duration;

use buildit::event::RunStatus;
use buildit::store::StoreError;
#[cfg(feature = "sqlite")]
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

fn corrupt(what: impl std::fmt::Display) -> StoreError {
    StoreError::Corrupt(what.to_string())
}

/// A number for a column; what no column can hold is as much as one can.
pub(crate) fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A duration for a column, in milliseconds.
pub(crate) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// A number out of a column.
pub(crate) fn count(number: i64) -> Result<u64, StoreError> {
    u64::try_from(number).map_err(|_| corrupt(format!("{number} where no number may be negative")))
}

/// JSON for a column.
pub(crate) fn to_json(value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(corrupt)
}

/// JSON out of a column.
pub(crate) fn from_json<T: DeserializeOwned>(text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(corrupt)
}

/// The status of a run by its word.
pub(crate) fn run_status(word: &str) -> Result<RunStatus, StoreError> {
    serde_json::from_value(word.into()).map_err(corrupt)
}

/// A time as text that sorts as times follow: UTC, nine digits after the second. Times before the year 0 do not.
#[cfg(feature = "sqlite")]
pub(crate) fn to_text(time: Timestamp) -> String {
    format!("{time:.9}")
}

/// A time out of its text.
#[cfg(feature = "sqlite")]
pub(crate) fn from_text(text: &str) -> Result<Timestamp, StoreError> {
    text.parse().map_err(|error| corrupt(format!("`{text}` is no time: {error}")))
}

#[cfg(all(test, feature = "sqlite"))]
mod tests {
    use super::*;

    #[test]
    fn times_sort_as_text_and_come_back_whole() {
        let times = [0, 1, 999_999_999, 1_000_000_000, 1_767_225_600_123_000_000, 1_767_225_600_123_000_001];
        let times = times.map(|nanoseconds| Timestamp::from_nanosecond(nanoseconds).unwrap());
        let texts = times.map(to_text);
        assert!(texts.is_sorted(), "{texts:?}");
        assert_eq!(texts.each_ref().map(|text| from_text(text).unwrap()), times);
        assert!(matches!(from_text("yesterday"), Err(StoreError::Corrupt(_))));
    }

    #[test]
    fn each_word_of_a_run_is_read_back() {
        use RunStatus::*;
        for status in [Queued, Running, Waiting, Succeeded, Failed, Cancelled] {
            assert_eq!(run_status(status.as_str()).unwrap(), status);
        }
        assert!(matches!(run_status("gone"), Err(StoreError::Corrupt(_))));
    }
}
