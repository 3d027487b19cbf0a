//! The state that a host keeps when its settings change.

use tokio::time::Instant;

use super::target_resilience::{EndpointState, TargetResilience};

/// What a host takes from its predecessor.
#[derive(Debug, Clone, Copy)]
pub struct InheritedState<'h> {
    /// The predecessor, of the same target. It is empty after that.
    pub old: &'h TargetResilience,
    /// Maps each endpoint to one of the predecessor. `None` for a new endpoint.
    pub from: &'h [Option<usize>],
    /// Maps each instance to one of the predecessor.
    pub instances: &'h [Option<usize>],
    /// Whether the cached answers are still valid. They are not if other credentials or headers
    /// would give other answers.
    pub keeps_answers: bool,
}

impl TargetResilience {
    /// Takes the known state: breakers stay open until their time is over, answers keep their age,
    /// counts continue. Everything learned later follows the new settings.
    ///
    /// No poll of either host may be in progress.
    pub fn take_over(&self, inherited: InheritedState<'_>) {
        let InheritedState { old, from, .. } = inherited;
        let mut before = old.lock();
        let mut state = self.lock();
        for (circuit, was) in state.circuits.iter_mut().zip(inherited.instances) {
            if let Some(was) = was {
                circuit.take_over(before.circuits.at(*was), from);
            }
        }
        if old.labels == self.labels {
            // The record identifies endpoints by their position.
            std::mem::swap(&mut state.recorder, &mut before.recorder);
            state.recorder.move_instances(|was| inherited.now_at(was));
        }
        state.caution.take_over(&before.caution, from);
        let endpoints = std::mem::take(&mut before.endpoints);
        let mut endpoints: Vec<_> = endpoints.into_iter().map(Some).collect();
        for (endpoint, from) in state.endpoints.iter_mut().zip(from) {
            let old = from.and_then(|position| endpoints.get_mut(position)?.take());
            if let Some(mut old) = old {
                if !inherited.keeps_answers {
                    old.slot.clear();
                }
                endpoint.take_over(old, inherited);
            }
        }
    }
}

impl InheritedState<'_> {
    /// The position of an instance of the predecessor in the new host. `None` if it is gone.
    fn now_at(&self, was: usize) -> Option<usize> {
        self.instances.iter().position(|from| *from == Some(was))
    }
}

impl EndpointState {
    fn take_over(&mut self, old: Self, inherited: InheritedState<'_>) {
        let mut timeouts: Vec<_> = old.timeouts.into_values().map(Some).collect();
        for (timeout, was) in self.timeouts.iter_mut().zip(inherited.instances) {
            if let Some(old) = was.and_then(|was| timeouts.get_mut(was)?.take()) {
                timeout.take_over(old);
            }
        }
        if let (Some(balancer), Some(old)) = (&mut self.balancer, old.balancer) {
            balancer.take_over(*old, inherited.instances);
        }
        if let (Some(objective), Some(old)) = (&mut self.objective, old.objective) {
            objective.take_over(old, Instant::now());
        }
        self.slot.take_over(old.slot);
        self.kept_from = old.kept_from.and_then(|was| inherited.now_at(was));
        self.asked_at = inherited.now_at(old.asked_at).unwrap_or_default();
        self.flight = old.flight;
        self.retries = old.retries;
        self.suppressed = old.suppressed;
    }
}
