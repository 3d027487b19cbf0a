//! What turns a poll into readings: the register of processors.
//!
//! The mapping comes first in every pipeline and has nothing to configure: the definition is its
//! configuration.

pub mod mapping;

use std::sync::Arc;

use opentelemetry::metrics::Meter;
use serde::Serialize;

use crate::{
    pipeline::Processor,
    settings::Kind,
    yaml::{Cursor, Diagnostics},
};

/// All kinds of processors that can be configured.
pub const KINDS: &[Kind] = &[];

/// What the configuration says of one processor; there is no kind yet.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Config {}

/// What processors are built with beside their configuration.
#[derive(Debug)]
pub struct Context<'a> {
    /// For what they say of themselves.
    pub meter: &'a Meter,
}

impl Config {
    /// Reads and checks the configuration of a processor of kind `kind`.
    pub fn decode(_kind: &Kind, _at: &Cursor<'_>, _diagnostics: &mut Diagnostics) -> Option<Self> {
        None
    }

    /// Builds the processor `id` for one pipeline.
    pub fn build(&self, _id: &str, _context: &Context<'_>) -> Arc<dyn Processor> {
        match *self {}
    }
}
