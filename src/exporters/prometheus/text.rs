//! The text formats, character by character.

use std::{fmt::Write as _, time::SystemTime};

use super::{
    escape::{is_plain, is_plain_label},
    output_format::TextFormat,
};
use crate::runtime::clock;

/// The lines above the samples of a family.
pub(super) struct Header<'a> {
    pub(super) name: &'a str,
    pub(super) kind: &'a str,
    /// Empty without a unit. Only OpenMetrics has it.
    pub(super) unit: &'a str,
    /// Empty without a description.
    pub(super) help: &'a str,
}

impl Header<'_> {
    /// Appends the lines.
    pub(super) fn write(&self, out: &mut String, format: TextFormat) {
        let Self {
            name,
            kind,
            unit,
            help,
        } = self;
        let mut title = String::new();
        write_name(&mut title, name, is_plain(name));
        if !help.is_empty() {
            append(out, format_args!("# HELP {title} "));
            escape(out, help, format == TextFormat::OpenMetrics);
            out.push('\n');
        }
        append(out, format_args!("# TYPE {title} {kind}\n"));
        if format == TextFormat::OpenMetrics && !unit.is_empty() {
            append(out, format_args!("# UNIT {title} {unit}\n"));
        }
    }
}

/// Appends `name="value"`.
pub(super) fn label(out: &mut String, name: &str, value: &str) {
    if !out.is_empty() {
        out.push(',');
    }
    write_name(out, name, is_plain_label(name));
    self::value(out, value);
}

/// Appends the value of a label.
pub(super) fn value(out: &mut String, value: &str) {
    out.push_str("=\"");
    escape(out, value, true);
    out.push('"');
}

/// The beginning of the lines of a family.
#[derive(Debug)]
pub(super) struct SampleName {
    text: String,
    /// Whether the name is in quotes, because not every scraper can read it.
    is_quoted: bool,
}

impl SampleName {
    pub(super) fn new(name: &str) -> Self {
        if is_plain(name) {
            return Self {
                text: name.to_owned(),
                is_quoted: false,
            };
        }
        let mut text = "{\"".to_owned();
        escape(&mut text, name, true);
        Self {
            text,
            is_quoted: true,
        }
    }

    /// Appends the line of a sample without its end. `suffix` follows the name. `labels` are
    /// rendered already, in two parts.
    pub(super) fn write(&self, out: &mut String, suffix: &str, labels: [&str; 2], value: &str) {
        let [first, second] = labels;
        let between = match first.is_empty() || second.is_empty() {
            true => "",
            false => ",",
        };
        let has_labels = !(first.is_empty() && second.is_empty());
        let (open, close) = match (self.is_quoted, has_labels) {
            (false, false) => ("", " "),
            (false, true) => ("{", "} "),
            (true, false) => ("\"", "} "),
            (true, true) => ("\",", "} "),
        };
        for piece in [
            &self.text, suffix, open, first, between, second, close, value,
        ] {
            out.push_str(piece);
        }
    }
}

fn write_name(out: &mut String, name: &str, is_plain: bool) {
    if is_plain {
        out.push_str(name);
    } else {
        out.push('"');
        escape(out, name, true);
        out.push('"');
    }
}

fn escape(out: &mut String, text: &str, quoted: bool) {
    if !text.contains(['\\', '\n', '"']) {
        out.push_str(text);
        return;
    }
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if quoted => out.push_str("\\\""),
            c => out.push(c),
        }
    }
}

/// Appends `le="bound"` as a canonical float: OpenMetrics requires `1.0`, and Prometheus 3 converts
/// to it.
pub(super) fn le(out: &mut String, bound: f64) {
    label(out, "le", "");
    out.pop();
    let start = out.len();
    bound.write(out);
    let is_integer = |text: &str| text.bytes().all(|c| c.is_ascii_digit() || c == b'-');
    if out.get(start..).is_some_and(is_integer) {
        out.push_str(".0");
    }
    out.push('"');
}

