//! Values with a syntax of their own: durations, sizes, globs, schedules, names.

use std::str::FromStr;
use std::time::Duration;

use jiff::{Span, SpanRelativeTo};

/// What is wrong with a value, and how to mend it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Bad {
    pub(crate) message: String,
    pub(crate) help: String,
}

impl Bad {
    pub(crate) fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { message: message.into(), help: help.into() }
    }
}

use super::findings::shown;

/// Ten years: nothing that a run waits for is longer, and sums of such times overflow nothing.
const LONGEST: Duration = Duration::from_secs(10 * 366 * 24 * 60 * 60);

/// `20m`, `2h 30m`, `2d`; a day has 24 hours. Not zero.
pub(crate) fn duration(text: &str) -> Result<Duration, Bad> {
    let bad =
        |why: &str| Bad::new(format!("`{}` is no duration: {why}", shown(text)), "write it as \"20m\" or \"2h 30m\"");
    if text.len() > 100 {
        return Err(bad("it is too long"));
    }
    if text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(bad("its unit is missing"));
    }
    let span = Span::from_str(text).map_err(|_| bad("its form is not known"))?;
    let signed =
        span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| bad("months and years differ in length"))?;
    let duration = Duration::try_from(signed).map_err(|_| bad("it is negative"))?;
    if duration < Duration::from_millis(1) {
        return Err(bad("it is less than a millisecond"));
    }
    if duration > LONGEST {
        return Err(bad("it is longer than ten years"));
    }
    Ok(duration)
}

/// The same, where no time at all is meant by `0s`.
pub(crate) fn duration_or_zero(text: &str) -> Result<Duration, Bad> {
    if matches!(text, "0" | "0s" | "0ms" | "0m") { Ok(Duration::ZERO) } else { duration(text) }
}

/// `2GiB`, `512MB`, `1.5GiB`, or a number of bytes.
pub(crate) fn memory(text: &str) -> Result<u64, Bad> {
    let bad = || Bad::new(format!("`{}` is no size of memory", shown(text)), "write it as \"2GiB\" or \"512MB\"");
    let digits = text.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.trim_start() {
        "" | "B" => 1,
        "k" | "K" | "kB" | "KB" => 1000,
        "M" | "MB" => 1_000_000,
        "G" | "GB" => 1_000_000_000,
        "T" | "TB" => 1_000_000_000_000,
        "Ki" | "KiB" => 1 << 10,
        "Mi" | "MiB" => 1 << 20,
        "Gi" | "GiB" => 1 << 30,
        "Ti" | "TiB" => 1 << 40,
        _ => return Err(bad()),
    };
    let bytes = thousandths(number).and_then(|n| n.checked_mul(factor)).map(|n| n / 1000).ok_or_else(bad)?;
    if bytes == 0 { Err(bad()) } else { Ok(bytes) }
}

/// `2`, `0.5`, `500m`: thousandths of a core.
pub(crate) fn cpu(text: &str) -> Result<u32, Bad> {
    let bad = || Bad::new(format!("`{}` is no number of cores", shown(text)), "write it as \"2\", \"0.5\" or \"500m\"");
    let millis = match text.strip_suffix('m') {
        Some(millis) if millis.bytes().all(|b| b.is_ascii_digit()) => millis.parse().ok(),
        Some(_) => None,
        None => thousandths(text).and_then(|n| u32::try_from(n).ok()),
    };
    millis.filter(|millis| *millis > 0).ok_or_else(bad)
}

/// A decimal number of at most three places, times 1000.
fn thousandths(text: &str) -> Option<u64> {
    let (whole, places) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(places) || places.len() > 3 {
        return None;
    }
    let scale = 10_u64.pow(3 - places.len() as u32);
    whole.parse::<u64>().ok()?.checked_mul(1000)?.checked_add(places.parse::<u64>().ok()? * scale)
}

/// A glob. One with a reference is checked when its value is known.
pub(crate) fn glob(text: &str) -> Result<String, Bad> {
    let pattern = text.strip_prefix('!').unwrap_or(text);
    if pattern.is_empty() {
        return Err(Bad::new("a glob is empty", "name a path, as in \"src/**\""));
    }
    if !pattern.contains("${") {
        globset::GlobBuilder::new(pattern).literal_separator(true).build().map_err(|error| {
            Bad::new(format!("`{}` is no glob: {}", shown(text), error.kind()), "as in \"src/**\" or \"*.{rs,toml}\"")
        })?;
    }
    Ok(text.to_owned())
}

/// A glob of paths below the workspace.
pub(crate) fn path_glob(text: &str) -> Result<String, Bad> {
    path(text.strip_prefix('!').unwrap_or(text))?;
    glob(text)
}

/// A path below the workspace.
pub(crate) fn path(text: &str) -> Result<String, Bad> {
    let bad = |why| Bad::new(format!("the path `{}` {why}", shown(text)), "name a path below the workspace");
    if text.is_empty() {
        return Err(bad("is empty"));
    }
    if text.contains('\0') {
        return Err(bad("holds a NUL"));
    }
    if text.starts_with('/') {
        return Err(bad("is absolute"));
    }
    if text.split(['/', '\\']).any(|part| part == "..") {
        return Err(bad("leads out of the workspace"));
    }
    Ok(text.to_owned())
}

