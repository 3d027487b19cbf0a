//! Why a receiver cannot be built.

use crate::{client::ConfigError, definition::LoadError, discovery};

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
