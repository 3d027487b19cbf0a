//! One document of an API: how it is asked for, and how the answer is read.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use super::{
    derivation::Derivation,
    endpoint_id::{EndpointId, EndpointLabels},
    pages::Pages,
    request::Request,
    transform::Transform,
};
use crate::settings::Pattern;

/// One document of an API.
#[derive(Debug)]
pub struct Endpoint {
    /// Its name in the definition, which rules refer to. No other endpoint has the same.
    pub id: EndpointId,
    /// Path below the target's URL as metrics, logs and pages show it, without the values of the
    /// query and of references: `/prices?key={key}`. Several endpoints may have the same.
    pub path: Arc<str>,
    /// What it is asked for.
    pub request: Arc<Request>,
    /// The elements of another endpoint's answer for which it is requested.
    pub derivation: Option<Derivation>,
    /// How the rest of a long answer is found.
    pub pages: Option<Arc<Pages>>,
    /// How its body is read.
    pub format: BodyFormat,
    /// What turns its document into another one.
    pub transform: Option<Arc<Transform>>,
    /// How often it is asked; none for at every poll.
    pub interval: Option<Duration>,
    /// Name of the instrumentation scope of its metrics: `definition/endpoint`.
    pub scope: Arc<str>,
    /// How problems name it: `endpoints.NAME`.
    pub subject: Arc<str>,
    /// The keys directly below the document that rules look at; none if some look at all of it.
    /// Of Prometheus text these are the families.
    pub families: Option<Arc<BTreeSet<String>>>,
}

/// How a body is read.
#[derive(Debug, Clone, PartialEq)]
pub enum BodyFormat {
    /// A JSON document.
    Json,
    /// A JSON document a line.
    Ndjson,
    /// Records of fields.
    Csv(CsvFormat),
    /// XML.
    Xml,
    /// What the named groups of a pattern find in each line.
    Text(Pattern),
    /// Prometheus text.
    Prometheus,
}

/// How CSV is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CsvFormat {
    /// What is between two fields.
    pub delimiter: u8,
    /// Lines that begin with this are passed.
    pub comment: Option<u8>,
    /// Whether the first record names the columns.
    pub header: bool,
}

impl BodyFormat {
    /// As files and messages call it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Json => "JSON",
            Self::Ndjson => "NDJSON",
            Self::Csv(_) => "CSV",
            Self::Xml => "XML",
            Self::Text(_) => "text",
            Self::Prometheus => "Prometheus text",
        }
    }

    /// How the name of a file with such a body ends.
    pub fn extension(&self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Ndjson => "ndjson",
            Self::Csv(_) => "csv",
            Self::Xml => "xml",
            Self::Text(_) => "txt",
            Self::Prometheus => "prom",
        }
    }

    /// Whether a body without a letter is no document, and not one without elements.
    pub fn needs_text(&self) -> bool {
        match self {
            Self::Json | Self::Xml | Self::Text(_) => true,
            Self::Csv(csv) => csv.header,
            Self::Ndjson | Self::Prometheus => false,
        }
    }
}

impl Endpoint {
    /// At every how many ticks it is polled. There is a tick after each `tick`.
    pub fn every(&self, tick: Duration) -> u32 {
        let Some(interval) = self.interval.filter(|_| !tick.is_zero()) else {
            return 1;
        };
        let ticks = interval.as_nanos() / tick.as_nanos();
        u32::try_from(ticks).unwrap_or(u32::MAX).max(1)
    }

    /// What metrics, logs and pages show of it.
    pub fn labels(&self) -> EndpointLabels {
        EndpointLabels {
            id: self.id.clone(),
            path: Arc::clone(&self.path),
        }
    }
}
