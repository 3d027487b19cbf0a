//! `cumulativetodelta`: converts totals to deltas, for destinations that need them.
//!
//! ```yaml
//! processors:
//!   cumulativetodelta:
//!     include: { match_type: regexp, metrics: ['_total$'] }
//!     exclude: { metric_types: [histogram] }
//!     max_staleness: 10m
//!     initial_value: auto
//! ```
//!
//! The SDK collects totals, and a scrape shows totals. So this processor only marks instruments:
//! their totals become deltas when OTLP messages are encoded (`instruments/delta.rs`).

mod config;

pub use config::{Config, InitialValue, MatchMetrics, MetricType, TYPE};

use std::{sync::Arc, time::Duration};

use self::config::DeltaMatcher;
use super::{metric_matcher::Texts, noop::Noop, schema_cache::SchemaCache};
use crate::{
    definition::{Definition, Delta, Instrument, InstrumentKind},
    pipeline::{Processor, Schema, Stage, Stream},
};

/// The processor.
#[derive(Debug)]
struct CumulativeToDelta {
    rules: DeltaRules,
    plans: SchemaCache<Schema>,
}

#[derive(Debug)]
struct DeltaRules {
    include: Option<DeltaMatcher>,
    exclude: Option<DeltaMatcher>,
    max_staleness: Option<Duration>,
    initial_value: InitialValue,
}

impl Processor for CumulativeToDelta {
    fn open(&self, stream: &mut Stream) -> Box<dyn Stage> {
        let definition = &stream.target.definition;
        stream.schema = self.plans.of(&stream.schema, |schema| {
            let instruments = schema.instruments().iter();
            let marked = instruments.map(|known| self.rules.marked(known, definition));
            marked.collect()
        });
        Box::new(Noop)
    }
}

impl DeltaRules {
    fn marked(&self, instrument: &Arc<Instrument>, definition: &Definition) -> Arc<Instrument> {
        if !self.takes(instrument) {
            return Arc::clone(instrument);
        }
        let keeps_first = match self.initial_value {
            InitialValue::Auto => is_counted_here(instrument, definition),
            InitialValue::Keep => true,
            InitialValue::Drop => false,
        };
        Arc::new(Instrument {
            delta: Some(Delta {
                keeps_first,
                max_staleness: self.max_staleness,
            }),
            ..instrument.as_ref().clone()
        })
    }

    fn takes(&self, instrument: &Instrument) -> bool {
        let Some(kind) = MetricType::of(instrument.kind) else {
            return false;
        };
        let name = |names: &Texts| names.fit(&instrument.name);
        let included = self.include.as_ref().is_none_or(|include| {
            let types = &include.types;
            include.names.as_ref().is_none_or(name) && (types.is_empty() || types.contains(&kind))
        });
        let excluded = self.exclude.as_ref().is_some_and(|exclude| {
            exclude.names.as_ref().is_some_and(name) || exclude.types.contains(&kind)
        });
        included && !excluded
    }
}

/// Whether the counting started in the collector, at 0: report metrics, and what is recorded from
/// bodies.
fn is_counted_here(instrument: &Instrument, definition: &Definition) -> bool {
    let mut endpoints = definition.endpoints.iter();
    instrument.kind == InstrumentKind::Histogram
        || !endpoints.any(|endpoint| endpoint.scope == instrument.scope)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::{definition::Delta, processors::testing::ProcessorBench};

    /// The deltas after the processor, by metric.
    fn deltas(config: &str) -> Vec<(String, Delta)> {
        let lab = ProcessorBench::new("cumulativetodelta", config);
        let instruments = lab.after().schema.instruments().iter();
        let deltas = instruments.filter_map(|known| Some((known.name.clone(), known.delta?)));
        deltas.collect()
    }

    fn names(config: &str) -> Vec<String> {
        let names = deltas(config).into_iter().map(|(name, _)| name);
        names.filter(|name| !name.starts_with("betanet.")).collect()
    }

    #[test]
    fn all_totals_become_deltas_unless_some_are_selected() {
        for (config, expected) in [
            ("", &["total", "packets", "seconds"][..]),
            ("include: {metric_types: [sum]}", &["total", "packets"]),
            (
                "include: {metrics: [total, gauge], match_type: strict}",
                &["total"],
            ),
            (
                "include: {metrics: ['^[ps]'], match_type: regexp, metric_types: [histogram]}",
                &["seconds"],
            ),
            (
                "exclude: {metrics: [packets], match_type: strict, metric_types: [histogram]}",
                &["total"],
            ),
        ] {
            assert_eq!(names(config), expected, "{config}");
        }
    }

    #[test]
    fn the_first_total_is_sent_if_the_collector_started_the_counting() {
        let keeps_first = |config: &str| {
            let deltas = deltas(config);
            let of = |name: &str| deltas.iter().find(|(known, _)| known == name).unwrap();
            ["total", "seconds", "betanet.poll.results"].map(|name| of(name).1.keeps_first)
        };
        assert_eq!(keeps_first("initial_value: auto"), [false, true, true]);
        assert_eq!(keeps_first("initial_value: keep"), [true; 3]);
        assert_eq!(keeps_first("initial_value: drop"), [false; 3]);
    }

    #[test]
    fn zero_is_no_age() {
        let age = |config: &str| deltas(config).first().unwrap().1.max_staleness;
        assert_eq!(age("max_staleness: 0"), None);
        assert_eq!(age("max_staleness: 10m"), Some(Duration::from_secs(600)));
    }
}
