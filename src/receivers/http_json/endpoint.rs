//! One endpoint of one target: a request, its deadline, and what the body is read as.
//!
//! The resilience layer decides when an attempt is made and how long it may take; here is how one
//! is made.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use reqwest::Url;
use serde_json::Value;
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout},
};

use super::{
    exposition, lossy_json,
    origin::{add_validators, origin},
    telemetry::Telemetry,
    telltale,
    transport::{Request, Transport, TransportError},
};
use crate::{
    definition::{Definition, Format},
    http::{Credentials, CredentialsError, retry_after},
    pipeline::{Body, EndpointPoll, ErrorType, Failure, Outcome, Poll},
    resilience::{
        host::Host,
        outcome::Class,
        per_instance::PerInstance,
        shell::{Answer, Attempt, Declined, Manner, Miss, Order, Polled},
    },
    runtime::Clock,
    telemetry::{Trace, chain},
};

/// What all endpoints of a receiver have in common.
pub(super) struct Shared {
    /// Sent with each request.
    pub(super) headers: HeaderMap,
    /// Added to the headers.
    pub(super) credentials: Credentials,
    /// The most bytes of a decompressed body.
    pub(super) body_limit_bytes: u64,
    /// One permit a request in flight.
    pub(super) limiter: Arc<Semaphore>,
    /// The time of day.
    pub(super) clock: Clock,
    /// Counts requests.
    pub(super) telemetry: Telemetry,
}

/// One endpoint of one target.
pub(super) struct EndpointPoller {
    /// Where it is at each instance of the target.
    pub(super) sites: PerInstance<Site>,
    /// Its path as it is shown.
    pub(super) path: Arc<str>,
    pub(super) format: Format,
    pub(super) shared: Arc<Shared>,
    /// Breakers, cache and the rest, of the whole target.
    pub(super) host: Arc<Host>,
    /// Position among the endpoints of the target.
    pub(super) index: usize,
}

/// The endpoint at one instance.
pub(super) struct Site {
    pub(super) url: Url,
    pub(super) transport: Arc<dyn Transport>,
}

