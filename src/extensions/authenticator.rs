//! What all extensions that authenticate requests have in common.

use std::sync::Arc;

use super::contract::{AuthenticatorContext, Extension, ExtensionConfig, ExtensionContext};
use crate::{client::auth::Authenticator, settings::BuildError};

/// An extension that only authenticates requests.
struct AuthenticatorExtension(Option<Arc<dyn Authenticator>>);

impl Extension for AuthenticatorExtension {
    fn authenticator(&self) -> Option<&Arc<dyn Authenticator>> {
        self.0.as_ref()
    }
}

/// The extension of an authenticator. One whose settings did not change keeps what it has learned:
/// its token, its sessions.
pub(super) fn extension(
    config: &dyn ExtensionConfig,
    context: &ExtensionContext<'_>,
) -> Result<Arc<dyn Extension>, BuildError> {
    let running = context.running.filter(|_| context.is_same);
    let kept = running.and_then(Extension::authenticator).cloned();
    let authenticator = match kept {
        Some(kept) => Some(kept),
        None => config.authenticator(&AuthenticatorContext {
            status: &context.status,
            tasks: &context.tasks,
            clock: context.clock,
        })?,
    };
    Ok(Arc::new(AuthenticatorExtension(authenticator)))
}
