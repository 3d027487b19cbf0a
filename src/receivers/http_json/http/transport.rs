//! The seam between polling and the network: tests put an in-memory server behind it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use reqwest::Url;

use crate::{
    client::{
        auth::{AuthError, AuthRequest, OriginCredentials},
        content_encoding::{Codings, DecodeError},
    },
    definition::{Method, Request},
    pipeline::{Allowance, ErrorType, Share},
};

/// A request.
#[derive(Debug, Clone)]
pub(crate) struct TransportRequest {
    /// What it comes from: of which statuses the body is read, and whether it may be sent again.
    pub(crate) definition: Arc<Request>,
    /// How it asks; a redirect may change it.
    pub(crate) method: Method,
    /// Where.
    pub(crate) url: Url,
    /// Headers, those of `credentials` among them.
    pub(crate) headers: HeaderMap,
    /// The authentication. It follows to other paths of its origin, and to no other origin.
    pub(crate) credentials: Option<OriginCredentials>,
    /// What is sent along.
    pub(crate) body: Bytes,
    /// The most bytes of the body that are read.
    pub(crate) body_limit_bytes: u64,
    /// Where a large body takes its memory from.
    pub(crate) memory: Arc<Allowance>,
    /// Whether an answer has begun, where somebody wants to know.
    pub(crate) has_begun: Option<Arc<AtomicBool>>,
}

impl TransportRequest {
    /// A `GET` of a URL.
    #[cfg(test)]
    pub(crate) fn get(url: &str) -> Self {
        Self {
            definition: Arc::default(),
            method: Method::Get,
            url: url.parse().unwrap(),
            headers: HeaderMap::new(),
            credentials: None,
            body: Bytes::new(),
            body_limit_bytes: 10,
            memory: Allowance::new(10),
            has_begun: None,
        }
    }

    /// Sets the headers of the credentials, if there are any.
    ///
    /// # Errors
    /// If they cannot prove anything for this request.
    pub(crate) fn authenticate(&mut self) -> Result<(), AuthError> {
        let Some(credentials) = &self.credentials else {
            return Ok(());
        };
        credentials.apply(AuthRequest {
            method: &self.method.into(),
            url: &self.url,
            headers: &mut self.headers,
            body: &self.body,
        })
    }

    /// An answer has begun.
    pub(crate) fn begin(&self) {
        if let Some(has_begun) = &self.has_begun {
            has_begun.store(true, Ordering::Relaxed);
        }
    }

    /// Whether the body of an answer with this status is read.
    pub(crate) fn accepts(&self, status: StatusCode) -> bool {
        self.definition.accepted.holds(status.as_u16())
    }
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct TransportResponse {
    /// Its status.
    pub(crate) status: StatusCode,
    /// Its headers.
    pub(crate) headers: HeaderMap,
    /// Whether a redirect led to another origin, which gave it.
    pub(crate) is_from_elsewhere: bool,
    /// Where it is, if redirects led there.
    pub(crate) redirected_to: Option<Url>,
    /// Its body as it was sent; empty where the status is not accepted.
    pub(crate) body: Bytes,
    /// How it is compressed.
    pub(crate) codings: Codings,
    /// What it takes of the memory, if it is large.
    pub(crate) share: Option<Share>,
}

/// Why there is no whole answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TransportError {
    /// The name was not resolved.
    #[error("failed to resolve the host name")]
    Dns(#[source] BoxError),
    /// The URL is none that HTTP can carry.
    #[error("the URL cannot be sent")]
    Url(#[source] BoxError),
    /// There are no credentials for the next path of a redirect.
    #[error("failed to authenticate")]
    Auth(#[from] AuthError),
    /// No connection.
    #[error("failed to connect")]
    Connect(#[source] BoxError),
    /// No TLS session.
    #[error("failed to agree on TLS")]
    Tls(#[source] BoxError),
    /// The port speaks something else than TLS.
    #[error("the port does not speak TLS: is it `http://`?")]
    NotTls(#[source] BoxError),
    /// What came is no HTTP/1.1.
    #[error(
        "the answer is not HTTP/1.1: does the port speak TLS (`https://`), HTTP/2 or another protocol?"
    )]
    Protocol(#[source] BoxError),
    /// The head of the answer has what no HTTP has.
    #[error("the answer has a bad status line or header")]
    Header(#[source] BoxError),
    /// One redirect after the other.
    #[error(
        "followed {followed} redirects (`max_redirects`), and the next one leads to {location}"
    )]
    Redirects {
        /// How many were followed.
        followed: usize,
        /// Where the next one leads, without the values of a query.
        location: String,
    },
    /// The connection was lost before the answer was whole.
    #[error("the answer was cut")]
    Cut(#[source] BoxError),
    /// The body is over the limit.
    #[error("the body is larger than {limit_bytes} bytes")]
    TooLarge {
        /// The limit.
        limit_bytes: u64,
    },
    /// The body cannot be decompressed.
    #[error(transparent)]
    Encoding(#[from] DecodeError),
    /// There is no room for the body.
    #[error(
        "no memory for the body: large documents of this receiver take all of `max_document_memory`"
    )]
    Memory,
}

pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl TransportError {
    /// Its class.
    pub(crate) fn error_type(&self) -> ErrorType {
        match self {
            Self::Dns(_) => ErrorType::Dns,
            Self::Auth(_) => ErrorType::Credentials,
            Self::Connect(_) | Self::Url(_) => ErrorType::Connect,
            Self::Tls(_) | Self::NotTls(_) => ErrorType::Tls,
            Self::Protocol(_) => ErrorType::Protocol,
            Self::Header(_) => ErrorType::Header,
            Self::Redirects { .. } => ErrorType::Redirect,
            Self::Cut(_) => ErrorType::Body,
            Self::TooLarge { .. } | Self::Encoding(DecodeError::TooLarge) => ErrorType::TooLarge,
            Self::Encoding(DecodeError::Cut) => ErrorType::Body,
            Self::Encoding(DecodeError::Unknown(_) | DecodeError::Corrupt { .. }) => {
                ErrorType::Decode
            }
            Self::Memory => ErrorType::Memory,
        }
    }
}

/// What fetches.
#[async_trait]
pub(crate) trait Transport: Send + Sync {
    /// Fetches once: no retry, no timeout. Dropping the future ends the request.
    async fn fetch(&self, request: &TransportRequest) -> Result<TransportResponse, TransportError>;
}
