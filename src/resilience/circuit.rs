//! The breakers of one host: its own, and one for each of its endpoints.
//!
//! A request needs a permit of the host and one of the endpoint, and gets both or none. Its result
//! counts against the one that caused it.

use serde::Serialize;
use tokio::time::Instant;

use super::{
    breaker::{Breaker, BreakerPermit, BreakerPolicy, BreakerRefusal},
    config::CircuitBreakerConfig,
    outcome::{BreakerOutcome, Verdict},
    positions::Positions,
    state::{BreakerState, BreakerView, Transition},
    time::DecisionInputs,
};

pub use super::{breaker::Admission, config::BreakerScope};

/// A level of breakers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakerLevel {
    /// All endpoints of a host.
    Host,
    /// One endpoint.
    Endpoint,
}

impl BreakerLevel {
    /// All levels.
    pub const ALL: [Self; 2] = [Self::Host, Self::Endpoint];

    /// The value of the `betanet.breaker.scope` attribute.
    pub fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Endpoint => "endpoint",
        }
    }
}

/// When the breakers of a host trip, and for how long.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CircuitPolicy {
    /// What has a breaker.
    pub scope: BreakerScope,
    /// The policy of the host's breaker.
    pub host: BreakerPolicy,
    /// The policy of each endpoint's breaker.
    pub endpoint: BreakerPolicy,
}

/// The state of the breakers of one host.
#[derive(Debug, Clone, Default)]
pub struct Circuit {
    host: Option<Breaker>,
    endpoints: Box<[Breaker]>,
    /// How often the host failed each endpoint since its last answer.
    streaks: Box<[u32]>,
    not_before: Option<Instant>,
    /// Whether the last request that says something of the host got no answer.
    is_silent: bool,
}

/// Permission for one attempt. It must be returned through [`Circuit::complete`] or
/// [`Circuit::give_back`].
#[derive(Debug)]
#[must_use]
pub struct CircuitPermit {
    /// The position of the endpoint.
    position: usize,
    host: Option<BreakerPermit>,
    endpoint: Option<BreakerPermit>,
}

/// Why there is no permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CircuitRefusal {
    /// A breaker is open.
    Open {
        /// The level of the breaker.
        level: BreakerLevel,
        /// When it permits a trial request.
        retry_at: Instant,
    },
    /// A trial request is in progress. It is worth waiting for its result.
    ProbeInFlight {
        /// The level of the breaker.
        level: BreakerLevel,
    },
    /// The server asked for a pause (`Retry-After`).
    Paused {
        /// The end of the pause.
        until: Instant,
    },
}

/// The state changes after a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CircuitChanges {
    /// The change of the host's breaker.
    pub host: Option<Transition>,
    /// The change of the endpoint's breaker.
    pub endpoint: Option<Transition>,
}

/// The state of the breakers for one endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CircuitView {
    /// The host's breaker, if it has one.
    pub host: Option<BreakerView>,
    /// The endpoint's breaker, if it has one.
    pub endpoint: Option<BreakerView>,
    /// The end of the pause that the server asked for.
    pub not_before: Option<Instant>,
}

impl From<&CircuitBreakerConfig> for CircuitPolicy {
    fn from(config: &CircuitBreakerConfig) -> Self {
        Self {
            scope: config.scope,
            host: config.host_policy(),
            endpoint: config.endpoint_policy(),
        }
    }
}

impl Circuit {
    /// Has a breaker for each level in `scope`, and one for each of these endpoints. Those that are
    /// new are closed.
    pub fn arrange(&mut self, scope: BreakerScope, endpoints: &Positions, now: Instant) {
        let new = || Breaker::new(now);
        let (host, breakers) = (self.host.take(), std::mem::take(&mut self.endpoints));
        let streaks = std::mem::take(&mut self.streaks);
        if scope != BreakerScope::Endpoint {
            self.host = host.or_else(|| Some(new()));
            self.streaks = endpoints.arrange(streaks, || 0);
        }
        if scope != BreakerScope::Host {
            self.endpoints = endpoints.arrange(breakers, new);
        }
    }

    /// Makes the breakers of this endpoint half-open if their time is over.
    pub fn advance(&mut self, now: Instant, endpoint: usize) -> CircuitChanges {
        let endpoint = self.endpoints.get_mut(endpoint);
        CircuitChanges {
            host: self.host.as_mut().and_then(|host| host.advance(now)),
            endpoint: endpoint.and_then(|endpoint| endpoint.advance(now)),
        }
    }

