//! Numbers whose meaning follows from those beside them.

use super::{
    names::{measured, without_total},
    numbers::Guess,
    units::{counted, is_amount},
    words::{is_in, plural, without_statistic},
};

/// A number that bounds another one.
#[derive(Debug, PartialEq)]
pub(super) enum Bound {
    /// The most of this: the words of what it limits.
    Limit(Vec<String>),
    /// A measurement like those beside it.
    Measurement,
    /// A setting.
    Setting,
}

/// Mends a guess by the numbers beside it: limits, the whole of what is in use and free, and the two
/// numbers of a summary. `words` are the name in the document, and `parts` what the name begins with.
pub(super) fn adjust(
    guess: &mut Guess,
    parts: &mut Vec<String>,
    words: &[String],
    siblings: &[Vec<String>],
) {
    if let Some(Bound::Limit(limited)) = bound(words, siblings) {
        if guess.unit.is_none() {
            guess.unit = counted(&limited);
        }
        parts.push(limited.join("_"));
        guess.words = vec!["limit".to_owned()];
        guess.reason.push_str("; a limit of what is beside it");
        if guess.unit.as_deref().is_some_and(is_amount) {
            guess.instrument = "updowncounter";
        }
    } else if is_of_summary(words, siblings) && !guess.fell {
        guess.instrument = "counter";
        guess.words = words.to_vec();
        guess.unit = guess.unit.take().filter(|unit| !unit.starts_with('{'));
        guess
            .reason
            .push_str("; a number of observations or their sum");
    } else if is_whole(words, siblings) {
        guess
            .reason
            .push_str(", of what is in use or free beside it");
        guess.instrument = match guess.unit.as_deref().is_some_and(is_amount) {
            true => "updowncounter",
            false => "gauge",
        };
    }
}

/// What a number of this name is that bounds something. `siblings` are the words of the numbers
/// beside it.
pub(super) fn bound(words: &[String], siblings: &[Vec<String>]) -> Option<Bound> {
    let is_peak = words.last().is_some_and(|last| is_in(last, "max maximum"));
    let (bound, rest) = match words {
        [first, rest @ ..] if is_in(first, "max min maximum minimum") => (first, rest),
        [rest @ .., last] if is_in(last, "max min maximum minimum limit") => (last, rest),
        _ => return None,
    };
    let rest = measured(rest);
    let beside: Vec<_> = siblings
        .iter()
        .filter(|of| *of != words)
        .map(|of| measured(of))
        .collect();
    let is_minimum = bound.starts_with("min");
    let is_same = |of: &Vec<String>| plural_of(of) == plural_of(&rest);
    let is_statistic = |of: &Vec<String>| without_statistic(of).is_some_and(|of| of == rest);
    let has_statistics = rest.is_empty() || beside.iter().any(is_statistic);
    // What is used or free of it.
    let is_part = bound == "limit" && beside.iter().any(|of| of.starts_with(&rest));
    Some(match beside.iter().find(|of| is_same(of)) {
        Some(_) if is_peak => Bound::Measurement,
        Some(limited) if !is_minimum && !has_statistics => Bound::Limit(limited.clone()),
        _ if has_statistics || is_part => Bound::Measurement,
        _ => Bound::Setting,
    })
}

/// Whether a number is the rate or the average of a total beside it: whoever reads the total knows
/// it.
pub(super) fn is_of_total(words: &[String], siblings: &[Vec<String>]) -> bool {
    let Some(rest) = without_statistic(words) else {
        return false;
    };
    let begins = |with: &[&str]| {
        let mut words = words.iter();
        words.any(|word| with.iter().any(|with| word.starts_with(with)))
    };
    let is_rate = begins(&["rate"]);
    if !is_rate && !begins(&["avg", "average", "mean"]) {
        return false;
    }
    let is_total = |of: &&Vec<String>| {
        let without = without_total(of);
        let total = without.or_else(|| is_rate.then(|| of.to_vec()));
        total.is_some_and(|of| plural_of(&of) == plural_of(&rest))
    };
    !rest.is_empty() && siblings.iter().any(|of| is_total(&of))
}

