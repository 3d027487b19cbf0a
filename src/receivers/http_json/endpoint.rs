//! One endpoint of one target: a request, its deadline, and what the body is read as.
//!
//! This is the seam of the resilience layer: it wraps [`EndpointPoller::poll`], whose every call
//! is one attempt with one outcome.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::HeaderMap;
use reqwest::Url;
use serde_json::Value;
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout},
};

use super::{
    credentials::Credentials,
    exposition,
    transport::{Request, Transport, TransportError},
};
use crate::{
    definition::{Definition, Format},
    pipeline::{Body, EndpointPoll, ErrorType, Failure, Outcome, Poll},
    runtime::Clock,
    telemetry::chain,
};

/// What all endpoints of a receiver have in common.
pub(super) struct Shared {
    /// Sent with each request.
    pub(super) headers: HeaderMap,
    /// Added to the headers.
    pub(super) credentials: Credentials,
    /// For one attempt: waiting for a place, connecting, headers, body and decoding.
    pub(super) timeout: Duration,
    /// The most bytes of a decompressed body.
    pub(super) body_limit_bytes: u64,
    /// One permit a request in flight.
    pub(super) limiter: Semaphore,
    /// The time of day.
    pub(super) clock: Clock,
    /// Counts the requests in flight.
    pub(super) in_flight: super::telemetry::InFlight,
}

/// One endpoint of one target.
pub(super) struct EndpointPoller {
    pub(super) url: Url,
    pub(super) format: Format,
    pub(super) transport: Arc<dyn Transport>,
    pub(super) shared: Arc<Shared>,
}

/// Why an attempt gave no document.
#[derive(Debug, thiserror::Error)]
enum AttemptError {
    #[error("no place among the concurrent requests")]
    Limiter,
    #[error("no answer within {} s", .0.as_secs_f64())]
    Timeout(Duration),
    #[error("answered with status {0}")]
    Status(u16),
    #[error("failed to read the credentials")]
    Credentials(#[source] super::credentials::CredentialsError),
    #[error(transparent)]
    Transport(#[from] TransportError),
    #[error("the body is not JSON")]
    Json(#[source] serde_json::Error),
    #[error("the body is not UTF-8")]
    Utf8(#[source] std::str::Utf8Error),
    #[error("the body is not Prometheus text")]
    Exposition(#[source] exposition::ExpositionError),
}

impl EndpointPoller {
    /// Makes one attempt.
    pub(super) async fn poll(&self) -> EndpointPoll {
        let started = Instant::now();
        let outcome = match self.attempt(started).await {
            Ok(body) => Outcome::Fresh(body),
            Err(error) => Outcome::Failed(Failure {
                error_type: error.error_type(),
                message: chain(&error),
            }),
        };
        EndpointPoll {
            outcome,
            duration: started.elapsed(),
        }
    }

    async fn attempt(&self, started: Instant) -> Result<Body, AttemptError> {
        let limit = self.shared.timeout;
        let Ok(permit) = timeout(limit, self.shared.limiter.acquire()).await else {
            return Err(AttemptError::Limiter);
        };
        let _permit = permit.map_err(|_| AttemptError::Limiter)?;
        let _in_flight = self.shared.in_flight.enter();
        let left = limit.saturating_sub(started.elapsed());
        timeout(left, self.fetch())
            .await
            .map_err(|_| AttemptError::Timeout(limit))?
    }

    async fn fetch(&self) -> Result<Body, AttemptError> {
        let mut headers = self.shared.headers.clone();
        let credentials = &self.shared.credentials;
        credentials
            .add_to(&mut headers)
            .map_err(AttemptError::Credentials)?;
        let body_limit_bytes = self.shared.body_limit_bytes;
        let request = Request {
            url: self.url.clone(),
            headers,
            body_limit_bytes,
        };
        let response = self.transport.get(request).await?;
        if !response.status.is_success() {
            return Err(AttemptError::Status(response.status.as_u16()));
        }
        let received = self.shared.clock.now();
        let document = Arc::new(decode(self.format, &response.body)?);
        Ok(Body {
            document,
            raw: response.body,
            received,
        })
    }
}

/// Reads a body as `format` says.
fn decode(format: Format, body: &Bytes) -> Result<Value, AttemptError> {
    match format {
        Format::Json => serde_json::from_slice(body).map_err(AttemptError::Json),
        Format::Prometheus => {
            let text = std::str::from_utf8(body).map_err(AttemptError::Utf8)?;
            exposition::parse(text).map_err(AttemptError::Exposition)
        }
    }
}

impl AttemptError {
    fn error_type(&self) -> ErrorType {
        match self {
            Self::Limiter => ErrorType::Limiter,
            Self::Timeout(_) => ErrorType::Timeout,
            Self::Status(code) => ErrorType::Status(*code),
            Self::Credentials(_) => ErrorType::Credentials,
            Self::Transport(error) => error.error_type(),
            Self::Json(_) | Self::Utf8(_) | Self::Exposition(_) => ErrorType::Decode,
        }
    }
}

/// A poll made of saved bodies, one an endpoint; an endpoint without one has failed.
pub(super) fn sample(definition: &Definition, bodies: Vec<Option<Vec<u8>>>, clock: &Clock) -> Poll {
    let now = clock.now();
    let endpoints = definition
        .endpoints
        .iter()
        .zip(bodies)
        .map(|(endpoint, body)| {
            let decoded = match body.map(Bytes::from) {
                None => Err((ErrorType::Body, "no saved body".to_owned())),
                Some(raw) => match decode(endpoint.format, &raw) {
                    Ok(document) => Ok(Body {
                        document: Arc::new(document),
                        raw,
                        received: now,
                    }),
                    Err(error) => Err((error.error_type(), chain(&error))),
                },
            };
            let outcome = match decoded {
                Ok(body) => Outcome::Fresh(body),
                Err((error_type, message)) => Outcome::Failed(Failure {
                    error_type,
                    message,
                }),
            };
            EndpointPoll {
                outcome,
                duration: Duration::ZERO,
            }
        });
    let endpoints = endpoints.collect();
    Poll {
        started: now,
        ended: now,
        duration: Duration::ZERO,
        missed_ticks: 0,
        endpoints,
    }
}
