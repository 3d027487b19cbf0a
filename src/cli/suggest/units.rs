//! Units: what names say of them, and what is usual.

use super::words::{is_in, is_plural, is_qualifier, singular};

/// What the end of a name says of its unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Unit {
    /// In UCUM.
    pub(super) ucum: &'static str,
    /// What a value is multiplied with.
    pub(super) scale: Option<f64>,
    /// The word that says so.
    pub(super) word: &'static str,
    /// Whether the word stays in the name: `bytes` in `bytes_in` is what is counted.
    stays: bool,
}

/// Words at the end of a name, their unit, and the factor to it.
const UNITS: [(&[&str], &str, Option<f64>); 15] = [
    (
        &["ms", "msec", "msecs", "millis", "milliseconds"],
        "s",
        Some(1e-3),
    ),
    (&["us", "usec", "micros", "microseconds"], "s", Some(1e-6)),
    (&["ns", "nsec", "nanos", "nanoseconds"], "s", Some(1e-9)),
    (&["s", "sec", "secs", "seconds", "uptime"], "s", None),
    (&["minutes"], "s", Some(60.0)),
    (&["bytes"], "By", None),
    (&["kb", "kbytes", "kib"], "By", Some(1024.0)),
    (&["mb", "mbytes", "mib"], "By", Some(1_048_576.0)),
    (&["gb", "gib"], "By", Some(1_073_741_824.0)),
    (&["percent", "percentage", "pct"], "1", Some(0.01)),
    (&["ratio"], "1", None),
    (&["celsius"], "Cel", None),
    (&["watts", "watt"], "W", None),
    (&["volts", "volt"], "V", None),
    (&["hz", "hertz"], "Hz", None),
];

/// Words that call an amount of memory or of storage.
const STORAGE: &str = "disk heap mem memory rss storage";

/// The unit that the words of a name say: the last one, or `bytes` anywhere.
pub(super) fn unit(words: &[String]) -> Option<Unit> {
    let last = words.last()?;
    for (names, ucum, scale) in UNITS {
        if let Some(word) = names.iter().find(|name| *name == last) {
            let stays = *word == "uptime" || words.len() == 1 || is_counted(words);
            return Some(Unit {
                ucum,
                scale,
                word,
                stays,
            });
        }
    }
    words.iter().any(|word| word == "bytes").then_some(Unit {
        ucum: "By",
        scale: None,
        word: "bytes",
        stays: true,
    })
}

/// Whether bytes are what is counted, and no unit of something else: `out_bytes`, but not
/// `memory_bytes`, and not `size_in_bytes`.
fn is_counted(words: &[String]) -> bool {
    let is_bytes = words.last().is_some_and(|word| word == "bytes");
    let is_unit = words.ends_with(&["in".to_owned(), "bytes".to_owned()]) && words.len() > 2;
    is_bytes && !is_unit && storage(words).is_none()
}

impl Unit {
    /// The words without that of the unit, which stands beside them.
    pub(super) fn without_word<'w>(&self, words: &'w [String]) -> &'w [String] {
        match (self.stays, words) {
            (false, [rest @ .., of, _]) if of == "in" && !rest.is_empty() => rest,
            (false, [rest @ .., _]) => rest,
            _ => words,
        }
    }
}

/// The word of a name that calls an amount of memory or of storage, which is usually in bytes.
pub(super) fn storage(words: &[String]) -> Option<&String> {
    words.iter().find(|word| is_in(word, STORAGE))
}

/// The unit of what the words count: `{request}` of `requests_active`.
pub(super) fn counted(words: &[String]) -> Option<String> {
    let mut words = words.iter().rev();
    let noun = words.find(|word| !is_qualifier(word))?;
    is_plural(noun).then(|| format!("{{{}}}", singular(noun)))
}

/// Whether values of a unit make sense as a sum: what is counted, and bytes.
pub(super) fn is_amount(unit: &str) -> bool {
    unit == "By" || unit.starts_with('{')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::suggest::words::words;

    #[test]
    fn a_name_says_its_unit() {
        for (name, expected) in [
            ("latency_ms", Some(("s", Some(1e-3), "latency"))),
            ("uptimeSeconds", Some(("s", None, "uptime"))),
            ("uptime", Some(("s", None, "uptime"))),
            ("bytes_in", Some(("By", None, "bytes in"))),
            ("out_bytes", Some(("By", None, "out bytes"))),
            ("in_bytes", Some(("By", None, "in bytes"))),
            ("memoryInBytes", Some(("By", None, "memory"))),
            ("heap_used_bytes", Some(("By", None, "heap used"))),
            ("cpu_percent", Some(("1", Some(0.01), "cpu"))),
            ("ms", Some(("s", Some(1e-3), "ms"))),
            ("messages", None),
        ] {
            let words = words(name);
            let found = unit(&words);
            let found =
                found.map(|unit| (unit.ucum, unit.scale, unit.without_word(&words).join(" ")));
            let expected = expected.map(|(ucum, scale, rest)| (ucum, scale, rest.to_owned()));
            assert_eq!(found, expected, "{name}");
        }
    }

    #[test]
    fn what_is_counted_is_a_unit() {
        for (name, expected) in [
            ("slow_consumers", Some("{consumer}")),
            ("requests_active", Some("{request}")),
            ("messages_sent", Some("{message}")),
            ("head_series", Some("{series}")),
            ("queries", Some("{query}")),
            ("self_answered", None),
            ("status", None),
            ("active", None),
        ] {
            assert_eq!(counted(&words(name)).as_deref(), expected, "{name}");
        }
    }
}
