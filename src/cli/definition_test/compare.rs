//! What a test gives, and how that differs from what it must give.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::SystemTime,
};

use super::{
    file::TestCase,
    load::Tests,
    point::{Point, Series, points},
};
use crate::{
    definition::{Definition, InstrumentKind},
    pipeline::{EndpointPoll, ProcessStart},
    processors::mapping,
    receivers::{self, SavedAnswer},
    runtime::{Clock, clock::since_epoch},
    yaml::{Cursor, Diagnostics},
};

/// The most differences of one test that are shown.
const DIFFERENCES_MAX: usize = 100;

/// What a poll of saved bodies gives.
pub(super) struct Found {
    pub(super) points: Vec<Point>,
    problems: Vec<FoundProblem>,
    /// The bodies that could not be read, by the name of their endpoint.
    unread: BTreeMap<String, String>,
    start: Option<SystemTime>,
    polled: SystemTime,
}

struct FoundProblem {
    metric: String,
    reason: &'static str,
    count: u64,
    detail: String,
}

/// Maps what is saved for one test.
pub(super) fn poll(definition: &Definition, answers: Vec<Option<SavedAnswer>>) -> Found {
    let mut poll = receivers::sample(definition, answers, &Clock::System);
    let readings = mapping::map(definition, &mut poll);
    let problem = |problem: &crate::pipeline::Problem| {
        let hint = mapping::explain(definition, &poll, problem);
        FoundProblem {
            metric: definition
                .subject(problem.instrument)
                .unwrap_or_default()
                .to_owned(),
            reason: problem.reason.name(),
            count: problem.count,
            detail: match hint {
                Some(hint) => format!("{}: {hint}", problem.detail),
                None => problem.detail.clone(),
            },
        }
    };
    let endpoints = definition.endpoints.iter().zip(&poll.endpoints);
    let unread = endpoints.filter_map(|(endpoint, polled)| {
        let failure = EndpointPoll::failure(polled)?;
        let is_wrong = failure.message != receivers::NO_SAVED_BODY;
        is_wrong.then(|| (endpoint.id.to_string(), failure.message.to_string()))
    });
    Found {
        points: points(definition, &readings.values),
        problems: readings.problems.iter().map(problem).collect(),
        unread: unread.collect(),
        start: readings.start.and_then(ProcessStart::time),
        polled: poll.started,
    }
}

/// How units and instruments differ from what the file says of them.
pub(super) fn metrics(tests: &Tests) -> Diagnostics {
    let mut differences = Diagnostics::new();
    let root = Cursor::new(&tests.node, "");
    for (name, expected) in &tests.file.metrics {
        let instruments = tests.definition.instruments.iter();
        for found in instruments.filter(|of| of.name == *name) {
            let mut differ = |key: &str, expected: &str, found: &str| {
                let place = root.place_of(&["metrics", name, key]);
                let message = format!("{name}: expected the {key} `{expected}`, found `{found}`");
                differences.error(place, "", message);
            };
            if let Some(unit) = expected.unit.as_ref().filter(|unit| **unit != found.unit) {
                differ("unit", unit, &found.unit);
            }
            let kind = expected.instrument.filter(|kind| *kind != found.kind);
            if let Some(kind) = kind {
                differ("instrument", kind_name(kind), kind_name(found.kind));
            }
        }
    }
    differences
}

fn kind_name(kind: InstrumentKind) -> &'static str {
    match kind {
        InstrumentKind::Counter => "counter",
        InstrumentKind::UpDownCounter => "updowncounter",
        InstrumentKind::Gauge => "gauge",
        InstrumentKind::Histogram => "histogram",
        InstrumentKind::StateSet => "stateset",
    }
}

/// How one test differs.
pub(super) struct Comparison<'c> {
    pub(super) tests: &'c Tests,
    /// The number of the test in its file.
    pub(super) index: usize,
    pub(super) test: &'c TestCase,
    pub(super) found: &'c Found,
    /// What the test above found, if this one follows it.
    pub(super) before: Option<&'c Found>,
    pub(super) differences: Diagnostics,
}

