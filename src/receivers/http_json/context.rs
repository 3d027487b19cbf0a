//! What building a receiver needs, and why it may fail.

use std::sync::Arc;

use super::http::network::Network;
use crate::{
    client::ConfigError,
    definition::LoadError,
    discovery,
    pipeline::{DocumentMapping, StatusBoard, TargetNames},
    runtime::Clock,
    telemetry::Meter,
};

/// What building a receiver needs besides its configuration.
#[derive(Debug, Clone)]
pub struct Context {
    /// The receiver's id, for example `betanet/eu`.
    pub id: String,
    /// The wall clock.
    pub clock: Clock,
    /// The meter of the receiver's own metrics.
    pub meter: Meter,
    /// The board for the state of its targets.
    pub board: Arc<StatusBoard>,
    /// The register of target names, which are unique in the collector.
    pub names: Arc<TargetNames>,
    /// The network that leads to the targets.
    pub network: Network,
    /// The mapping of one document. A body is mapped where it is read, so that no document waits
    /// for a slow endpoint.
    pub mapping: DocumentMapping,
    /// Whether polls come with the text of their bodies, which a command shows or records.
    pub keeps_text: bool,
}

/// An error while building a receiver.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The settings of TLS or of a header are wrong.
    #[error(transparent)]
    Settings(#[from] ConfigError),
    /// A definition was removed or damaged after the check of the configuration.
    #[error(transparent)]
    Definition(#[from] LoadError),
    /// The settings of the HTTP client contradict each other, or a file has no PEM.
    #[error("failed to set up the HTTP client")]
    Client(#[source] reqwest::Error),
    /// The settings of a source of targets are wrong.
    #[error(transparent)]
    Discovery(#[from] discovery::BuildError),
    /// No path can be appended to the URL of a target.
    #[error("{url} has a query or a fragment, so no path can be appended")]
    NoBase {
        /// The URL.
        url: String,
    },
    /// A target has no URL.
    #[error("a target has no endpoint")]
    NoEndpoint,
    /// The URL of an endpoint is not a URL.
    #[error("`{url}` is not a URL")]
    Url {
        /// The base URL and the path.
        url: String,
    },
}
