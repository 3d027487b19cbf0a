//! One pipeline: mapping, processors, instruments and exporters, for each target of its receivers.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::SystemTime,
};

use opentelemetry::{
    KeyValue,
    metrics::{BoundCounter, Counter},
};

use super::target_pipeline::{
    BuiltStages, ExporterFanOut, Exporters, PipelineTail, ProcessorNode, ReadScopes, TargetPipeline,
};
use crate::{
    definition::Definition,
    instruments::{self, ReportMetrics},
    pipeline::{
        Components, EndpointPoll, ErrorType, Poll, PollFailure, Problem, ProblemReason,
        ProcessStart, Readings, Schema, Stream, Target, WatchedTotals,
    },
    processors::mapping,
    settings::ComponentId,
    telemetry::{Meter, names},
};

/// Hands the polls of its receivers to its exporters.
pub(super) struct MetricsPipeline {
    id: ComponentId,
    tail: PipelineTail,
    fan_out: Arc<ExporterFanOut>,
    steps: Arc<[Arc<ProcessorNode>]>,
    schemas: Schemas,
    telemetry: PipelineTelemetry,
    common: Arc<TargetCommon>,
}

struct PipelineTelemetry {
    scraped: Counter<u64>,
    errored: Counter<u64>,
}

/// The counters of the points of one receiver.
struct PointCounters {
    scraped: BoundCounter<u64>,
    errored: BoundCounter<u64>,
}

/// What all targets of a pipeline have in common.
struct TargetCommon {
    /// The scope of what the collector says of a target.
    own_scope: Arc<str>,
    logged: LoggedProblems,
}

/// The problems that the log already has: each reason once for a metric of a definition, whatever
/// the number of targets and polls.
#[derive(Default)]
struct LoggedProblems(Mutex<HashSet<(u64, usize, ProblemReason)>>);

/// The pipeline of one target.
pub(super) struct TargetSink {
    own: ReportMetrics,
    /// Whether its last answers were large.
    was_large: bool,
    target_pipeline: TargetPipeline,
    counters: PointCounters,
    common: Arc<TargetCommon>,
}

/// A target has one of these for each pipeline. Beside the pointer to its pipeline, it fits into
/// 1,024 bytes, and the allocator would give 1,280 to a larger one.
const _: () = assert!(size_of::<TargetSink>() <= 1024 - size_of::<usize>());

/// The schemas of targets, by definition, number of instances and beginning of the names of report
/// metrics. All such targets share one schema.
#[derive(Default)]
struct Schemas(Mutex<Vec<KnownSchema>>);

struct KnownSchema {
    definition: Weak<Definition>,
    instances: Option<usize>,
    report_prefix: String,
    schema: Arc<Schema>,
}

impl MetricsPipeline {
    /// A pipeline with these processors and without exporters. Totals that somebody looks at go to
    /// `watched`.
    pub(super) fn new(
        id: &ComponentId,
        steps: Vec<Arc<ProcessorNode>>,
        meter: &Meter,
        watched: &Arc<WatchedTotals>,
    ) -> Self {
        let fan_out = Arc::new(ExporterFanOut::new(Arc::clone(watched)));
        let telemetry = PipelineTelemetry {
            scraped: names::SCRAPED_POINTS.counter(meter),
            errored: names::ERRORED_POINTS.counter(meter),
        };
        Self {
            id: id.clone(),
            steps: steps.clone().into(),
            tail: PipelineTail::new(steps, &fan_out, meter),
            fan_out,
            schemas: Schemas::default(),
            telemetry,
            common: Arc::new(TargetCommon {
                own_scope: instruments::SCOPE.into(),
                logged: LoggedProblems::default(),
            }),
        }
    }

    /// Connects each processor to the following ones, and starts those that `before` did not have.
    pub(super) fn start(&self, before: Option<&Self>, components: &Components) {
        for (step, downstream) in self.tail.processors() {
            step.set_downstream(downstream);
        }
        self.steps_beyond(before)
            .for_each(|step| step.start(components));
    }

    /// The processor with this id.
    pub(super) fn step(&self, id: &ComponentId) -> Option<&Arc<ProcessorNode>> {
        self.steps.iter().find(|step| step.id() == id)
    }

    /// The processors that `other` does not have.
    pub(super) fn steps_beyond<'a>(
        &'a self,
        other: Option<&'a Self>,
    ) -> impl Iterator<Item = &'a ProcessorNode> {
        let has = |other: &Self, step| other.steps.iter().any(|known| Arc::ptr_eq(known, step));
        let steps = self.steps.iter();
        let beyond = steps.filter(move |step| !other.is_some_and(|other| has(other, step)));
        beyond.map(|step| &**step)
    }

    /// The id of the pipeline. A replacement has the same id.
    pub(super) fn id(&self) -> &ComponentId {
        &self.id
    }

    /// Replaces the exporters of the pipeline.
    pub(super) fn set_exporters(&self, exporters: Exporters) {
        self.fan_out.set(exporters);
    }

    /// Adds a target.
    pub(super) fn open(&self, target: &Arc<Target>) -> TargetSink {
        TargetSink {
            own: ReportMetrics::new(target),
            was_large: false,
            target_pipeline: TargetPipeline::new(self.build(target)),
            counters: self.telemetry.of_receiver(target),
            common: Arc::clone(&self.common),
        }
    }

    /// Continues a target with another description, or one of a pipeline that this one replaces.
    pub(super) fn apply(&self, sink: &mut TargetSink, target: &Arc<Target>) {
        sink.target_pipeline.apply(self.build(target));
        sink.own.apply(target);
        sink.counters = self.telemetry.of_receiver(target);
        sink.common = Arc::clone(&self.common);
    }

    fn build(&self, target: &Arc<Target>) -> BuiltStages {
        self.tail.build(Stream {
            target: Arc::clone(target),
            schema: self.schemas.of(target),
            resource: instruments::resource(target),
        })
    }
}

