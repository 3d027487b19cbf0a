//! Simulates an outage of one host, in virtual time.
//!
//! A queue of events runs the same core that polls, instead of sockets and a clock, with the
//! receiver's own settings. So many outages can be simulated in a second, and the same seed gives
//! the same outage.

mod fault;
mod report;
mod run;
mod script;

use std::time;

use super::{
    config::{self, CacheConfig, CircuitBreakerConfig, RetryConfig, TimeoutConfig},
    feasibility::{EndpointRequests, FeasibilityInput},
};
use crate::{definition::EndpointId, settings::Duration};

pub use self::{
    fault::{Incident, SimulatedFault, builtin},
    report::{Report, Spread},
    run::{Run, run},
    script::incidents,
};

/// The simulated receiver, with its settings.
#[derive(Debug, Clone)]
pub struct SimulationSettings {
    /// The time between two polls.
    pub interval: Duration,
    /// The timeout of one attempt.
    pub timeout: TimeoutConfig,
    /// The configured deadline of one poll.
    pub deadline: Option<Duration>,
    /// How attempts are repeated.
    pub retry: RetryConfig,
    /// When attempts are refused.
    pub circuit_breaker: CircuitBreakerConfig,
    /// The cache between polls; only for the feasibility check.
    pub cache: CacheConfig,
    /// The freshness objective; only for the feasibility check.
    pub freshness_objective: Option<Duration>,
    /// The name of each target, and `host:port` of each of its instances. One target fails, as if
    /// it had one instance.
    pub targets: Vec<(String, Vec<String>)>,
    /// The endpoints that are polled of each target.
    pub endpoints: Vec<EndpointId>,
    /// How often each of them is polled, and with how many requests.
    pub requests: Vec<EndpointRequests>,
}

impl SimulationSettings {
    /// The input of the feasibility check, which must find no error before a simulation.
    pub fn plan(&self) -> FeasibilityInput<'_> {
        FeasibilityInput {
            interval: self.interval,
            timeout: self.timeout,
            deadline: self.deadline,
            retry: &self.retry,
            circuit_breaker: &self.circuit_breaker,
            cache: self.cache,
            freshness_objective: self.freshness_objective,
            targets: &self.targets,
            endpoints: &self.requests,
        }
    }

    /// A target with several instances, if there is one.
    pub fn replicated(&self) -> Option<String> {
        let mut targets = self.targets.iter();
        let found = targets.find(|(_, hosts)| hosts.len() > 1);
        found.map(|(name, _)| name.clone())
    }

    fn deadline(&self) -> time::Duration {
        config::deadline(self.deadline, self.interval)
    }
}
