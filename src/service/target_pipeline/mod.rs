//! The rest of a pipeline for one target: its processors, instruments and exporters.

mod exporter_fan_out;
mod shed;
mod split;
mod processor_node;

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use opentelemetry::{KeyValue, metrics::Counter};
use tokio::time::Instant;

use self::{
    exporter_fan_out::ExportedTarget, processor_node::ItemCounters, shed::ShedState, split::Split,
};
pub(super) use self::{
    exporter_fan_out::{ExporterFanOut, Exporters},
    processor_node::{PipelineTail, ProcessorNode},
};
use crate::{
    definition::InstrumentKind,
    instruments::{ResetCounts, TargetInstruments},
    pipeline::{
        Batch, Exemplar, INSTANCE_ID, OtlpForm, Part, Reading, ResourceAttributes, Schema,
        Snapshot, Stage, Target,
    },
    telemetry::{Meter, names},
};

/// How long a Resource that a processor split off is kept without readings: the lookback of PromQL.
/// Its totals keep their start time as long.
const IDLE_MAX: Duration = Duration::from_secs(300);

/// The most Resources into which one target may be split. Each costs a provider.
const RESOURCES_MAX: usize = 1000;

/// Readings that no instrument can take.
#[derive(Clone)]
struct DroppedReadings {
    counter: Counter<u64>,
    /// Whether the log says that two names differ only in case.
    said: Arc<AtomicBool>,
}

/// The scopes that are complete, the scopes without an answer, the time of the readings, and the
/// start times.
pub(super) struct ReadScopes {
    pub(super) time: SystemTime,
    pub(super) starts: Vec<(Arc<str>, SystemTime)>,
    pub(super) scopes: Vec<Arc<str>>,
    pub(super) lost: Vec<Arc<str>>,
}

/// Passes the readings of a target to the exporters. It is the state of the target in its pipeline,
/// which outlives the configuration: a reload replaces only what is [`BuiltStages`].
pub(super) struct TargetPipeline {
    built: BuiltStages,
    shown: ExportedTarget,
    /// Whether a stage refused the poll that comes next.
    is_refused: bool,
    instruments: TargetInstruments,
    split: HashMap<ResourceAttributes, Split>,
    /// Resources that were split off under the configuration before this one. They stay until
    /// something is exported.
    left: Vec<Split>,
    /// The complete scopes since the last collection.
    scopes: Vec<Arc<str>>,
    /// The scopes without an answer since then.
    lost: Vec<Arc<str>>,
    /// The time of the last readings.
    time: SystemTime,
    /// The exemplars of report metrics.
    exemplars: Vec<Exemplar>,
}

/// What a configuration gives a target: its processors, and what follows from them.
pub(super) struct BuiltStages {
    target: Arc<Target>,
    schema: Arc<Schema>,
    stages: Vec<(Box<dyn Stage>, ItemCounters)>,
    /// Instruments that a stage gave the name of another one, except for its case.
    homonyms: BTreeSet<usize>,
    fan_out: Arc<ExporterFanOut>,
    dropped: DroppedReadings,
    shed: ShedState,
    /// The Resource of the target before the processors and after them.
    resources: [ResourceAttributes; 2],
}

impl BuiltStages {
    /// Without processors, nothing compares the Resources of readings, and each target would keep
    /// its own.
    fn without_unused(mut self) -> Self {
        if self.stages.is_empty() {
            self.resources = Default::default();
        }
        self
    }
}

impl TargetPipeline {
    /// A target that was not exported yet.
    pub(super) fn new(built: BuiltStages) -> Self {
        let exporters = Arc::clone(&built.fan_out.open());
        Self {
            shown: ExportedTarget::new(Arc::clone(&built.target), exporters),
            instruments: TargetInstruments::new(&built.schema, &built.resources[1]),
            built: built.without_unused(),
            is_refused: false,
            split: HashMap::new(),
            left: Vec::new(),
            scopes: Vec::new(),
            lost: Vec::new(),
            time: UNIX_EPOCH,
            exemplars: Vec::new(),
        }
    }

    /// Continues under another configuration, or with another description of the target: totals
    /// keep their start time if neither instruments nor Resource change, and exporters that both
    /// configurations have do not forget the target.
    pub(super) fn apply(&mut self, built: BuiltStages) {
        let exporters = Arc::clone(&built.fan_out.open());
        let target = Arc::clone(&built.target);
        self.shown.apply(target, &exporters, &self.instruments);
        let resource = &built.resources[1];
        if self.instruments.apply(&built.schema, resource) {
            let split = self.split.drain().map(|(_, split)| split);
            self.left.extend(split);
        }
        self.built = built.without_unused();
    }

