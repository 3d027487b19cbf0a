//! One target, read once for who asks: an exporter is asked, a receiver polls, neither sees the
//! other.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures_util::future::BoxFuture;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use tokio::time::Instant;

use super::{ErrorType, Poll, Target};
use crate::settings::{AllowList, HttpUrl};

/// What an exporter asks.
pub trait Probe: Send + Sync {
    /// Reads a target. One that is polled anyway is answered from what is kept of it while that is
    /// young enough; one that is not is polled once, and nothing of it is kept.
    ///
    /// # Errors
    /// If the target must not be polled or nobody knows how.
    fn probe(&self, request: ProbeRequest) -> BoxFuture<'static, Result<Probed, ProbeRefusal>>;
}

/// What is to be read.
#[derive(Debug, Clone)]
pub struct ProbeRequest {
    /// The name or the URL of a target.
    pub target: String,
    /// The name of the definition that it speaks; whatever it speaks if none is given.
    pub definition: Option<String>,
    /// How long it may take, at most as long as any poll.
    pub timeout: Duration,
    /// What may be polled beside the targets that are polled anyway.
    pub allow: Arc<AllowList>,
}

/// What a target said.
#[derive(Debug)]
pub struct Probed {
    /// The target.
    pub target: Arc<Target>,
    /// When it was observed.
    pub time: SystemTime,
    /// How long it took.
    pub duration: Duration,
    /// One an endpoint, in the order of the definition.
    pub endpoints: Vec<ProbedEndpoint>,
    /// What the endpoints that answered gave, as in a `Snapshot`.
    pub metrics: Vec<ResourceMetrics>,
}

/// What one endpoint said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProbedEndpoint {
    /// Why it gave no body, where none is kept that is young enough.
    pub failure: Option<ErrorType>,
    /// The age of the body, where it is a kept one.
    pub age: Option<Duration>,
}

/// Why nothing is read.
#[derive(Debug, thiserror::Error)]
pub enum ProbeRefusal {
    /// It names no target, and it is no URL.
    #[error("`{target}` is neither the name of a target nor `http://HOST:PORT` of one")]
    Target {
        /// What was asked for.
        target: String,
    },
    /// Nobody may have it polled.
    #[error("there is no target `{target}`, and `probe.allow` does not admit it")]
    NotAllowed {
        /// What was asked for.
        target: String,
    },
    /// Nobody knows how to read it.
    #[error("no receiver could poll `{target}` as `{definition}`; there is: {known}")]
    Definition {
        /// What was asked for.
        target: String,
        /// As what.
        definition: String,
        /// As what else it could be polled.
        known: String,
    },
    /// Several receivers could poll it.
    #[error("`definition` is missing, and receivers differ in theirs; there is: {known}")]
    NoDefinition {
        /// As what it could be polled.
        known: String,
    },
    /// We cannot poll it, whatever it is.
    #[error("cannot poll `{target}`")]
    Unable {
        /// What was asked for.
        target: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// A receiver that polls what it is told to, once.
pub trait Prober: fmt::Debug + Send + Sync {
    /// The names of its definitions, in the order in which they are tried.
    fn definitions(&self) -> Vec<String>;

    /// Polls once. Connects to addresses only that are admitted, follows no redirect, and shows
    /// no credentials.
    ///
    /// # Errors
    /// If no address of the target is admitted.
    fn probe(&self, order: ProbeOrder) -> BoxFuture<'_, Result<(Arc<Target>, Poll), ProbeRefusal>>;
}

/// What a receiver is to poll.
#[derive(Debug, Clone)]
pub struct ProbeOrder {
    /// Scheme, host and port.
    pub endpoint: HttpUrl,
    /// Which of its definitions; each of them in turn if none is given.
    pub definition: Option<String>,
    /// When it must be over.
    pub deadline: Instant,
    /// What may be connected to.
    pub allow: Arc<AllowList>,
}
