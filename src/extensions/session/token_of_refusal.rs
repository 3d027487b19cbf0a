//! A token that the server gives with the answer that refuses a request, as Transmission does.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use http::{HeaderMap, HeaderName, StatusCode};

use super::config::Token;
use crate::client::auth::{
    AuthError, AuthRequest, Credentials, HeaderCredentials, Refusal, ServerAuthenticator, is_same,
};

/// Takes the token of a refusal, and sends it from then on.
#[derive(Debug)]
pub(super) struct TokenOfRefusal {
    token: Option<Token>,
    renew_on: Vec<StatusCode>,
    current: Mutex<Arc<dyn Credentials>>,
}

/// Before the first refusal there is no token.
#[derive(Debug)]
struct NoToken;

impl Credentials for NoToken {
    fn apply(&self, _request: AuthRequest<'_>) -> Result<(), AuthError> {
        Ok(())
    }
}

impl Token {
    /// The header of requests with this token. `None` if no header can have it.
    pub(super) fn credentials(&self, token: &str) -> Option<HeaderCredentials> {
        let name: HeaderName = self.header.parse().ok()?;
        let value = self.format.replacen("{}", token.trim(), 1).parse().ok()?;
        Some(HeaderCredentials::new(name, value))
    }

    /// The token in the header of an answer.
    pub(super) fn in_headers<'h>(&self, headers: &'h HeaderMap) -> Option<&'h str> {
        let name = self.header_of_answer.as_ref()?;
        headers.get(name)?.to_str().ok()
    }
}

impl TokenOfRefusal {
    pub(super) fn new(token: Option<Token>, renew_on: Vec<StatusCode>) -> Self {
        Self {
            token,
            renew_on,
            current: Mutex::new(Arc::new(NoToken)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Arc<dyn Credentials>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl ServerAuthenticator for TokenOfRefusal {
    async fn credentials(&self) -> Result<Arc<dyn Credentials>, AuthError> {
        Ok(Arc::clone(&self.lock()))
    }

    async fn refused(
        &self,
        used: &Arc<dyn Credentials>,
        refusal: Refusal<'_>,
    ) -> Result<Option<Arc<dyn Credentials>>, AuthError> {
        if !self.renew_on.contains(&refusal.status) {
            return Ok(None);
        }
        let token = self.token.as_ref();
        let given = token.and_then(|token| token.credentials(token.in_headers(refusal.headers)?));
        let mut current = self.lock();
        if let Some(given) = given {
            *current = Arc::new(given);
        } else if is_same(&current, used) {
            return Ok(None);
        }
        Ok(Some(Arc::clone(&current)))
    }
}
