//! How an endpoint of a definition is identified, and how it appears in metrics.

use std::{fmt, sync::Arc};

use opentelemetry::KeyValue;

use crate::telemetry::names;

/// Identifies an endpoint within its definition: the name that the definition gives it.
///
/// A path does not identify an endpoint: two endpoints may send different requests to one path.
/// State that outlives a reload is found again by this id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EndpointId(Arc<str>);

/// What metrics, logs and pages show of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointLabels {
    /// Its name in the definition.
    pub id: EndpointId,
    /// Its path without the values of the query.
    pub path: Arc<str>,
}

impl EndpointId {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for EndpointId {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

impl fmt::Display for EndpointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl EndpointLabels {
    /// Those of the endpoint `id`.
    pub fn new(id: &str, path: &str) -> Self {
        Self {
            id: id.into(),
            path: path.into(),
        }
    }

    /// The attributes of every metric about this endpoint, in ascending order of their keys.
    pub fn attributes(&self) -> [KeyValue; 2] {
        [
            KeyValue::new(names::ENDPOINT, Arc::clone(&self.id.0)),
            KeyValue::new(names::URL_TEMPLATE, Arc::clone(&self.path)),
        ]
    }
}
