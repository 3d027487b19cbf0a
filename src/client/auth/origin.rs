//! Credentials stay with their origin, and a request is repeated once with other credentials.

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, StatusCode};
use reqwest::Url;
use tokio::time::timeout;
use url::Origin;

use super::{
    Acceptance, AuthError, AuthRequest, Authenticator, Credentials, Refusal, ServerAddress,
    ServerAuthenticator,
};

/// What authenticates the requests to one origin.
#[derive(Debug, Clone)]
pub struct OriginAuth {
    origin: Arc<Origin>,
    authenticator: Arc<dyn ServerAuthenticator>,
}

/// Credentials that no other origin gets.
#[derive(Debug, Clone)]
pub struct OriginCredentials {
    origin: Arc<Origin>,
    credentials: Arc<dyn Credentials>,
}

/// What of an answer says whether credentials were accepted.
pub trait Answer {
    /// Its status. `None` if another origin gave it, after a redirect.
    fn status(&self) -> Option<StatusCode>;
    /// Its headers.
    fn headers(&self) -> &HeaderMap;
}

impl Answer for reqwest::Response {
    fn status(&self) -> Option<StatusCode> {
        Some(Self::status(self))
    }

    fn headers(&self) -> &HeaderMap {
        Self::headers(self)
    }
}

impl OriginAuth {
    /// The part of `authenticator` for a server.
    pub fn new<'s>(
        authenticator: &dyn Authenticator,
        server: impl Into<ServerAddress<'s>>,
    ) -> Self {
        let server = server.into();
        Self::of(authenticator.at(server), server.url)
    }

    /// Uses `authenticator` for the origin of `base`.
    pub fn of(authenticator: Arc<dyn ServerAuthenticator>, base: &Url) -> Self {
        let origin = Arc::new(base.origin());
        Self {
            origin,
            authenticator,
        }
    }

    /// Credentials for the next request.
    ///
    /// # Errors
    /// If there are none within `patience`.
    pub async fn credentials(&self, patience: Duration) -> Result<OriginCredentials, AuthError> {
        let credentials = timeout(patience, self.authenticator.credentials()).await;
        let credentials = credentials.map_err(|_| AuthError::Late(patience))??;
        Ok(self.bound(credentials))
    }

    /// What follows from the answer to a request with `used`: other credentials, with which the
    /// request should be sent once more, or nothing.
    ///
    /// # Errors
    /// If other credentials are needed, and there are none within `patience`.
    pub async fn answered(
        &self,
        used: &OriginCredentials,
        answer: &impl Answer,
        patience: Duration,
    ) -> Result<Option<OriginCredentials>, AuthError> {
        self.note(used, answer, false);
        let Some(status) = answer.status().filter(StatusCode::is_client_error) else {
            return Ok(None);
        };
        let headers = answer.headers();
        let refusal = Refusal { status, headers };
        let next = self.authenticator.refused(&used.credentials, refusal);
        let next = timeout(patience, next).await;
        let next = next.map_err(|_| AuthError::Late(patience))??;
        Ok(next.map(|credentials| self.bound(credentials)))
    }

    /// Notes what the answer says to the request that was sent once more, with `used`.
    pub fn repeated(&self, used: &OriginCredentials, answer: &impl Answer) {
        self.note(used, answer, true);
    }

    fn note(&self, used: &OriginCredentials, answer: &impl Answer, is_repeat: bool) {
        let is_error = |status: &StatusCode| status.is_client_error() || status.is_server_error();
        if answer.status().is_some_and(|status| !is_error(&status)) {
            let headers = answer.headers();
            let acceptance = Acceptance { headers, is_repeat };
            self.authenticator.accepted(&used.credentials, acceptance);
        }
    }

    fn bound(&self, credentials: Arc<dyn Credentials>) -> OriginCredentials {
        OriginCredentials {
            origin: Arc::clone(&self.origin),
            credentials,
        }
    }
}

impl OriginCredentials {
    /// Sets their headers in a request to their origin, and none in a request to another one.
    ///
    /// # Errors
    /// If they cannot prove anything for this request.
    pub fn apply(&self, request: AuthRequest<'_>) -> Result<(), AuthError> {
        match request.url.origin() == *self.origin {
            true => self.credentials.apply(request),
            false => Ok(()),
        }
    }
}
