//! The configuration of `groupbyattrs`.

use std::sync::Arc;

use schemars::{JsonSchema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::GroupByAttrs;
use crate::{
    pipeline::Processor,
    processors::contract::{self, ProcessorConfig, ProcessorContext, ProcessorType},
    yaml::{Cursor, Diagnostics, Foreign},
};

/// The entry of the register.
pub const TYPE: ProcessorType = ProcessorType {
    name: "groupbyattrs",
    aliases: &[],
    about: "Moves attributes of data points to the Resource.",
    schema: SchemaGenerator::subschema_for::<Config>,
    foreign: &Foreign::NONE,
    decode: contract::decode::<Config>,
};

/// Moves attributes of data points to the Resource.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Config {
    /// The attributes to move. Points without any of them stay where they are.
    pub keys: Vec<String>,
}

impl ProcessorConfig for Config {
    fn check(&self, at: &Cursor<'_>, diagnostics: &mut Diagnostics) {
        if self.keys.is_empty() {
            let message =
                "passes everything on without `keys`: each target is one Resource already";
            at.warning(&["keys"], message, diagnostics);
        }
        for (index, key) in self.keys.iter().enumerate() {
            let path = ["keys", &index.to_string()];
            if key.is_empty() {
                at.error(&path, "cannot be empty", diagnostics);
            }
            if self.keys.iter().take(index).any(|other| other == key) {
                at.error(&path, format!("`{key}` is there twice"), diagnostics);
            }
        }
    }

    fn build(&self, _context: &ProcessorContext<'_>) -> Arc<dyn Processor> {
        Arc::new(GroupByAttrs {
            keys: self.keys.clone().into(),
        })
    }
}
