//! The common settings of HTTP and gRPC clients.

use std::time::Duration;

use http::HeaderMap;
use reqwest::Url;

use super::ConfigError;
use crate::{
    client::{
        Tls,
        auth::{Answer, AuthError, Authenticator, OriginAuth, OriginCredentials},
        headers,
    },
    runtime::Clock,
    settings::{Compression, Headers, ProxyUrl},
};

/// Whoever gives out credentials may take so long. The timeout of an attempt ends the wait as well.
const PATIENCE: Duration = Duration::from_secs(60);

/// How the exporter connects to its destination, as configured.
#[derive(Debug, Clone, Copy)]
pub struct ClientSettings<'c> {
    /// The compression of requests.
    pub compression: Compression,
    /// Headers of every request.
    pub headers: &'c Headers,
    /// Authenticates requests to the destination.
    pub auth: Option<&'c dyn Authenticator>,
    /// The TLS settings.
    pub tls: &'c Tls,
    /// The proxy, in place of that of the environment.
    pub proxy_url: Option<&'c ProxyUrl>,
    /// The time of day, for dates that a server sends.
    pub clock: &'c Clock,
}

/// The fixed headers of all requests, and what authenticates them.
#[derive(Debug)]
pub(super) struct RequestHeaders {
    fixed: HeaderMap,
    auth: Option<OriginAuth>,
}

impl ClientSettings<'_> {
    /// The headers of requests to the server at `url`.
    pub(super) fn request_headers(&self, url: &Url) -> Result<RequestHeaders, ConfigError> {
        Ok(RequestHeaders {
            fixed: headers::parse(self.headers)?,
            auth: self.auth.map(|auth| OriginAuth::new(auth, url)),
        })
    }
}

impl RequestHeaders {
    /// Credentials for the next request. If there are none now, there may be some later.
    pub(super) async fn credentials(&self) -> Result<Option<OriginCredentials>, AuthError> {
        match &self.auth {
            Some(auth) => auth.credentials(PATIENCE).await.map(Some),
            None => Ok(None),
        }
    }

    /// Other credentials, if `answer` asks for them.
    pub(super) async fn answered(
        &self,
        used: Option<&OriginCredentials>,
        answer: &impl Answer,
    ) -> Result<Option<OriginCredentials>, AuthError> {
        match self.auth.as_ref().zip(used) {
            Some((auth, used)) => auth.answered(used, answer, PATIENCE).await,
            None => Ok(None),
        }
    }

    /// Notes what the answer says to the request that was sent once more.
    pub(super) fn repeated(&self, used: &OriginCredentials, answer: &impl Answer) {
        if let Some(auth) = &self.auth {
            auth.repeated(used, answer);
        }
    }

    /// The headers of every request, without credentials.
    pub(super) fn fixed(&self) -> HeaderMap {
        self.fixed.clone()
    }
}
