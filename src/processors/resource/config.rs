//! What the configuration says of `resource`.

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
    /// What is done, in this order.
    pub attributes: Vec<ActionConfig>,
}

impl Config {
    /// Checks what a type cannot say.
    pub fn check(&self, at: &Cursor<'_>, diagnostics: &mut Diagnostics) {
        actions::check(&self.attributes, "attributes", at, diagnostics);
    }

    /// Makes the processor.
    pub fn build(&self) -> Arc<dyn Processor> {
        Arc::new(Resource(Arc::new(actions::compile(&self.attributes))))
    }
}