/// A path below the workspace or, with `~/`, below the home folder.
pub(crate) fn cache_path(text: &str) -> Result<String, Bad> {
    path(text.strip_prefix("~/").unwrap_or(text))?;
    Ok(text.to_owned())
}

/// A schedule of five fields.
pub(crate) fn cron(text: &str) -> Result<String, Bad> {
    let help = "five fields: minute, hour, day of month, month, day of week, as in \"0 3 * * *\"";
    // Longer ones are no schedule, and the parser's time grows with them.
    if text.len() > 200 {
        return Err(Bad::new("the schedule is too long", help));
    }
    if text.split_whitespace().count() != 5 {
        return Err(Bad::new(format!("`{}` has not five fields", shown(text)), help));
    }
    croner::parser::CronParser::new()
        .parse(text)
        .map_err(|error| Bad::new(format!("`{}` is no schedule: {error}", shown(text)), help))?;
    Ok(text.to_owned())
}

/// A time zone of the IANA database.
pub(crate) fn timezone(text: &str) -> Result<String, Bad> {
    jiff::tz::TimeZone::get(text).map_err(|_| {
        Bad::new(format!("the time zone `{}` is not known", shown(text)), "as in \"Europe/Berlin\" or \"UTC\"")
    })?;
    Ok(text.to_owned())
}

/// The name of an environment variable.
pub(crate) fn variable(text: &str) -> Result<String, Bad> {
    let mut bytes = text.bytes();
    let first = bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    if first && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return Ok(text.to_owned());
    }
    Err(Bad::new(
        format!("`{}` cannot be an environment variable", shown(text)),
        "its name takes letters, digits and `_` and does not begin with a digit",
    ))
}

/// The name of something that references name: a parameter, an axis, a field.
pub(crate) fn key(text: &str) -> Result<String, Bad> {
    let mut bytes = text.bytes();
    let first = bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    if first && text.len() <= 100 && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-')) {
        return Ok(text.to_owned());
    }
    Err(Bad::new(
        format!("`{}` cannot be a name", shown(text)),
        "a name takes letters, digits, `_` and `-` and begins with a letter",
    ))
}

/// The name of a stage.
pub(crate) fn stage_name(text: &str) -> Result<String, Bad> {
    let bad = |why| {
        Bad::new(format!("`{}` cannot be a stage's name: {why}", shown(text)), "as in \"build\" or \"unit-tests\"")
    };
    if text.is_empty() {
        return Err(bad("it is empty"));
    }
    if text.len() > 100 {
        return Err(bad("it is longer than 100 bytes"));
    }
    if let Some(c) = text.chars().find(|c| c.is_control() || matches!(c, '[' | ']' | '"' | '\\' | '`' | '$')) {
        return Err(bad(&format!("it holds {c:?}")));
    }
    if text.trim() != text {
        return Err(bad("it begins or ends with a space"));
    }
    Ok(text.to_owned())
}

/// The name of a service: its host name.
pub(crate) fn host(text: &str) -> Result<String, Bad> {
    let label = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    if !text.is_empty() && text.len() <= 63 && text.bytes().all(label) && !text.starts_with('-') && !text.ends_with('-')
    {
        return Ok(text.to_owned());
    }
    Err(Bad::new(
        format!("`{}` cannot be a host name", shown(text)),
        "a service is reached by its name: letters, digits and `-`, at most 63",
    ))
}

/// A text that is not empty.
pub(crate) fn filled(text: &str) -> Result<String, Bad> {
    if text.trim().is_empty() { Err(Bad::new("the text is empty", "write a text")) } else { Ok(text.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        assert_eq!(duration("20m"), Ok(Duration::from_secs(1200)));
        assert_eq!(duration("2h 30m"), Ok(Duration::from_secs(9000)));
        assert_eq!(duration("2d"), Ok(Duration::from_secs(172_800)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        for bad in ["", "20", "0s", "-5m", "1 month", "20x", "99999999h", "m"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes() {
        assert_eq!(memory("2GiB"), Ok(2 << 30));
        assert_eq!(memory("512MB"), Ok(512_000_000));
        assert_eq!(memory("1.5 GiB"), Ok(3 << 29));
        assert_eq!(memory("1024"), Ok(1024));
        for bad in ["", "GiB", "2GG", "-1", "0", "1.2.3G", "99999999999999999999", "0.0001MB"] {
            assert!(memory(bad).is_err(), "{bad}");
        }
        assert_eq!(cpu("2"), Ok(2000));
        assert_eq!(cpu("0.5"), Ok(500));
        assert_eq!(cpu("500m"), Ok(500));
        for bad in ["", "0", "m", "-1", "1.2345", "0.5m", "9999999"] {
            assert!(cpu(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn schedules() {
        assert!(cron("0 3 * * *").is_ok());
        for bad in ["", "0 3 * *", "61 3 * * *", "0 0 3 * * *", "@daily"] {
            assert!(cron(bad).is_err(), "{bad}");
        }
        assert!(timezone("Europe/Berlin").is_ok());
        assert!(timezone("Europe/Atlantis").is_err());
    }

    #[test]
    fn paths_stay_below_the_workspace() {
        assert!(path_glob("target/**/*.log").is_ok());
        assert!(cache_path("~/.cargo/registry").is_ok());
        for bad in ["", "/etc", "a/../b", "..", "a\0"] {
            assert!(path(bad).is_err(), "{bad}");
        }
        assert!(glob("a[").is_err());
    }
}
