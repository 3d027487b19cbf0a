//! Numbers and shares in texts.

use super::{ValueProblem, in_string, short};
use crate::{
    definition::{Number, Separators},
    processors::number,
};

/// A number as JSON and nearly everybody writes it.
pub(super) fn plain(text: &str) -> Result<Number, ValueProblem> {
    in_string(text).ok_or_else(|| match is_too_large(text) {
        true => ValueProblem::out_of_range(format!("`{}` is too large", short(text))),
        false => ValueProblem::no_number(format!("`{}` is not a number", short(text))),
    })
}

/// A number with these separators.
pub(super) fn number(text: &str, separators: Separators) -> Result<Number, ValueProblem> {
    if separators == Separators::default() {
        return plain(text);
    }
    let wrong = || {
        let thousands = match separators.thousands {
            Some(thousands) => format!(" and `{thousands}` between groups of three digits"),
            None => String::new(),
        };
        let decimal = separators.decimal;
        ValueProblem::no_number(format!(
            "`{}` is not a number with `{decimal}` before its fraction{thousands}",
            short(text)
        ))
    };
    let text = text.trim();
    let (sign, digits) = match text.strip_prefix(['-', '+']) {
        Some(digits) => (text.starts_with('-'), digits),
        None => (false, text),
    };
    let (whole, rest) = match digits.split_once(separators.decimal) {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (digits, None),
    };
    let mut written = String::with_capacity(text.len());
    written.push_str(if sign { "-" } else { "" });
    written.push_str(&ungrouped(whole, separators.thousands).ok_or_else(wrong)?);
    if let Some(fraction) = rest {
        let is_fraction = !fraction.is_empty() && fraction.bytes().all(|b| b.is_ascii_digit());
        is_fraction.then_some(()).ok_or_else(wrong)?;
        written.push('.');
        written.push_str(fraction);
    }
    plain(&written)
}

/// Digits without what stands between groups of three; none if it stands elsewhere.
fn ungrouped(digits: &str, thousands: Option<char>) -> Option<String> {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let Some(thousands) = thousands else {
        return is_number(digits).then(|| digits.to_owned());
    };
    // Who writes blanks between groups writes them in several ways.
    let is_separator = |c: char| match thousands {
        ' ' => c.is_whitespace(),
        '\'' => c == '\'' || c == '\u{2019}',
        thousands => c == thousands,
    };
    let mut groups = digits.split(is_separator);
    let first = groups.next()?;
    let rest: Vec<_> = groups.collect();
    let is_grouped = rest.is_empty() || first.len() <= 3;
    let is_right = is_number(first) && is_grouped;
    let mut whole = first.to_owned();
    for group in rest {
        if group.len() != 3 || !is_number(group) {
            return None;
        }
        whole.push_str(group);
    }
    is_right.then_some(whole)
}

/// A share of a hundred, with its sign or without.
pub(super) fn percent(text: &str, separators: Separators) -> Result<Number, ValueProblem> {
    let written = text.trim();
    let written = written.strip_suffix('%').unwrap_or(written);
    Ok(number::scaled(number(written, separators)?, 0.01))
}

/// Whether a text is a number that no double holds, such as `1e400`.
fn is_too_large(text: &str) -> bool {
    let text = text.trim();
    let has_digits = text.contains(|c: char| c.is_ascii_digit());
    has_digits && text.parse::<f64>().is_ok_and(f64::is_infinite)
}