    /// Asks for permission for an attempt at an endpoint, by its position.
    ///
    /// # Errors
    /// If a breaker or a pause refuses it.
    pub fn try_acquire(
        &mut self,
        policy: &CircuitPolicy,
        now: Instant,
        endpoint: usize,
    ) -> Result<CircuitPermit, CircuitRefusal> {
        if let Some(until) = self.not_before.filter(|until| now < *until) {
            return Err(CircuitRefusal::Paused { until });
        }
        let mut permit = CircuitPermit {
            position: endpoint,
            host: None,
            endpoint: None,
        };
        if let Some(host) = &mut self.host {
            let refused = |refusal| CircuitRefusal::by(BreakerLevel::Host, refusal);
            permit.host = Some(host.try_acquire(&policy.host, now).map_err(refused)?);
        }
        if let Some(gate) = self.endpoints.get_mut(endpoint) {
            match gate.try_acquire(&policy.endpoint, now) {
                Ok(own) => permit.endpoint = Some(own),
                Err(refusal) => {
                    self.give_back(permit);
                    return Err(CircuitRefusal::by(BreakerLevel::Endpoint, refusal));
                }
            }
        }
        Ok(permit)
    }

    /// Records the result of the attempt with this permit, for the host and the endpoint.
    pub fn complete(
        &mut self,
        policy: &CircuitPolicy,
        permit: CircuitPermit,
        verdict: &Verdict,
        mut inputs: DecisionInputs<'_>,
    ) -> CircuitChanges {
        self.is_silent = match verdict.host {
            BreakerOutcome::Ok => false,
            BreakerOutcome::Fail => true,
            BreakerOutcome::Neutral => self.is_silent,
        };
        let charge = policy.scope.charge(verdict, &permit);
        let mut changes = CircuitChanges::default();
        let position = permit.position;
        let endpoint = self.endpoints.get_mut(position);
        if let (Some(gate), Some(permit)) = (&mut self.host, permit.host) {
            let streak = self.streaks.get_mut(position);
            let outcome = weigh(gate, &permit, streak, charge.host);
            changes.host = gate.complete(&policy.host, permit, outcome, inputs.reborrow());
            if gate.failures() == 0 {
                self.streaks.fill(0);
            }
        }
        if let (Some(gate), Some(permit)) = (endpoint, permit.endpoint) {
            changes.endpoint = gate.complete(&policy.endpoint, permit, charge.endpoint, inputs);
        }
        changes
    }

    /// The next result of this endpoint, which was polled alone, counts for the whole host.
    pub fn speak_for_all(&mut self, endpoint: usize) {
        let failures = self.host.as_ref().map_or(0, Breaker::failures);
        if let Some(streak) = self.streaks.get_mut(endpoint) {
            *streak = failures.max(*streak);
        }
    }

    /// Whether the last request got no answer, whatever the breakers make of that.
    pub fn is_silent(&self) -> bool {
        self.is_silent
    }

    /// Takes back an unused permit: nothing was sent, so nothing is counted.
    pub fn give_back(&mut self, permit: CircuitPermit) {
        let endpoint = self.endpoints.get_mut(permit.position);
        if let (Some(gate), Some(permit)) = (&mut self.host, permit.host) {
            gate.give_back(permit);
        }
        if let (Some(gate), Some(permit)) = (endpoint, permit.endpoint) {
            gate.give_back(permit);
        }
    }

    /// Counts a request that waited for a trial request at an endpoint and was then refused.
    pub fn reject(&mut self, endpoint: usize, level: BreakerLevel) {
        let gate = match level {
            BreakerLevel::Host => self.host.as_mut(),
            BreakerLevel::Endpoint => self.endpoints.get_mut(endpoint),
        };
        if let Some(gate) = gate {
            gate.reject();
        }
    }

    /// Pauses requests to the host, as its server asked. The longest pause counts.
    pub fn pause(&mut self, until: Instant) {
        self.not_before = self.not_before.max(Some(until));
    }

    /// While held, no breaker counts failures.
    pub fn hold(&mut self, held: bool) {
        for gate in self.host.iter_mut().chain(&mut self.endpoints) {
            gate.hold(held);
        }
    }

    /// What would happen to an attempt at an endpoint now. It changes nothing.
    pub fn gate(&self, policy: &CircuitPolicy, now: Instant, endpoint: usize) -> Admission {
        let paused = self.not_before.filter(|until| now < *until);
        let pause = paused.map(|_| Admission::Shut);
        let host = self.host.iter().map(|host| host.gate(&policy.host, now));
        let own = self.endpoints.get(endpoint);
        let own = own.map(|own| own.gate(&policy.endpoint, now));
        host.chain(own)
            .chain(pause)
            .max()
            .unwrap_or(Admission::Free)
    }

    /// The worse of the states of the breakers for an endpoint now.
    pub fn state(&self, now: Instant, endpoint: usize) -> BreakerState {
        let states = self.breakers(endpoint).map(|breaker| breaker.state(now));
        states.max().unwrap_or(BreakerState::Closed)
    }

