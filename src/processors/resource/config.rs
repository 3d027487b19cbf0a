//! The configuration of `resource`.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Resource;
use crate::{
    pipeline::Processor,
    processors::actions::{self, ActionConfig},
    yaml::{Cursor, Diagnostics},
};

/// Changes attributes of the Resource.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Config {
    /// The actions, applied in this order.
    pub attributes: Vec<ActionConfig>,
}

impl Config {
    /// Checks what the types cannot check.
    pub fn check(&self, at: &Cursor<'_>, diagnostics: &mut Diagnostics) {
        actions::check(&self.attributes, "attributes", at, diagnostics);
    }

    /// Creates the processor.
    pub fn build(&self) -> Arc<dyn Processor> {
        Arc::new(Resource(Arc::new(actions::compile(&self.attributes))))
    }
}