/// The words with the last one as several.
fn plural_of(words: &[String]) -> Vec<String> {
    let mut words = words.to_vec();
    if let Some(last) = words.last_mut() {
        *last = plural(last);
    }
    words
}

/// Whether a total is that of what is in use or free beside it, and no number of what happened.
pub(super) fn is_whole(words: &[String], siblings: &[Vec<String>]) -> bool {
    let parts = "available busy free idle used";
    without_total(words).is_some_and(|rest| {
        let rest = measured(&rest);
        let is_part = |of: &Vec<String>| {
            let of = measured(of);
            let others = of.iter().filter(|word| !is_in(word, parts));
            others.clone().count() < of.len() && others.eq(&rest)
        };
        siblings.iter().any(is_part)
    })
}

/// Whether a number is how many observations there were, or their sum, and the other one is beside
/// it.
pub(super) fn is_of_summary(words: &[String], siblings: &[Vec<String>]) -> bool {
    let Some((last, rest)) = words.split_last() else {
        return false;
    };
    let other = match last.as_str() {
        "count" => "sum",
        "sum" => "count",
        _ => return false,
    };
    let is_other = |of: &Vec<String>| {
        let split = of.split_last();
        split.is_some_and(|(last, own)| last == other && own == rest)
    };
    !rest.is_empty() && siblings.iter().any(is_other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::suggest::words::words;

    #[test]
    fn a_bound_is_a_limit_beside_what_it_limits() {
        let siblings = |names: &[&str]| names.iter().map(|name| words(name)).collect::<Vec<_>>();
        for (name, beside, expected) in [
            (
                "max_connections",
                &["connections"][..],
                Some(Bound::Limit(words("connections"))),
            ),
            (
                "max_payload",
                &["payloads"],
                Some(Bound::Limit(words("payloads"))),
            ),
            (
                "maxConns",
                &["connections"],
                Some(Bound::Limit(words("connections"))),
            ),
            ("mem_limit", &["mem_used"], Some(Bound::Measurement)),
            ("latency_max", &["latency_avg"], Some(Bound::Measurement)),
            ("min_latency", &["max_latency"], Some(Bound::Measurement)),
            ("ctime_max", &["ctime"], Some(Bound::Measurement)),
            ("max_payload", &["sent"], Some(Bound::Setting)),
            ("min_replicas", &["replicas"], Some(Bound::Setting)),
            ("ping_max", &["ping_interval"], Some(Bound::Setting)),
            ("max", &["min"], Some(Bound::Measurement)),
            ("connections", &["max_connections"], None),
        ] {
            let found = bound(&words(name), &siblings(beside));
            assert_eq!(found, expected, "{name}");
        }
    }

    #[test]
    fn rates_and_averages_of_totals_are_known_from_these() {
        for (name, beside, expected) in [
            ("RequestAverage5s", "RequestsTotal", true),
            ("requests_rate", "requests", true),
            ("latency_avg", "latency", false),
            ("connections_avg", "connections", false),
            ("max_connections", "total_connections", false),
            ("rate", "total", false),
        ] {
            let found = is_of_total(&words(name), &[words(name), words(beside)]);
            assert_eq!(found, expected, "{name}");
        }
    }

    #[test]
    fn a_total_of_parts_is_no_number_of_what_happened() {
        let siblings = [
            "sockets_used",
            "busyExecutors",
            "requests_active",
            "mem_free",
        ]
        .map(words);
        for (name, expected) in [
            ("sockets_total", true),
            ("total_executors", true),
            ("mem_total", true),
            ("requests_total", false),
            ("sockets", false),
        ] {
            assert_eq!(is_whole(&words(name), &siblings), expected, "{name}");
        }
    }

    #[test]
    fn a_count_and_a_sum_belong_together() {
        let siblings = ["latency_count", "latency_sum", "errors_count", "sum"].map(words);
        for (name, expected) in [
            ("latency_count", true),
            ("latency_sum", true),
            ("errors_count", false),
            ("sum", false),
        ] {
            assert_eq!(is_of_summary(&words(name), &siblings), expected, "{name}");
        }
    }
}