/// A time in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Timestamp(u64);

impl Timestamp {
    /// Parses seconds.
    pub(super) fn read(text: &str) -> Option<Self> {
        let (seconds, millis) = text.split_once('.')?;
        let (seconds, millis) = (seconds.parse::<u64>().ok()?, millis.parse::<u64>().ok()?);
        Some(Self(seconds.saturating_mul(1000).saturating_add(millis)))
    }

    /// The text after a value. In OpenMetrics it is in seconds.
    pub(super) fn behind_value(self, format: TextFormat) -> String {
        match format {
            TextFormat::Text => self.0.to_string(),
            TextFormat::OpenMetrics => {
                let mut out = String::new();
                self.write(&mut out);
                out
            }
        }
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        let millis = clock::since_epoch(time).as_millis();
        Self(u64::try_from(millis).unwrap_or(u64::MAX))
    }
}

/// A value of a sample.
pub(super) trait SampleValue: Copy {
    /// Appends the number so that it can be read back exactly.
    fn write(self, out: &mut String);
}

impl SampleValue for u64 {
    fn write(self, out: &mut String) {
        append(out, format_args!("{self}"));
    }
}

impl SampleValue for i64 {
    fn write(self, out: &mut String) {
        append(out, format_args!("{self}"));
    }
}

impl SampleValue for Timestamp {
    fn write(self, out: &mut String) {
        append(out, format_args!("{}.{:03}", self.0 / 1000, self.0 % 1000));
    }
}

impl SampleValue for f64 {
    fn write(self, out: &mut String) {
        if self.is_nan() {
            out.push_str("NaN");
        } else if self.is_infinite() {
            out.push_str(if self > 0.0 { "+Inf" } else { "-Inf" });
        } else if self == 0.0 || (1e-6..1e17).contains(&self.abs()) {
            append(out, format_args!("{self}"));
        } else {
            // These are the same digits without up to 300 zeros.
            append(out, format_args!("{self:e}"));
        }
    }
}

fn append(out: &mut String, number: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    out.write_fmt(number).unwrap_or_default();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_can_be_read_back_exactly() {
        let written = |number: f64| {
            let mut out = String::new();
            number.write(&mut out);
            out
        };
        for (number, expected) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (0.1, "0.1"),
            (1e21, "1e21"),
            (-2.5, "-2.5"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            assert_eq!(written(number), expected);
        }
        for number in [
            f64::MAX,
            f64::MIN_POSITIVE,
            5e-324,
            1.0 / 3.0,
            123_456_789.123,
        ] {
            assert_eq!(written(number).parse(), Ok(number));
        }
    }

    #[test]
    fn times_are_milliseconds_in_text_and_seconds_in_openmetrics() {
        let moment = Timestamp(1_700_000_000_045);
        assert_eq!(moment.behind_value(TextFormat::Text), "1700000000045");
        assert_eq!(
            moment.behind_value(TextFormat::OpenMetrics),
            "1700000000.045"
        );
    }

    #[test]
    fn help_and_labels_are_escaped() {
        let header = Header {
            name: "x_seconds",
            kind: "gauge",
            unit: "seconds",
            help: "a \"b\" \\ c\nd",
        };
        for (format, expected) in [
            (
                TextFormat::Text,
                "# HELP x_seconds a \"b\" \\\\ c\\nd\n# TYPE x_seconds gauge\n",
            ),
            (
                TextFormat::OpenMetrics,
                "# HELP x_seconds a \\\"b\\\" \\\\ c\\nd\n# TYPE x_seconds gauge\n# UNIT x_seconds seconds\n",
            ),
        ] {
            let mut out = String::new();
            header.write(&mut out, format);
            assert_eq!(out, expected);
        }
        let mut labels = String::new();
        label(&mut labels, "a", "1");
        label(&mut labels, "b", "a \"b\" \\ c\nd");
        assert_eq!(labels, "a=\"1\",b=\"a \\\"b\\\" \\\\ c\\nd\"");
    }
}
