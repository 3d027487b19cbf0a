//! The common part of all components of a configuration: their types, as the registers of
//! receivers, processors, exporters and extensions list them, and their decoded settings.

use std::{any::Any, fmt, ops::Deref, sync::Arc};

use schemars::{Schema, SchemaGenerator};
use serde::{Serialize, Serializer};

use super::ComponentId;
use crate::yaml::{self, Cursor, Diagnostics, Foreign};

/// Why a component cannot be built or started.
pub type BuildError = Box<dyn std::error::Error + Send + Sync>;

/// Decodes and checks the settings of a component. The first argument are the keys that only the
/// Collector's component has. Mistakes go to the diagnostics.
pub type Decode<C> = fn(&'static Foreign, &Cursor<'_>, &mut Diagnostics) -> Option<Arc<C>>;

/// A type of component: one entry of a register. `C` is the contract of its settings, for example
/// `dyn ExporterConfig`.
pub struct ComponentType<C: ?Sized + 'static> {
    /// The type name in the configuration.
    pub name: &'static str,
    /// Older names of the same type.
    pub aliases: &'static [&'static str],
    /// Describes the component in one sentence.
    pub about: &'static str,
    /// Creates the JSON Schema of its settings.
    pub schema: fn(&mut SchemaGenerator) -> Schema,
    /// Keys that only the Collector's component has.
    pub foreign: &'static Foreign,
    /// Decodes and checks its settings.
    pub decode: Decode<C>,
}

/// What all settings of components can do. Every type with these traits has it.
pub trait ComponentConfig: Any + fmt::Debug + Send + Sync + erased_serde::Serialize {
    /// Whether `other` has the same type and the same values.
    fn is_equal(&self, other: &dyn Any) -> bool;

    /// The settings, for a comparison.
    fn as_any(&self) -> &dyn Any;
}

impl<T: Any + fmt::Debug + Send + Sync + Serialize + PartialEq> ComponentConfig for T {
    fn is_equal(&self, other: &dyn Any) -> bool {
        other.downcast_ref() == Some(self)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// A configured component: its type and its settings. Clones share the settings.
pub struct Component<C: ?Sized + 'static> {
    kind: ComponentType<C>,
    config: Arc<C>,
}

/// What an extension can offer to other components.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capability {
    /// It stores data on disk.
    Storage,
    /// It authenticates requests over HTTP.
    Authenticator,
    /// It authenticates calls over gRPC, of which it sees only the headers.
    GrpcAuthenticator,
}

/// An extension that the settings of a component name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtensionUse<'c> {
    /// The extension.
    pub id: &'c ComponentId,
    /// What the component needs from it.
    pub needs: Capability,
    /// The key that names it, below the component.
    pub key: Vec<String>,
}

impl<'c> ExtensionUse<'c> {
    /// The extension `id`, named by `key` below the component.
    pub fn new(id: &'c ComponentId, needs: Capability, key: &[&str]) -> Self {
        let key = key.iter().map(|key| (*key).to_owned()).collect();
        Self { id, needs, key }
    }

    /// The same use, where the key stands below `above`.
    #[must_use]
    pub fn below(mut self, above: &[&str]) -> Self {
        let above = above.iter().map(|key| (*key).to_owned());
        self.key.splice(0..0, above);
        self
    }
}

impl Capability {
    /// Completes the message about an extension that does not offer it: "references extension …".
    pub fn missing(self) -> &'static str {
        match self {
            Self::Storage => "which stores nothing",
            Self::Authenticator => "which authenticates no requests",
            Self::GrpcAuthenticator => "which cannot authenticate calls over gRPC",
        }
    }
}

impl<C: ?Sized> ComponentType<C> {
    /// Whether `name` is this type or one of its aliases.
    pub fn is(&self, name: &str) -> bool {
        self.name == name || self.aliases.contains(&name)
    }

    /// Reads and checks the configuration of a component of this type.
    pub fn read(&self, at: &Cursor<'_>, diagnostics: &mut Diagnostics) -> Option<Component<C>> {
        let config = (self.decode)(self.foreign, at, diagnostics)?;
        Some(Component {
            kind: *self,
            config,
        })
    }
}

impl<C: ?Sized> Component<C> {
    /// A component of the same type for which nothing is configured. `None` if that is impossible.
    pub fn defaults(&self) -> Option<Self> {
        // What it lacks is no mistake here.
        let mut diagnostics = Diagnostics::new();
        let nothing = yaml::parse("defaults", "{}", &mut diagnostics)?;
        self.kind.read(&Cursor::new(&nothing, ""), &mut diagnostics)
    }

    /// The same component with other settings.
    #[must_use]
    pub fn with(&self, config: Arc<C>) -> Self {
        Self {
            kind: self.kind,
            config,
        }
    }
}

impl<C: ?Sized> Copy for ComponentType<C> {}

impl<C: ?Sized> Clone for ComponentType<C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C: ?Sized> fmt::Debug for ComponentType<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl<C: ?Sized> Deref for Component<C> {
    type Target = C;

    fn deref(&self) -> &C {
        &self.config
    }
}

impl<C: ?Sized> Clone for Component<C> {
    fn clone(&self) -> Self {
        self.with(Arc::clone(&self.config))
    }
}

impl<C: ?Sized + ComponentConfig> PartialEq for Component<C> {
    fn eq(&self, other: &Self) -> bool {
        self.kind.name == other.kind.name && self.config.is_equal(other.config.as_any())
    }
}

impl<C: ?Sized + fmt::Debug> fmt::Debug for Component<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.config.fmt(f)
    }
}

impl<C: ?Sized + ComponentConfig> Serialize for Component<C> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        erased_serde::serialize(&*self.config, to)
    }
}
