//! How the receiver reaches targets: by sockets, or in memory where a test controls the time.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderMap, StatusCode};
use reqwest::Url;

use super::transport::{Transport, TransportError, TransportRequest, TransportResponse};
use crate::client::content_encoding::Codings;

/// Answers a `GET` in memory with a status and a body. `None` closes the connection without an
/// answer.
pub type Answering = dyn Fn(Url) -> BoxFuture<'static, Option<(u16, Bytes)>> + Send + Sync;

/// How the receiver reaches targets.
#[derive(Clone, Default)]
pub struct Network(Option<Arc<Answering>>);

impl Network {
    /// A network without sockets: `answering` answers each URL. With a paused clock, hours pass at
    /// once.
    pub fn in_memory(answering: Arc<Answering>) -> Self {
        Self(Some(answering))
    }

    /// The transport in memory. `None` if sockets are used.
    pub(crate) fn transport(&self) -> Option<Arc<dyn Transport>> {
        let answering = self.0.clone()?;
        Some(Arc::new(Memory(answering)))
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            None => "Sockets",
            Some(_) => "InMemory",
        })
    }
}

struct Memory(Arc<Answering>);

#[async_trait]
impl Transport for Memory {
    async fn fetch(&self, request: TransportRequest) -> Result<TransportResponse, TransportError> {
        let cut = |what: &str| TransportError::Cut(what.into());
        let answer = (self.0)(request.url).await;
        let (status, body) = answer.ok_or_else(|| cut("the connection was closed"))?;
        let status = StatusCode::from_u16(status).map_err(|error| cut(&error.to_string()))?;
        Ok(TransportResponse {
            status,
            headers: HeaderMap::new(),
            is_from_elsewhere: false,
            body: if status.is_success() {
                body
            } else {
                Bytes::new()
            },
            codings: Codings::default(),
            share: None,
        })
    }
}