    /// How often totals fell, since the start.
    pub(super) fn resets(&self) -> ResetCounts {
        let mut sum = self.instruments.resets();
        for split in self.split.values() {
            sum += split.instruments.resets();
        }
        sum
    }

    /// Whether every stage can take another poll now.
    pub(super) fn admits(&mut self, is_large: bool) -> bool {
        let mut stages = self.built.stages.iter_mut();
        let admits = stages.all(|(stage, _)| stage.admits(is_large));
        self.is_refused = !admits;
        admits
    }

    /// Passes readings of the target through the stages to the instruments.
    pub(super) fn put(&mut self, read: ReadScopes, values: Vec<Reading>) {
        let resource = Arc::clone(&self.built.resources[0]);
        self.put_batch(Batch {
            time: read.time,
            starts: read.starts,
            scopes: read.scopes,
            lost: read.lost,
            parts: vec![Part { resource, values }],
        });
    }

    fn put_batch(&mut self, mut batch: Batch) {
        for (stage, items) in &mut self.built.stages {
            items.incoming.add(batch.len() as u64, &items.attributes);
            batch = stage.process(batch);
            items.outgoing.add(batch.len() as u64, &items.attributes);
        }
        let Batch { time, starts, .. } = batch;
        self.time = time;
        self.scopes.extend(batch.scopes);
        self.lost.extend(batch.lost);
        let split = self.split.values_mut().map(|split| &mut split.instruments);
        for instruments in split.chain([&mut self.instruments]) {
            instruments.observe_at(time, &starts);
        }
        for mut part in merged(batch.parts) {
            let is_plain = self.built.stages.is_empty();
            if !is_plain {
                self.remove_homonyms(&mut part.values);
                self.remove_duplicates(&mut part.values);
            }
            if is_plain || part.resource == self.built.resources[1] {
                let refused = self.instruments.put(part.values);
                self.built.dropped.count(refused, "overflow");
            } else {
                self.put_split(part, &starts);
            }
        }
    }

    fn put_split(&mut self, part: Part, starts: &[(Arc<str>, SystemTime)]) {
        let (now, is_full) = (Instant::now(), self.split.len() >= RESOURCES_MAX);
        if is_full && !self.split.contains_key(&part.resource) {
            self.built.dropped.count(part.values.len(), "max_resources");
            return;
        }
        if !self.split.contains_key(&part.resource) {
            let mut split = self.open_split(&part.resource);
            split.instruments.observe_at(self.time, starts);
            self.split.insert(Arc::clone(&part.resource), split);
        }
        if let Some(split) = self.split.get_mut(&part.resource) {
            (split.last, split.is_put) = (now, true);
            let refused = split.instruments.put(part.values);
            self.built.dropped.count(refused, "overflow");
        }
    }

    /// A separate target with a Resource. It continues the one that the configuration before this
    /// one split off.
    fn open_split(&mut self, resource: &ResourceAttributes) -> Split {
        let target = Arc::new(self.split_target(resource));
        let exporters = Arc::clone(&self.built.fan_out.open());
        let mut left = self.left.iter();
        match left.position(|old| old.instruments.has_resource(resource)) {
            Some(known) => {
                let mut split = self.left.swap_remove(known);
                split.shown.apply(target, &exporters, &split.instruments);
                split.instruments.apply(&self.built.schema, resource);
                split
            }
            None => Split {
                shown: ExportedTarget::new(target, exporters),
                instruments: TargetInstruments::new(&self.built.schema, resource),
                last: Instant::now(),
                is_put: true,
            },
        }
    }

    /// The name of a split target comes from its Resource. No other target of this one may have
    /// that name.
    fn split_target(&self, resource: &ResourceAttributes) -> Target {
        let taken = |name: &str| {
            let mut split = self.split.values().map(|split| split.shown.target());
            self.shown.target().name == name || split.any(|target| target.name == name)
        };
        let named = resource
            .iter()
            .find(|known| known.key.as_str() == INSTANCE_ID);
        let named = named.map(|named| named.value.as_str().into_owned());
        let numbered = (1..).map(|number: usize| format!("{}/{number}", self.shown.target().name));
        let name = named.into_iter().chain(numbered).find(|name| !taken(name));
        Target {
            name: name.unwrap_or_default(),
            ..self.shown.target().as_ref().clone()
        }
    }

    /// Sets the exemplars of the next snapshot.
    pub(super) fn put_exemplars(&mut self, exemplars: Vec<Exemplar>) {
        self.exemplars = exemplars;
    }

