//! Values of ours that a column cannot hold as they are.

use jiff::Timestamp;
use jiff_sqlx::{Timestamp as Column, ToSqlx};

/// The earliest time that a column can hold begins before this; nothing of ours does.
const EARLIEST: Timestamp = Timestamp::constant(-62_135_596_800, 0);

/// How much of a text a column shows that is only looked at: a third of what an index can hold.
const SHOWN: usize = 900;

/// The longest name that an index can hold beside what stands with it there.
pub(super) const LONGEST_NAME: usize = 1000;

/// A time for a column, which counts microseconds: the last one before it. So a lease ends no later than it should.
pub(super) fn down(time: Timestamp) -> Column {
    micros(time.as_nanosecond().div_euclid(1000))
}

/// The first microsecond that is not before a time. So nothing is due too early.
pub(super) fn up(time: Timestamp) -> Column {
    micros(-(-time.as_nanosecond()).div_euclid(1000))
}

fn micros(micros: i128) -> Column {
    let time = i64::try_from(micros).ok().and_then(|micros| Timestamp::from_microsecond(micros).ok());
    time.unwrap_or(Timestamp::MAX).max(EARLIEST).to_sqlx()
}

/// A text that is only looked at: columns hold no NUL, and indexes nothing long.
pub(super) fn shown(text: &str) -> String {
    let end = text.floor_char_boundary(SHOWN.min(text.len()));
    text[..end].replace('\0', "\u{fffd}")
}

/// A name that is looked for: one with a NUL is not there.
pub(super) fn searched(name: &str) -> String {
    name.replace('\0', "\u{fffd}")
}

/// Whether a name comes back as it is from a column with an index.
pub(super) fn is_name(text: &str) -> bool {
    text.len() <= LONGEST_NAME && !text.contains('\0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rounded_to_the_side_that_is_safe() {
        for (nanos, below, above) in [(0, 0, 0), (1, 0, 1), (999, 0, 1), (1000, 1, 1), (-1, -1, 0), (-1000, -1, -1)] {
            let time = Timestamp::from_nanosecond(nanos).unwrap();
            assert_eq!(down(time).to_jiff().as_microsecond(), below, "{nanos} ns");
            assert_eq!(up(time).to_jiff().as_microsecond(), above, "{nanos} ns");
        }
    }

    #[test]
    fn times_that_no_column_holds_are_the_nearest_that_one_does() {
        assert_eq!(down(Timestamp::MIN).to_jiff(), EARLIEST);
        assert_eq!(EARLIEST.to_string(), "0001-01-01T00:00:00Z");
        assert!(up(Timestamp::MAX).to_jiff() > Timestamp::constant(253_402_200_000, 0));
    }

    #[test]
    fn a_shown_text_fits_into_a_column() {
        assert_eq!(shown("a\0b"), "a\u{fffd}b");
        let long = shown(&"\u{fc}".repeat(SHOWN));
        assert!(long.len() <= SHOWN && long.ends_with('\u{fc}'));
        assert!(is_name("build") && !is_name("a\0") && !is_name(&"a".repeat(LONGEST_NAME + 1)));
    }
}
