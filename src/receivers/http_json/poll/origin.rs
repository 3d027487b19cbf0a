//! The elements of another endpoint's answer, for which an endpoint is requested.

use std::sync::{Arc, Mutex, PoisonError};

use crate::definition::{Derivation, FoundElements};

/// What an endpoint is requested for.
pub(crate) struct Origin {
    /// Index of the endpoint that has the elements.
    pub(crate) parent: usize,
    pub(super) max: usize,
    pub(super) name: Arc<str>,
    /// The elements of its last answer; none if it failed, or was not polled yet.
    found: Mutex<Option<Arc<FoundElements>>>,
}

impl Origin {
    /// Nothing is known of the elements.
    pub(crate) fn new(of: &Derivation) -> Self {
        Self {
            parent: of.parent,
            max: of.max,
            name: Arc::clone(&of.name),
            found: Mutex::default(),
        }
    }

    /// The elements; none if the endpoint that has them gave no answer.
    pub(super) fn found(&self) -> Option<Arc<FoundElements>> {
        // It is replaced as a whole, so a panic elsewhere does no damage.
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.clone()
    }

    pub(super) fn follow(&self, found: Option<Arc<FoundElements>>) {
        *self.found.lock().unwrap_or_else(PoisonError::into_inner) = found;
    }
}
