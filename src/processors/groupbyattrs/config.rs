//! The configuration of `groupbyattrs`.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::GroupByAttrs;
use crate::{
    pipeline::Processor,
    yaml::{Cursor, Diagnostics},
};

/// Moves attributes of data points to the Resource.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Config {
    /// The attributes to move. Points without any of them stay where they are.
    pub keys: Vec<String>,
}

impl Config {
    /// Checks what the types cannot check.
    pub fn check(&self, at: &Cursor<'_>, diagnostics: &mut Diagnostics) {
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

    /// Creates the processor.
    pub fn build(&self) -> Arc<dyn Processor> {
        Arc::new(GroupByAttrs {
            keys: self.keys.clone().into(),
        })
    }
}