    /// The state of an endpoint's own breaker now, if it has one.
    pub fn state_of_endpoint(&self, now: Instant, endpoint: usize) -> Option<BreakerState> {
        let own = self.endpoints.get(endpoint);
        own.map(|breaker| breaker.state(now))
    }

    /// When the next attempt at an endpoint is permitted: after the last expiry and after the pause.
    /// `None` means at once.
    pub fn retry_at(&self, now: Instant, endpoint: usize) -> Option<Instant> {
        let expiries = self.breakers(endpoint).filter_map(|of| of.retry_at(now));
        let pause = self.not_before.filter(|until| now < *until);
        expiries.chain(pause).max()
    }

    fn breakers(&self, endpoint: usize) -> impl Iterator<Item = &Breaker> {
        self.host.iter().chain(self.endpoints.get(endpoint))
    }

    /// The state of the breakers for an endpoint now.
    pub fn view(&self, now: Instant, endpoint: usize) -> CircuitView {
        CircuitView {
            host: self.host.as_ref().map(|gate| gate.view(now)),
            endpoint: self.endpoints.get(endpoint).map(|gate| gate.view(now)),
            not_before: self.not_before.filter(|until| now < *until),
        }
    }
}

impl CircuitChanges {
    /// Whether nothing has changed, as after nearly every result.
    pub fn are_none(&self) -> bool {
        self.host.is_none() && self.endpoint.is_none()
    }
}

impl CircuitPermit {
    /// Whether the attempt is a trial request of a half-open breaker: one attempt, with the longest
    /// timeout.
    pub fn is_probe(&self) -> bool {
        self.probes_host() || self.probes_endpoint()
    }

    fn probes_host(&self) -> bool {
        self.host.as_ref().is_some_and(BreakerPermit::is_probe)
    }

    fn probes_endpoint(&self) -> bool {
        self.endpoint.as_ref().is_some_and(BreakerPermit::is_probe)
    }
}

impl CircuitView {
    /// The worse of the two states.
    pub fn state(&self) -> BreakerState {
        let states = self.views().map(|view| view.state);
        states.max().unwrap_or(BreakerState::Closed)
    }

    /// When the next attempt is permitted: after the last expiry and after the pause. `None` means
    /// at once.
    pub fn retry_at(&self) -> Option<Instant> {
        let expiries = self.views().filter_map(|view| view.retry_at);
        expiries.chain(self.not_before).max()
    }

    /// Since when the worse of the two has been in its state.
    pub fn since(&self) -> Option<Instant> {
        let worst = self.views().max_by_key(|view| view.state);
        worst.map(|view| view.since)
    }

    fn views(&self) -> impl Iterator<Item = BreakerView> {
        self.host.into_iter().chain(self.endpoint)
    }
}

impl CircuitRefusal {
    fn by(level: BreakerLevel, refusal: BreakerRefusal) -> Self {
        match refusal {
            BreakerRefusal::Open { retry_at } => Self::Open { level, retry_at },
            BreakerRefusal::ProbeInFlight => Self::ProbeInFlight { level },
        }
    }
}

/// What a result says about the host. Endpoints that fail together retry at different times, and
/// each would add one failure. So a host has failed as often as its worst endpoint, and more
/// endpoints do not make it look worse.
fn weigh(
    host: &Breaker,
    permit: &BreakerPermit,
    streak: Option<&mut u32>,
    outcome: BreakerOutcome,
) -> BreakerOutcome {
    let (BreakerOutcome::Fail, true, Some(streak)) = (outcome, host.counts(permit), streak) else {
        return outcome;
    };
    *streak = streak.saturating_add(1);
    match *streak > host.failures() {
        true => BreakerOutcome::Fail,
        false => BreakerOutcome::Neutral,
    }
}

/// What counts against each level.
struct FailureCharge {
    host: BreakerOutcome,
    endpoint: BreakerOutcome,
}

impl BreakerScope {
    /// With two levels, each counts its own faults. A single level counts the failures of both.
    fn charge(self, verdict: &Verdict, permit: &CircuitPermit) -> FailureCharge {
        let either = |own, other| match other {
            BreakerOutcome::Fail => BreakerOutcome::Fail,
            BreakerOutcome::Ok | BreakerOutcome::Neutral => own,
        };
        let decides = match self {
            Self::Host => permit.probes_host(),
            Self::Endpoint | Self::Both => permit.probes_endpoint(),
        };
        let http = if decides {
            verdict.probe
        } else {
            verdict.endpoint
        };
        match self {
            Self::Both => FailureCharge {
                host: verdict.host,
                endpoint: http,
            },
            Self::Host => FailureCharge {
                host: either(verdict.host, http),
                endpoint: BreakerOutcome::Neutral,
            },
            Self::Endpoint => FailureCharge {
                host: BreakerOutcome::Neutral,
                endpoint: either(http, verdict.host),
            },
        }
    }
}
