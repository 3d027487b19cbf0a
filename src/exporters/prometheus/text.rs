//! The text formats, character by character.

use std::fmt::Write as _;

use super::{
    escape::{is_plain, is_plain_label},
    negotiate::TextFormat,
    number::{Number, NumberKind, Timestamp},
};

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

/// The beginning of the lines of a family that have one suffix.
#[derive(Debug)]
pub(super) struct SampleName {
    /// The name, and what is between it and the labels.
    with_labels: String,
    /// The name of a sample without labels, and what is between it and the value.
    alone: String,
}

impl SampleName {
    /// `name` ends with the suffix.
    pub(super) fn new(name: &str) -> Self {
        if is_plain(name) {
            return Self {
                with_labels: format!("{name}{{"),
                alone: format!("{name} "),
            };
        }
        // Not every scraper can read such a name, so it is in quotes.
        let mut quoted = "{\"".to_owned();
        escape(&mut quoted, name, true);
        Self {
            with_labels: format!("{quoted}\","),
            alone: format!("{quoted}\"}} "),
        }
    }

    /// Appends the line of a sample up to its value. The labels are rendered already, in two parts.
    pub(super) fn write(&self, out: &mut String, [first, second]: [&str; 2]) {
        if first.is_empty() && second.is_empty() {
            out.push_str(&self.alone);
            return;
        }
        out.push_str(&self.with_labels);
        out.push_str(first);
        if !first.is_empty() && !second.is_empty() {
            out.push(',');
        }
        out.push_str(second);
        out.push_str("} ");
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
    float(out, bound);
    let is_integer = |text: &str| text.bytes().all(|c| c.is_ascii_digit() || c == b'-');
    if out.get(start..).is_some_and(is_integer) {
        out.push_str(".0");
    }
    out.push('"');
}

/// Appends a number so that it can be read back exactly.
pub(super) fn number(out: &mut String, Number { kind, bits }: Number) {
    match kind {
        NumberKind::Unsigned => out.push_str(itoa::Buffer::new().format(bits)),
        NumberKind::Signed => out.push_str(itoa::Buffer::new().format(bits.cast_signed())),
        NumberKind::Float => float(out, f64::from_bits(bits)),
        NumberKind::Time => seconds(out, Timestamp(bits)),
    }
}

fn float(out: &mut String, number: f64) {
    if let Some(whole) = whole(number) {
        out.push_str(itoa::Buffer::new().format(whole));
    } else if number.is_nan() {
        out.push_str("NaN");
    } else if number.is_infinite() {
        out.push_str(if number > 0.0 { "+Inf" } else { "-Inf" });
    } else if number == 0.0 || (1e-6..1e17).contains(&number.abs()) {
        let mut buffer = zmij::Buffer::new();
        let shortest = buffer.format_finite(number);
        match shortest.contains('e') {
            true => append(out, format_args!("{number}")),
            false => out.push_str(shortest.strip_suffix(".0").unwrap_or(shortest)),
        }
    } else {
        // These are the same digits without up to 300 zeros.
        append(out, format_args!("{number:e}"));
    }
}

/// The number without a fraction, if it has none: most values have none, and their digits are found
/// faster this way. Larger integers, and the zero with a sign, have another text.
#[expect(clippy::cast_possible_truncation, reason = "it is compared")]
fn whole(number: f64) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0; // 2^53
    let whole = number as i64;
    let is_whole = number.abs() < EXACT && (whole as f64).to_bits() == number.to_bits();
    is_whole.then_some(whole)
}

/// Appends a time in seconds.
pub(super) fn seconds(out: &mut String, Timestamp(millis): Timestamp) {
    append(out, format_args!("{}.{:03}", millis / 1000, millis % 1000));
}

/// Appends the time after a value. In OpenMetrics it is in seconds.
pub(super) fn time(out: &mut String, time: Timestamp, format: TextFormat) {
    match format {
        TextFormat::Text => out.push_str(itoa::Buffer::new().format(time.0)),
        TextFormat::OpenMetrics => seconds(out, time),
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
        let written = |value: f64| {
            let mut out = String::new();
            number(&mut out, value.into());
            out
        };
        for (value, expected) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (0.1, "0.1"),
            (1e21, "1e21"),
            (-2.5, "-2.5"),
            (1e16, "10000000000000000"),
            (12_345_678_901_234_567.0, "12345678901234568"),
            (1e-6, "0.000001"),
            (1.5e-5, "0.000015"),
            (1_764_400_000.123, "1764400000.123"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            assert_eq!(written(value), expected);
        }
        for value in [
            f64::MAX,
            f64::MIN_POSITIVE,
            5e-324,
            1.0 / 3.0,
            123_456_789.123,
        ] {
            assert_eq!(written(value).parse(), Ok(value));
        }
    }

    #[test]
    fn times_are_milliseconds_in_text_and_seconds_in_openmetrics() {
        let written = |format| {
            let mut out = String::new();
            time(&mut out, Timestamp(1_700_000_000_045), format);
            out
        };
        assert_eq!(written(TextFormat::Text), "1700000000045");
        assert_eq!(written(TextFormat::OpenMetrics), "1700000000.045");
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