/// Why an attempt gave no document.
#[derive(Debug, thiserror::Error)]
enum AttemptError {
    #[error("no place among the concurrent requests")]
    Limiter,
    #[error("no answer within {} s", .0.as_secs_f64())]
    Timeout(Duration),
    #[error("answered with status {status}{detail}")]
    Status {
        status: u16,
        detail: String,
        retry_after: Option<Duration>,
    },
    #[error("failed to read the credentials")]
    Credentials(#[source] CredentialsError),
    #[error(transparent)]
    Transport(#[from] TransportError),
    #[error("answered with status {status} and no body, where a document is wanted")]
    Empty { status: u16 },
    #[error("{what}")]
    Unreadable {
        what: String,
        #[source]
        source: Box<Self>,
    },
    #[error("the body is not JSON")]
    Json(#[source] serde_json::Error),
    #[error("the body is not Prometheus text")]
    Exposition(#[source] exposition::ExpositionError),
}

impl EndpointPoller {
    /// Its path as it is shown: the same for all targets of a definition, without a value of its
    /// query.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Polls, with retries and whatever else the resilience layer decides.
    pub(super) async fn poll(&self, manner: Manner) -> EndpointPoll {
        let started = Instant::now();
        let polled = self.host.poll_in(self.index, manner, self).await;
        Self::result(started, polled)
    }

    /// Asks nobody.
    pub(super) fn decline(&self, why: Declined) -> EndpointPoll {
        Self::result(Instant::now(), self.host.decline(self.index, why))
    }

    fn result(started: Instant, polled: Polled) -> EndpointPoll {
        EndpointPoll {
            outcome: polled.outcome,
            duration: started.elapsed(),
            attempts: polled.attempts,
            retry_delay: polled.retry_delay,
            stale_age: polled.stale_age,
            trace: Trace::of(&tracing::Span::current()),
        }
    }

    async fn attempt(&self, order: &Order) -> Result<Answer, AttemptError> {
        let (started, limit) = (Instant::now(), order.timeout);
        let Ok(permit) = timeout(limit, self.shared.limiter.acquire()).await else {
            return Err(AttemptError::Limiter);
        };
        let _permit = permit.map_err(|_| AttemptError::Limiter)?;
        let _in_flight = self.shared.telemetry.request();
        let left = limit.saturating_sub(started.elapsed());
        let fetched = timeout(left, self.fetch(order)).await;
        fetched.map_err(|_| AttemptError::Timeout(limit))?
    }

    async fn fetch(&self, order: &Order) -> Result<Answer, AttemptError> {
        let mut headers = self.shared.headers.clone();
        self.shared
            .credentials
            .add_to(&mut headers)
            .map_err(AttemptError::Credentials)?;
        if let Some(origin) = &order.validators {
            add_validators(&mut headers, origin);
        }
        let site = self.sites.at(order.instance);
        let request = Request {
            url: site.url.clone(),
            headers,
            body_limit_bytes: self.shared.body_limit_bytes,
        };
        let response = site.transport.get(request.clone()).await?;
        let (status, clock) = (response.status, &self.shared.clock);
        let origin = origin(&response.headers);
        if status == StatusCode::NOT_MODIFIED && order.validators.is_some() {
            return Ok(Answer::NotModified(origin));
        }
        if !status.is_success() {
            let retry_after = retry_after(status, &response.headers, clock.since_epoch());
            return Err(AttemptError::Status {
                status: status.as_u16(),
                detail: telltale::of_status(&request, status, &response.headers),
                retry_after,
            });
        }
        let received = clock.now();
        let raw = response.body;
        if self.format == Format::Json && telltale::is_empty(&raw) {
            let status = status.as_u16();
            return Err(AttemptError::Empty { status });
        }
        let body = body(self.format, raw.clone(), received);
        let body = body.map_err(|error| AttemptError::Unreadable {
            what: telltale::of_body(&request, &response.headers, &raw),
            source: Box::new(error),
        });
        Ok(Answer::Body(body?, origin))
    }
}

impl Attempt for EndpointPoller {
    async fn make(&self, order: Order) -> Result<Answer, Miss> {
        let started = Instant::now();
        let result = self.attempt(&order).await.map_err(AttemptError::into_miss);
        let miss = result.as_ref().err();
        // Waiting for a place in vain is no request.
        if miss.is_none_or(|miss| miss.class != Class::NotSent) {
            let error_type = miss.map(|miss| miss.failure.error_type);
            self.shared
                .telemetry
                .requested(self.path(), started.elapsed(), error_type);
        }
        result
    }
}

/// Reads what was `received` then as `format` says.
fn body(format: Format, raw: Bytes, received: SystemTime) -> Result<Body, AttemptError> {
    let (document, repaired) = decode(format, &raw)?;
    let read: fn(&Bytes) -> _ = match format {
        Format::Json => |raw| Some(decode(Format::Json, raw).ok()?.0),
        Format::Prometheus => |raw| Some(decode(Format::Prometheus, raw).ok()?.0),
    };
    let mut body = Body::new(raw, received, document, read);
    body.repaired = repaired;
    Ok(body)
}

/// The document, and in how many places it was repaired.
fn decode(format: Format, body: &Bytes) -> Result<(Value, u64), AttemptError> {
    match format {
        Format::Json => lossy_json::read(body).map_err(AttemptError::Json),
        Format::Prometheus => {
            let (text, repaired) = lossy_json::text(body);
            let document = exposition::parse(&text).map_err(AttemptError::Exposition)?;
            Ok((document, repaired))
        }
    }
}

impl AttemptError {
    fn into_miss(self) -> Miss {
        let error_type = self.error_type();
        let retry_after = match self {
            Self::Status { retry_after, .. } => retry_after,
            _ => None,
        };
        let failure = Failure {
            error_type,
            message: chain(&self).into(),
        };
        Miss {
            failure,
            class: class(error_type),
            retry_after,
        }
    }

    fn error_type(&self) -> ErrorType {
        match self {
            Self::Limiter => ErrorType::Limiter,
            Self::Timeout(_) => ErrorType::Timeout,
            Self::Status { status, .. } => ErrorType::Status(*status),
            Self::Credentials(_) => ErrorType::Credentials,
            Self::Transport(error) => error.error_type(),
            Self::Empty { .. } => ErrorType::Empty,
            Self::Unreadable { source, .. } => source.error_type(),
            Self::Json(_) | Self::Exposition(_) => ErrorType::Decode,
        }
    }
}

/// What a failure is to the breakers.
fn class(error_type: ErrorType) -> Class {
    match error_type {
        ErrorType::Dns | ErrorType::Connect | ErrorType::Tls => Class::Transport,
        ErrorType::Timeout => Class::Timeout,
        ErrorType::Body | ErrorType::Protocol | ErrorType::Header | ErrorType::Redirect => {
            Class::Body
        }
        ErrorType::TooLarge => Class::TooLarge,
        ErrorType::Decode | ErrorType::Empty => Class::Decode,
        ErrorType::Status(status) => Class::Status(status),
        ErrorType::Limiter
        | ErrorType::Credentials
        | ErrorType::CircuitOpen
        | ErrorType::Paused
        | ErrorType::Waiting
        | ErrorType::Suspect => Class::NotSent,
    }
}

/// A poll made of saved bodies, one an endpoint; an endpoint without one has failed.
pub(super) fn sample(definition: &Definition, bodies: Vec<Option<Vec<u8>>>, clock: &Clock) -> Poll {
    let now = clock.now();
    let endpoints = definition
        .endpoints
        .iter()
        .zip(bodies)
        .map(|(endpoint, saved)| {
            let decoded = match saved {
                None => Err((ErrorType::Body, "no saved body".into())),
                Some(saved) => body(endpoint.format, saved.into(), now)
                    .map_err(|error| (error.error_type(), chain(&error).into())),
            };
            let outcome = match decoded {
                Ok(body) => Outcome::Fresh(body),
                Err((error_type, message)) => Outcome::Failed(Failure {
                    error_type,
                    message,
                }),
            };
            EndpointPoll::new(outcome)
        });
    let endpoints = endpoints.collect();
    Poll {
        started: now,
        ended: now,
        counting_since: now,
        duration: Duration::ZERO,
        missed_ticks: 0,
        endpoints,
        own: Vec::new(),
    }
}
