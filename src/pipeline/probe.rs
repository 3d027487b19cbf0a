//! The contract of `/probe`: an exporter gets the request and a receiver polls, without knowing
//! each other.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures_util::future::BoxFuture;
use opentelemetry_sdk::{Resource, metrics::data::ResourceMetrics};
use tokio::time::Instant;

use super::{CountedHistogram, ErrorType, Poll, Target};
use crate::settings::{AllowList, HttpUrl};

/// Answers the requests of an exporter.
pub trait Probe: Send + Sync {
    /// Reads a target. A target that a receiver polls may be answered from its cache. Any other
    /// target is polled once, and nothing of it is stored.
    ///
    /// # Errors
    /// If the target must not be polled, or no receiver can.
    fn probe(&self, request: ProbeRequest) -> BoxFuture<'static, Result<Probed, ProbeRefusal>>;
}

/// What should be read.
#[derive(Debug, Clone)]
pub struct ProbeRequest {
    /// The name or the URL of a target.
    pub target: String,
    /// The name of its definition. `None` if the receiver should choose.
    pub definition: Option<String>,
    /// The time limit, at most that of a poll.
    pub timeout: Duration,
    /// Addresses that may be polled although no receiver has them as targets.
    pub allow: Arc<AllowList>,
}

/// The result of a probe.
#[derive(Debug)]
pub struct Probed {
    /// The target that was read.
    pub target: Arc<Target>,
    /// The time of the observation.
    pub time: SystemTime,
    /// How long it took.
    pub duration: Duration,
    /// One result for each endpoint, in the order of the definition.
    pub endpoints: Vec<ProbedEndpoint>,
    /// The Resource of the target.
    pub resource: Arc<Resource>,
    /// The metrics of the endpoints that answered, as in a `Snapshot`.
    pub metrics: Vec<ResourceMetrics>,
    /// Histograms that the target counts itself.
    pub histograms: Vec<CountedHistogram>,
}

/// The result of one endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProbedEndpoint {
    /// Why it gave no body, if no cached one is fresh.
    pub failure: Option<ErrorType>,
    /// The age of the body, if it was cached.
    pub age: Option<Duration>,
}

/// Why a probe is refused.
#[derive(Debug, thiserror::Error)]
pub enum ProbeRefusal {
    /// The text is neither the name of a target nor a URL.
    #[error("`{target}` is neither the name of a target nor `http://HOST:PORT` of one")]
    Target {
        /// The requested target.
        target: String,
    },
    /// The target is not allowed.
    #[error("there is no target `{target}`, and `probe.allow` does not allow it")]
    NotAllowed {
        /// The requested target.
        target: String,
    },
    /// No receiver has the definition.
    #[error("no receiver could poll `{target}` as `{definition}`; there is: {known}")]
    Definition {
        /// The requested target.
        target: String,
        /// The requested definition.
        definition: String,
        /// The available definitions.
        known: String,
    },
    /// Several receivers could poll it.
    #[error("`definition` is missing, and receivers differ in theirs; there is: {known}")]
    NoDefinition {
        /// The available definitions.
        known: String,
    },
    /// The collector cannot poll it, with any definition.
    #[error("cannot poll `{target}`")]
    Unable {
        /// The requested target.
        target: String,
        /// Why it cannot be polled.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// A receiver that polls a given target once.
pub trait Prober: fmt::Debug + Send + Sync {
    /// The names of its definitions, in the order in which they are tried.
    fn definitions(&self) -> Vec<String>;

    /// Polls once. It connects only to allowed addresses, follows no redirect, and sends no
    /// credentials.
    ///
    /// # Errors
    /// If no address of the target is allowed.
    fn probe(&self, order: ProbeOrder) -> BoxFuture<'_, Result<(Arc<Target>, Poll), ProbeRefusal>>;
}

/// The target that a receiver should poll.
#[derive(Debug, Clone)]
pub struct ProbeOrder {
    /// Scheme, host and port.
    pub endpoint: HttpUrl,
    /// The definition to use. Without one, each definition is tried in turn.
    pub definition: Option<String>,
    /// The deadline of the poll.
    pub deadline: Instant,
    /// The allowed addresses.
    pub allow: Arc<AllowList>,
}