    /// Exports all readings. Does nothing if a stage refused all of them.
    pub(super) fn export(&mut self) {
        if self.scopes.is_empty() {
            return;
        }
        let scopes = std::mem::take(&mut self.scopes);
        let lost = std::mem::take(&mut self.lost);
        let endpoints = &self.shown.target().definition.endpoints;
        let of = |scopes: &[Arc<str>]| -> Vec<bool> {
            let endpoints = endpoints.iter();
            endpoints.map(|e| scopes.contains(&e.scope)).collect()
        };
        let flags = [of(&scopes), of(&lost)];
        self.publish_totals();
        let now = Instant::now();
        self.split.retain(|_, split| now - split.last < IDLE_MAX);
        let exporters = self.built.fan_out.open();
        let split = self.split.values_mut();
        let split = split.map(|split| (&mut split.shown, &mut split.instruments));
        for (shown, instruments) in split.chain([(&mut self.shown, &mut self.instruments)]) {
            shown.set_exporters(&exporters, instruments);
            let collected = instruments.collect(&scopes, instruments.has_wide());
            let (encoding, starts) = instruments.forms();
            let whole = [scopes.as_slice(), &lost];
            let encode = || encoding.messages(&collected, whole, &self.exemplars);
            let snapshot = Snapshot {
                target: shown.target(),
                fresh: &flags[0],
                lost: &flags[1],
                is_refused: self.is_refused,
                time: self.time,
                starts,
                resource: &collected.resource,
                metrics: &collected.metrics,
                histograms: &collected.histograms,
                exemplars: &self.exemplars,
                otlp: OtlpForm::new(encode),
            };
            for (_, exporter) in exporters.iter() {
                exporter.export(&snapshot);
            }
            drop(snapshot);
            shown.mark_exported();
        }
        // What was exported under the same name has replaced these.
        drop(exporters);
        self.left.clear();
        self.shed(&flags);
    }

    /// Leaves the totals for whom looks at this target.
    fn publish_totals(&self) {
        let (watched, name) = (self.built.fan_out.watched(), &self.shown.target().name);
        if watched.wants(name) {
            let split = self.split.values().map(|split| &split.instruments);
            let all = split.chain([&self.instruments]);
            watched.publish(name, all.flat_map(TargetInstruments::totals));
        }
    }

    /// The SDK would show these readings with the name of the other instrument.
    fn remove_homonyms(&self, values: &mut Vec<Reading>) {
        if self.built.homonyms.is_empty() {
            return;
        }
        let before = values.len();
        values.retain(|reading| !self.built.homonyms.contains(&reading.instrument));
        self.built.dropped.count(before - values.len(), "name_case");
    }

    /// Stages may remove the attributes that distinguish two series. The first one counts, as in
    /// the mapping.
    fn remove_duplicates(&self, values: &mut Vec<Reading>) {
        let mut seen = HashSet::new();
        let before = values.len();
        let is_new = |reading: &Reading| {
            // A histogram can take two observations.
            (self.built.schema.kind(reading.instrument) == Some(InstrumentKind::Histogram)
                && reading.histogram.is_none())
                || seen.insert((reading.instrument, reading.attributes.clone()))
        };
        values.retain(is_new);
        self.built.dropped.count(before - values.len(), "duplicate");
    }
}

impl Drop for TargetPipeline {
    fn drop(&mut self) {
        self.shown.end(&self.instruments);
    }
}

/// Merges parts with the same Resource, which a stage may create.
fn merged(parts: Vec<Part>) -> Vec<Part> {
    if parts.len() < 2 {
        return parts;
    }
    let mut by_resource: HashMap<_, Vec<Reading>> = HashMap::new();
    for part in parts {
        by_resource
            .entry(part.resource)
            .or_default()
            .extend(part.values);
    }
    let by_resource = by_resource.into_iter();
    by_resource
        .map(|(resource, values)| Part { resource, values })
        .collect()
}

impl DroppedReadings {
    fn new(meter: &Meter) -> Self {
        Self {
            counter: names::UNPLACED_POINTS.counter(meter),
            said: Arc::default(),
        }
    }

    /// The instruments of a schema that are dropped because of their names. This is logged once.
    fn homonyms(&self, schema: &Schema) -> BTreeSet<usize> {
        let homonyms: Vec<_> = schema.homonyms().collect();
        let name = |index| schema.get(index).map(|known| known.name.as_str());
        if let Some((other, first)) = homonyms.first()
            && !self.said.swap(true, Ordering::Relaxed)
        {
            tracing::warn!(
                dropped = name(*other),
                kept = name(*first),
                "processors create two metric names that differ only in case, which \
                 OpenTelemetry takes for one: the second is dropped"
            );
        }
        homonyms.into_iter().map(|(other, _)| other).collect()
    }

    fn count(&self, readings: usize, reason: &'static str) {
        if readings > 0 {
            let attributes = [KeyValue::new(names::REASON, reason)];
            self.counter.add(readings as u64, &attributes);
        }
    }
}

#[cfg(test)]
mod tests;
