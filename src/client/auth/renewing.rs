//! One server's use of shared credentials: they are renewed once when the server refuses them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use http::StatusCode;

use super::{
    Acceptance, AuthError, Credentials, Refusal, ServerAuthenticator,
    shared::{Refusals, SharedCredentials},
};

/// Shared credentials for one server. A server that refuses whatever it gets does not make the
/// collector fetch credentials at every poll.
#[derive(Debug)]
pub struct RenewingAuth {
    shared: Arc<SharedCredentials>,
    renew_on: Vec<StatusCode>,
    refusals: Mutex<Refusals>,
}

impl RenewingAuth {
    /// Uses `shared`, and renews it after an answer with one of these statuses.
    pub fn new(shared: Arc<SharedCredentials>, renew_on: Vec<StatusCode>) -> Self {
        Self {
            shared,
            renew_on,
            refusals: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Refusals> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl ServerAuthenticator for RenewingAuth {
    async fn credentials(&self) -> Result<Arc<dyn Credentials>, AuthError> {
        self.shared.get().await
    }

    async fn refused(
        &self,
        used: &Arc<dyn Credentials>,
        refusal: Refusal<'_>,
    ) -> Result<Option<Arc<dyn Credentials>>, AuthError> {
        if !self.renew_on.contains(&refusal.status) {
            return Ok(None);
        }
        let may_fetch = |now| self.lock().may_fetch(now);
        self.shared.other_than(used, may_fetch).await
    }

    /// Only a repeat says that new credentials helped. An endpoint that refuses everybody does not
    /// look better because another one accepts.
    fn accepted(&self, _used: &Arc<dyn Credentials>, acceptance: Acceptance<'_>) {
        if acceptance.is_repeat {
            *self.lock() = Refusals::default();
        }
    }
}
