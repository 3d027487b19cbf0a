//! Compiles how values are read as numbers.

use jiff::{Timestamp, fmt::strtime, tz::TimeZone};

use super::{MAX_SERIES_LIMIT, MetricCompiler};
use crate::{
    definition::{
        NumberFormat, Parse, Separators, TimestampFormat,
        metric_file::{MetricFile, ParseKind, ParseOptions, TimeUnit},
    },
    yaml::Cursor,
};

impl MetricCompiler<'_> {
    pub(super) fn check_numbers(&mut self, metric: &MetricFile, cursor: &Cursor<'_>) {
        let mut check = |wrong: bool, key: &str, message: &str| {
            if wrong {
                cursor.error(&[key], message, self.diagnostics);
            }
        };
        let ascending = metric
            .buckets
            .windows(2)
            .all(|pair| matches!(pair, [a, b] if a < b));
        check(
            !ascending || metric.buckets.iter().any(|bound| !bound.is_finite()),
            "buckets",
            "expected finite bounds in ascending order",
        );
        let is_wrong = |scale: f64| scale == 0.0 || !scale.is_finite();
        check(
            metric.scale.is_some_and(is_wrong),
            "scale",
            "expected a number other than 0",
        );
        let mut values = metric.values.values();
        check(
            values.any(|value| !value.0.as_f64().is_finite()),
            "values",
            "expected finite numbers",
        );
        if metric
            .max_series
            .is_some_and(|max| !(1..=MAX_SERIES_LIMIT).contains(&max))
        {
            let message = format!("expected a number from 1 to {MAX_SERIES_LIMIT}");
            cursor.error(&["max_series"], message, self.diagnostics);
        }
    }

    /// How the values of a metric are read. None if that is wrong.
    pub(super) fn number_format(
        &mut self,
        metric: &MetricFile,
        cursor: &Cursor<'_>,
    ) -> Option<NumberFormat> {
        let beside = ParseOptions {
            pattern: metric.pattern.clone(),
            decimal: metric.decimal.clone(),
            thousands: metric.thousands.clone(),
            unit: None,
            formats: metric.formats.clone(),
            timezone: metric.timezone.clone(),
            base: None,
        };
        let options = merged(&metric.parse.options, beside);
        let kind = metric.parse.kind;
        let parse = self.parse(kind, &options, cursor);
        let is_number = matches!(parse, Some(Parse::Timestamp(_) | Parse::Duration(_)));
        if is_number && !matches!(metric.unit.as_str(), "" | "s") && metric.scale.is_none() {
            let message = format!(
                "moments and lengths of time are read as seconds: the unit is `s`; that numbers \
                 count `{0}` is said by `parse: {{as: …, unit: {0}}}`",
                metric.unit
            );
            cursor.error(&["unit"], message, self.diagnostics);
            return None;
        }
        let pattern = match &options.pattern {
            Some(text) => Some(self.pattern(text, cursor, &["pattern"])?),
            None => None,
        };
        let values = metric.values.iter();
        Some(NumberFormat {
            missing: metric.missing.iter().map(|text| text.0.clone()).collect(),
            pattern,
            values: values.map(|(text, of)| (text.clone(), of.0)).collect(),
            parse: parse?,
            scale: metric.scale,
        })
    }

    /// How a scalar is read. A key that belongs to another kind of value is an error.
    pub(super) fn parse(
        &mut self,
        kind: Option<ParseKind>,
        options: &ParseOptions,
        cursor: &Cursor<'_>,
    ) -> Option<Parse> {
        let kind = kind.unwrap_or_else(|| implied(options));
        if let Err((key, message)) = check(kind, options) {
            cursor.error(&[key], message, self.diagnostics);
            return None;
        }
        let separators = separators(options);
        let parsed = separators.and_then(|separators| {
            Ok(match kind {
                ParseKind::Number => Parse::Number(separators),
                ParseKind::Percent => Parse::Percent(separators),
                ParseKind::Bytes => Parse::Bytes {
                    separators,
                    base: options.base.unwrap_or(1000),
                },
                ParseKind::Duration => Parse::Duration(options.unit.unwrap_or(TimeUnit::S)),
                ParseKind::Timestamp => Parse::Timestamp(timestamp(options)?),
            })
        });
        parsed
            .map_err(|(key, message)| cursor.error(&[key], message, self.diagnostics))
            .ok()
    }
}

