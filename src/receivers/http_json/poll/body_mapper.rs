//! From the text of a body to readings, in one step.
//!
//! The document between the two takes up to seven times the memory of the text. It exists only
//! inside this step, so it never waits for another endpoint, for a retry or for a pipeline.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use bytes::Bytes;

use crate::{
    definition::{Definition, FoundElements, PageClue, Pages, PagesError},
    pipeline::{Body, BodyPart, Derived, Document, DocumentMapping, PartReadings, Readings},
    receivers::http_json::format::{error::DocumentError, reader::Reader},
};

/// Reads and maps the bodies of one endpoint.
#[derive(Clone)]
pub(crate) struct BodyMapper {
    pub(crate) reader: Arc<Reader>,
    pub(crate) definition: Arc<Definition>,
    /// Index of the endpoint in the definition.
    pub(crate) endpoint: usize,
    pub(crate) mapping: DocumentMapping,
}

/// Those of a receiver, each of which all targets with an endpoint share.
#[derive(Default)]
pub(crate) struct BodyMappers(Mutex<Vec<Arc<BodyMapper>>>);

impl BodyMappers {
    /// That of an endpoint, which `make` makes.
    pub(crate) fn of(
        &self,
        definition: &Arc<Definition>,
        endpoint: usize,
        make: impl FnOnce() -> BodyMapper,
    ) -> Arc<BodyMapper> {
        // The list is consistent at every moment, so a panic elsewhere does no damage.
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it = |known: &&Arc<BodyMapper>| {
            Arc::ptr_eq(&known.definition, definition) && known.endpoint == endpoint
        };
        if let Some(known) = all.iter().find(is_it) {
            return Arc::clone(known);
        }
        let new = Arc::new(make());
        all.push(Arc::clone(&new));
        new
    }
}

/// One of several answers, read and mapped.
pub(crate) struct MappedPart {
    pub(crate) readings: PartReadings,
    /// What other endpoints are requested for.
    pub(crate) derived: Vec<Derived>,
    /// What it says of the next page.
    pub(crate) clue: Result<PageClue, PagesError>,
    /// The number of repaired places in its text.
    pub(crate) repaired: u64,
}

impl BodyMapper {
    /// Reads and maps a text whose last byte arrived at `received`.
    pub(crate) fn body(&self, raw: Bytes, received: SystemTime) -> Result<Body, DocumentError> {
        let decoded = self.reader.read(&raw)?;
        let document = Document::only(&decoded.value, raw.len());
        let readings = (self.mapping.whole)(&self.definition, self.endpoint, &document);
        let mut body = self.reader.body(raw, received);
        body.repaired = decoded.repaired;
        body.set_readings(readings);
        body.set_derived(self.derived(&document));
        Ok(body)
    }

    /// Reads and maps one of several texts.
    pub(crate) fn part(
        &self,
        part: &BodyPart,
        pages: Option<&Pages>,
    ) -> Result<MappedPart, DocumentError> {
        let look = |document: &_| match pages {
            Some(pages) => pages.clue(document, part.raw.len()),
            None => Ok(PageClue::Last),
        };
        let (decoded, clue) = self.reader.read_after(&part.raw, look)?;
        let document = Document {
            value: &decoded.value,
            text_bytes: part.raw.len(),
            group: part.group,
            element: part.element.as_deref(),
        };
        Ok(MappedPart {
            derived: self.derived(&document),
            readings: (self.mapping.part)(&self.definition, self.endpoint, &document),
            clue,
            repaired: decoded.repaired,
        })
    }

    /// What other endpoints are requested for, by a document.
    fn derived(&self, document: &Document<'_>) -> Vec<Derived> {
        let children = self.definition.derived_from(self.endpoint);
        let found = children.map(|(endpoint, derivation)| {
            let found = derivation.find(document.value, document.text_bytes);
            let found = found.unwrap_or_else(|error| FoundElements::unknown(&error));
            Derived {
                endpoint,
                found: Arc::new(found),
            }
        });
        found.collect()
    }

    /// Joins what several texts gave.
    pub(crate) fn join(&self, parts: Vec<PartReadings>) -> Readings {
        (self.mapping.join)(&self.definition, self.endpoint, parts)
    }

    /// Reads and maps a body of which only the text was kept.
    pub(crate) fn map_kept(&self, kept: &Body) -> (Readings, Vec<Derived>) {
        let document = kept.document();
        let map = |document| {
            let document = Document::only(&document, kept.size);
            let readings = (self.mapping.whole)(&self.definition, self.endpoint, &document);
            (readings, self.derived(&document))
        };
        document.map(map).unwrap_or_default()
    }
}
