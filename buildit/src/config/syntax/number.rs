//! Numbers: which words are some, and whether they can be held.

/// Why a word that looks like a number is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotANumber {
    /// It is a word that begins like a number: `20m`, `.5`, `1.2.3`.
    Word,
    /// It is a number that nothing here can hold.
    TooLarge,
}

/// Whether a word is to be read as a number: `-20m`, `.5`.
pub(crate) fn looks_like_number(word: &str) -> bool {
    let word = word.strip_prefix(['+', '-']).unwrap_or(word);
    let word = word.strip_prefix('.').unwrap_or(word);
    word.starts_with(|c: char| c.is_ascii_digit())
}

/// Checks a word that looks like a number.
pub(crate) fn check(word: &str) -> Result<(), NotANumber> {
    let unsigned = word.strip_prefix(['+', '-']).unwrap_or(word);
    for (prefixes, radix) in [(["0x", "0X"], 16), (["0o", "0O"], 8), (["0b", "0B"], 2)] {
        if let Some(digits) = prefixes.iter().find_map(|prefix| unsigned.strip_prefix(prefix)) {
            return integer(digits, radix);
        }
    }
    let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
        Some(at) => (&unsigned[..at], Some(&unsigned[at + 1..])),
        None => (unsigned, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    integer(whole, 10)?;
    if let Some(fraction) = fraction {
        integer(fraction, 10)?;
    }
    if let Some(exponent) = exponent {
        integer(exponent.strip_prefix(['+', '-']).unwrap_or(exponent), 10)?;
    }
    if fraction.is_some() || exponent.is_some() {
        let number: f64 = word.replace('_', "").parse().map_err(|_| NotANumber::Word)?;
        if !number.is_finite() {
            return Err(NotANumber::TooLarge);
        }
    }
    Ok(())
}

fn integer(digits: &str, radix: u32) -> Result<(), NotANumber> {
    let begins_well = digits.chars().next().is_some_and(|c| c.is_digit(radix));
    if !begins_well || !digits.chars().all(|c| c == '_' || c.is_digit(radix)) {
        return Err(NotANumber::Word);
    }
    i128::from_str_radix(&digits.replace('_', ""), radix).map(|_| ()).map_err(|_| NotANumber::TooLarge)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_what_is_none() {
        for number in ["0", "-1", "+1.50", "1_000", "0xff_", "0b1_0", "-0o7", "1e10", "1.5E-3"] {
            assert!(looks_like_number(number));
            assert_eq!(check(number), Ok(()), "{number}");
        }
        for word in ["20m", "1.2.3", "2GiB", "0x", "0xg", "1e", "1.", ".5", "-.5", "1._5"] {
            assert!(looks_like_number(word));
            assert_eq!(check(word), Err(NotANumber::Word), "{word}");
        }
        for large in ["1e400", "999999999999999999999999999999999999999999"] {
            assert_eq!(check(large), Err(NotANumber::TooLarge), "{large}");
        }
        assert!(!looks_like_number("-a") && !looks_like_number("-") && !looks_like_number(".a"));
    }
}
