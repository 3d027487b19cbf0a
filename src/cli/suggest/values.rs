//! The values of one place in two documents.

use serde_json::Value;

/// The most elements of one place that are looked at.
pub(super) const ELEMENTS_MAX: usize = 2000;

/// The value of one place in the first and in the second document.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pair<'v> {
    pub(super) first: Option<&'v Value>,
    pub(super) second: &'v Value,
}

/// The values of one place in all elements.
#[derive(Debug, Clone)]
pub(super) struct Values<'v> {
    pub(super) pairs: Vec<Pair<'v>>,
    /// Whether some element has none.
    pub(super) is_optional: bool,
}

impl Values<'_> {
    /// Whether any of them is another one than before.
    pub(super) fn have_changed(&self) -> bool {
        self.pairs
            .iter()
            .any(|pair| pair.first != Some(pair.second))
    }
}
