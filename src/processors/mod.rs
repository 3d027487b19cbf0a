//! What turns a poll into readings: the register of processors.
//!
//! The mapping comes first in every pipeline and has nothing to configure: the definition is its
//! configuration.

pub mod mapping;

use serde::Serialize;

use crate::{
    settings::Kind,
    yaml::{Cursor, Diagnostics},
};

/// All kinds of processors that can be configured.
pub const KINDS: &[Kind] = &[];

/// What the configuration says of one processor; there is no kind yet.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Config {}

impl Config {
    /// Reads and checks the configuration of a processor of kind `kind`.
    pub fn decode(_kind: &Kind, _at: &Cursor<'_>, _diagnostics: &mut Diagnostics) -> Option<Self> {
        None
    }
}
