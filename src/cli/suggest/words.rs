//! What names say: the words in them, units, and whether they call a total or a current value.

/// The words of a name, in lower case: `httpRequestCount` is `http`, `request`, `count`.
pub(super) fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut last = '_';
    let mut letters = name.chars().peekable();
    while let Some(letter) = letters.next() {
        let follows = letters.peek().is_some_and(|next| next.is_lowercase());
        let begins = letter.is_uppercase() && (!last.is_uppercase() || follows);
        if letter.is_ascii_alphanumeric() {
            if begins || !last.is_ascii_alphanumeric() || words.is_empty() {
                words.push(String::new());
            }
            if let Some(word) = words.last_mut() {
                word.push(letter.to_ascii_lowercase());
            }
        }
        last = letter;
    }
    words
}

/// One of several, as English often says it: `queue` of `queues`.
pub(super) fn singular(word: &str) -> String {
    if let Some(stem) = word.strip_suffix("ies").filter(|stem| stem.len() > 1) {
        return format!("{stem}y");
    }
    let is_plural = !["ss", "us", "is"].iter().any(|end| word.ends_with(end));
    let stem = word
        .strip_suffix('s')
        .filter(|stem| stem.len() > 1 && is_plural);
    stem.unwrap_or(word).to_owned()
}

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

/// The unit that the words of a name say: the last one, or `bytes` anywhere.
pub(super) fn unit(words: &[String]) -> Option<Unit> {
    let last = words.last()?;
    for (names, ucum, scale) in UNITS {
        if let Some(word) = names.iter().find(|name| *name == last) {
            let stays = ["uptime", "bytes"].contains(word) || words.len() == 1;
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

impl Unit {
    /// The words without that of the unit, which stands beside them.
    pub(super) fn without_word<'w>(&self, words: &'w [String]) -> &'w [String] {
        match (self.stays, words.split_last()) {
            (false, Some((_, rest))) => rest,
            _ => words,
        }
    }
}

fn has(words: &[String], known: &[&str]) -> Option<String> {
    words
        .iter()
        .find(|word| known.contains(&word.as_str()))
        .cloned()
}

/// The word of a name that calls a current value, though it may happen to grow.
pub(super) fn current(words: &[String]) -> Option<String> {
    has(
        words,
        &[
            "active",
            "alive",
            "available",
            "avg",
            "average",
            "backlog",
            "busy",
            "capacity",
            "clients",
            "current",
            "depth",
            "free",
            "idle",
            "inflight",
            "lag",
            "latency",
            "length",
            "limit",
            "load",
            "max",
            "mean",
            "mem",
            "memory",
            "min",
            "num",
            "open",
            "peak",
            "pending",
            "percent",
            "percentage",
            "pressure",
            "queued",
            "rate",
            "ratio",
            "ready",
            "remaining",
            "size",
            "temperature",
            "threads",
            "unacked",
            "used",
            "usage",
            "utilization",
            "waiting",
            "workers",
        ],
    )
}

/// The word of a name that calls a total, though it did not grow meanwhile.
pub(super) fn total(words: &[String]) -> Option<String> {
    has(
        words,
        &[
            "total",
            "totals",
            "accepted",
            "accesses",
            "ack",
            "acknowledged",
            "answers",
            "closed",
            "completed",
            "created",
            "declared",
            "deleted",
            "deliver",
            "delivered",
            "denied",
            "drop",
            "dropped",
            "errors",
            "evictions",
            "failed",
            "failures",
            "handled",
            "hit",
            "hits",
            "in",
            "inserts",
            "lookup",
            "lookups",
            "miss",
            "misses",
            "msgs",
            "opened",
            "out",
            "packets",
            "processed",
            "publish",
            "published",
            "queries",
            "received",
            "redeliver",
            "rejected",
            "requests",
            "restarts",
            "retries",
            "sent",
            "succeeded",
            "timeouts",
            "unroutable",
            "written",
        ],
    )
}

/// The word of a name that calls an amount of memory or of storage, which is usually in bytes.
pub(super) fn storage(words: &[String]) -> Option<String> {
    has(words, &["disk", "heap", "mem", "memory", "rss", "storage"])
}

/// The word of a name that calls a moment.
pub(super) fn moment(words: &[String]) -> Option<String> {
    has(
        words,
        &[
            "at",
            "boot",
            "created",
            "date",
            "expires",
            "expiry",
            "last",
            "modified",
            "seen",
            "since",
            "start",
            "started",
            "time",
            "timestamp",
            "ts",
            "until",
            "updated",
        ],
    )
}

/// The word of a name that calls a state.
pub(super) fn state(words: &[String]) -> Option<String> {
    has(
        words,
        &[
            "condition",
            "health",
            "mode",
            "phase",
            "result",
            "role",
            "state",
            "status",
        ],
    )
}

/// Whether a name calls a version.
pub(super) fn is_version(words: &[String]) -> bool {
    has(
        words,
        &["version", "build", "commit", "revision", "release"],
    )
    .is_some()
}

/// Whether a number of this name is no measurement.
pub(super) fn is_label(words: &[String]) -> bool {
    words.last().is_some_and(|word| {
        ["id", "pid", "port", "iid", "sid", "uid", "index"].contains(&word.as_str())
    })
}

/// How well a field of this name tells elements apart: less is better.
pub(super) fn identity_rank(name: &str) -> Option<usize> {
    const NAMES: [&str; 19] = [
        "name", "id", "key", "uuid", "title", "hostname", "host", "node", "address", "addr",
        "instance", "device", "url", "uri", "path", "service", "server", "queue", "topic",
    ];
    let words = words(name);
    let at = |word: &String| NAMES.iter().position(|known| known == word);
    let exact = NAMES.iter().position(|known| *known == name);
    let last = || words.last().and_then(at).map(|rank| rank + NAMES.len());
    let ends = || name.ends_with("name").then_some(2 * NAMES.len());
    exact.or_else(last).or_else(ends)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_split_into_words() {
        for (name, expected) in [
            ("httpRequestCount", "http request count"),
            ("HTTPRequests", "http requests"),
            ("mem_used", "mem used"),
            ("Total kBytes", "total k bytes"),
            ("load-1m", "load 1m"),
            ("pxname", "pxname"),
            ("", ""),
        ] {
            assert_eq!(words(name).join(" "), expected, "{name}");
        }
        for (word, one) in [
            ("queues", "queue"),
            ("status", "status"),
            ("entries", "entry"),
            ("bus", "bus"),
            ("s", "s"),
        ] {
            assert_eq!(singular(word), one);
        }
    }

    #[test]
    fn a_name_says_its_unit() {
        for (name, expected) in [
            ("latency_ms", Some(("s", Some(1e-3), "latency"))),
            ("uptimeSeconds", Some(("s", None, "uptime"))),
            ("uptime", Some(("s", None, "uptime"))),
            ("bytes_in", Some(("By", None, "bytes in"))),
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
}
