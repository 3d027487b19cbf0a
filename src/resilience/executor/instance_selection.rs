//! Chooses the instance of an attempt, and decides whether another one gets a request at once after
//! a failure. For a target with one instance there is nothing to choose.

use tokio::time::Instant;

use super::{EndedAttempt, admission::AttemptPermit};
use crate::resilience::{
    balancer::{Gates, InstanceSelection},
    instances::Instances,
    outcome::Verdict,
    recorder::DecisionEvent,
    retry::least,
    target_resilience::TargetResilience,
    target_state::HostState,
};

impl TargetResilience {
    /// The first instance of a poll. If no breaker permits a request, it is the one whose breaker
    /// will be the first to do so.
    pub(super) fn choose(&self, state: &mut HostState, now: Instant, endpoint: usize) -> usize {
        if !self.is_pool() {
            return 0;
        }
        match self.choice(state, now, endpoint, Instances::default()) {
            Some(choice) => {
                self.note_choice(state, endpoint, &choice);
                choice.instance
            }
            None => state.first_to_open(now, endpoint),
        }
    }

    /// Whether the failure is one of the instance, and there is another instance and enough time.
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
                .gates(&self.lock(), now, poll.endpoint)
                .lead_elsewhere(poll.tried)
    }

    /// Permission for an attempt at another instance. It counts as a retry of the receiver: when
    /// many targets fail, it increases their load.
    pub(super) fn fail_over(
        &self,
        state: &mut HostState,
        now: Instant,
        ended: &EndedAttempt,
    ) -> Option<AttemptPermit<'_>> {
        let endpoint = ended.poll.endpoint;
        let choice = self.choice(state, now, endpoint, ended.poll.tried)?;
        if !self.fleet().take_retry(now) {
            return None;
        }
        self.note_choice(state, endpoint, &choice);
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

    /// What the breakers of each instance say about an attempt at an endpoint.
    pub(in crate::resilience) fn gates(
        &self,
        state: &HostState,
        now: Instant,
        endpoint: usize,
    ) -> Gates {
        let circuits = state.circuits.iter();
        circuits
            .map(|circuit| circuit.gate(&self.circuit, now, endpoint))
            .collect()
    }

    fn choice(
        &self,
        state: &mut HostState,
        now: Instant,
        endpoint: usize,
        tried: Instances,
    ) -> Option<InstanceSelection> {
        let gates = self.gates(state, now, endpoint);
        let loads = &state.endpoints.get(endpoint)?.loads;
        let balancer = loads.balancer(self.settings.balancer());
        balancer.choose(now, gates, tried, &mut state.rng)
    }
}

impl HostState {
    fn first_to_open(&self, now: Instant, endpoint: usize) -> usize {
        let views = self.circuits.iter().map(|c| c.view(now, endpoint));
        // An instance that waits for a trial request has no time and comes first: it is worth
        // waiting for.
        let first = views.enumerate().min_by_key(|(_, view)| view.retry_at());
        first.map_or(0, |(instance, _)| instance)
    }
}
