//! One document, and what belongs to it.

use serde_json::Value;

use crate::definition::RequestElement;

/// A document that is mapped.
#[derive(Debug, Clone, Copy)]
pub struct Document<'d> {
    /// The document.
    pub value: &'d Value,
    /// The length of its text in bytes, which limits the steps of a path.
    pub text_bytes: usize,
    /// The documents of one group are the pages of one answer.
    pub group: usize,
    /// The element that it was requested for.
    pub element: Option<&'d RequestElement>,
}

impl<'d> Document<'d> {
    /// The only document of a body.
    pub fn only(value: &'d Value, text_bytes: usize) -> Self {
        Self {
            value,
            text_bytes,
            group: 0,
            element: None,
        }
    }
}
