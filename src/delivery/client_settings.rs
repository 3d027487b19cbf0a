//! What HTTP and gRPC have in common: how a destination is spoken to.

use http::HeaderMap;

use super::{ConfigError, SendOutcome};
use crate::{
    client::{Tls, headers},
    http::{AuthConfig, Credentials},
    settings::{Compression, Headers, ProxyUrl},
};

/// How a destination is spoken to, as configured.
#[derive(Debug, Clone, Copy)]
pub struct ClientSettings<'c> {
    /// How requests are compressed.
    pub compression: Compression,
    /// Headers of every request.
    pub headers: &'c Headers,
    /// Who we are.
    pub auth: &'c AuthConfig,
    /// How to speak TLS.
    pub tls: &'c Tls,
    /// The proxy, instead of that of the environment.
    pub proxy_url: Option<&'c ProxyUrl>,
}

/// The headers that are the same for every request, and the one that may change.
#[derive(Debug)]
pub(super) struct RequestHeaders {
    fixed: HeaderMap,
    credentials: Credentials,
}

impl ClientSettings<'_> {
    pub(super) fn request_headers(&self) -> Result<RequestHeaders, ConfigError> {
        Ok(RequestHeaders {
            fixed: headers::parse(self.headers)?,
            credentials: Credentials::new(self.auth.clone()),
        })
    }
}

impl RequestHeaders {
    /// Those of the next request. A token's file that cannot be read now may be there later.
    pub(super) fn make(&self) -> Result<HeaderMap, SendOutcome> {
        let mut headers = self.fixed.clone();
        match self.credentials.add_to(&mut headers) {
            Ok(()) => Ok(headers),
            Err(error) => Err(SendOutcome::retry(error)),
        }
    }
}
