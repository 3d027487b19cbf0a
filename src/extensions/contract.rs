//! The contract of extensions. Nothing outside of `extensions/` knows which ones there are.

use std::sync::Arc;

use async_trait::async_trait;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use crate::{
    client::auth::Authenticator,
    http::{Listeners, ServerConfig},
    overview::Overview,
    pipeline::{Components, Mapping, ReloadTrigger, Reporter, StatusBoard},
    runtime::{Clock, Tasks},
    settings::{BuildError, Capability, ComponentConfig, ComponentType},
    storage::Directory,
    telemetry::Meter,
    yaml::{self, Cursor, Diagnostics, Foreign},
};

/// A type of extension.
pub type ExtensionType = ComponentType<dyn ExtensionConfig>;

/// The settings of an extension.
pub trait ExtensionConfig: ComponentConfig {
    /// Checks what the types cannot check. Mistakes go to `diagnostics`.
    fn check(&self, _at: &Cursor<'_>, _diagnostics: &mut Diagnostics) {}

    /// The listener of the extension, if it has one.
    fn listens_on(&self) -> Option<ServerConfig> {
        None
    }

    /// What the built extension offers to other components.
    fn offers(&self) -> &'static [Capability] {
        &[]
    }

    /// [`Capability::Authenticator`]: what authenticates requests of other components. A command
    /// that polls without a service asks for it here.
    ///
    /// # Errors
    /// If the settings cannot be used.
    fn authenticator(
        &self,
        _context: &AuthenticatorContext<'_>,
    ) -> Result<Option<Arc<dyn Authenticator>>, BuildError> {
        Ok(None)
    }

    /// Builds the extension. A reload builds all extensions again, also those that did not change,
    /// and drops them if the new configuration cannot run. So this must not affect anything that
    /// runs: [`Extension::start`] can.
    ///
    /// # Errors
    /// If the settings cannot be used, or another component has one of its paths.
    fn build(&self, context: &mut ExtensionContext<'_>) -> Result<Arc<dyn Extension>, BuildError>;
}

/// A built extension. What it offers to other components are the methods that it implements.
#[async_trait]
pub trait Extension: Send + Sync {
    /// Starts the extension, before the components that use it. After an error the configuration
    /// does not run.
    ///
    /// # Errors
    /// If it cannot work, for example because another process uses its directory.
    async fn start(&self) -> Result<(), BuildError> {
        Ok(())
    }

    /// The reporter of its status, if it is not [`ExtensionContext::status`].
    fn status(&self) -> Option<&Reporter> {
        None
    }

    /// [`Capability::Storage`]: the directory for data of other components.
    fn storage(&self) -> Option<&Directory> {
        None
    }

    /// [`Capability::Authenticator`]: what authenticates requests of other components.
    fn authenticator(&self) -> Option<&Arc<dyn Authenticator>> {
        None
    }
}

/// An extension that only registers routes.
pub(super) struct RoutesOnly;

impl Extension for RoutesOnly {}

/// What an authenticator needs in addition to its settings.
pub struct AuthenticatorContext<'a> {
    /// Shows whether there are credentials.
    pub status: &'a Reporter,
    /// Owns the tasks that fetch credentials.
    pub tasks: &'a Tasks,
    /// The time of day.
    pub clock: &'a Clock,
}

/// What an extension needs in addition to its settings.
pub struct ExtensionContext<'a> {
    /// The id of the extension, for example `health_check/eu`.
    pub id: &'a str,
    /// The running extension of this id, which the new one replaces.
    pub running: Option<&'a dyn Extension>,
    /// Whether the running one has the same settings.
    pub is_same: bool,
    /// Reports the status of the extension. It outlives reloads.
    pub status: Reporter,
    /// Creates the reporter of an extension that must not share the status of the running one.
    pub new_status: &'a dyn Fn() -> Reporter,
    /// Owns the tasks of the extension. They stop when it is replaced or removed.
    pub tasks: Tasks,
    /// Registers routes.
    pub listeners: &'a mut Listeners,
    /// Creates the extension's own metrics.
    pub meter: &'a Meter,
    /// The time of day.
    pub clock: &'a Clock,
    /// When the collector started.
    pub started: Instant,
    /// The state of the targets.
    pub board: &'a Arc<StatusBoard>,
    /// The state of the components.
    pub components: &'a Arc<Components>,
    /// The state of everything, for people.
    pub overview: &'a Arc<Overview>,
    /// Maps bodies to readings.
    pub mapping: Mapping,
    /// Triggers a reload of the configuration.
    pub reload: &'a ReloadTrigger,
}

/// Decodes and checks the settings `T`.
pub(super) fn decode<T: ExtensionConfig + DeserializeOwned>(
    foreign: &'static Foreign,
    at: &Cursor<'_>,
    diagnostics: &mut Diagnostics,
) -> Option<Arc<dyn ExtensionConfig>> {
    let config: T = yaml::decode_foreign(at.node, &at.path, foreign, diagnostics)?;
    config.check(at, diagnostics);
    Some(Arc::new(config))
}
