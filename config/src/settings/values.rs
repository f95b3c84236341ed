//! Parses sizes, times, paths and ranges.

use std::{net::IpAddr, ops::RangeInclusive, path::PathBuf, time::Duration};

use ipnet::IpNet;

use crate::{
    problem::DocumentProblem,
    yaml::{YamlField, YamlValue},
};

/// Bytes: `128KiB`, `8MiB`, or a plain number.
pub(super) fn size(
    field: &YamlField<'_>,
    lowest: usize,
    highest: usize,
    problems: &mut Vec<DocumentProblem>,
) -> Option<usize> {
    let remedy = format!("write a size from {} to {}", show_size(lowest), show_size(highest));
    let size = match &field.tree.value {
        YamlValue::Integer(number) => usize::try_from(*number).ok(),
        YamlValue::Text(text) => parse_size(text),
        _ => None,
    };
    let Some(size) = size else {
        problems.push(field.problem("is no size", format!("{remedy}, such as 65536, 128KiB or 1MiB")));
        return None;
    };
    if !(lowest..=highest).contains(&size) {
        problems.push(field.problem(format!("{} is out of range", show_size(size)), remedy));
        return None;
    }
    Some(size)
}

fn parse_size(text: &str) -> Option<usize> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit: usize = match unit {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        _ => return None,
    };
    number.parse::<usize>().ok()?.checked_mul(unit)
}

fn show_size(size: usize) -> String {
    match size {
        size if size >= 1 << 20 && size.is_multiple_of(1 << 20) => format!("{}MiB", size >> 20),
        size if size >= 1 << 10 && size.is_multiple_of(1 << 10) => format!("{}KiB", size >> 10),
        size => size.to_string(),
    }
}

/// Longest time that can be set.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);

/// A time: `500ms`, `30s`, `5m`, `1h`.
pub(super) fn time(field: &YamlField<'_>, problems: &mut Vec<DocumentProblem>) -> Option<Duration> {
    some_time(field, "write a number with a unit: 500ms, 30s, 5m, 1h; at most 720h", problems)
}

/// A time, or `off`, which is false to a reader of YAML 1.1. To end what takes no time at all is not meant by anybody.
pub(super) fn time_or_off(field: &YamlField<'_>, problems: &mut Vec<DocumentProblem>) -> Option<Option<Duration>> {
    if is_off(field) {
        return Some(None);
    }
    some_time(field, "write off, or a number with a unit: 500ms, 30s, 5m, 1h; at most 720h", problems).map(Some)
}

fn some_time(field: &YamlField<'_>, remedy: &str, problems: &mut Vec<DocumentProblem>) -> Option<Duration> {
    let time = written_time(field).filter(|time| !time.is_zero());
    if time.is_none() {
        problems.push(field.problem("is no time", remedy));
    }
    time
}

/// Whole seconds; `off` and `0s` are the same.
pub(super) fn seconds(field: &YamlField<'_>, problems: &mut Vec<DocumentProblem>) -> Option<u32> {
    let time = if is_off(field) { Some(Duration::ZERO) } else { written_time(field) };
    let whole = time.filter(|time| time.subsec_nanos() == 0);
    if whole.is_none() {
        let message = if time.is_some() { "is no whole number of seconds" } else { "is no time" };
        problems.push(field.problem(message, "write off, or a number with a unit, such as 30s or 1h; at most 720h"));
    }
    whole.and_then(|time| u32::try_from(time.as_secs()).ok())
}

fn is_off(field: &YamlField<'_>) -> bool {
    matches!(&field.tree.value, YamlValue::Boolean(false))
        || matches!(&field.tree.value, YamlValue::Text(text) if text == "off")
}

fn written_time(field: &YamlField<'_>) -> Option<Duration> {
    let YamlValue::Text(text) = &field.tree.value else { return None };
    parse_time(text).ok().filter(|time| *time <= LONGEST)
}

/// Reads a time: `500ms`, `30s`, `5m`, `1h`.
///
/// # Errors
/// What to write instead.
pub fn parse_time(text: &str) -> Result<Duration, &'static str> {
    const REMEDY: &str = "write a whole number and one of ms, s, m, h: 30s";
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let milliseconds = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(REMEDY),
    };
    let number: u64 = number.parse().map_err(|_| REMEDY)?;
    number.checked_mul(milliseconds).map(Duration::from_millis).ok_or("that is too long")
}

/// A path; `absolute` says whether it has to begin with `/`.
pub(super) fn path(field: &YamlField<'_>, absolute: bool, problems: &mut Vec<DocumentProblem>) -> Option<PathBuf> {
    let text = field.text(problems)?;
    let path = PathBuf::from(text);
    if text.is_empty() || text.contains('\0') || (absolute && !path.is_absolute()) {
        let kind = if absolute { "an absolute path" } else { "a path" };
        problems.push(field.problem(format!("{text:?} is not {kind}"), "write a path from /"));
        return None;
    }
    Some(path)
}

/// Ports: `10000-32767`.
pub(super) fn ports(field: &YamlField<'_>, problems: &mut Vec<DocumentProblem>) -> Option<RangeInclusive<u16>> {
    let text = field.text(problems)?;
    let parsed = text.split_once('-').and_then(|(first, last)| {
        let ends = (first.trim().parse::<u16>().ok()?, last.trim().parse::<u16>().ok()?);
        (ends.0 > 0 && ends.0 <= ends.1).then_some(ends.0..=ends.1)
    });
    if parsed.is_none() {
        problems.push(field.problem(format!("{text:?} is no range of ports"), "write FIRST-LAST: \"10000-32767\""));
    }
    parsed
}

/// A range of addresses, or one address: `169.254.0.0/16`. Bits beyond its prefix are a slip.
pub(super) fn range(field: &YamlField<'_>, text: &str, problems: &mut Vec<DocumentProblem>) -> Option<IpNet> {
    let parsed = text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
    let mapped = |net: &IpNet| matches!(net, IpNet::V6(net) if net.addr().to_ipv4_mapped().is_some());
    let sound = parsed.filter(|net| net.trunc() == *net && !mapped(net));
    if sound.is_none() {
        let remedy = "write node, an address or a range such as 169.254.0.0/16";
        problems.push(field.problem(format!("{text:?} is no range of addresses"), remedy));
    }
    sound
}

/// Permission bits: `"0660"`, or `0o660` as YAML 1.2 has it.
pub(super) fn mode(field: &YamlField<'_>, problems: &mut Vec<DocumentProblem>) -> Option<u32> {
    let mode = match &field.tree.value {
        YamlValue::Text(text) => u32::from_str_radix(text.strip_prefix("0o").unwrap_or(text), 8).ok(),
        _ => None,
    };
    let mode = mode.filter(|mode| *mode <= 0o777);
    if mode.is_none() {
        problems.push(field.problem("is no file mode", "write three octal digits in quotes: \"0660\""));
    }
    mode
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::parse_time;

    #[test]
    fn times_have_a_unit() {
        assert_eq!(parse_time("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_time("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(parse_time("5m"), Ok(Duration::from_secs(300)));
        for wrong in ["", "30", "s", "-1s", "1.5s", "1d", "99999999999999999999s", "18446744073709551615h"] {
            assert!(parse_time(wrong).is_err(), "{wrong}");
        }
    }
}
