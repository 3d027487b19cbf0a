//! Between a receiver and the pipelines that take its polls, which may change while it runs.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use super::pipeline::{MetricsPipeline, TargetSink};
use crate::pipeline::{Consumer, Poll, Sink, Target};

/// The pipelines that take the polls of a receiver.
pub(super) type Pipelines = Arc<[Arc<MetricsPipeline>]>;

/// Takes the polls of a receiver to its pipelines. Clones are handles to the same one.
#[derive(Clone)]
pub(super) struct Junction(Arc<RwLock<Pipelines>>);

/// One target's way into each of them.
struct Branches {
    junction: Junction,
    target: Arc<Target>,
    pipelines: Pipelines,
    sinks: Vec<(Arc<MetricsPipeline>, TargetSink)>,
}

impl Junction {
    pub(super) fn new(pipelines: Pipelines) -> Self {
        Self(Arc::new(RwLock::new(pipelines)))
    }

    /// From now on these take the polls: each target goes over at its next one. When this returns,
    /// none is on its way through any other.
    pub(super) fn set(&self, pipelines: Pipelines) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = pipelines;
    }

    /// The pipelines, which stay the same as long as this is held.
    fn pipelines(&self) -> RwLockReadGuard<'_, Pipelines> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Consumer for Junction {
    fn open(&self, target: &Arc<Target>) -> Box<dyn Sink> {
        let mut branches = Branches {
            junction: self.clone(),
            target: Arc::clone(target),
            pipelines: Arc::default(),
            sinks: Vec::new(),
        };
        branches.follow(&self.pipelines());
        Box::new(branches)
    }
}

impl Branches {
    fn follow(&mut self, pipelines: &Pipelines) {
        if Arc::ptr_eq(&self.pipelines, pipelines) {
            return;
        }
        self.pipelines = Arc::clone(pipelines);
        let mut before = std::mem::take(&mut self.sinks);
        for pipeline in pipelines.iter() {
            let same = before.iter().position(|(old, _)| old.id() == pipeline.id());
            let sink = match same.map(|at| before.swap_remove(at)) {
                Some((old, sink)) if Arc::ptr_eq(&old, pipeline) => sink,
                Some((_, old)) => pipeline.open_after(old),
                None => pipeline.open(&self.target),
            };
            self.sinks.push((Arc::clone(pipeline), sink));
        }
    }
}

impl Sink for Branches {
    fn admits(&self) -> bool {
        // Those of other pipelines are opened with the next poll, so that has to come.
        let is_old = !Arc::ptr_eq(&self.pipelines, &self.junction.pipelines());
        is_old || self.sinks.iter().any(|(_, sink)| sink.admits())
    }

    fn accept(&mut self, poll: &Poll) {
        let junction = self.junction.clone();
        let pipelines = junction.pipelines();
        self.follow(&pipelines);
        for (_, sink) in &mut self.sinks {
            sink.accept(poll);
        }
    }
}
