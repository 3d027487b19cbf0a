//! `filter`: drops metrics and data points.
//!
//! ```yaml
//! processors:
//!   filter:
//!     metrics:
//!       include: { match_type: regexp, metric_names: ['^betanet'] }
//!     metric_conditions:
//!       - metric.name == "betanet.poll.results" and datapoint.attributes["outcome"] == "fresh"
//! ```
//!
//! It drops what matches a condition. Conditions are a subset of the OpenTelemetry Transformation
//! Language; `condition/mod.rs` lists it.

mod condition;
mod config;

pub use config::{Config, ErrorMode, MetricsConfig, TYPE};

use std::{cell::Cell, collections::HashMap, sync::Arc};

use opentelemetry::KeyValue;

use self::condition::{Condition, Facts};
use super::{metric_matcher::MetricMatcher, schema_cache::SchemaCache};
use crate::pipeline::{Batch, Processor, Reading, ResourceAttributes, Schema, Stage, Stream};

/// The processor.
#[derive(Debug)]
struct Filter {
    rules: Arc<FilterRules>,
    plans: SchemaCache<FilterPlan>,
}

#[derive(Debug)]
struct FilterRules {
    select: MetricMatcher,
    /// One true condition is enough to drop.
    conditions: Vec<Condition>,
}

/// What the filter does to the readings of a schema.
#[derive(Debug)]
struct FilterPlan {
    before: Arc<Schema>,
    /// The schema without the instruments of which nothing can pass.
    after: Arc<Schema>,
    /// The verdicts by instrument.
    fates: Vec<InstrumentVerdict>,
}

#[derive(Debug, Clone, Copy)]
enum InstrumentVerdict {
    /// Nothing passes.
    Dropped,
    /// Everything passes, with this index.
    Passed(usize),
    /// Attributes or the Resource decide.
    Judged(usize),
}

/// The stage of one target.
struct Sieve {
    rules: Arc<FilterRules>,
    plan: Arc<FilterPlan>,
}

impl Processor for Filter {
    fn open(&self, stream: &mut Stream) -> Box<dyn Stage> {
        let before = Arc::clone(&stream.schema);
        let plan = self
            .plans
            .of(&stream.schema, |_| FilterPlan::new(before, &self.rules));
        stream.schema = Arc::clone(&plan.after);
        let rules = Arc::clone(&self.rules);
        Box::new(Sieve { rules, plan })
    }
}

impl FilterRules {
    /// Whether the reading is dropped. `None` if that is not known yet.
    fn drops(&self, facts: &Facts<'_>) -> Option<bool> {
        let taken = self.select.takes(&facts.instrument.name, facts.resource);
        let mut all = vec![taken.map(|taken| !taken)];
        all.extend(
            self.conditions
                .iter()
                .map(|condition| condition.judge(facts)),
        );
        condition::any(all)
    }

    /// The attributes of all points by their metric, if a condition needs them.
    fn points(&self, readings: &[Reading]) -> HashMap<usize, Vec<Vec<KeyValue>>> {
        let mut points: HashMap<_, Vec<_>> = HashMap::new();
        if self.conditions.iter().any(Condition::asks_for_points) {
            for reading in readings {
                let attributes = reading.attributes.clone();
                points
                    .entry(reading.instrument)
                    .or_default()
                    .push(attributes);
            }
        }
        points
    }
}

impl FilterPlan {
    fn new(before: Arc<Schema>, rules: &FilterRules) -> Self {
        let mut kept = Vec::new();
        let fates = before.instruments().iter().map(|instrument| {
            let drops = rules.drops(&Facts {
                instrument,
                reading: None,
                resource: None,
                points: None,
                failed: Cell::new(false),
            });
            let index = kept.len();
            if drops != Some(true) {
                kept.push(Arc::clone(instrument));
            }
            match drops {
                Some(true) => InstrumentVerdict::Dropped,
                Some(false) => InstrumentVerdict::Passed(index),
                None => InstrumentVerdict::Judged(index),
            }
        });
        let fates = fates.collect();
        Self {
            after: Arc::new(kept.into_iter().collect()),
            fates,
            before,
        }
    }
}

impl Stage for Sieve {
    fn process(&mut self, mut batch: Batch) -> Batch {
        for part in &mut batch.parts {
            let resource: &ResourceAttributes = &part.resource;
            let points = self.rules.points(&part.values);
            part.values.retain_mut(|reading| {
                let (Some(verdict), Some(instrument)) = (
                    self.plan.fates.get(reading.instrument),
                    self.plan.before.get(reading.instrument),
                ) else {
                    return false;
                };
                let facts = Facts {
                    instrument,
                    reading: Some(reading),
                    resource: Some(resource),
                    points: points.get(&reading.instrument).map(Vec::as_slice),
                    failed: Cell::new(false),
                };
                let index = match verdict {
                    InstrumentVerdict::Dropped => return false,
                    InstrumentVerdict::Judged(_) if self.rules.drops(&facts) == Some(true) => {
                        return false;
                    }
                    InstrumentVerdict::Passed(index) | InstrumentVerdict::Judged(index) => *index,
                };
                reading.instrument = index;
                true
            });
        }
        batch
    }
}

#[cfg(test)]
mod tests {
    use crate::processors::testing::ProcessorBench;

