//! The common settings of HTTP and gRPC clients.

use http::HeaderMap;

use super::{ConfigError, SendOutcome};
use crate::{
    client::{Tls, headers},
    http::{AuthConfig, Credentials},
    settings::{Compression, Headers, ProxyUrl},
};

/// How the exporter connects to its destination, as configured.
#[derive(Debug, Clone, Copy)]
pub struct ClientSettings<'c> {
    /// The compression of requests.
    pub compression: Compression,
    /// Headers of every request.
    pub headers: &'c Headers,
    /// Credentials for the destination.
    pub auth: &'c AuthConfig,
    /// The TLS settings.
    pub tls: &'c Tls,
    /// The proxy, in place of that of the environment.
    pub proxy_url: Option<&'c ProxyUrl>,
}

/// The fixed headers of all requests, and the one that may change.
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
    /// The headers of the next request. A token file that cannot be read now may be readable later.
    pub(super) fn make(&self) -> Result<HeaderMap, SendOutcome> {
        let mut headers = self.fixed.clone();
        match self.credentials.add_to(&mut headers) {
            Ok(()) => Ok(headers),
            Err(error) => Err(SendOutcome::retry(error)),
        }
    }
}
