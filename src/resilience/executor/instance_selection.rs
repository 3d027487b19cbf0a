//! Which of several instances an attempt goes to, and whether another one is asked at once when it
//! fails. A target that is one instance passes through here unchanged.

use tokio::time::Instant;

use super::{EndedAttempt, admission::AttemptPermit};
use crate::resilience::{
    balancer::{Gates, InstanceSelection},
    instances::Instances,
    outcome::Verdict,
    recorder::DecisionEvent,
    retry::least,
    target_resilience::{HostState, TargetResilience},
};

impl TargetResilience {
    /// The instance that a poll begins with. If the breakers let nobody through, it is the one
    /// whose breaker says first when it will.
    pub(super) fn choose(&self, state: &mut HostState, now: Instant, endpoint: usize) -> usize {
        if !self.is_pool() {
            return 0;
        }
        match state.choice(now, endpoint, Instances::default()) {
            Some(choice) => {
                self.note_choice(state, endpoint, &choice);
                choice.instance
            }
            None => state.first_to_open(now, endpoint),
        }
    }

    /// Whether the attempt says something against its instance, and there is another one to ask
    /// and time for it.
    pub(super) fn may_fail_over(
        &self,
        now: Instant,
        ended: &EndedAttempt,
        verdict: &Verdict,
    ) -> bool {
        if !self.is_pool() || !verdict.is_against_instance() {
            return false;
        }
        let settings = &self.settings;
        let poll = &ended.poll;
        poll.remaining(now) >= least(None, settings.deadline)
            && self
                .lock()
                .gates(now, poll.endpoint)
                .lead_elsewhere(poll.tried)
    }

    /// Leave for an attempt at another instance. It counts as a retry of the fleet: where many
    /// targets fail, it is their load that it adds to.
    pub(super) fn fail_over(
        &self,
        state: &mut HostState,
        now: Instant,
        ended: &EndedAttempt,
    ) -> Option<AttemptPermit<'_>> {
        let endpoint = ended.poll.endpoint;
        let choice = state.choice(now, endpoint, ended.poll.tried)?;
        self.leave_for(state, now, endpoint, &choice)
    }

    /// Leave for what another instance is asked beside what was asked already.
    pub(super) fn leave_for(
        &self,
        state: &mut HostState,
        now: Instant,
        endpoint: usize,
        choice: &InstanceSelection,
    ) -> Option<AttemptPermit<'_>> {
        if !self.fleet.take_retry(now) {
            return None;
        }
        self.note_choice(state, endpoint, choice);
        let circuit = state.circuits.at_mut(choice.instance);
        let changes = circuit.advance(now, endpoint);
        let place = self.place(endpoint, choice.instance);
        self.note_changes(state, place, changes, None);
        self.acquire(state, now, endpoint, choice.instance).ok()
    }

    fn note_choice(&self, state: &mut HostState, endpoint: usize, choice: &InstanceSelection) {
        let event = DecisionEvent::Chosen {
            because: choice.because,
            expected: choice.expected.into(),
            expected_of_other: choice.over.map(|(_, expected)| expected.into()),
        };
        self.record(state, self.place(endpoint, choice.instance), event);
    }
}

impl HostState {
    /// What the breakers of each instance say to an attempt at an endpoint.
    pub(in crate::resilience) fn gates(&self, now: Instant, endpoint: usize) -> Gates {
        let circuits = self.circuits.iter();
        circuits
            .map(|circuit| circuit.gate(now, endpoint))
            .collect()
    }

    /// Whether the breakers of any instance are closed for an endpoint.
    pub(super) fn is_any_free(&self, now: Instant, endpoint: usize) -> bool {
        self.gates(now, endpoint).any_is_free()
    }

    pub(super) fn choice(
        &mut self,
        now: Instant,
        endpoint: usize,
        tried: Instances,
    ) -> Option<InstanceSelection> {
        let gates = self.gates(now, endpoint);
        let balancer = self.endpoints.get(endpoint)?.balancer.as_ref()?;
        balancer.choose(now, gates, tried, &mut self.rng)
    }

    fn first_to_open(&self, now: Instant, endpoint: usize) -> usize {
        let views = self.circuits.iter().map(|c| c.view(now, endpoint));
        // One that waits for a probe has no time, and comes first: it is worth waiting with it.
        let first = views.enumerate().min_by_key(|(_, view)| view.retry_at());
        first.map_or(0, |(instance, _)| instance)
    }
}
