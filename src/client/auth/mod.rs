//! Authentication of outgoing requests: one interface for everything that does it.
//!
//! An [`Authenticator`] is what the configuration describes. [`OriginAuth`] is its part for one
//! server, made once for each target or destination. For each request it gives [`Credentials`],
//! which it may have to fetch first; they add their headers to the request. When the server refuses
//! them, it may give others, and the request is sent once more.
//!
//! Each way to authenticate is one file or folder that implements these traits: a header with a
//! secret (`header.rs`) here, the others in `extensions`. Credentials that are fetched are shared and
//! renewed by `shared.rs` and `renewing.rs`.

mod authenticators;
mod config;
mod header;
mod origin;
mod renewing;
mod server_address;
mod shared;

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use http::{HeaderMap, Method, StatusCode};
use reqwest::Url;

pub use self::{
    authenticators::{Authenticators, UsedAuthenticators},
    config::ClientAuthConfig,
    header::{HeaderAuth, HeaderCredentials},
    origin::{Answer, OriginAuth, OriginCredentials},
    renewing::RenewingAuth,
    server_address::ServerAddress,
    shared::{Fetch, Fetched, SharedCredentials},
};
use crate::{http::CredentialsError, runtime::seconds};

/// A way to authenticate, as configured.
pub trait Authenticator: fmt::Debug + Send + Sync {
    /// Its part for one server. Those for the same server share what they learn of it, such as a
    /// session, and all of them share what is for every server, such as a token.
    fn at(&self, server: ServerAddress<'_>) -> Arc<dyn ServerAuthenticator>;
}

/// A way to authenticate to one server.
#[async_trait]
pub trait ServerAuthenticator: fmt::Debug + Send + Sync {
    /// Credentials for the next request. Many may wait for the same ones; whoever waits may be
    /// dropped at any time.
    ///
    /// # Errors
    /// If there are none. The caller sends nothing then.
    async fn credentials(&self) -> Result<Arc<dyn Credentials>, AuthError>;

    /// What to use after the server answered a request with an error. `None` if other credentials
    /// would not help: then the answer stands.
    ///
    /// # Errors
    /// If other credentials would help, and there are none.
    async fn refused(
        &self,
        used: &Arc<dyn Credentials>,
        refusal: Refusal<'_>,
    ) -> Result<Option<Arc<dyn Credentials>>, AuthError>;

    /// The server accepted credentials. Its answer may say what to use next.
    fn accepted(&self, _used: &Arc<dyn Credentials>, _acceptance: Acceptance<'_>) {}
}

/// The credentials of one request or of many.
pub trait Credentials: fmt::Debug + Send + Sync {
    /// Sets their headers in `request`, in place of what is there.
    ///
    /// # Errors
    /// If the request is one that they cannot prove anything for.
    fn apply(&self, request: AuthRequest<'_>) -> Result<(), AuthError>;
}

/// A request that is complete except for credentials.
#[derive(Debug)]
pub struct AuthRequest<'r> {
    /// How it asks.
    pub method: &'r Method,
    /// Where it goes.
    pub url: &'r Url,
    /// Its headers. Those of credentials are marked as sensitive.
    pub headers: &'r mut HeaderMap,
    /// Its body.
    pub body: &'r [u8],
}

/// An answer with an error.
#[derive(Debug, Clone, Copy)]
pub struct Refusal<'a> {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: &'a HeaderMap,
}

/// An answer without an error.
#[derive(Debug, Clone, Copy)]
pub struct Acceptance<'a> {
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Whether the request was sent once more, with other credentials, and so they helped.
    pub is_repeat: bool,
}

/// Why there are no credentials. The error never contains a secret.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AuthError {
    /// A secret in a file cannot be used.
    #[error(transparent)]
    Secret(#[from] CredentialsError),
    /// They are still being fetched.
    #[error("the credentials were not there within {}", seconds(*.0))]
    Late(std::time::Duration),
    /// What the authenticator says.
    #[error(transparent)]
    Other(Arc<dyn std::error::Error + Send + Sync>),
}

impl AuthError {
    /// An error of an authenticator.
    pub fn new(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Other(Arc::new(error))
    }
}

/// Whether both are the same credentials, not only equal ones.
pub fn is_same(one: &Arc<dyn Credentials>, other: &Arc<dyn Credentials>) -> bool {
    std::ptr::addr_eq(Arc::as_ptr(one), Arc::as_ptr(other))
}
