//! Saved bodies whose values move, so that a demo has something to show.
//!
//! What a number means is found out by changing it: if another number in its place changes the
//! values of counters, and nothing else, it is a total. This works for every format, and through
//! `transform`.

use std::{
    collections::BTreeSet,
    f64::consts::TAU,
    sync::{Arc, LazyLock},
    time::Duration,
};

use regex::Regex;

use crate::{
    definition::{Definition, InstrumentKind, RequestElement},
    pipeline::{BodyPart, ProcessStart, Readings},
    processors::mapping,
    receivers::{self, SavedAnswer},
    runtime::Clock,
};

/// The most text that is read to find out what numbers mean, in bytes.
const READ_BYTES_MAX: usize = 64 << 20;

/// The most numbers of a body that are looked at.
const NUMBERS_MAX: usize = 1000;

/// The most digits of a number that moves: a double holds them all.
const DIGITS_MAX: usize = 15;

/// How long a current value takes to come back to where it was.
const PERIOD_SECONDS: f64 = 120.0;

static NUMBERS: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"-?\d+(?:\.\d+)?").ok());

/// A body whose values move.
#[derive(Debug)]
pub(in crate::cli) struct MovingBody {
    parts: Vec<Part>,
}

#[derive(Debug)]
enum Part {
    Fixed(Vec<u8>),
    Number {
        value: f64,
        /// How many digits stand behind the point.
        decimals: usize,
        motion: Motion,
    },
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Motion {
    /// It grows by this much in a second.
    Grows(f64),
    /// It goes up and down; where in its period it begins.
    Swings(f64),
}

impl MovingBody {
    /// A body of one endpoint of a definition, and the element that it was requested for.
    pub(in crate::cli) fn new(
        definition: &Definition,
        endpoint: usize,
        body: &[u8],
        element: Option<&Arc<RequestElement>>,
    ) -> Self {
        let Ok(text) = std::str::from_utf8(body) else {
            let parts = vec![Part::Fixed(body.to_vec())];
            return Self { parts };
        };
        let reader = Reader {
            definition,
            endpoint,
            element,
        };
        let at_rest = reader.read(text.to_owned());
        let most = NUMBERS_MAX.min(READ_BYTES_MAX / text.len().max(1));
        let mut parts = Vec::new();
        let mut end = 0;
        for (at, number) in numbers(text).take(most) {
            let Some(value) = number.parse::<f64>().ok() else {
                continue;
            };
            let decimals = number.split_once('.').map_or(0, |(_, digits)| digits.len());
            let (before, after) = (text.get(..at), text.get(at + number.len()..));
            let (before, after) = (before.unwrap_or_default(), after.unwrap_or_default());
            let other = format!("{before}{:.decimals$}{after}", value + 1.0);
            let seed = parts.len();
            if let Some(motion) = reader.motion(&at_rest, &reader.read(other), value, seed) {
                let between = text.get(end..at).unwrap_or_default();
                parts.push(Part::Fixed(between.as_bytes().to_vec()));
                parts.push(Part::Number {
                    value,
                    decimals,
                    motion,
                });
                end = at + number.len();
            }
        }
        let rest = text.get(end..).unwrap_or_default();
        parts.push(Part::Fixed(rest.as_bytes().to_vec()));
        Self { parts }
    }

    /// The body after this time.
    pub(in crate::cli) fn after(&self, elapsed: Duration) -> Vec<u8> {
        let seconds = elapsed.as_secs_f64();
        let mut body = Vec::new();
        for part in &self.parts {
            match part {
                Part::Fixed(text) => body.extend_from_slice(text),
                Part::Number {
                    value,
                    decimals,
                    motion,
                } => {
                    let mut now = match motion {
                        Motion::Grows(rate) => value + rate * seconds,
                        Motion::Swings(phase) => {
                            let turn = seconds / PERIOD_SECONDS + phase;
                            value * (1.0 + 0.3 * (turn * TAU).sin())
                        }
                    };
                    if *decimals == 0 {
                        now = now.floor();
                    }
                    body.extend_from_slice(format!("{now:.decimals$}").as_bytes());
                }
            }
        }
        body
    }
}

/// The numbers of a text that are not part of something else, such as a time or a version.
fn numbers(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let found = NUMBERS.iter().flat_map(|pattern| pattern.find_iter(text));
    found.filter_map(move |found| {
        let mut before = text.get(..found.start())?.chars().rev();
        let (last, before_that) = (before.next(), before.next());
        let next = text.get(found.end()..)?.chars().next();
        let is_part = |letter: char| letter.is_alphanumeric() || "_-./".contains(letter);
        let is_time =
            last == Some(':') && before_that.is_some_and(|letter| letter.is_ascii_digit());
        let is_alone = !last.is_some_and(is_part)
            && !is_time
            && !next.is_some_and(|letter| is_part(letter) || letter == ':');
        let is_short = found.as_str().len() <= DIGITS_MAX;
        (is_alone && is_short).then(|| (found.start(), found.as_str()))
    })
}

struct Reader<'d> {
    definition: &'d Definition,
    endpoint: usize,
    element: Option<&'d Arc<RequestElement>>,
}

