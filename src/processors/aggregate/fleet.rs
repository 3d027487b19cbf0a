//! The members of the fleet, their last values, and the totals. No clock, no lock, no task.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use opentelemetry::{KeyValue, StringValue};
use tokio::time::Instant;

use super::config::{FleetRules, Function};
use crate::{
    definition::{Instrument, InstrumentKind},
    pipeline::{Batch, Number, Reading, ResourceAttributes, Stream, Target},
    processors::{actions::find, number},
};

pub(super) type MemberId = u64;

/// The labels of a group, sorted by key.
pub(super) type Group = Arc<[KeyValue]>;

/// The aggregated metric of an instrument of a member.
#[derive(Debug, Clone)]
pub(super) struct Tracked {
    /// Index into the metrics.
    metric: usize,
    /// The scope of its readings.
    scope: Arc<str>,
}

/// An aggregated metric, as the first member had it.
#[derive(Debug, Clone)]
pub(super) struct Metric {
    pub(super) instrument: Arc<Instrument>,
    pub(super) functions: Vec<Function>,
    pub(super) quantiles: Vec<f64>,
}

/// All members and totals.
#[derive(Debug)]
pub(super) struct Fleet {
    rules: FleetRules,
    metrics: Vec<Metric>,
    next: MemberId,
    members: BTreeMap<MemberId, FleetMember>,
    /// The latest member of each name.
    by_name: HashMap<String, MemberId>,
    /// The totals of counters; 0 for other metrics.
    groups: BTreeMap<usize, HashMap<Group, Number>>,
    /// Whether no member counts as gone any more, because the collector stops.
    is_closed: bool,
}

#[derive(Debug)]
struct FleetMember {
    target: Arc<Target>,
    resource: ResourceAttributes,
    /// The metrics that the member should give.
    metrics: HashSet<usize>,
    /// The group in which it is expected, if only its Resource decides.
    home: Option<Group>,
    sources: HashMap<Arc<str>, MemberEndpoint>,
}

/// An endpoint of a member.
#[derive(Debug, Default)]
struct MemberEndpoint {
    /// When it was last read. `None` if its last poll had no answer.
    read_at: Option<Instant>,
    series: HashMap<(usize, Vec<KeyValue>), MemberSeries>,
}

#[derive(Debug)]
struct MemberSeries {
    group: Group,
    value: Number,
    at: Instant,
}

/// The result of a metric in one group.
#[derive(Debug, PartialEq)]
pub(super) struct Aggregated {
    /// Index into the metrics.
    pub(super) metric: usize,
    pub(super) group: Group,
    pub(super) coverage: f64,
    /// `None` if the coverage is too small.
    pub(super) values: Option<Values>,
}

/// The values of a group.
#[derive(Debug, PartialEq)]
pub(super) enum Values {
    /// The sum of increases.
    Total(Number),
    /// The fresh values of a gauge.
    Fresh(Vec<Number>),
}

/// The values of one group of one metric, while they are collected.
#[derive(Debug, Default)]
struct Gathered {
    expected: HashSet<MemberId>,
    fresh: HashSet<MemberId>,
    values: Vec<Number>,
}

impl Fleet {
    pub(super) fn new(rules: FleetRules) -> Self {
        Self {
            rules,
            metrics: Vec::new(),
            next: 0,
            members: BTreeMap::new(),
            by_name: HashMap::new(),
            groups: BTreeMap::new(),
            is_closed: false,
        }
    }

    /// Called before shutdown: members that leave after this stay in the last aggregate.
    pub(super) fn close(&mut self) {
        self.is_closed = true;
    }

    /// The metrics that members have had so far.
    pub(super) fn metrics(&self) -> &[Metric] {
        &self.metrics
    }

