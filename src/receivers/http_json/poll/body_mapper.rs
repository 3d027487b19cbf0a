//! From the text of a body to readings, in one step.
//!
//! The document between the two takes up to seven times the memory of the text. It exists only
//! inside this step, so it never waits for another endpoint, for a retry or for a pipeline.

use std::{sync::Arc, time::SystemTime};

use bytes::Bytes;

use crate::{
    definition::Definition,
    pipeline::{Body, DocumentMapping, Readings},
    receivers::http_json::format::{error::DocumentError, reader::Reader},
};

/// Reads and maps the bodies of one endpoint.
#[derive(Clone)]
pub(crate) struct BodyMapper {
    pub(crate) reader: Reader,
    pub(crate) definition: Arc<Definition>,
    /// Index of the endpoint in the definition.
    pub(crate) endpoint: usize,
    pub(crate) mapping: DocumentMapping,
}

impl BodyMapper {
    /// Reads and maps a text whose last byte arrived at `received`.
    pub(crate) fn body(&self, raw: Bytes, received: SystemTime) -> Result<Body, DocumentError> {
        let decoded = self.reader.read(&raw)?;
        let readings = (self.mapping)(&self.definition, self.endpoint, &decoded.value, raw.len());
        let mut body = self.reader.body(raw, received);
        body.repaired = decoded.repaired;
        body.set_readings(readings);
        Ok(body)
    }

    /// Reads and maps a body of which only the text was kept.
    pub(crate) fn map_kept(&self, kept: &Body) -> Readings {
        let document = kept.document();
        let map = |document| (self.mapping)(&self.definition, self.endpoint, &document, kept.size);
        document.map(map).unwrap_or_default()
    }
}
