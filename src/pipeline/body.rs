//! The body of an endpoint's answer, which may have come in several parts.

use std::{fmt, sync::Arc, time::SystemTime};

use bytes::Bytes;
use serde_json::Value;

use super::{Allowance, Document, Readings, Share};
use crate::definition::{FoundElements, RequestElement};

/// A body of this size in bytes, or more, is large: its memory is counted, and it is processed on a
/// separate thread, so that the network does not wait for it.
pub const LARGE_BYTES: usize = 64 * 1024;

/// Parses the text of bodies.
pub trait BodyReader: Send + Sync {
    /// The document. `None` if the text is none.
    fn document(&self, text: &Bytes) -> Option<Value>;
}

impl<F: Fn(&Bytes) -> Option<Value> + Send + Sync> BodyReader for F {
    fn document(&self, text: &Bytes) -> Option<Value> {
        self(text)
    }
}

/// A body that was read.
///
/// It holds no document: a document takes up to seven times the memory of its text, so it is mapped
/// to readings where it is read and dropped there.
#[derive(Clone)]
pub struct Body {
    /// The decompressed text. It is empty after [`Body::release_text`].
    pub raw: Bytes,
    /// The length of the text in bytes.
    pub size: usize,
    /// When it had arrived completely.
    pub received: SystemTime,
    /// The number of characters and numbers that its format does not allow. They were read as
    /// U+FFFD, as nothing or as text.
    pub repaired: u64,
    /// The status of the answer if it is no success, and accepted all the same.
    pub accepted_status: Option<u16>,
    /// What the definition finds in it. `None` in the copy for the cache.
    readings: Option<Box<Readings>>,
    /// The answers that it is made of, if there are several: pages, and one for each element of
    /// another endpoint's answer.
    parts: Option<Arc<[BodyPart]>>,
    /// What other endpoints are requested for.
    derived: Vec<Derived>,
    reader: Arc<dyn BodyReader>,
    accounts: Option<Arc<Accounts>>,
}

/// What an endpoint is requested for.
#[derive(Clone)]
pub struct Derived {
    /// Index of the endpoint in the definition.
    pub endpoint: usize,
    /// The elements.
    pub found: Arc<FoundElements>,
}

/// One of the answers that a body is made of.
#[derive(Clone)]
pub struct BodyPart {
    /// The decompressed text.
    pub raw: Bytes,
    /// The parts of one group are the pages of one answer.
    pub group: usize,
    /// The element that the request was made for.
    pub element: Option<Arc<RequestElement>>,
}

/// The limits that count the memory of a body.
struct Accounts {
    _text: Option<Share>,
    /// The limit for cached bodies.
    kept: Arc<Allowance>,
}

impl Body {
    /// A body with this text, which `read` parses.
    pub fn new(
        raw: Bytes,
        received: SystemTime,
        read: impl Fn(&Bytes) -> Option<Value> + Send + Sync + 'static,
    ) -> Self {
        Self::read_by(raw, received, Arc::new(read))
    }

    /// A body with this text, which `reader` parses.
    pub fn read_by(raw: Bytes, received: SystemTime, reader: Arc<dyn BodyReader>) -> Self {
        Self {
            size: raw.len(),
            raw,
            received,
            repaired: 0,
            accepted_status: None,
            readings: None,
            parts: None,
            derived: Vec::new(),
            reader,
            accounts: None,
        }
    }

    /// The same body with several answers, whose texts have `size` bytes together. `raw` is the
    /// text of the first one.
    #[must_use]
    pub fn in_parts(self, parts: Vec<BodyPart>, size: usize) -> Self {
        Self {
            size,
            parts: Some(parts.into()),
            ..self
        }
    }

    /// Sets what other endpoints are requested for.
    pub fn set_derived(&mut self, derived: Vec<Derived>) {
        self.derived = derived;
    }

    /// What other endpoints are requested for.
    pub fn derived(&self) -> &[Derived] {
        &self.derived
    }

    /// The answers that it is made of, if there may be several.
    pub fn parts(&self) -> Option<&[BodyPart]> {
        self.parts.as_deref()
    }

    /// Whether it is made of several answers.
    pub fn has_parts(&self) -> bool {
        self.parts.is_some()
    }

