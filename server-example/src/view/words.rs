//! Words and figures for people.

use jiff::Timestamp;

/// How long between two times: `840 ms`, `12.4 s`, `3 m 07 s`, `2 h 05 m`.
pub(crate) fn span(from: Timestamp, to: Timestamp) -> String {
    duration(to.duration_since(from).as_millis().try_into().unwrap_or(0))
}

/// A duration in milliseconds.
pub(crate) fn duration(millis: u64) -> String {
    let seconds = millis / 1000;
    match millis {
        0..1000 => format!("{millis} ms"),
        1000..60_000 => format!("{seconds}.{} s", millis % 1000 / 100),
        60_000..3_600_000 => format!("{} m {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} m", seconds / 3600, seconds / 60 % 60),
    }
}

/// How long ago: `just now`, `5 m ago`, `3 h ago`, `12 d ago`; beyond a month the day.
pub(crate) fn ago(time: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(time).as_secs();
    match seconds {
        ..45 => "just now".to_owned(),
        45..3600 => format!("{} m ago", ((seconds + 59) / 60).min(59)),
        3600..86_400 => format!("{} h ago", seconds / 3600),
        86_400..2_592_000 => format!("{} d ago", seconds / 86_400),
        _ => time.strftime("%Y-%m-%d").to_string(),
    }
}

/// A size in bytes: `512 B`, `1.5 KiB`, `20.0 MiB`.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut tenths = u128::from(bytes) * 10 / 1024;
    let mut unit = 0;
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

/// A text cut in its middle, so that what tells long names apart at either end is seen.
pub(crate) fn middle(text: &str, most: usize) -> String {
    let characters: Vec<char> = text.chars().collect();
    if characters.len() <= most {
        return text.to_owned();
    }
    let (head, tail) = ((most - 1).div_ceil(2), (most - 1) / 2);
    let (front, back) = (&characters[..head], &characters[characters.len() - tail..]);
    front.iter().chain(&['…']).chain(back).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_two_figures_that_matter() {
        let said = [0, 999, 1000, 12_449, 59_999, 60_000, 187_000, 3_599_999, 7_500_000].map(duration);
        assert_eq!(
            said,
            ["0 ms", "999 ms", "1.0 s", "12.4 s", "59.9 s", "1 m 00 s", "3 m 07 s", "59 m 59 s", "2 h 05 m"]
        );
    }

    #[test]
    fn ages_are_told_in_one_unit() {
        let now = Timestamp::from_second(1_767_225_600).unwrap();
        let said = [0, 44, 46, 3599, 3600, 86_399, 86_400, 2_591_999, 2_592_000]
            .map(|seconds| ago(now - jiff::SignedDuration::from_secs(seconds), now));
        let expected =
            ["just now", "just now", "1 m ago", "59 m ago", "1 h ago", "23 h ago", "1 d ago", "29 d ago", "2025-12-02"];
        assert_eq!(said, expected);
    }

    #[test]
    fn sizes_are_told_in_the_unit_that_fits() {
        let said = [0, 1023, 1024, 1536, 20 << 20, 5 << 40, u64::MAX].map(size);
        assert_eq!(said, ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "20.0 MiB", "5.0 TiB", "16777215.9 TiB"]);
    }

    #[test]
    fn long_names_keep_both_ends() {
        assert_eq!(middle("short", 5), "short");
        assert_eq!(middle("abcdefghij", 5), "ab…ij");
        assert_eq!(middle("äöüäöü", 4), "äö…ü");
    }
}
