//! Sends the aggregates as a separate target, once per interval.

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
    time::{Duration, SystemTime},
};

use opentelemetry::{KeyValue, Value};
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

use super::{
    AggregateShared,
    config::{AggregateSettings, Function},
    fleet::{Aggregated, Metric, Values},
};
use crate::{
    definition::{Definition, Instrument, InstrumentKind, Parameters, ValueType},
    pipeline::{
        Batch, BatchSink, Downstream, INSTANCE_ID, Number, Part, Reading, ResourceAttributes,
        Schema, Stream, Target,
    },
    processors::{actions, number},
    telemetry::names,
};

/// Name of the instrumentation scope of aggregates.
const SCOPE: &str = "betanet-collector/aggregate";

/// The attribute with the quantile, as in a Prometheus summary.
const QUANTILE: &str = "quantile";

/// Sends aggregates to the rest of the pipeline.
pub(super) struct Emitter {
    /// Nothing is aggregated after the processor is gone.
    shared: Weak<AggregateShared>,
    interval: Duration,
    downstream: Arc<dyn Downstream>,
    open: Option<Open>,
}

/// The target, with the instruments of all known metrics.
struct Open {
    sink: Box<dyn BatchSink>,
    stream: Stream,
    scope: Arc<str>,
    /// When counting started: at 0, also for the totals of groups that appear later.
    began: SystemTime,
    metrics: Vec<Metric>,
    outputs: Outputs,
}

/// The instrument for each output of each metric. The first one is the coverage.
#[derive(Default)]
struct Outputs(BTreeMap<(usize, GroupOutput), usize>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum GroupOutput {
    Total,
    Sum,
    Min,
    Max,
    Avg,
    Count,
    Quantile,
}

impl Emitter {
    pub(super) fn new(shared: &Arc<AggregateShared>, downstream: Arc<dyn Downstream>) -> Self {
        Self {
            shared: Arc::downgrade(shared),
            interval: shared.settings.interval,
            downstream,
            open: None,
        }
    }

    /// Sends at each interval until the processor is gone or stopped, and then once more, so that
    /// the last values of the targets are not lost.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        stop.run_until_cancelled(self.emit_at_intervals()).await;
        if let Some(shared) = self.shared.upgrade() {
            self.emit(&shared, Instant::now());
        }
    }

    async fn emit_at_intervals(&mut self) {
        let mut ticks = interval_at(Instant::now() + self.interval, self.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            ticks.tick().await;
            let Some(shared) = self.shared.upgrade() else {
                return;
            };
            self.emit(&shared, Instant::now());
        }
    }

    fn emit(&mut self, shared: &AggregateShared, now: Instant) {
        let time = shared.clock.now();
        let mut fleet = shared.fleet();
        let known = self.open.as_ref().map_or(0, |open| open.metrics.len());
        if known < fleet.metrics().len() {
            // New instruments have a new start time, and their totals start there.
            fleet.begin(known);
            let metrics = fleet.metrics().to_vec();
            match &mut self.open {
                Some(open) => open.follow(metrics, &shared.settings),
                None => {
                    let settings = &shared.settings;
                    let open = Open::new(metrics, settings, time, &*self.downstream);
                    self.open = Some(open);
                }
            }
        }
        let report = fleet.report(now);
        drop(fleet);
        if let Some(open) = &mut self.open {
            open.accept(&report, time);
        }
    }
}

impl Open {
    fn new(
        metrics: Vec<Metric>,
        settings: &AggregateSettings,
        began: SystemTime,
        downstream: &dyn Downstream,
    ) -> Self {
        let definition = Arc::new(Definition {
            name: "aggregate".to_owned(),
            resource: BTreeMap::new(),
            endpoints: Vec::new(),
            parameters: Parameters::default(),
            instruments: Vec::new(),
            rules: Vec::new(),
            shares_names: false,
            start: None,
            digest: 0,
        });
        let scope = SCOPE.into();
        let (schema, outputs) = schema(&metrics, settings, &scope);
        let stream = Stream {
            target: Arc::new(Target::named(&settings.target, &definition)),
            schema: Arc::new(schema),
            resource: resource(settings),
        };
        Self {
            sink: downstream.open(stream.clone()),
            stream,
            scope,
            began,
            metrics,
            outputs,
        }
    }

    /// Adds metrics. `metrics` starts with those that exist already.
    fn follow(&mut self, metrics: Vec<Metric>, settings: &AggregateSettings) {
        let (schema, outputs) = schema(&metrics, settings, &self.scope);
        self.stream.schema = Arc::new(schema);
        self.sink.follow(self.stream.clone());
        self.metrics = metrics;
        self.outputs = outputs;
    }

    fn accept(&mut self, report: &[Aggregated], time: SystemTime) {
        let mut values = Vec::new();
        for aggregated in report {
            if let Some(metric) = self.metrics.get(aggregated.metric) {
                values.push(coverage(metric, aggregated));
                self.outputs.readings(metric, aggregated, &mut values);
            }
        }
        self.sink.accept(Batch {
            time,
            starts: vec![(Arc::clone(&self.scope), self.began)],
            scopes: vec![Arc::clone(&self.scope)],
            lost: Vec::new(),
            parts: vec![Part {
                resource: Arc::clone(&self.stream.resource),
                values,
            }],
        });
    }
}

