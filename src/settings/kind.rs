//! The types of components, for the registers of receivers, processors, exporters and extensions.

use schemars::{Schema, SchemaGenerator};
use serde::de::DeserializeOwned;

use crate::yaml::{self, Cursor, Diagnostics, Foreign};

/// A type of component.
#[derive(Debug, Clone, Copy)]
pub struct ComponentType {
    /// The type name in the configuration.
    pub name: &'static str,
    /// Older names of the same type.
    pub aliases: &'static [&'static str],
    /// Describes the component in one sentence.
    pub about: &'static str,
    /// Creates the JSON Schema of its configuration.
    pub schema: fn(&mut SchemaGenerator) -> Schema,
    /// Keys that only the Collector's component has.
    pub foreign: &'static Foreign,
}

impl ComponentType {
    /// Whether `name` is this type or one of its aliases.
    pub fn is(&self, name: &str) -> bool {
        self.name == name || self.aliases.contains(&name)
    }

    /// Reads the configuration of a component of this type.
    pub fn decode<T: DeserializeOwned>(
        &self,
        at: &Cursor<'_>,
        diagnostics: &mut Diagnostics,
    ) -> Option<T> {
        yaml::decode_foreign(at.node, &at.path, self.foreign, diagnostics)
    }

    /// Reports that no code decodes this type, although a register has it. The configuration must
    /// not become another component.
    pub fn not_read<T>(&self, at: &Cursor<'_>, diagnostics: &mut Diagnostics) -> Option<T> {
        let message = format!("this build has no component of type `{}` here", self.name);
        at.error(&[], message, diagnostics);
        None
    }
}