impl Reader<'_> {
    fn read(&self, text: String) -> Readings {
        let mut answers = vec![None; self.definition.endpoints.len()];
        if let Some(answer) = answers.get_mut(self.endpoint) {
            *answer = Some(match self.element {
                None => SavedAnswer::Whole(text.into_bytes()),
                Some(element) => SavedAnswer::Parts(vec![BodyPart {
                    raw: text.into(),
                    group: 0,
                    element: Some(Arc::clone(element)),
                }]),
            });
        }
        let mut poll = receivers::sample(self.definition, answers, &Clock::System);
        let started = poll.started;
        let mut readings = mapping::map(self.definition, &mut poll);
        // As a length of time it is the same whenever it is read.
        if self
            .definition
            .start
            .as_ref()
            .is_some_and(|start| start.is_uptime)
        {
            let start = readings.start.and_then(ProcessStart::time);
            let uptime = start.and_then(|start| started.duration_since(start).ok());
            readings.start = uptime.map(ProcessStart::Before);
        }
        readings
    }

    /// How a number moves of which another value makes `other` of what was there; none if it stays.
    fn motion(
        &self,
        at_rest: &Readings,
        other: &Readings,
        value: f64,
        seed: usize,
    ) -> Option<Motion> {
        let pairs = || at_rest.values.iter().zip(&other.values);
        let is_like = at_rest.values.len() == other.values.len()
            && at_rest.problems == other.problems
            && pairs().all(|(one, other)| {
                one.instrument == other.instrument
                    && one.attributes == other.attributes
                    && one.time == other.time
                    && one.histogram == other.histogram
            });
        if !is_like {
            return None;
        }
        let uptimes = [at_rest.start, other.start];
        match uptimes {
            [one, other] if one == other => {}
            [
                Some(ProcessStart::Before(one)),
                Some(ProcessStart::Before(other)),
            ] => {
                // Its unit follows from what one more of it is.
                let unit = other.saturating_sub(one).as_secs_f64();
                return (unit > 0.0).then(|| Motion::Grows(1.0 / unit));
            }
            _ => return None,
        }
        let instruments = &self.definition.instruments;
        let changed = pairs().filter(|(one, other)| one.value != other.value);
        let changed: BTreeSet<_> = changed.map(|(one, _)| one.instrument).collect();
        let mut kinds = changed.iter().filter_map(|index| instruments.get(*index));
        let first = kinds.next()?;
        // What several kinds are made of may be anything.
        if kinds.any(|other| other.kind != first.kind) {
            return None;
        }
        // Begins a third of a period after the one before.
        let phase = f64::from(u32::try_from(seed).unwrap_or_default()) / 3.0;
        let is_moment = first.unit == "s" && value >= 1e9;
        match first.kind {
            InstrumentKind::Counter => Some(Motion::Grows(value.max(10.0) / 300.0)),
            InstrumentKind::Gauge | InstrumentKind::UpDownCounter => {
                (value >= 3.0 && !is_moment).then_some(Motion::Swings(phase))
            }
            InstrumentKind::Histogram | InstrumentKind::StateSet => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::from_text;

    #[test]
    fn totals_grow_current_values_swing_and_the_rest_stays() {
        let definition = r#"
endpoints: { a: { path: /a } }
uptime: { path: $.up_ms, parse: { as: duration, unit: ms } }
metrics:
  - { name: sent, instrument: counter, value: $.sent }
  - { name: load, instrument: gauge, value: $.load }
  - { name: seen, instrument: gauge, unit: s, value: $.seen }
  - { name: info, instrument: gauge, value: 1, attributes: { port: $.port } }
"#;
        let definition = from_text("d", "d.yaml", definition).unwrap();
        let text = r#"{"sent": 300, "load": 50.0, "seen": 1782900000, "port": 80, "other": 7, "up_ms": 5000, "at": "12:30"}"#;
        let body = MovingBody::new(&definition, 0, text.as_bytes(), None);
        let after = |seconds| String::from_utf8(body.after(Duration::from_secs(seconds))).unwrap();
        assert_eq!(after(0), text.replace("50.0", &load(&after(0))));
        let later = after(30);
        assert!(later.starts_with(r#"{"sent": 330, "load": "#), "{later}");
        assert_ne!(load(&later), load(&after(0)));
        let rest = r#""seen": 1782900000, "port": 80, "other": 7, "up_ms": 35000, "at": "12:30"}"#;
        assert!(later.ends_with(rest), "{later}");
    }

    fn load(body: &str) -> String {
        let load = body.split_once("\"load\": ").unwrap().1;
        load.split(',').next().unwrap().to_owned()
    }

    #[test]
    fn numbers_within_other_words_are_none() {
        let text = r#"{"a": 1, "b":-2.5, "v": "1.2.3", "t": "08:30:00", "x5": 6, "d": "2026-01-01", "s": "7"} 8 9,10"#;
        let found: Vec<_> = numbers(text).map(|(_, number)| number).collect();
        assert_eq!(found, ["1", "-2.5", "6", "7", "8", "9", "10"]);
    }
}
