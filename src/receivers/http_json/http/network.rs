//! The transport of a network in memory.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use super::transport::{Transport, TransportError, TransportRequest, TransportResponse};
use crate::{
    client::content_encoding::Codings,
    receivers::network::{Answering, Network},
};

/// The transport in memory. `None` if sockets are used.
pub(crate) fn in_memory(network: &Network) -> Option<Arc<dyn Transport>> {
    let answering = Arc::clone(network.answering()?);
    Some(Arc::new(Memory(answering)))
}

struct Memory(Arc<Answering>);

#[async_trait]
impl Transport for Memory {
    async fn fetch(&self, request: &TransportRequest) -> Result<TransportResponse, TransportError> {
        let cut = |what: &str| TransportError::Cut(what.into());
        let answer = (self.0)(request.url.clone()).await;
        let (status, body) = answer.ok_or_else(|| cut("the connection was closed"))?;
        let status = StatusCode::from_u16(status).map_err(|error| cut(&error.to_string()))?;
        Ok(TransportResponse {
            status,
            headers: HeaderMap::new(),
            is_from_elsewhere: false,
            redirected_to: None,
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