    /// The aggregated metric of `instrument`, if it has one. Histograms have none: their buckets
    /// can be added up in the database.
    pub(super) fn track(&mut self, instrument: &Arc<Instrument>) -> Option<Tracked> {
        let rules = Arc::clone(&self.rules.metrics);
        let rule = rules.iter().find(|rule| rule.names.fit(&instrument.name))?;
        if instrument.kind == InstrumentKind::Histogram {
            return None;
        }
        let named = |known: &Metric| {
            known.instrument.name == instrument.name && known.instrument.kind == instrument.kind
        };
        let metric = self.metrics.iter().position(named).unwrap_or_else(|| {
            self.metrics.push(Metric {
                instrument: Arc::clone(instrument),
                functions: rule.functions.clone(),
                quantiles: rule.quantiles.clone(),
            });
            self.metrics.len() - 1
        });
        let scope = Arc::clone(&instrument.scope);
        Some(Tracked { metric, scope })
    }

    /// Adds a member, which should give everything in `tracked`. If it has the same name and
    /// Resource as an existing one, it is the same node and continues that member.
    pub(super) fn join(&mut self, tracked: &[Option<Tracked>], stream: &Stream) -> MemberId {
        self.next += 1;
        let resource = &stream.resource;
        let keys = &self.rules.group_by;
        let is_decided = keys.iter().all(|key| find(resource, key).is_some());
        let home = is_decided.then(|| self.group(&[], resource));
        let before = self.by_name.insert(stream.target.name.clone(), self.next);
        let before = before.filter(|before| {
            let before = self.members.get(before);
            before.is_some_and(|before| before.resource == *resource)
        });
        let before = before.and_then(|before| self.members.remove(&before));
        let member = FleetMember {
            target: Arc::clone(&stream.target),
            resource: Arc::clone(resource),
            metrics: tracked.iter().flatten().map(|of| of.metric).collect(),
            home,
            sources: before.map(|before| before.sources).unwrap_or_default(),
        };
        self.members.insert(self.next, member);
        self.next
    }

    /// Removes a member. What it counted stays in the totals.
    pub(super) fn leave(&mut self, id: MemberId) {
        if self.is_closed {
            return;
        }
        let member = self.members.remove(&id);
        let name = member.map(|member| member.target.name.clone());
        if let Some(name) = name.filter(|name| self.by_name.get(name) == Some(&id)) {
            self.by_name.remove(&name);
        }
    }

    /// Records the values of a member. Returns the number of readings that were refused because
    /// there are too many groups.
    pub(super) fn observe(
        &mut self,
        id: MemberId,
        tracked: &[Option<Tracked>],
        batch: &Batch,
        now: Instant,
    ) -> u64 {
        let Some(mut member) = self.members.remove(&id) else {
            return 0;
        };
        let mut refused = 0;
        for part in &batch.parts {
            for reading in &part.values {
                let tracked = tracked.get(reading.instrument).and_then(Option::as_ref);
                if let Some(tracked) = tracked {
                    let group = self.group(&reading.attributes, &part.resource);
                    let source = member
                        .sources
                        .entry(Arc::clone(&tracked.scope))
                        .or_default();
                    let taken = self.take(source, tracked.metric, reading, (group, now));
                    refused += u64::from(!taken);
                }
            }
        }
        for scope in &batch.scopes {
            if let Some(source) = member.sources.get_mut(scope) {
                source.read(now, self.rules.max_age);
            }
        }
        for scope in &batch.lost {
            if let Some(source) = member.sources.get_mut(scope) {
                source.read_at = None;
            }
        }
        self.members.insert(id, member);
        refused
    }

    fn take(
        &mut self,
        source: &mut MemberEndpoint,
        metric: usize,
        reading: &Reading,
        (group, at): (Group, Instant),
    ) -> bool {
        let max_groups = self.rules.max_groups;
        let groups = self.groups.entry(metric).or_default();
        if !groups.contains_key(&group) && groups.len() >= max_groups {
            return false;
        }
        let total = groups
            .entry(Arc::clone(&group))
            .or_insert(Number::Unsigned(0));
        let kind = self
            .metrics
            .get(metric)
            .map(|metric| metric.instrument.kind);
        let new = MemberSeries {
            group,
            value: reading.value,
            at,
        };
        let key = (metric, reading.attributes.clone());
        let last = source.series.insert(key, new);
        // The first value is where counting starts.
        if let (Some(last), Some(InstrumentKind::Counter)) = (last, kind) {
            *total = number::grown(*total, number::increment(last.value, reading.value));
        }
        true
    }

