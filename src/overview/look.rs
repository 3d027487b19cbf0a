//! Who looks at the fleet, and how often it is really looked at.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use tokio::time::Instant;

use super::{
    AddressPage, AddressQuery, AddressRow, ComponentRow, ConfigSummary, DecisionRow, Destination,
    FleetSnapshot, FleetSummary, Flow, GraphNode, PipelineGraph, ReceiverSummary, TargetDetail,
    TargetGlance, TargetPage, TargetQuery, TargetRow, decision_row,
    fleet_snapshot::SharedLook,
    fleet_summary,
    flow::FlowHistory,
    headline::{Facts, headline},
    overview_context::OverviewContext,
    target_row::seconds,
};
use crate::{
    pipeline::{ComponentKind, Window},
    telemetry::OwnFigures,
};

/// A look is shared for so long at least.
const SHARED: Duration = Duration::from_millis(500);

/// A look is shared for so many times what it took, so that it never takes more than 3 % of a
/// processor.
const REST: u32 = 33;

/// Looks at the fleet for those who ask.
pub struct Overview {
    context: OverviewContext,
    shared: Mutex<Option<SharedLook>>,
    history: Mutex<FlowHistory>,
}

impl Overview {
    /// Nobody has looked yet.
    pub fn new(context: OverviewContext) -> Arc<Self> {
        Arc::new(Self {
            context,
            shared: Mutex::default(),
            history: Mutex::default(),
        })
    }

    /// The time of day.
    pub fn now(&self) -> SystemTime {
        self.context.clock.now()
    }

    /// All targets, as they are now or were a moment ago.
    pub fn snapshot(&self) -> Arc<FleetSnapshot> {
        // Who comes meanwhile waits for this look and shares it.
        let mut shared = lock(&self.shared);
        let begun = Instant::now();
        if let Some(look) = shared.as_ref().filter(|look| begun < look.until) {
            return Arc::clone(&look.snapshot);
        }
        let snapshot = Arc::new(FleetSnapshot::of(&self.context.board, self.now()));
        let ended = Instant::now();
        *shared = Some(SharedLook {
            snapshot: Arc::clone(&snapshot),
            until: ended + SHARED.max((ended - begun) * REST),
        });
        snapshot
    }

    /// The fleet in a few lines.
    pub fn summary(&self) -> FleetSummary {
        let snapshot = self.snapshot();
        let (figures, flow) = self.figures();
        let destinations = self.destinations(&figures, &flow);
        let receivers = self.receivers(&snapshot);
        let states = fleet_summary::states(&snapshot);
        let failing: Vec<_> = self.components(|_| true).filter(|c| c.is_failing).collect();
        let facts = Facts {
            states: &states,
            receivers: &receivers,
            destinations: &destinations,
            failing: &failing,
        };
        FleetSummary {
            headline: headline(&facts),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_seconds: seconds(self.context.started.elapsed()).round(),
            targets: snapshot.targets.len(),
            states,
            receivers,
            destinations,
            failing,
        }
    }

    /// The targets that are asked for.
    pub fn targets(&self, query: &TargetQuery) -> TargetPage {
        let (snapshot, now) = (self.snapshot(), self.now());
        let chosen = query.choose(&snapshot);
        let begin = query.begin(&chosen);
        let rest = chosen.get(begin..).unwrap_or_default();
        let page = rest.get(..query.limit).unwrap_or(rest);
        let has_more = rest.len() > page.len();
        let rows = page
            .iter()
            .map(|seen| TargetRow::of(seen, &self.context.board, now));
        let rows: Vec<_> = rows.collect();
        TargetPage {
            total: snapshot.targets.len(),
            matched: chosen.len(),
            next: rows
                .last()
                .filter(|_| has_more)
                .map(|last| last.name.clone()),
            targets: rows,
        }
    }

    /// One target with all that is known of it; none if there is none of this name. Nobody is
    /// asked.
    pub fn target(&self, name: &str) -> Option<TargetDetail> {
        let status = self.context.board.target(name)?;
        Some(TargetDetail::of(&status, &self.context, self.now()))
    }