    #[test]
    fn names_decide_before_the_first_reading() {
        let mut lab = ProcessorBench::new(
            "filter",
            "metrics:
              include: {match_type: regexp, metric_names: ['^t', seconds]}
              exclude: {match_type: strict, metric_names: [seconds]}",
        );
        let out = lab.run(&["gauge 1", "total 2", "seconds 3", "betanet.up 1"]);
        assert_eq!(out, ["total 2"]);
        let kept = lab.after().schema.instruments();
        assert!(kept.iter().all(|known| known.name.starts_with('t')));
    }

    #[test]
    fn conditions_look_at_names_attributes_and_the_resource() {
        for (condition, left) in [
            (r#"name == "gauge""#, "other 3"),
            (r#"metric.name != "gauge""#, "gauge{id=a} 1;gauge{id=b} 2"),
            (r#"attributes["id"] == "a""#, "gauge{id=b} 2;other 3"),
            (r#"datapoint.attributes["id"] != nil"#, "other 3"),
            (r#"IsMatch(name, "^(gau|oth)")"#, ""),
            (r#"not IsMatch(attributes["id"], "[b-z]")"#, "gauge{id=b} 2"),
            (
                r#"resource.attributes["zone"] == "eu" and name == "other""#,
                "gauge{id=a} 1;gauge{id=b} 2",
            ),
            (
                r#"resource.attributes["zone"] == "us""#,
                "gauge{id=a} 1;gauge{id=b} 2;other 3",
            ),
            (
                r#"name == "other" or (attributes["id"] == "b" and true)"#,
                "gauge{id=a} 1",
            ),
            (r#"type == METRIC_DATA_TYPE_GAUGE"#, ""),
            (r#"unit == "By""#, "gauge{id=a} 1;gauge{id=b} 2;other 3"),
        ] {
            let config = format!("metric_conditions: ['{condition}']");
            let out = ProcessorBench::new("filter", &config).run(&[
                "gauge{id=a} 1",
                "gauge{id=b} 2",
                "other 3",
            ]);
            assert_eq!(out.join(";"), left, "{condition}");
        }
    }

    #[test]
    fn conditions_look_at_values_and_at_the_metric() {
        for (condition, left) in [
            ("value_int == 2", "gauge{id=a} 1;gauge{id=b} 2.5;other 3"),
            ("value_int >= 2", "gauge{id=a} 1;gauge{id=b} 2.5"),
            (
                "value_double > 2 and value_double < 3.0",
                "gauge{id=a} 1;other 3;total 2",
            ),
            (
                "datapoint.value_double == 1",
                "gauge{id=b} 2.5;other 3;total 2",
            ),
            (
                "metric.is_monotonic == true",
                "gauge{id=a} 1;gauge{id=b} 2.5;other 3",
            ),
            ("is_monotonic", "gauge{id=a} 1;gauge{id=b} 2.5;other 3"),
            ("is_monotonic == nil", "total 2"),
            (
                r#"instrumentation_scope.name == "test/b""#,
                "gauge{id=a} 1;gauge{id=b} 2.5;total 2",
            ),
            (
                "flags != 0",
                "gauge{id=a} 1;gauge{id=b} 2.5;other 3;total 2",
            ),
            (
                "Len(metric.name) == 5 and Len(attributes) == 1",
                "other 3;total 2",
            ),
            (
                r#"Substring(name, 0, 3) == "tot""#,
                "gauge{id=a} 1;gauge{id=b} 2.5;other 3",
            ),
            // Nothing has so many letters: the condition cannot be evaluated, so it is false.
            (
                r#"Substring(name, 3, 9) != "x""#,
                "gauge{id=a} 1;gauge{id=b} 2.5;other 3;total 2",
            ),
            (
                r#"HasPrefix(name, "ga") or HasSuffix(name, "al")"#,
                "other 3",
            ),
            (
                "aggregation_temporality == AGGREGATION_TEMPORALITY_CUMULATIVE",
                "gauge{id=a} 1;gauge{id=b} 2.5;other 3",
            ),
        ] {
            let config = format!("metric_conditions: ['{condition}']");
            let readings = ["gauge{id=a} 1", "gauge{id=b} 2.5", "other 3", "total 2"];
            let out = ProcessorBench::new("filter", &config).run(&readings);
            assert_eq!(out.join(";"), left, "{condition}");
        }
    }

    #[test]
    fn a_metric_is_dropped_for_one_of_its_points() {
        for (condition, left) in [
            (r#"HasAttrKeyOnDatapoint("id")"#, "other 3"),
            (
                r#"HasAttrOnDatapoint("id", "a") and name == "gauge""#,
                "other 3",
            ),
            (
                r#"HasAttrOnDatapoint("id", "c")"#,
                "gauge 2;gauge{id=a} 1;other 3",
            ),
        ] {
            let config = format!("metrics: {{metric: ['{condition}']}}");
            let out = ProcessorBench::new("filter", &config).run(&[
                "gauge{id=a} 1",
                "gauge 2",
                "other 3",
            ]);
            assert_eq!(out.join(";"), left, "{condition}");
        }
    }

    #[test]
    fn one_true_condition_is_enough() {
        let mut lab = ProcessorBench::new(
            "filter",
            r#"metrics: {metric: ['name == "gauge"'], datapoint: ['attributes["id"] == "x"']}"#,
        );
        let out = lab.run(&["gauge 1", "total{id=x} 2", "total{id=y} 3"]);
        assert_eq!(out, ["total{id=y} 3"]);
    }
}
