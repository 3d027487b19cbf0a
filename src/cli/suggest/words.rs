//! What names say: the words in them, and whether they call a total or a current value.

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
    if word == "series" {
        return word.to_owned();
    }
    if let Some(stem) = word.strip_suffix("ies").filter(|stem| stem.len() > 1) {
        return format!("{stem}y");
    }
    let takes_es = ["xes", "sses", "shes", "tches", "uses"];
    let end = if takes_es.iter().any(|end| word.ends_with(end)) {
        "es"
    } else {
        "s"
    };
    let is_plural = !["ss", "us", "is"].iter().any(|end| word.ends_with(end));
    let stem = word.strip_suffix(end);
    let stem = stem.filter(|stem| stem.len() > 1 && is_plural);
    stem.unwrap_or(word).to_owned()
}

/// Several of what a word says: `queues` of `queue`.
pub(super) fn plural(word: &str) -> String {
    if is_plural(word) {
        return word.to_owned();
    }
    let stem = word
        .strip_suffix('y')
        .filter(|stem| !stem.ends_with(['a', 'e', 'o', 'u']));
    let takes_es = ["s", "x", "ch", "sh"].iter().any(|end| word.ends_with(end));
    match stem {
        Some(stem) => format!("{stem}ies"),
        None if takes_es => format!("{word}es"),
        None => format!("{word}s"),
    }
}

/// Whether a word calls several, as far as its end says so.
pub(super) fn is_plural(word: &str) -> bool {
    const OTHERS: &str = "always bytes https kbps mbps redis seconds";
    let has_digits = word.contains(|letter: char| letter.is_ascii_digit());
    let ends_so = word.len() > 3 && singular(word) != word;
    word == "series" || ends_so && !has_digits && !is_in(word, OTHERS)
}

/// Whether `known`, which has blanks between words, has this one.
pub(super) fn is_in(word: &str, known: &str) -> bool {
    known.split_whitespace().any(|known| known == word)
}

/// The first of the words that is known, also with the time or the number that it is of: `avg1000`.
fn has(words: &[String], known: &str) -> Option<String> {
    let is_known = |word: &&String| is_in(word, known) || is_in(without_number(word), known);
    words.iter().find(is_known).cloned()
}

/// The letters in front of the first digit: `average` of `average5s`.
fn without_number(word: &str) -> &str {
    let digit = word.find(|letter: char| letter.is_ascii_digit());
    word.get(..digit.unwrap_or(word.len())).unwrap_or(word)
}

/// What stands beside the word for what there is, and says how it is now.
const ADJECTIVES: &str = "active alive available busy complete cur current flight free idle incomplete \
    inflight open outstanding pending queued ready remaining unacked unacknowledged use used waiting";

/// What calls an amount that is there now.
const AMOUNTS: &str = "backlog capacity depth lag latency length limit load max mem memory min num \
    pressure size temperature usage utilization";

/// What there may be more or less of.
const THINGS: &str = "accounts bindings channels chunks clients connections consumers containers \
    databases elements entries exchanges files goroutines jobs keys listeners members nodes objects \
    pairs peers pods processes queues remotes replicas routes segments series servers sessions \
    shards slots sockets streams subscribers subscriptions targets tasks threads users values \
    watchers workers";

/// What happens again and again, or has happened.
const TOTALS: &str = "total totals accepted accesses ack acknowledged answers closed collisions \
    completed corruptions created declared deleted deliver delivered denied downloaded drop dropped \
    drops error errors evicted evictions exceptions executed fail failed failures finished handled hit \
    hits in inserts lookup lookups matches miss misses msgs new opened out overflows packets panics \
    processed publish published queries reads received redeliver redelivered rejected requests \
    responses restarts resumptions retries reused sent served succeeded timeouts transferred \
    unroutable uploaded writes written";

/// What is measured of several values, and is no amount of them.
const STATISTICS: &str = "avg average max mean median min peak per percent percentage rate ratio \
    speed";

/// The word of a name that calls a current value, though it may happen to grow. An amount does only
/// if it is not the amount of a total: `over_capacity_drops`.
pub(super) fn current(words: &[String]) -> Option<String> {
    let last = words.last().map_or(&[][..], std::slice::from_ref);
    let amount = || has(words, AMOUNTS).filter(|_| total(last).is_none());
    let statistic = || has(words, STATISTICS).or_else(amount);
    has(words, ADJECTIVES).or_else(statistic)
}

/// The word of a name that calls things of which there may be less later.
pub(super) fn things(words: &[String]) -> Option<String> {
    has(words, THINGS)
}

/// The word of a name that calls a total, though it did not grow meanwhile.
pub(super) fn total(words: &[String]) -> Option<String> {
    has(words, TOTALS)
}

/// Whether a name calls a statistic, of which no sum makes sense.
pub(super) fn is_statistic(words: &[String]) -> bool {
    has(words, STATISTICS).is_some()
}

/// The words without those that call a statistic; none if there are no such words.
pub(super) fn without_statistic(words: &[String]) -> Option<Vec<String>> {
    let mut rest = words.to_vec();
    rest.retain(|word| !is_in(without_number(word), STATISTICS));
    (rest.len() < words.len()).then_some(rest)
}

/// Whether a word only says more of the word before it: `active` of `requests_active`.
pub(super) fn is_qualifier(word: &str) -> bool {
    is_in(word, ADJECTIVES) || is_in(word, TOTALS) && !is_plural(word)
}

/// The word of a name that calls a moment.
pub(super) fn moment(words: &[String]) -> Option<String> {
    const MOMENTS: &str = "at boot created date expires expiry last modified on seen since start \
        started time timestamp ts until updated";
    has(words, MOMENTS)
}

/// Whether a name calls the moment of the answer itself.
pub(super) fn is_clock(words: &[String]) -> bool {
    let clocks = "now date timestamp server_time current_time local_time system_time";
    is_in(&words.join("_"), clocks)
}

/// The word of a name that calls a state.
pub(super) fn state(words: &[String]) -> Option<String> {
    has(
        words,
        "condition health mode phase result role state status",
    )
}

/// Whether a name calls a version.
pub(super) fn is_version(words: &[String]) -> bool {
    has(words, "version build commit revision release").is_some()
}

/// Whether a number of this name is no measurement.
pub(super) fn is_label(words: &[String]) -> bool {
    let last = words.last();
    last.is_some_and(|word| is_in(word, "id pid port proto protocol iid sid uid index"))
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
    }

    #[test]
    fn one_and_several_are_told_apart() {
        for (several, one) in [
            ("queues", "queue"),
            ("entries", "entry"),
            ("series", "series"),
            ("caches", "cache"),
            ("matches", "match"),
            ("boxes", "box"),
            ("keys", "key"),
        ] {
            assert_eq!(singular(several), one);
            assert_eq!(plural(one), several);
            assert!(
                is_plural(several) && plural(several) == several,
                "{several}"
            );
        }
        for word in ["status", "bus", "s", "process", "latency"] {
            assert!(!is_plural(word) && singular(word) == word, "{word}");
        }
        for word in ["https", "bytes", "average5s"] {
            assert!(!is_plural(word), "{word}");
        }
    }
}
