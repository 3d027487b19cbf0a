//! A host under new settings goes on where the one before it ends.

use tokio::time::Instant;

use super::host::{EndpointState, Host};

/// What a host goes on with.
#[derive(Debug, Clone, Copy)]
pub struct Heritage<'h> {
    /// The host before it, of the same instances. It knows nothing any more.
    pub old: &'h Host,
    /// Which endpoint of the old one each endpoint is; none for one that is new.
    pub from: &'h [Option<usize>],
    /// Whether the answers that are kept are of use: they are not where others are asked for, or
    /// others ask.
    pub keeps_answers: bool,
}

impl Host {
    /// Goes on with what is known: breakers stay open until they were to try again, answers keep
    /// their age, counts go on. What is learnt from here on follows the new settings.
    ///
    /// No poll of either may be under way.
    pub fn take_over(&self, heritage: Heritage<'_>) {
        let Heritage { old, from, .. } = heritage;
        let mut before = old.lock();
        let mut state = self.lock();
        for (circuit, old) in state.circuits.iter_mut().zip(before.circuits.iter()) {
            circuit.take_over(old, from);
        }
        if old.paths == self.paths {
            // It speaks of endpoints by their position.
            std::mem::swap(&mut state.recorder, &mut before.recorder);
        }
        let endpoints = std::mem::take(&mut before.endpoints);
        let mut endpoints: Vec<_> = endpoints.into_iter().map(Some).collect();
        for (endpoint, from) in state.endpoints.iter_mut().zip(from) {
            let old = from.and_then(|position| endpoints.get_mut(position)?.take());
            if let Some(mut old) = old {
                if !heritage.keeps_answers {
                    old.slot.clear();
                }
                endpoint.take_over(old);
            }
        }
    }
}

impl EndpointState {
    fn take_over(&mut self, old: Self) {
        for (timeout, old) in self.timeouts.iter_mut().zip(old.timeouts.into_values()) {
            timeout.take_over(old);
        }
        if let (Some(balancer), Some(old)) = (&mut self.balancer, old.balancer) {
            balancer.take_over(*old);
        }
        if let (Some(objective), Some(old)) = (&mut self.objective, old.objective) {
            objective.take_over(old, Instant::now());
        }
        self.slot.take_over(old.slot);
        self.kept_from = old.kept_from;
        self.flight = old.flight;
        self.retries = old.retries;
        self.suppressed = old.suppressed;
    }
}
