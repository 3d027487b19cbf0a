//! The configuration of `resource`.

use std::sync::Arc;

use schemars::{JsonSchema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::Resource;
use crate::{
    pipeline::Processor,
    processors::{
        actions::{self, ActionConfig},
        contract::{self, ProcessorConfig, ProcessorContext, ProcessorType},
    },
    yaml::{Cursor, Diagnostics, Foreign},
};

/// The entry of the register.
pub const TYPE: ProcessorType = ProcessorType {
    name: "resource",
    aliases: &[],
    about: "Sets, removes and changes attributes of the Resource.",
    schema: SchemaGenerator::subschema_for::<Config>,
    foreign: &Foreign::NONE,
    decode: contract::decode::<Config>,
};

/// Changes attributes of the Resource.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Config {
    /// The actions, applied in this order.
    pub attributes: Vec<ActionConfig>,
}

impl ProcessorConfig for Config {
    fn check(&self, at: &Cursor<'_>, diagnostics: &mut Diagnostics) {
        actions::check(&self.attributes, "attributes", at, diagnostics);
    }

    fn build(&self, _context: &ProcessorContext<'_>) -> Arc<dyn Processor> {
        Arc::new(Resource(Arc::new(actions::compile(&self.attributes))))
    }
}