/// A key and what is wrong with it.
type Wrong = (&'static str, String);

/// Combines the keys within `parse` with the keys beside it. Those within take precedence.
fn merged(within: &ParseOptions, beside: ParseOptions) -> ParseOptions {
    let within = within.clone();
    ParseOptions {
        pattern: within.pattern.or(beside.pattern),
        decimal: within.decimal.or(beside.decimal),
        thousands: within.thousands.or(beside.thousands),
        unit: within.unit,
        formats: match within.formats.is_empty() {
            true => beside.formats,
            false => within.formats,
        },
        timezone: within.timezone.or(beside.timezone),
        base: within.base,
    }
}

/// The kind of a value for which the file names no kind. Some keys belong to one kind only.
fn implied(options: &ParseOptions) -> ParseKind {
    let is_moment = !options.formats.is_empty() || options.timezone.is_some();
    match (is_moment, options.base) {
        (true, _) => ParseKind::Timestamp,
        (_, Some(_)) => ParseKind::Bytes,
        _ => ParseKind::Number,
    }
}

fn check(kind: ParseKind, options: &ParseOptions) -> Result<(), Wrong> {
    let is_moment = kind == ParseKind::Timestamp;
    let is_time = is_moment || kind == ParseKind::Duration;
    let rules = [
        (
            options.unit.is_some() && !is_time,
            "parse",
            "only a timestamp or a duration has a `unit`",
        ),
        (
            !options.formats.is_empty() && !is_moment,
            "formats",
            "only `parse: timestamp` has `formats`",
        ),
        (
            options.timezone.is_some() && !is_moment,
            "timezone",
            "only `parse: timestamp` has a `timezone`",
        ),
        (
            options.decimal.is_some() && is_time,
            "decimal",
            "moments and lengths of time have no decimal sign",
        ),
        (
            options.thousands.is_some() && is_time,
            "thousands",
            "moments and lengths of time have no groups of digits",
        ),
        (
            options.base.is_some() && kind != ParseKind::Bytes,
            "parse",
            "only `bytes` have a `base`",
        ),
        (
            options
                .base
                .is_some_and(|base| base != 1000 && base != 1024),
            "parse",
            "`base` is 1000 or 1024",
        ),
    ];
    let wrong = rules.into_iter().find(|(is_wrong, ..)| *is_wrong);
    wrong.map_or(Ok(()), |(_, key, message)| Err((key, message.to_owned())))
}

fn separators(options: &ParseOptions) -> Result<Separators, Wrong> {
    let one = |key: &'static str, text: Option<&str>| {
        let Some(text) = text else { return Ok(None) };
        let mut chars = text.chars();
        match (chars.next(), chars.next()) {
            (Some(c), None) if !c.is_ascii_alphanumeric() && c != '-' && c != '+' => Ok(Some(c)),
            _ => Err((
                key,
                format!("expected one character that is no digit, letter or sign, found `{text}`"),
            )),
        }
    };
    let decimal = one("decimal", options.decimal.as_deref())?.unwrap_or('.');
    let thousands = one("thousands", options.thousands.as_deref())?;
    if thousands == Some(decimal) {
        let message =
            format!("`{decimal}` stands before the fraction already: say `decimal` as well");
        return Err(("thousands", message));
    }
    Ok(Separators { decimal, thousands })
}

fn timestamp(options: &ParseOptions) -> Result<TimestampFormat, Wrong> {
    for format in &options.formats {
        if let Some(why) = wrong_format(format) {
            return Err(("formats", why));
        }
    }
    let timezone = match &options.timezone {
        Some(name) => Some(TimeZone::get(name).map_err(|_| {
            let message = format!(
                "there is no time zone `{name}`; they are called as `Europe/Berlin` and `UTC` are"
            );
            ("timezone", message)
        })?),
        None => None,
    };
    Ok(TimestampFormat {
        unit: options.unit.unwrap_or(TimeUnit::S),
        formats: options.formats.clone(),
        timezone,
    })
}

/// What is wrong with a `strftime` format, if anything. The format must include a date.
fn wrong_format(format: &str) -> Option<String> {
    let moment = Timestamp::UNIX_EPOCH.to_zoned_datetime(TimeZone::UTC);
    let written = strtime::format(format, &moment);
    let read = written.and_then(|text| strtime::parse(format, &text));
    match read {
        Ok(read) if read.timestamp().is_some() || read.to_date().is_ok() => None,
        Ok(_) => Some(format!("`{format}` says no date")),
        Err(error) => Some(format!("`{format}` is no format of a moment: {error}")),
    }
}
