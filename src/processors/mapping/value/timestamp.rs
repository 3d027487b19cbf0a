//! Moments.

use jiff::{Timestamp, civil::DateTime, fmt::strtime, tz::TimeZone};

use super::{ValueProblem, in_seconds, in_string, short};
use crate::definition::{Number, TimeUnit, TimestampFormat};

/// A moment as Unix seconds.
pub(super) fn read(text: &str, format: &TimestampFormat) -> Result<Number, ValueProblem> {
    let text = text.trim();
    // A format may be one of digits only, such as `%Y%m%d`.
    let formatted = format
        .formats
        .iter()
        .find_map(|one| formatted(text, one, format));
    if let Some(moment) = formatted {
        return Ok(seconds(moment));
    }
    if let Some(number) = in_string(text) {
        return Ok(in_seconds(number, format.unit));
    }
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Ok(seconds(moment));
    }
    let local = text.parse::<DateTime>().ok();
    let zone = format
        .timezone
        .as_ref()
        .filter(|_| format.formats.is_empty());
    if let (Some(local), Some(zone)) = (local, zone)
        && let Ok(moment) = zone.to_timestamp(local)
    {
        return Ok(seconds(moment));
    }
    let hint = match (local, format.formats.is_empty()) {
        (Some(_), true) => "; it names no offset: `timezone: UTC` would say where it holds",
        _ => "",
    };
    let beside = match format.formats.as_slice() {
        [] => "neither RFC 3339 nor Unix seconds".to_owned(),
        formats => format!("neither RFC 3339 nor like `{}`", formats.join("`, `")),
    };
    let text = short(text);
    Err(ValueProblem::no_number(format!(
        "`{text}` is {beside}{hint}"
    )))
}

/// A moment that is written in one format. A local time holds where `timezone` says, or in UTC.
fn formatted(text: &str, format: &str, of: &TimestampFormat) -> Option<Timestamp> {
    let parsed = strtime::parse(format, text).ok()?;
    if parsed.offset().is_some()
        || parsed.iana_time_zone().is_some()
        || parsed.timestamp().is_some()
    {
        return parsed.to_timestamp().ok();
    }
    let zone = of.timezone.clone().unwrap_or(TimeZone::UTC);
    let local = parsed.to_datetime();
    let local = local
        .or_else(|_| parsed.to_date().map(DateTime::from))
        .ok()?;
    zone.to_timestamp(local).ok()
}

fn seconds(moment: Timestamp) -> Number {
    let seconds = moment.as_second();
    match (u64::try_from(seconds), moment.subsec_nanosecond()) {
        (Ok(seconds), 0) => Number::Unsigned(seconds),
        (Err(_), 0) => Number::Negative(seconds),
        _ => Number::Double(moment.as_duration().as_secs_f64()),
    }
}

/// Refuses a moment that is not within the years −9999 to 9999: what was read as seconds are
/// milliseconds, microseconds or nanoseconds.
pub(super) fn check(seconds: Number, unit: TimeUnit) -> Result<(), ValueProblem> {
    const END: f64 = 253_402_300_800.0; // 10000-01-01T00:00:00Z
    const BEGIN: f64 = -377_705_116_800.0; // -9999-01-01T00:00:00Z
    const YEAR: f64 = 31_556_952.0;
    let seconds = seconds.as_f64();
    if (BEGIN..END).contains(&seconds) {
        return Ok(());
    }
    // What would put it within a century or two of today.
    let finer = [(1e3, "ms"), (1e6, "us"), (1e9, "ns")];
    let fits = |parts: &f64| (0.0..1e10).contains(&(seconds / parts));
    let finer = finer.iter().find(|(parts, _)| fits(parts));
    let hint = match finer.filter(|_| unit == TimeUnit::S) {
        Some((_, unit)) => format!("; `parse: {{as: timestamp, unit: {unit}}}` reads it right"),
        None => String::new(),
    };
    let year = (1970.0 + seconds / YEAR).floor();
    let why = format!("as seconds that is the year {year}{hint}");
    Err(ValueProblem::out_of_range(why))
}