impl PipelineTelemetry {
    /// The counters of the receiver that polls a target. Their series begin with zero.
    fn of_receiver(&self, target: &Target) -> PointCounters {
        let receiver = [KeyValue::new(names::RECEIVER, target.receiver.clone())];
        let counters = PointCounters {
            scraped: self.scraped.bind(&receiver),
            errored: self.errored.bind(&receiver),
        };
        counters.scraped.add(0);
        counters.errored.add(0);
        counters
    }
}

impl TargetSink {
    fn target(&self) -> &Target {
        self.own.target()
    }

    /// Whether it can take another poll now.
    pub(super) fn admits(&mut self) -> bool {
        self.target_pipeline.admits(self.was_large)
    }

    /// Hands a poll to the exporters.
    pub(super) fn accept(&mut self, mut poll: Poll) {
        if let Some(is_large) = is_large(&poll) {
            self.was_large = is_large;
        }
        let readings = mapping::map(&self.target().definition, &mut poll);
        self.count(&poll, &readings);
        self.own.observe(&poll, &readings);
        self.target_pipeline.put(
            self.read(&poll, readings.start.and_then(ProcessStart::time)),
            readings.values,
        );
        let own = self.own.readings(&poll, self.target_pipeline.resets());
        let ourselves = ReadScopes {
            scopes: vec![Arc::clone(&self.common.own_scope)],
            ..self.nothing(&poll)
        };
        self.target_pipeline.put(ourselves, own);
        self.target_pipeline.put_exemplars(self.own.exemplars());
        self.target_pipeline.export();
    }

    /// The common part of all batches of a poll.
    fn nothing(&self, poll: &Poll) -> ReadScopes {
        ReadScopes {
            time: poll.time(),
            // If a body has the start time of its node, the start time of its scope is added to
            // this one.
            starts: vec![(Arc::clone(&self.common.own_scope), poll.counting_since)],
            scopes: Vec::new(),
            lost: Vec::new(),
        }
    }

    /// What was read; all that the target counts began at `start`, if that is known.
    fn read(&self, poll: &Poll, start: Option<SystemTime>) -> ReadScopes {
        let mut read = self.nothing(poll);
        let endpoints = self.target().definition.endpoints.iter();
        let scopes = endpoints.clone().map(|of| Arc::clone(&of.scope));
        let starts = scopes.filter_map(|scope| Some((scope, start?)));
        read.starts.extend(starts);
        for (endpoint, polled) in endpoints.zip(&poll.endpoints) {
            let scope = Arc::clone(&endpoint.scope);
            match (polled.was_asked(), polled.body()) {
                (false, _) => {}
                (true, Some(_)) => read.scopes.push(scope),
                (true, None) => read.lost.push(scope),
            }
        }
        read
    }

    fn count(&self, poll: &Poll, readings: &Readings) {
        let errored = readings.problems.iter().map(|problem| problem.count).sum();
        self.counters.scraped.add(readings.values.len() as u64);
        self.counters.errored.add(errored);
        for problem in &readings.problems {
            self.log(poll, problem);
        }
    }

    fn log(&self, poll: &Poll, problem: &Problem) {
        let definition = &self.target().definition;
        let metric = definition.subject(problem.instrument);
        macro_rules! log {
            ($level:ident, $hint:expr, $message:literal) => {
                tracing::$level!(
                    target = self.target().name,
                    metric,
                    reason = problem.reason.name(),
                    detail = problem.detail,
                    hint = $hint,
                    $message
                )
            };
        }
        match self.common.logged.is_new(definition.digest, problem) {
            true => log!(
                warn,
                mapping::explain(definition, poll, problem),
                "a value could not be read; this is logged once for each metric and reason; later \
                 ones are only counted"
            ),
            false => log!(debug, None::<&str>, "a value could not be read"),
        }
    }
}

impl LoggedProblems {
    fn is_new(&self, digest: u64, problem: &Problem) -> bool {
        // The set is consistent at every moment, so a panic elsewhere does no damage.
        let mut logged = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        logged.insert((digest, problem.instrument, problem.reason))
    }
}

/// Whether the answers of a poll were large. `None` if there was no answer.
fn is_large(poll: &Poll) -> Option<bool> {
    let mut failures = poll.endpoints.iter().filter_map(EndpointPoll::failure);
    let is_too_large = |failure: &PollFailure| failure.error_type == ErrorType::TooLarge;
    let is_large = poll.is_large() || failures.any(is_too_large);
    (is_large || poll.is_up()).then_some(is_large)
}

impl Schemas {
    fn of(&self, target: &Target) -> Arc<Schema> {
        let definition = &target.definition;
        // The list is consistent at every moment, so a panic elsewhere does no damage.
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|known| known.definition.strong_count() > 0);
        let is_it = |known: &&KnownSchema| {
            let same = std::ptr::eq(known.definition.as_ptr(), Arc::as_ptr(definition));
            same && known.instances == target.replicas
                && known.report_prefix == target.report_prefix()
        };
        if let Some(known) = all.iter().find(is_it) {
            return Arc::clone(&known.schema);
        }
        let schema = Arc::new(ReportMetrics::schema(target));
        all.push(KnownSchema {
            definition: Arc::downgrade(definition),
            instances: target.replicas,
            report_prefix: target.report_prefix().to_owned(),
            schema: Arc::clone(&schema),
        });
        schema
    }
}
