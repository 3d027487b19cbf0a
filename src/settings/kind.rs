//! A kind of component, for the registers of receivers, processors, exporters and extensions.

use schemars::{Schema, SchemaGenerator};
use serde::de::DeserializeOwned;

use crate::yaml::{self, Cursor, Diagnostics, Foreign};

/// A kind of component.
#[derive(Debug, Clone, Copy)]
pub struct ComponentType {
    /// Its type in the configuration.
    pub name: &'static str,
    /// Older names that mean the same.
    pub aliases: &'static [&'static str],
    /// What it does, in one sentence.
    pub about: &'static str,
    /// The JSON Schema of its configuration.
    pub schema: fn(&mut SchemaGenerator) -> Schema,
    /// Keys that only the Collector's has.
    pub foreign: &'static Foreign,
}

impl ComponentType {
    /// Whether `name` means this kind.
    pub fn is(&self, name: &str) -> bool {
        self.name == name || self.aliases.contains(&name)
    }

    /// Reads the configuration of a component of this kind.
    pub fn decode<T: DeserializeOwned>(
        &self,
        at: &Cursor<'_>,
        diagnostics: &mut Diagnostics,
    ) -> Option<T> {
        yaml::decode_foreign(at.node, &at.path, self.foreign, diagnostics)
    }

    /// Says that nobody reads the configuration of this kind: it stands in a register, and the
    /// register has no entry that decodes it. It must not become another component.
    pub fn not_read<T>(&self, at: &Cursor<'_>, diagnostics: &mut Diagnostics) -> Option<T> {
        let message = format!("this build has no component of type `{}` here", self.name);
        at.error(&[], message, diagnostics);
        None
    }
}
