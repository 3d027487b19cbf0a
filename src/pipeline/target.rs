//! A polled target: one running instance of an API.

use std::{collections::BTreeMap, sync::Arc};

use crate::{definition::Definition, telemetry::target_metrics};

/// The attribute of a Resource with the name of the target.
pub const INSTANCE_ID: &str = "service.instance.id";

/// One running instance of an API, for example one mixnode.
#[derive(Debug, Clone)]
pub struct Target {
    /// Unique in the collector: the `target` label of a scrape, `service.instance.id` over OTLP.
    pub name: String,
    /// Id of the receiver that polls it, for example `betanet/eu`.
    pub receiver: String,
    /// Base URL without a trailing slash. Endpoint paths are appended to it. With several instances
    /// it is that of the first one.
    pub url: String,
    /// The number of instances with the same data. `None` for a target that is a single instance.
    pub replicas: Option<usize>,
    /// Host of the URL, or the path of a Unix socket.
    pub server_address: String,
    /// Port of the URL, or the default port of the scheme; 0 for a Unix socket.
    pub server_port: u16,
    /// `http` or `https`.
    pub url_scheme: String,
    /// Labels from the configuration, on every series and in the Resource.
    pub labels: Arc<BTreeMap<String, String>>,
    /// The definition of its API.
    pub definition: Arc<Definition>,
}

/// Two targets are equal if they have the same description.
impl PartialEq for Target {
    fn eq(&self, other: &Self) -> bool {
        // Everything else follows from the URL.
        Arc::ptr_eq(&self.definition, &other.definition)
            && self.name == other.name
            && self.receiver == other.receiver
            && self.url == other.url
            && self.replicas == other.replicas
            && self.labels == other.labels
    }
}

impl Target {
    /// Whether both are one target whose instances changed.
    pub fn is_same_pool(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.definition, &other.definition)
            && self.name == other.name
            && self.receiver == other.receiver
            && self.replicas.is_some()
            && other.replicas.is_some()
            && self.labels == other.labels
    }

    /// With what the names of the report metrics begin.
    pub fn report_prefix(&self) -> &str {
        target_metrics::prefix_of(&self.receiver)
    }

    /// A target without an address and without a receiver: a saved body, or a test.
    pub fn named(name: &str, definition: &Arc<Definition>) -> Self {
        Self::polled_by("none", name, definition)
    }

    /// A target without an address that this receiver would poll.
    pub fn polled_by(receiver: &str, name: &str, definition: &Arc<Definition>) -> Self {
        Self {
            name: name.to_owned(),
            receiver: receiver.to_owned(),
            url: String::new(),
            replicas: None,
            server_address: String::new(),
            server_port: 0,
            url_scheme: String::new(),
            labels: Arc::default(),
            definition: Arc::clone(definition),
        }
    }
}