    /// Parses each of the answers that it is made of, and hands the documents on. False if one
    /// cannot be parsed.
    pub fn for_each_part(&self, mut take: impl FnMut(&Document<'_>)) -> bool {
        let parts = self.parts.as_deref().unwrap_or_default();
        parts.iter().all(|part| {
            let document = self.reader.document(&part.raw);
            if let Some(document) = &document {
                take(&Document {
                    value: document,
                    text_bytes: part.raw.len(),
                    group: part.group,
                    element: part.element.as_deref(),
                });
            }
            document.is_some()
        })
    }

    /// Sets what the definition finds in it.
    pub fn set_readings(&mut self, readings: Readings) {
        self.readings = Some(Box::new(readings));
    }

    /// The same body with the memory of its `text` counted, if it is large. A cached copy counts
    /// against `kept`.
    #[must_use]
    pub fn accounted(self, text: Option<Share>, kept: &Arc<Allowance>) -> Self {
        if !self.is_large() {
            return self;
        }
        let accounts = Accounts {
            _text: text,
            kept: Arc::clone(kept),
        };
        Self {
            accounts: Some(Arc::new(accounts)),
            ..self
        }
    }

    /// A copy for the cache, with the text alone: readings need more memory than the text, and most
    /// cached bodies are never read. `None` if there is no room.
    #[must_use]
    pub fn to_keep(&self) -> Option<Self> {
        let mut accounts = self.accounts.clone();
        if let Some(account) = accounts.as_mut().filter(|_| self.is_large()) {
            *account = Arc::new(Accounts {
                _text: Some(account.kept.take(self.size as u64)?),
                kept: Arc::clone(&account.kept),
            });
        }
        Some(Self {
            raw: self.raw.clone(),
            size: self.size,
            received: self.received,
            repaired: self.repaired,
            accepted_status: self.accepted_status,
            readings: None,
            parts: self.parts.clone(),
            derived: Vec::new(),
            reader: Arc::clone(&self.reader),
            accounts,
        })
    }

    /// Whether it is processed on a separate thread.
    pub fn is_large(&self) -> bool {
        self.size > LARGE_BYTES
    }

    /// Parses the text, of several answers that of the first one. `None` if that fails, or if the
    /// text was released.
    pub fn document(&self) -> Option<Value> {
        self.reader.document(&self.raw)
    }

    /// Whether it has readings.
    pub fn is_mapped(&self) -> bool {
        self.readings.is_some()
    }

    /// Whether a value in it could not be read.
    pub fn has_problems(&self) -> bool {
        let readings = self.readings.as_ref();
        readings.is_some_and(|readings| !readings.problems.is_empty())
    }

    /// Takes the readings out of it.
    pub fn take_readings(&mut self) -> Option<Readings> {
        self.readings.take().map(|readings| *readings)
    }

    /// Releases the text and its memory. The readings stay.
    pub fn release_text(&mut self) {
        self.raw = Bytes::new();
        self.parts = None;
        self.accounts = None;
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body")
            .field("bytes", &self.size)
            .field("received", &self.received)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn a_kept_body_holds_its_text_alone_and_can_be_read_again() {
        let read = |raw: &Bytes| serde_json::from_slice(raw).ok();
        let mut body = Body::new(Bytes::from_static(b"[1, 2]"), UNIX_EPOCH, read);
        body.set_readings(Readings::default());
        let kept = body.to_keep().unwrap();
        assert!(body.is_mapped() && !kept.is_mapped());
        assert_eq!(kept.document(), Some(serde_json::json!([1, 2])));
        body.release_text();
        assert_eq!((body.raw.len(), body.size), (0, 6));
        assert_eq!(body.document(), None);
        assert!(body.take_readings().is_some() && body.take_readings().is_none());
    }

    #[test]
    fn cached_bodies_have_their_own_limit() {
        let text: &'static str = Box::leak("7".repeat(LARGE_BYTES + 1).into_boxed_str());
        let [all, kept] = [100_000, 100_000].map(Allowance::new);
        let share = all.take(text.len() as u64);
        let raw = Bytes::from_static(text.as_bytes());
        let body = Body::new(raw, UNIX_EPOCH, |_| None);
        let mut body = body.accounted(share, &kept);
        let first = body.to_keep().unwrap();
        assert!(body.to_keep().is_none(), "there is no room for another one");
        body.release_text();
        assert!(body.is_large(), "also without its text");
        assert_eq!((all.taken(), kept.taken()), (0, text.len() as u64));
        drop(first);
        assert_eq!(kept.taken(), 0);
    }
}