    /// Drops the series that the last answer of their endpoint did not have, and returns their number.
    /// They are kept otherwise, so that their totals continue if they come back.
    pub(super) fn shed(&mut self) -> usize {
        let members = self.members.values_mut();
        let sources = members.flat_map(|member| member.sources.values_mut());
        sources.map(MemberEndpoint::shed).sum()
    }

    /// The group of a reading: an attribute of the point wins over one of the Resource.
    fn group(&self, attributes: &[KeyValue], resource: &[KeyValue]) -> Group {
        let mut group: Vec<_> = self.rules.group_by.iter().collect();
        group.sort_unstable();
        let pairs = group.into_iter().filter_map(|key| {
            let value = find(attributes, key).or_else(|| find(resource, key))?;
            let text = StringValue::from(value.as_str().into_owned());
            Some(KeyValue::new(key.clone(), text))
        });
        pairs.collect()
    }

    /// Starts the totals of all metrics from index `first` on at 0.
    pub(super) fn begin(&mut self, first: usize) {
        let totals = self.groups.range_mut(first..);
        let totals = totals.flat_map(|(_, groups)| groups.values_mut());
        totals.for_each(|total| *total = Number::Unsigned(0));
    }

    /// The current results. Groups without members are removed.
    pub(super) fn report(&mut self, now: Instant) -> Vec<Aggregated> {
        let gathered = self.gather(now);
        for (metric, groups) in &mut self.groups {
            groups.retain(|group, _| gathered.contains_key(&(*metric, Arc::clone(group))));
        }
        let mut report = Vec::with_capacity(gathered.len());
        for ((metric, group), of) in gathered {
            let coverage = share(of.fresh.len(), of.expected.len());
            let total = self
                .groups
                .get(&metric)
                .and_then(|groups| groups.get(&group));
            let kind = self
                .metrics
                .get(metric)
                .map(|metric| metric.instrument.kind);
            let values = match (kind, total) {
                (Some(InstrumentKind::Counter), Some(total)) => Some(Values::Total(*total)),
                (Some(InstrumentKind::Counter), None) => None,
                _ => Some(Values::Fresh(of.values)),
            };
            report.push(Aggregated {
                metric,
                group,
                coverage,
                values: values.filter(|_| coverage >= self.rules.min_coverage),
            });
        }
        report
    }

    fn gather(&self, now: Instant) -> HashMap<(usize, Group), Gathered> {
        let mut gathered: HashMap<_, Gathered> = HashMap::new();
        for (id, member) in &self.members {
            if let Some(home) = &member.home {
                for metric in &member.metrics {
                    let of = gathered.entry((*metric, Arc::clone(home))).or_default();
                    of.expected.insert(*id);
                }
            }
            for source in member.sources.values() {
                let is_heard = |read: &Instant| now - *read <= self.rules.max_age;
                let read_at = source.read_at.filter(is_heard);
                for ((metric, _), series) in &source.series {
                    let of = gathered
                        .entry((*metric, Arc::clone(&series.group)))
                        .or_default();
                    of.expected.insert(*id);
                    if read_at == Some(series.at) {
                        of.fresh.insert(*id);
                        of.values.push(series.value);
                    }
                }
            }
        }
        gathered
    }
}

impl MemberEndpoint {
    /// The endpoint was read completely: a missing series has disappeared. It is remembered for a
    /// while, so that the total of a series that returns continues.
    fn read(&mut self, now: Instant, remembered: std::time::Duration) {
        self.read_at = Some(now);
        self.series
            .retain(|_, series| now - series.at <= remembered);
    }

    fn shed(&mut self) -> usize {
        let newest = self.series.values().map(|series| series.at).max();
        let before = self.series.len();
        self.series.retain(|_, series| Some(series.at) == newest);
        self.series.shrink_to_fit();
        before - self.series.len()
    }
}

#[expect(clippy::cast_precision_loss, reason = "numbers of targets")]
fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}