impl Comparison<'_> {
    /// All differences but those of the points, if these are not compared.
    pub(super) fn run(mut self, with_points: bool) -> Diagnostics {
        for (endpoint, why) in &self.found.unread {
            let message = format!("the body of `{endpoint}` cannot be read: {why}");
            self.differ(&["bodies", endpoint], message);
        }
        if with_points {
            self.points();
        }
        self.problems();
        self.resets();
        self.start();
        self.differences
    }

    fn differ(&mut self, at: &[&str], message: String) {
        let index = self.index.to_string();
        let mut path = vec!["tests", &index];
        path.extend(at);
        let root = Cursor::new(&self.tests.node, "");
        let place = root.place_of(&path);
        if self.differences.errors().count() < DIFFERENCES_MAX {
            self.differences.error(place, "", message);
        }
    }

    fn points(&mut self) {
        let tests = self.tests;
        let Some(Some(expected)) = tests.points.get(self.index) else {
            self.differ(
                &[],
                "it says no `points`; `--update` writes them".to_owned(),
            );
            return;
        };
        let found = self.found.points.iter();
        let found: BTreeMap<&Series, &Point> = found.map(|of| (&of.series, of)).collect();
        let wanted: BTreeSet<&Series> = expected.iter().map(|of| &of.series).collect();
        for (index, point) in expected.iter().enumerate() {
            let at = ["points", &index.to_string()];
            match found.get(&point.series) {
                None => {
                    let why = self.why_missing(&point.series);
                    self.differ(&at, format!("{point}: expected, not found{why}"));
                }
                Some(found) if !found.is(point) => {
                    let (series, wanted) = (&point.series, point.shown_value());
                    let message =
                        format!("{series}: expected {wanted}, found {}", found.shown_value());
                    self.differ(&at, message);
                }
                Some(_) => {}
            }
        }
        for point in &self.found.points {
            if !wanted.contains(&point.series) {
                self.differ(&["points"], format!("{point}: found, not expected"));
            }
        }
    }

    /// What is known about a series that was not found.
    fn why_missing(&self, series: &Series) -> String {
        let problems = &self.found.problems;
        let problem = problems.iter().find(|of| of.metric == series.metric);
        let names = self.tests.definition.instruments.iter();
        let mut names = names.map(|of| of.name.as_str());
        match problem {
            Some(problem) => format!(": {}", problem.detail),
            // The parts of a histogram have other names.
            None if names.any(|name| series.metric.starts_with(name)) => String::new(),
            None => "; the definition has no such metric".to_owned(),
        }
    }

    fn problems(&mut self) {
        let mut found: BTreeMap<(&str, &str), (u64, &str)> = BTreeMap::new();
        for problem in &self.found.problems {
            let key = (problem.metric.as_str(), problem.reason);
            found.entry(key).or_insert((0, &problem.detail)).0 += problem.count;
        }
        for (index, expected) in self.test.problems.iter().enumerate() {
            let (metric, reason) = (expected.metric.as_str(), expected.reason.name());
            let count = found
                .remove(&(metric, reason))
                .map_or(0, |(count, _)| count);
            if count != expected.count {
                let expected = expected.count;
                let message = format!(
                    "{metric}: expected {expected} values that cannot be read ({reason}), found {count}"
                );
                self.differ(&["problems", &index.to_string()], message);
            }
        }
        for ((metric, reason), (count, detail)) in found {
            let times = match count {
                1 => String::new(),
                count => format!(" × {count}"),
            };
            self.differ(
                &[],
                format!("{metric}: not read ({reason}{times}): {detail}"),
            );
        }
    }

    /// Counters fall only where the test says so.
    fn resets(&mut self) {
        let Some(before) = self.before else { return };
        let before: BTreeMap<&Series, &Point> =
            before.points.iter().map(|of| (&of.series, of)).collect();
        let instruments = self.tests.definition.instruments.iter();
        let counters: BTreeSet<&str> = instruments
            .filter(|of| of.kind == InstrumentKind::Counter)
            .map(|of| of.name.as_str())
            .collect();
        let mut fallen = BTreeMap::new();
        for point in &self.found.points {
            let metric = point.series.metric.as_str();
            let last = before
                .get(&point.series)
                .filter(|_| counters.contains(metric));
            if let Some(last) = last
                && point.value.as_f64() < last.value.as_f64()
            {
                fallen.entry(metric).or_insert((*last, point));
            }
        }
        for (index, name) in self.test.resets.iter().enumerate() {
            if fallen.remove(name.as_str()).is_none() {
                let at = ["resets", &index.to_string()];
                self.differ(&at, format!("{name}: expected to fall, and it did not"));
            }
        }
        for (metric, (last, point)) in fallen {
            let (last, now) = (last.shown_value(), point.shown_value());
            let message = format!(
                "{}: a counter fell from {last} to {now}; is it a gauge? If the server restarted, \
                 write `resets: [{metric}]`",
                point.series
            );
            self.differ(&[], message);
        }
    }

    fn start(&mut self) {
        const EXACTLY_SECONDS: f64 = 1e-3;
        let Found { start, polled, .. } = *self.found;
        if let Some(expected) = &self.test.start_time {
            let began = start.and_then(|time| jiff::Timestamp::try_from(time).ok());
            if expected.parse().ok() != began {
                let found = began.map_or("none".to_owned(), |time| time.to_string());
                let message = format!("start_time: expected {expected}, found {found}");
                self.differ(&["start_time"], message);
            }
        }
        if let Some(expected) = self.test.uptime {
            let found = start.map(|start| (since_epoch(polled) - since_epoch(start)).as_secs_f64());
            let is_it = found.is_some_and(|found| (found - expected).abs() < EXACTLY_SECONDS);
            if !is_it {
                let found = found.map_or("none".to_owned(), |found| format!("{found} s"));
                let message = format!("uptime: expected {expected} s, found {found}");
                self.differ(&["uptime"], message);
            }
        }
    }
}
