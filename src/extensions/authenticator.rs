//! What all extensions that authenticate requests have in common: settings that make an
//! authenticator.

use std::sync::Arc;

use super::contract::{AuthenticatorContext, Extension, ExtensionConfig, ExtensionContext};
use crate::{
    client::auth::Authenticator,
    settings::{BuildError, Capability, ComponentConfig},
    yaml::{Cursor, Diagnostics},
};

/// The settings of an extension that only authenticates requests.
pub(super) trait AuthenticatorConfig: ComponentConfig {
    /// For whom it authenticates. One that signs requests, or answers to what a server said before,
    /// cannot do this over gRPC.
    const OFFERS: &'static [Capability] = &[Capability::Authenticator];

    /// Checks what the types cannot check.
    fn report_mistakes(&self, at: &Cursor<'_>, diagnostics: &mut Diagnostics);

    /// What authenticates the requests.
    ///
    /// # Errors
    /// If the settings cannot be used.
    fn build(
        &self,
        context: &AuthenticatorContext<'_>,
    ) -> Result<Arc<dyn Authenticator>, BuildError>;
}

/// An extension that only authenticates requests.
struct AuthenticatorExtension(Arc<dyn Authenticator>);

impl Extension for AuthenticatorExtension {
    fn authenticator(&self) -> Option<&Arc<dyn Authenticator>> {
        Some(&self.0)
    }
}

impl<T: AuthenticatorConfig> ExtensionConfig for T {
    fn check(&self, at: &Cursor<'_>, diagnostics: &mut Diagnostics) {
        self.report_mistakes(at, diagnostics);
    }

    fn offers(&self) -> &'static [Capability] {
        T::OFFERS
    }

    fn authenticator(
        &self,
        context: &AuthenticatorContext<'_>,
    ) -> Result<Option<Arc<dyn Authenticator>>, BuildError> {
        AuthenticatorConfig::build(self, context).map(Some)
    }

    /// One whose settings did not change keeps what it has learned: its token, its sessions.
    fn build(&self, context: &mut ExtensionContext<'_>) -> Result<Arc<dyn Extension>, BuildError> {
        let running = context.running.filter(|_| context.is_same);
        let kept = running.and_then(Extension::authenticator).cloned();
        let authenticator = match kept {
            Some(kept) => kept,
            None => AuthenticatorConfig::build(
                self,
                &AuthenticatorContext {
                    status: &context.status,
                    tasks: &context.tasks,
                    clock: context.clock,
                },
            )?,
        };
        Ok(Arc::new(AuthenticatorExtension(authenticator)))
    }
}
