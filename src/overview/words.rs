//! Numbers and spans of time as people write them.

/// A thin space between groups of three digits.
const THIN_SPACE: char = '\u{2009}';

/// A whole number in groups of three digits.
pub fn number(value: u64) -> String {
    let digits = value.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3 * 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(THIN_SPACE);
        }
        grouped.push(digit);
    }
    grouped
}

/// Any number, in groups of three digits and with at most three of them behind the point; what is
/// too large or too small for that is written with an exponent.
pub fn decimal(value: f64) -> String {
    if !value.is_finite() {
        return value.to_string();
    }
    let size = value.abs();
    if size != 0.0 && !(0.001..1e15).contains(&size) {
        return format!("{value:.3e}");
    }
    let text = format!("{size:.3}");
    let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
    let whole = number(whole.parse().unwrap_or(0));
    let part = part.trim_end_matches('0');
    let sign = if value < 0.0 { "−" } else { "" };
    match part {
        "" => format!("{sign}{whole}"),
        part => format!("{sign}{whole}.{part}"),
    }
}

/// A span of time in its two largest units.
pub fn span(seconds: f64) -> String {
    let seconds = seconds.max(0.0);
    if seconds == 0.0 {
        return "0 s".to_owned();
    }
    if seconds < 0.001 {
        return "< 1 ms".to_owned();
    }
    if seconds < 1.0 {
        return format!("{:.0} ms", seconds * 1000.0);
    }
    if seconds < 10.0 && seconds.fract() != 0.0 {
        return format!("{seconds:.1} s");
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is not negative, and what is too long is as long as can be"
    )]
    let whole = seconds.round() as u64;
    let (minutes, hours, days) = (whole / 60, whole / 3600, whole / 86_400);
    let two = |large: u64, unit: &str, small: u64, lesser: &str| match small {
        0 => format!("{large} {unit}"),
        small => format!("{large} {unit} {small} {lesser}"),
    };
    match whole {
        0..60 => format!("{whole} s"),
        60..3600 => two(minutes, "min", whole % 60, "s"),
        3600..86_400 => two(hours, "h", minutes % 60, "min"),
        _ => two(days, "d", hours % 24, "h"),
    }
}

/// How long ago something was, in whole seconds.
pub fn ago(seconds: f64) -> String {
    match seconds.round() {
        ..1.0 => "just now".to_owned(),
        whole => format!("{} ago", span(whole)),
    }
}

/// In which time something will be, in whole seconds.
pub fn soon(seconds: f64) -> String {
    match seconds.ceil() {
        ..1.0 => "now".to_owned(),
        whole => format!("in {}", span(whole)),
    }
}

/// Bytes in the largest unit that fits.
pub fn bytes(value: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if value < 1024 {
        return format!("{value} B");
    }
    #[expect(clippy::cast_precision_loss, reason = "one digit is shown")]
    let mut size = value as f64;
    let mut shown = "B";
    for unit in UNITS {
        if size < 1024.0 {
            break;
        }
        size /= 1024.0;
        shown = unit;
    }
    format!("{size:.1} {shown}")
}

/// A number of things: `1 target`, `2 targets`.
pub fn count(value: usize, thing: &str) -> String {
    let plural = if value == 1 { "" } else { "s" };
    format!("{} {thing}{plural}", number(value as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_are_written_as_people_write_them() {
        assert_eq!(
            [0, 999, 1000, 1_234_567].map(number),
            ["0", "999", "1\u{2009}000", "1\u{2009}234\u{2009}567"]
        );
        for (value, shown) in [
            (0.0, "0"),
            (12.5, "12.5"),
            (-3.0, "−3"),
            (1234.56789, "1\u{2009}234.568"),
            (0.000_12, "1.200e-4"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(decimal(value), shown);
        }
        for (seconds, shown) in [
            (0.0, "0 s"),
            (0.0004, "< 1 ms"),
            (0.0123, "12 ms"),
            (1.26, "1.3 s"),
            (7.0, "7 s"),
            (42.4, "42 s"),
            (60.0, "1 min"),
            (125.0, "2 min 5 s"),
            (7260.0, "2 h 1 min"),
            (90_000.0, "1 d 1 h"),
        ] {
            assert_eq!(span(seconds), shown);
        }
        assert_eq!([0, 2048, 5 << 20].map(bytes), ["0 B", "2.0 KiB", "5.0 MiB"]);
        assert_eq!(
            [1, 2].map(|n| count(n, "target")),
            ["1 target", "2 targets"]
        );
    }
}