fn resource(settings: &AggregateSettings) -> ResourceAttributes {
    let mut attributes = vec![KeyValue::new("service.name", "aggregate")];
    let name = (INSTANCE_ID, &settings.target);
    let configured = settings
        .resource
        .iter()
        .map(|(key, value)| (key.as_str(), value));
    for (key, value) in configured.chain([name]) {
        actions::set(&mut attributes, key, Value::from(value.clone()));
    }
    attributes.into()
}

fn coverage(metric: &Metric, aggregated: &Aggregated) -> Reading {
    let mut attributes = aggregated.group.to_vec();
    let name = Value::from(metric.instrument.name.clone());
    actions::set(&mut attributes, names::METRIC, name);
    Reading {
        instrument: 0,
        attributes,
        value: Number::Double(aggregated.coverage),
        time: None,
        histogram: None,
    }
}

fn schema(metrics: &[Metric], settings: &AggregateSettings, scope: &Arc<str>) -> (Schema, Outputs) {
    let (mut schema, mut outputs) = (Schema::default(), Outputs::default());
    let coverage = &names::AGGREGATE_COVERAGE;
    schema.add(Arc::new(Instrument {
        name: coverage.name.to_owned(),
        description: coverage.description.to_owned(),
        unit: coverage.unit.to_owned(),
        kind: InstrumentKind::Gauge,
        value_type: ValueType::Double,
        buckets: Vec::new(),
        max_series: settings.rules.max_groups * metrics.len(),
        scope: Arc::clone(scope),
        delta: None,
    }));
    for (index, metric) in metrics.iter().enumerate() {
        for output in GroupOutput::of(metric) {
            let made = output.instrument(metric, settings, scope);
            outputs
                .0
                .insert((index, output), schema.add(Arc::new(made)));
        }
    }
    (schema, outputs)
}

impl GroupOutput {
    fn of(metric: &Metric) -> Vec<Self> {
        if metric.instrument.kind == InstrumentKind::Counter {
            return vec![Self::Total];
        }
        let functions = metric.functions.iter().map(|function| match function {
            Function::Sum => Self::Sum,
            Function::Min => Self::Min,
            Function::Max => Self::Max,
            Function::Avg => Self::Avg,
            Function::Count => Self::Count,
        });
        let quantile = (!metric.quantiles.is_empty()).then_some(Self::Quantile);
        functions.chain(quantile).collect()
    }

    fn instrument(
        self,
        metric: &Metric,
        settings: &AggregateSettings,
        scope: &Arc<str>,
    ) -> Instrument {
        let of = &metric.instrument;
        let (suffix, what) = match self {
            Self::Total => ("", "Sum of increases over all targets"),
            Self::Sum => (".sum", "Sum over all targets"),
            Self::Min => (".min", "Minimum over all targets"),
            Self::Max => (".max", "Maximum over all targets"),
            Self::Avg => (".avg", "Mean over all targets"),
            Self::Count => (".count", "Number of values of all targets"),
            Self::Quantile => (".quantile", "Quantiles over all targets"),
        };
        let series = match self {
            Self::Quantile => metric.quantiles.len(),
            _ => 1,
        };
        Instrument {
            name: format!("{}{}{suffix}", settings.rules.prefix, of.name),
            description: format!("{what}: {}", of.description),
            unit: match self {
                Self::Count => String::new(),
                _ => of.unit.clone(),
            },
            kind: match self {
                Self::Total => InstrumentKind::Counter,
                _ => InstrumentKind::Gauge,
            },
            value_type: match self {
                Self::Avg | Self::Quantile => ValueType::Double,
                Self::Total => of.value_type,
                _ => ValueType::Auto,
            },
            buckets: Vec::new(),
            max_series: settings.rules.max_groups * series,
            scope: Arc::clone(scope),
            delta: None,
        }
    }
}

impl Outputs {
    fn readings(&self, metric: &Metric, aggregated: &Aggregated, into: &mut Vec<Reading>) {
        let mut push = |output, attributes, value| {
            if let Some(instrument) = self.0.get(&(aggregated.metric, output)) {
                into.push(Reading {
                    instrument: *instrument,
                    attributes,
                    value,
                    time: None,
                    histogram: None,
                });
            }
        };
        let group = || aggregated.group.to_vec();
        let values = match &aggregated.values {
            Some(Values::Total(total)) => return push(GroupOutput::Total, group(), *total),
            Some(Values::Fresh(values)) if !values.is_empty() => values,
            _ => return,
        };
        let mut sorted = values.clone();
        sorted.sort_by(|a, b| a.as_f64().total_cmp(&b.as_f64()));
        let (sum, count) = (number::sum(values), values.len() as u64);
        push(GroupOutput::Sum, group(), sum);
        push(GroupOutput::Count, group(), Number::Unsigned(count));
        let mean = sum.as_f64() / Number::Unsigned(count).as_f64();
        push(GroupOutput::Avg, group(), Number::Double(mean));
        if let (Some(min), Some(max)) = (sorted.first(), sorted.last()) {
            push(GroupOutput::Min, group(), *min);
            push(GroupOutput::Max, group(), *max);
        }
        let sorted: Vec<f64> = sorted.iter().map(|value| value.as_f64()).collect();
        for q in &metric.quantiles {
            let mut attributes = group();
            actions::set(&mut attributes, QUANTILE, q.to_string().into());
            push(
                GroupOutput::Quantile,
                attributes,
                Number::Double(number::quantile(&sorted, *q)),
            );
        }
    }
}
