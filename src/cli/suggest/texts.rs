//! Numbers, lengths of time and moments that stand in texts.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use super::{
    numbers::{self, Guess},
    values::{Pair, Values},
    words::{is_label, is_version, total},
};

/// A kind of text that `parse` reads.
struct Kind {
    pattern: Regex,
    parse: &'static str,
    unit: &'static str,
}

static KINDS: LazyLock<Vec<Kind>> = LazyLock::new(|| {
    let kind = |pattern: &str, parse, unit| {
        Regex::new(pattern).ok().map(|pattern| Kind {
            pattern,
            parse,
            unit,
        })
    };
    let all = [
        kind(r"^-?\d+(\.\d+)? ?%$", "percent", "1"),
        kind(r"^\d+(\.\d+)? ?([KMGTP]i?)?B$", "bytes", "By"),
        kind(
            r"^(\d+(\.\d+)?(ms|us|µs|ns|y|w|d|h|m|s) ?)+$|^\d+:\d\d:\d\d$|^P\d.*$|^PT\d.*$",
            "duration",
            "s",
        ),
    ];
    all.into_iter().flatten().collect()
});

/// What texts are that can be read as numbers.
pub(super) fn number(words: &[String], values: &Values<'_>, seconds: f64) -> Option<Guess> {
    let texts: Vec<&str> = values
        .pairs
        .iter()
        .filter_map(|of| of.second.as_str())
        .collect();
    if texts
        .iter()
        .all(|text| text.parse::<jiff::Timestamp>().is_ok())
    {
        let start = numbers::is_start(words, values).then_some("start_time");
        return Some(Guess {
            start,
            ..Guess::parsed(
                words,
                values,
                "s",
                "timestamp",
                "a moment, as RFC 3339 writes it",
            )
        });
    }
    if let Some(kind) = KINDS
        .iter()
        .find(|kind| texts.iter().all(|text| kind.pattern.is_match(text)))
    {
        let example = texts.first().copied().unwrap_or_default();
        let is_uptime = kind.parse == "duration" && words.iter().any(|word| word == "uptime");
        let reason = format!("texts such as `{example}`");
        return Some(Guess {
            instrument: match total(words) {
                Some(_) => "counter",
                None if kind.unit == "By" => "updowncounter",
                None => "gauge",
            },
            start: is_uptime.then_some("uptime"),
            ..Guess::parsed(words, values, kind.unit, kind.parse, &reason)
        });
    }
    if is_label(words) || is_version(words) {
        return None;
    }
    let parsed: Option<Vec<[Option<Value>; 2]>> = values.pairs.iter().map(numbers_of).collect();
    let parsed = parsed?;
    let pairs = parsed.iter().filter_map(|[first, second]| {
        Some(Pair {
            first: first.as_ref(),
            second: second.as_ref()?,
        })
    });
    let values = Values {
        pairs: pairs.collect(),
        is_optional: values.is_optional,
    };
    let mut guess = numbers::guess(words, &values, seconds);
    guess.reason.push_str("; a number in a text");
    Some(guess)
}

/// A pair of texts as numbers. None if the second is none.
fn numbers_of(pair: &Pair<'_>) -> Option<[Option<Value>; 2]> {
    let number = |value: &Value| {
        let text = value.as_str()?.trim();
        let integer = text.parse::<u64>().map(Value::from).ok();
        let is_number = text.starts_with(|letter: char| letter.is_ascii_digit() || letter == '-');
        let double = || {
            text.parse::<f64>()
                .ok()
                .filter(|_| is_number)
                .map(Value::from)
        };
        integer.or_else(double)
    };
    let second = number(pair.second)?;
    Some([pair.first.and_then(number), Some(second)])
}
