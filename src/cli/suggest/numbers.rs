//! What a number measures, by its name and by how it changed.

use serde_json::Value;

use super::{
    values::Values,
    words::{current, moment, storage, total, unit},
};

/// What a value is.
#[derive(Debug, Clone)]
pub(super) struct Guess {
    pub(super) instrument: &'static str,
    pub(super) unit: Option<String>,
    pub(super) scale: Option<f64>,
    /// Keys that say how it is read, as YAML.
    pub(super) parse: Vec<[String; 2]>,
    /// The last part of the metric's name, without the unit; none if it stays.
    pub(super) name: Option<String>,
    pub(super) reason: String,
    /// `uptime` or `start_time` if it says when the process began.
    pub(super) start: Option<&'static str>,
}

/// How numbers changed from the first document to the second.
#[derive(Debug, Clone, Copy, Default)]
struct Change {
    grew: usize,
    fell: usize,
    stayed: usize,
    is_whole: bool,
}

impl Change {
    fn of(values: &Values<'_>) -> Self {
        let mut change = Self {
            is_whole: values.pairs.iter().all(|of| !of.second.is_f64()),
            ..Self::default()
        };
        for pair in &values.pairs {
            let (Some(first), Some(second)) =
                (pair.first.and_then(Value::as_f64), pair.second.as_f64())
            else {
                continue;
            };
            match first.total_cmp(&second) {
                std::cmp::Ordering::Less => change.grew += 1,
                std::cmp::Ordering::Greater => change.fell += 1,
                std::cmp::Ordering::Equal => change.stayed += 1,
            }
        }
        change
    }

    fn describe(self, values: &Values<'_>) -> String {
        if let [pair] = values.pairs.as_slice()
            && let Some(first) = pair.first
        {
            let second = pair.second;
            return match (self.grew, self.fell) {
                (0, 0) => format!("it stayed {second}"),
                (_, 0) => format!("it grew from {first} to {second}"),
                _ => format!("it fell from {first} to {second}"),
            };
        }
        let all = self.grew + self.fell + self.stayed;
        match (self.grew, self.fell) {
            (0, 0) => format!("it stayed in all of {all}"),
            (grew, 0) => format!("it grew in {grew} of {all} and fell in none"),
            (_, fell) => format!("it fell in {fell} of {all}"),
        }
    }
}

/// What numbers are whose name has these `words`.
pub(super) fn guess(words: &[String], values: &Values<'_>, seconds: f64) -> Guess {
    let change = Change::of(values);
    if let Some(guess) = timestamp(words, values) {
        return guess;
    }
    let unit = unit(words);
    let mut reason = change.describe(values);
    let is_uptime = words.iter().any(|word| word == "uptime");
    let is_counter = match (change.grew, change.fell) {
        _ if is_uptime => false,
        (_, 1..) => false,
        (1.., 0) => match current(words) {
            Some(word) => {
                reason.push_str(&format!(", but `{word}` calls a current value"));
                false
            }
            // A measured value may grow by chance.
            None => change.is_whole || total(words).is_some() || is_time_spent(words),
        },
        (0, 0) => match (total(words), current(words)) {
            (Some(word), None) => {
                reason.push_str(&format!("; `{word}` calls a total"));
                true
            }
            _ => false,
        },
    };
    if let Some(unit) = unit {
        reason.push_str(&format!("; `{}` is its unit", unit.word));
    }
    let bytes = storage(words).filter(|_| unit.is_none() && may_be_bytes(values));
    if let Some(word) = &bytes {
        reason.push_str(&format!("; `{word}` is usually in bytes"));
    }
    let name = unit.map(|unit| unit.without_word(words).join("_"));
    let in_seconds = unit.filter(|unit| unit.ucum == "s");
    Guess {
        instrument: if is_counter { "counter" } else { "gauge" },
        unit: unit
            .map(|unit| unit.ucum.to_owned())
            .or(bytes.map(|_| "By".to_owned())),
        scale: unit.and_then(|unit| unit.scale),
        parse: Vec::new(),
        name,
        start: is_uptime
            .then_some(in_seconds)
            .flatten()
            .filter(|unit| is_running(values, unit.scale, seconds))
            .and_then(|unit| unit.scale.is_none().then_some("uptime")),
        reason,
    }
}

/// Whether numbers may count bytes: what is in use is large, or it is nothing.
fn may_be_bytes(values: &Values<'_>) -> bool {
    const BYTES_MIN: u64 = 64 * 1024;
    let mut numbers = values.pairs.iter().map(|of| of.second.as_u64());
    numbers.all(|number| number.is_some_and(|of| of == 0 || of >= BYTES_MIN))
}

/// Whether the words call time that was spent, which is a total with a fraction.
fn is_time_spent(words: &[String]) -> bool {
    let has = |known: &str| words.iter().any(|word| word == known);
    has("time") || has("cpu") && has("seconds")
}

/// Whether a length of time grew as time passed.
fn is_running(values: &Values<'_>, scale: Option<f64>, seconds: f64) -> bool {
    let scale = scale.unwrap_or(1.0);
    values.pairs.iter().all(|pair| {
        let first = pair.first.and_then(Value::as_f64);
        let grown = first
            .zip(pair.second.as_f64())
            .map(|(first, second)| second - first);
        grown.is_some_and(|grown| (grown * scale - seconds).abs() <= 1.5 + seconds / 4.0)
    })
}

/// A moment in Unix time, if the name calls one and the number may be one.
fn timestamp(words: &[String], values: &Values<'_>) -> Option<Guess> {
    /// From 2001 to 2096, in seconds.
    const ERA: std::ops::Range<f64> = 1e9..4e9;
    let word = moment(words)?;
    let parts = [
        (1.0, None),
        (1e3, Some("ms")),
        (1e6, Some("us")),
        (1e9, Some("ns")),
    ];
    let (_, finer) = parts.into_iter().find(|(parts, _)| {
        let is_moment = |of: f64| of == 0.0 || ERA.contains(&(of / parts));
        let mut all = values.pairs.iter().filter_map(|pair| pair.second.as_f64());
        let is_any = values
            .pairs
            .iter()
            .any(|of| of.second.as_f64().is_some_and(|of| of > 0.0));
        is_any && all.all(is_moment)
    })?;
    let parse = match finer {
        None => "timestamp".to_owned(),
        Some(unit) => format!("{{ as: timestamp, unit: {unit} }}"),
    };
    let unit = finer.map_or("seconds".to_owned(), |unit| unit.to_owned());
    Some(Guess {
        instrument: "gauge",
        unit: Some("s".to_owned()),
        scale: None,
        parse: vec![["parse".to_owned(), parse]],
        name: None,
        reason: format!("`{word}` in its name, and Unix time in {unit}"),
        start: is_start(words, values).then_some("start_time"),
    })
}

/// Whether it says when something began, and has not changed.
pub(super) fn is_start(words: &[String], values: &Values<'_>) -> bool {
    let begins = |word: &String| ["start", "started", "boot"].contains(&word.as_str());
    let mut pairs = values.pairs.iter();
    words.iter().any(begins) && pairs.all(|pair| pair.first == Some(pair.second))
}
