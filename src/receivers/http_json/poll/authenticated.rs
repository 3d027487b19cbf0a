//! An authenticated request.

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, StatusCode};
use tokio::time::Instant;

use super::{failure::ResponseError, in_time::in_time};
use crate::{
    client::auth::{Answer, OriginAuth},
    receivers::http_json::http::transport::{Transport, TransportRequest, TransportResponse},
};

impl Answer for TransportResponse {
    fn status(&self) -> Option<StatusCode> {
        (!self.is_from_elsewhere).then_some(self.status)
    }

    fn headers(&self) -> &HeaderMap {
        &self.headers
    }
}

/// An exchange with credentials.
pub(super) struct AuthenticatedExchange<'e> {
    pub(super) auth: &'e OriginAuth,
    pub(super) transport: &'e Arc<dyn Transport>,
    /// The time of the node. Credentials may take half as long to arrive, which is no time of the
    /// node: a server that gives out tokens slowly says nothing of it.
    pub(super) limit: Duration,
}

impl AuthenticatedExchange<'_> {
    /// Sends a request with credentials, and once more if the node wants others. Returns the answer
    /// and the request that got it.
    ///
    /// # Errors
    /// If there are no credentials, or no answer in time.
    pub(super) async fn run(
        &self,
        request: TransportRequest,
    ) -> Result<(TransportResponse, TransportRequest), ResponseError> {
        let patience = self.limit / 2;
        let used = self.auth.credentials(patience).await?;
        let asked = Instant::now();
        let first = TransportRequest {
            credentials: Some(used.clone()),
            ..request.clone()
        };
        let (answer, first) = self.send(first, self.limit).await?;
        let taken = asked.elapsed();
        let Some(other) = self.auth.answered(&used, &answer, patience).await? else {
            return Ok((answer, first));
        };
        let second = TransportRequest {
            credentials: Some(other.clone()),
            ..request
        };
        let left = self.limit.saturating_sub(taken);
        let (answer, second) = self.send(second, left).await?;
        self.auth.repeated(&other, &answer);
        Ok((answer, second))
    }

    async fn send(
        &self,
        mut request: TransportRequest,
        limit: Duration,
    ) -> Result<(TransportResponse, TransportRequest), ResponseError> {
        request.authenticate()?;
        let answer = self.transport.fetch(&request);
        let answer = in_time(answer, Instant::now() + limit).await;
        let answer = answer.ok_or(ResponseError::Timeout(self.limit))??;
        Ok((answer, request))
    }
}
