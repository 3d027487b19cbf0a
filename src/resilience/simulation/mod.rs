//! What an outage of one host would come to, in virtual time.
//!
//! The core that polls is driven here by a queue of events instead of by sockets and a clock, with
//! a receiver's own settings: so many seeds give so many outages in a second, and the same seed
//! the same one again.

mod fault;
mod report;
mod run;
mod script;

use std::time;

use super::{
    config::{self, CacheConfig, CircuitBreakerConfig, RetryConfig, TimeoutConfig},
    feasibility::FeasibilityInput,
};
use crate::settings::Duration;

pub use self::{
    fault::{Incident, SimulatedFault, builtin},
    report::{Report, Spread},
    run::{Run, run},
    script::incidents,
};

/// What is simulated: a receiver as it is configured.
#[derive(Debug, Clone)]
pub struct SimulationSettings {
    /// Time between two polls.
    pub interval: Duration,
    /// Of one attempt.
    pub timeout: TimeoutConfig,
    /// Of one poll, if configured.
    pub deadline: Option<Duration>,
    /// How attempts are repeated.
    pub retry: RetryConfig,
    /// When they are refused.
    pub circuit_breaker: CircuitBreakerConfig,
    /// What is kept between polls; for the plan only.
    pub cache: CacheConfig,
    /// The promised age of data; for the plan only.
    pub freshness_objective: Option<Duration>,
    /// The name of each target, and the `host:port` of each of its instances. One target fails, as
    /// if it had one instance.
    pub targets: Vec<(String, Vec<String>)>,
    /// The paths that are polled of each target.
    pub endpoints: Vec<String>,
}

impl SimulationSettings {
    /// The same for the feasibility check, which is to find no error before anything is simulated.
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
            endpoints: self.endpoints.len(),
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
