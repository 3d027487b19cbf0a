//! Names of metrics: those of the document, without what says nothing and in whole words.

use super::words::{is_in, is_qualifier, plural, singular};

/// Words that say only that there are values.
const GENERIC: &str = "counters data details gauges info items list metrics response result results \
    root stat statistics stats values";

/// What holds the numbers that are counted, at the end of a name.
const COUNTED: &str = "counters gauges metrics stat statistics stats";

/// Keys of the one value of an element, which the name of the elements says.
const VALUE: &str = "value count total number";

/// What is written shorter in many APIs, and is counted.
const ABBREVIATIONS: [(&str, &str); 12] = [
    ("conn", "connection"),
    ("conns", "connections"),
    ("err", "error"),
    ("errs", "errors"),
    ("msg", "message"),
    ("msgs", "messages"),
    ("ops", "operations"),
    ("pkts", "packets"),
    ("req", "request"),
    ("reqs", "requests"),
    ("resp", "response"),
    ("rsp", "response"),
];

/// The same of what is not counted.
const OTHERS: [(&str, &str); 3] = [("mem", "memory"), ("rcvd", "received"), ("tot", "total")];

/// Whether a key says only that it is the value of its element.
pub(super) fn is_value(key: &str) -> bool {
    is_in(&key.to_lowercase(), VALUE)
}

/// The words of an object or a list, as they stand in the names of what is in it. None if it says
/// only that there are values.
pub(super) fn container(words: &[String]) -> &[String] {
    let said = words.iter().rposition(|word| !is_in(word, GENERIC));
    words
        .get(..said.map_or(0, |last| last + 1))
        .unwrap_or(words)
}

/// The words of what is measured: `numSeries` and `seriesCount` are `series`, `http_req_stats` is
/// `http_requests`.
pub(super) fn measured(words: &[String]) -> Vec<String> {
    let all = words;
    let said = words.iter().rposition(|word| !is_in(word, COUNTED));
    let mut words = words
        .get(..said.map_or(0, |last| last + 1))
        .unwrap_or(words);
    let is_number = |word: &String| is_in(word, "num count cnt");
    let mut is_count = false;
    if let [first, rest @ ..] = words
        && !rest.is_empty()
        && is_in(first, "num number")
    {
        words = match rest {
            [of, rest @ ..] if of == "of" && !rest.is_empty() => rest,
            rest => rest,
        };
        is_count = true;
    }
    if let [rest @ .., last] = words
        && !rest.is_empty()
        && is_number(last)
    {
        words = rest;
        is_count = true;
    }
    if words.is_empty() {
        return all.to_vec();
    }
    let whole: Vec<_> = words.iter().map(|word| whole_word(word)).collect();
    let is_last = |index: usize| whole.get(index + 1).is_none_or(|next| is_qualifier(next));
    let several = words.iter().zip(&whole).enumerate();
    let several = several.map(|(index, (own, word))| {
        let is_short = ABBREVIATIONS.iter().any(|(short, _)| short == own);
        let is_counted = is_last(index) && (is_short || is_count) && !is_qualifier(word);
        match is_counted {
            true => plural(word),
            false => (*word).to_owned(),
        }
    });
    several.collect()
}

/// A word that may be written shorter.
fn whole_word(word: &str) -> &str {
    let mut known = ABBREVIATIONS.iter().chain(&OTHERS);
    known
        .find(|(short, _)| *short == word)
        .map_or(word, |(_, long)| long)
}

/// What `X by Y` says of a list: the words of `X`, and the name of `Y` of which each element is one.
pub(super) fn measured_by(words: &[String]) -> Option<(&[String], Vec<String>)> {
    let at = words.iter().position(|word| word == "by")?;
    let (measure, by) = (words.get(..at)?, words.get(at + 1..)?);
    let by = match by {
        [rest @ .., last] if !rest.is_empty() && is_in(last, "name id key") => rest,
        by => by,
    };
    let is_said = !container(measure).is_empty() && !by.is_empty();
    is_said.then(|| (measure, by.to_vec()))
}

/// The words without those that `whole`, of which they are a part, says already: `values` of the
/// `label_values` of a label.
pub(super) fn without<'w>(words: &'w [String], whole: &[String]) -> &'w [String] {
    let rest = words.strip_prefix(whole);
    rest.filter(|rest| !rest.is_empty()).unwrap_or(words)
}

/// What one of the elements is called: by the words of what holds them, or by `otherwise` if these
/// say nothing.
pub(super) fn element(words: &[String], otherwise: &[String]) -> Option<String> {
    let said = [container(words), container(otherwise)];
    let said = said.into_iter().find(|words| !words.is_empty())?;
    Some(singular_of(said))
}

fn singular_of(words: &[String]) -> String {
    let Some((last, rest)) = words.split_last() else {
        return String::new();
    };
    let mut words = rest.to_vec();
    words.push(singular(last));
    words.join("_")
}

/// The words of a total without `total`, which its instrument says; none if nothing is left.
pub(super) fn without_total(words: &[String]) -> Option<Vec<String>> {
    let mut rest = words.to_vec();
    rest.retain(|word| word != "total");
    (!rest.is_empty() && rest.len() < words.len()).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::suggest::words::words;

    #[test]
    fn names_say_what_is_measured_in_whole_words() {
        for (name, expected) in [
            ("numSeries", "series"),
            ("num_label_pairs", "label_pairs"),
            ("number_of_nodes", "nodes"),
            ("chunkCount", "chunks"),
            ("entryCount", "entries"),
            ("in_msgs", "in_messages"),
            ("http_req_stats", "http_requests"),
            ("reqActive", "requests_active"),
            ("req_sent", "requests_sent"),
            ("msg_size", "message_size"),
            ("mem", "memory"),
            ("real-memory-usage", "real_memory_usage"),
            ("NumGoroutine", "goroutines"),
            ("num_complete", "complete"),
            ("percent_as_number", "percent_as_number"),
            ("dl_info_data", "dl_info_data"),
            ("conn_tot", "connections_total"),
            ("tcpDiedSendingResponse", "tcp_died_sending_response"),
            ("count", "count"),
            ("stats", "stats"),
        ] {
            assert_eq!(measured(&words(name)).join("_"), expected, "{name}");
        }
    }

    #[test]
    fn lists_by_something_belong_to_it() {
        let by = |name: &str| {
            let words = words(name);
            let (measure, by) = measured_by(&words)?;
            let measure = measured(measure);
            Some(format!(
                "{}.{}",
                by.join("_"),
                without(&measure, &by).join("_")
            ))
        };
        assert_eq!(by("seriesCountByMetricName").unwrap(), "metric.series");
        assert_eq!(by("labelValueCountByLabelName").unwrap(), "label.values");
        assert_eq!(by("by_path"), None);
        assert_eq!(by("standby"), None);
    }

    #[test]
    fn what_says_nothing_names_nothing() {
        for (name, expected) in [("headStats", "head"), ("data", ""), ("result", "")] {
            assert_eq!(container(&words(name)).join("_"), expected, "{name}");
        }
        let [of, none] = ["queues", "result"].map(words);
        assert_eq!(element(&of, &[]).as_deref(), Some("queue"));
        assert_eq!(element(&none, &words("active")).as_deref(), Some("active"));
        assert_eq!(element(&none, &[]), None);
    }
}