    /// A target as a row of a table; none if there is none of this name.
    pub fn row(&self, name: &str) -> Option<TargetRow> {
        let (board, now) = (&self.context.board, self.now());
        let seen = TargetGlance::of(&board.target(name)?, now);
        Some(TargetRow::of(&seen, board, now))
    }

    /// The latest decisions about a target, the latest one first.
    pub fn decisions(&self, name: &str) -> Option<Vec<DecisionRow>> {
        let status = self.context.board.target(name)?;
        let decisions = status.inner.decisions();
        Some(decision_row::latest_first(&decisions, self.now()))
    }

    /// The components as a graph, with what passes.
    pub fn pipelines(&self) -> PipelineGraph {
        let (figures, flow) = self.figures();
        let receivers = self.components(|kind| kind == ComponentKind::Receiver);
        let processors = self.components(|kind| kind == ComponentKind::Processor);
        PipelineGraph {
            pipelines: self.context.config.pipelines.clone(),
            receivers: receivers
                .map(|component| GraphNode::receiver(component, &figures, &flow))
                .collect(),
            processors: processors
                .map(|component| GraphNode::processor(component, &figures, &flow))
                .collect(),
            exporters: self.destinations(&figures, &flow),
        }
    }

    /// The addresses that are asked for, of those that the sources name.
    pub fn addresses(&self, query: &AddressQuery) -> AddressPage {
        let (mut total, mut matched) = (0, 0);
        let mut addresses = Vec::new();
        for (receiver, origins) in self.context.board.origins() {
            if query.receiver.as_ref().is_some_and(|id| *id != receiver) {
                continue;
            }
            let window = Window {
                skip: query.offset.saturating_sub(matched),
                limit: query.limit - addresses.len(),
            };
            let list = origins.addresses(&query.filter, window);
            total += list.total;
            matched += list.matched;
            addresses.extend(list.addresses.into_iter().map(|found| AddressRow {
                receiver: receiver.clone(),
                found,
            }));
        }
        let end = query.offset.saturating_add(addresses.len());
        AddressPage {
            total,
            matched,
            next: (!addresses.is_empty() && end < matched).then_some(end),
            addresses,
        }
    }

    /// The configuration that runs.
    pub fn config(&self) -> &ConfigSummary {
        &self.context.config
    }

    /// How the last attempt to load a configuration ended.
    pub fn last_load(&self) -> Option<ComponentRow> {
        let mut service = self.components(|kind| kind == ComponentKind::Service);
        service.find(|component| component.id == "config")
    }

    fn receivers(&self, snapshot: &FleetSnapshot) -> Vec<ReceiverSummary> {
        let mut receivers = fleet_summary::receivers(snapshot);
        for (id, origins) in self.context.board.origins() {
            let receiver = receivers.entry(id.clone()).or_default();
            receiver.id = id;
            receiver.is_complete = origins.is_complete();
        }
        receivers.into_values().collect()
    }

    fn destinations(&self, figures: &OwnFigures, flow: &Flow) -> Vec<Destination> {
        let exporters = self.components(|kind| kind == ComponentKind::Exporter);
        exporters
            .map(|component| Destination::of(component, figures, flow))
            .collect()
    }

    /// The components of the kinds that are `wanted`.
    fn components(
        &self,
        wanted: impl Fn(ComponentKind) -> bool,
    ) -> impl Iterator<Item = ComponentRow> {
        let now = self.now();
        let states = self.context.components.states().into_iter();
        let states = states.filter(move |state| wanted(state.kind));
        states.map(move |state| ComponentRow::of(&state, now))
    }

    fn figures(&self) -> (OwnFigures, Flow) {
        let figures = self.context.telemetry.figures();
        let flow = lock(&self.history).note(&figures, Instant::now());
        (figures, flow)
    }
}

impl fmt::Debug for Overview {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Overview").finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is in it is replaced as a whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
