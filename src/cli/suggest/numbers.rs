//! What a number measures, by its name and by how it changed.

use serde_json::Value;

use super::{
    names::measured,
    units::{counted, is_amount, storage, unit},
    values::Values,
    words::{current, is_in, is_statistic, moment, things, total},
};

/// What a value is.
#[derive(Debug, Clone)]
pub(super) struct Guess {
    pub(super) instrument: &'static str,
    pub(super) unit: Option<String>,
    pub(super) scale: Option<f64>,
    /// Keys that say how it is read, as YAML.
    pub(super) parse: Vec<[String; 2]>,
    /// The words of the metric's name, without the unit.
    pub(super) words: Vec<String>,
    /// Whether it fell, or any of them did.
    pub(super) fell: bool,
    /// Whether it is another one than before.
    pub(super) has_changed: bool,
    pub(super) reason: String,
    /// `uptime` or `start_time` if it says when the process began.
    pub(super) start: Option<&'static str>,
}

impl Guess {
    /// A gauge of values that need `parse`, as YAML.
    pub(super) fn parsed(
        words: &[String],
        values: &Values<'_>,
        unit: &str,
        parse: &str,
        reason: &str,
    ) -> Self {
        Self {
            instrument: "gauge",
            unit: Some(unit.to_owned()),
            scale: None,
            parse: vec![["parse".to_owned(), parse.to_owned()]],
            words: measured(words),
            fell: false,
            has_changed: values.have_changed(),
            reason: reason.to_owned(),
            start: None,
        }
    }
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
    let is_uptime = words.iter().any(|word| word == "uptime");
    let mut reason = change.describe(values);
    let is_counter = !is_uptime && is_counter(words, change, &mut reason);
    let named = unit.map_or(words, |unit| unit.without_word(words));
    let named = measured(named);
    let mut ucum = unit.map(|unit| unit.ucum.to_owned());
    if let Some(unit) = unit {
        reason.push_str(&format!("; `{}` is its unit", unit.word));
    } else if let Some(word) =
        storage(words).filter(|_| counted(&named).is_none() && may_be_bytes(values))
    {
        reason.push_str(&format!("; `{word}` is usually in bytes"));
        ucum = Some("By".to_owned());
    } else if is_speed(words) && change.is_whole {
        reason.push_str("; a speed is usually in bytes per second");
        ucum = Some("By/s".to_owned());
    } else if change.is_whole && (is_counter || !is_statistic(words)) {
        ucum = counted(&named);
    }
    let is_sum = !is_statistic(words) && ucum.as_deref().is_some_and(is_amount);
    let (scale, start) = match unit.filter(|unit| is_uptime && unit.ucum == "s") {
        Some(unit) => uptime(unit.word, unit.scale, values, seconds),
        None => (unit.and_then(|unit| unit.scale), None),
    };
    Guess {
        instrument: match is_counter {
            true => "counter",
            false if is_sum => "updowncounter",
            false => "gauge",
        },
        unit: ucum,
        scale,
        parse: Vec::new(),
        words: named,
        fell: change.fell > 0,
        has_changed: change.grew + change.fell > 0,
        start,
        reason,
    }
}

/// Whether they are a total, and why, behind `reason`.
fn is_counter(words: &[String], change: Change, reason: &mut String) -> bool {
    let mut all = words.to_vec();
    all.extend(measured(words));
    let now = current(&all).or_else(|| share(&all));
    match (change.grew, change.fell) {
        (_, 1..) => false,
        (1.., 0) => match now.or_else(|| things(&all).filter(|_| total(&all).is_none())) {
            Some(word) => {
                reason.push_str(&format!(", but `{word}` calls a current value"));
                false
            }
            // A measured value may grow by chance.
            None => change.is_whole || total(&all).is_some() || is_time_spent(words),
        },
        (0, 0) => match (total(&all), now) {
            (Some(word), None) => {
                reason.push_str(&format!("; `{word}` calls a total"));
                true
            }
            _ => false,
        },
    }
}

/// The word of a name that calls the use of a processor, and not the time that was spent on it.
fn share(words: &[String]) -> Option<String> {
    let is_time = is_time_spent(words) || unit(words).is_some_and(|unit| unit.ucum == "s");
    let cpu = words.iter().find(|word| *word == "cpu");
    cpu.filter(|_| !is_time && total(words).is_none()).cloned()
}

/// Whether the words call how fast something is transferred.
fn is_speed(words: &[String]) -> bool {
    let has = |known: &str| words.iter().any(|word| is_in(word, known));
    let is_speed = words.iter().any(|word| word.ends_with("speed"));
    is_speed && !has("fan fans link wind")
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

/// The scale of an uptime, and `uptime` if it runs: where only the word `uptime` says its unit, how
/// fast it grows tells whether it counts milliseconds or less.
fn uptime(
    word: &str,
    scale: Option<f64>,
    values: &Values<'_>,
    seconds: f64,
) -> (Option<f64>, Option<&'static str>) {
    let finer = [None, Some(1e-3), Some(1e-6), Some(1e-9)];
    let scales = match word {
        "uptime" => &finer[..],
        _ => &[scale],
    };
    let mut running = scales
        .iter()
        .filter(|scale| is_running(values, **scale, seconds));
    match running.next() {
        Some(scale) => (*scale, Some("uptime")),
        None => (scale, None),
    }
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
    let reason = format!("`{word}` in its name, and Unix time in {unit}");
    Some(Guess {
        start: is_start(words, values).then_some("start_time"),
        ..Guess::parsed(words, values, "s", &parse, &reason)
    })
}

/// Whether it says when something began, and has not changed.
pub(super) fn is_start(words: &[String], values: &Values<'_>) -> bool {
    let begins = |word: &String| ["start", "started", "boot"].contains(&word.as_str());
    let mut pairs = values.pairs.iter();
    words.iter().any(begins) && pairs.all(|pair| pair.first == Some(pair.second))
}
