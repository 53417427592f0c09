//! Sizes and times as people write them.

use std::time::Duration;

use jiff::{Span, SpanRelativeTo};

const UNITS: [(&str, u64); 5] = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// `0 B`, `17 KiB`, `1.5 GiB`.
pub(crate) fn size(bytes: u64) -> String {
    let (name, unit) = UNITS.into_iter().find(|(_, unit)| bytes >= *unit).unwrap_or(("B", 1));
    match bytes % unit * 10 / unit {
        0 => format!("{} {name}", bytes / unit),
        tenths => format!("{}.{tenths} {name}", bytes / unit),
    }
}

/// Reads `10GiB`, `500 MiB`, or a number of bytes.
pub(crate) fn parse_size(text: &str) -> Result<u64, String> {
    let bad = || format!("`{text}` is no size: write it as `10GiB` or `500MiB`");
    let digits = text.find(|symbol: char| !symbol.is_ascii_digit()).unwrap_or(text.len());
    let (number, name) = (text[..digits].parse::<u64>(), text[digits..].trim());
    let unit = UNITS.into_iter().find(|(unit, _)| *unit == name).map(|(_, unit)| unit);
    let unit = if name.is_empty() { Some(1) } else { unit };
    number.ok().zip(unit).and_then(|(number, unit)| number.checked_mul(unit)).ok_or_else(bad)
}

/// Reads `30d`, `12h`, `2w 1d`; a day has 24 hours.
pub(crate) fn parse_age(text: &str) -> Result<Duration, String> {
    let bad = || format!("`{text}` is no time: write it as `30d` or `12h`");
    let span: Span = text.parse().map_err(|_| bad())?;
    let duration = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| bad())?;
    Duration::try_from(duration).map_err(|_| bad())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_they_are_shown() {
        let shown = [0, 1, 1023, 17 << 10, 3 << 29, 10 << 30].map(size);
        assert_eq!(shown, ["0 B", "1 B", "1023 B", "17 KiB", "1.5 GiB", "10 GiB"]);
        assert_eq!(["0", "17", "17KiB", "10 GiB"].map(parse_size), [Ok(0), Ok(17), Ok(17 << 10), Ok(10 << 30)]);
        for bad in ["", "GiB", "-1", "1.5GiB", "10GB", "99999999999TiB"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn ages_have_days() {
        assert_eq!(parse_age("30d"), Ok(Duration::from_secs(30 * 86_400)));
        assert_eq!(parse_age("1h 30m"), Ok(Duration::from_secs(5400)));
        for bad in ["", "30", "-1d", "1y 2", "soon"] {
            assert!(parse_age(bad).is_err(), "{bad}");
        }
    }
}
