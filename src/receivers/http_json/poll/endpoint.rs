//! One endpoint of one target: its requests, their deadlines, and what their responses are read as.
//!
//! The resilience layer decides when an attempt is made and how long it may take. This file makes
//! the attempts.

use std::{
    future::Future,
    pin::pin,
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures_util::future::{Either, select};
use http::{HeaderMap, StatusCode};
use reqwest::Url;
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout, timeout_at},
};

use super::body_mapper::BodyMapper;
use crate::{
    client::content_encoding::DecodeError,
    definition::{Definition, EndpointLabels},
    http::{Credentials, CredentialsError, retry_after},
    pipeline::{
        Allowance, Body, EndpointPoll, ErrorType, LARGE_BYTES, Poll, PollFailure, PollOutcome,
        Share,
    },
    receivers::http_json::{
        format::{error::DocumentError, reader::Reader},
        http::{
            cache_headers::{add_validators, origin},
            telltale,
            transport::{Transport, TransportError, TransportRequest, TransportResponse},
        },
        telemetry::ReceiverTelemetry,
    },
    resilience::{
        executor::{
            AttemptError, AttemptRequest, AttemptResponse, Declined, Manner, NextStep, PollResult,
            PollRun, Racer,
        },
        outcome::ResultClass,
        per_instance::PerInstance,
        target_resilience::TargetResilience,
    },
    runtime::{Clock, heavy},
    telemetry::{Trace, chain},
};

/// What all endpoints of a receiver have in common.
pub(crate) struct ReceiverParts {
    /// Sent with each request.
    pub(crate) headers: HeaderMap,
    /// Added to the headers.
    pub(crate) credentials: Credentials,
    /// The most bytes of a decompressed body.
    pub(crate) body_limit_bytes: u64,
    /// The memory of the texts of large bodies.
    pub(crate) memory: Arc<Allowance>,
    /// The memory of the texts of large bodies that are kept.
    pub(crate) kept: Arc<Allowance>,
    /// One permit a request in flight.
    pub(crate) limiter: Arc<Semaphore>,
    /// The time of day.
    pub(crate) clock: Clock,
    /// Counts requests.
    pub(crate) telemetry: ReceiverTelemetry,
    /// Whether polls come with the text of their bodies.
    pub(crate) keeps_text: bool,
}

/// One endpoint of one target.
pub(crate) struct EndpointPoller {
    /// Where it is at each instance of the target.
    pub(crate) sites: PerInstance<EndpointAddress>,
    /// What metrics, logs and pages show of it.
    pub(crate) labels: EndpointLabels,
    /// Reads and maps its bodies.
    pub(crate) mapper: BodyMapper,
    pub(crate) shared: Arc<ReceiverParts>,
    /// Breakers, cache and the rest, of the whole target.
    pub(crate) host: Arc<TargetResilience>,
    /// Position among the endpoints of the target.
    pub(crate) index: usize,
}

/// The endpoint at one instance.
pub(crate) struct EndpointAddress {
    pub(crate) url: Url,
    pub(crate) transport: Arc<dyn Transport>,
}

/// Why an attempt gave no document.
#[derive(Debug, thiserror::Error)]
enum ResponseError {
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
        source: DocumentError,
    },
    #[error(transparent)]
    Document(#[from] DocumentError),
    #[error("failed to read the body")]
    Undone(#[from] heavy::Undone),
}

/// If this task wakes later than this after a deadline, the answer may have come in time.
const LATE: Duration = Duration::from_millis(20);

/// A compressed body of so many bytes can take a millisecond to decompress.
const HEAVY_BYTES: usize = 1024;

/// The largest body of a sample that is read, in bytes.
const SAMPLE_BYTES_MAX: u64 = 64 * 1024 * 1024;

impl EndpointPoller {
    /// Polls once: makes the attempts that the resilience layer asks for.
    pub(crate) async fn poll(&self, manner: Manner) -> EndpointPoll {
        let started = Instant::now();
        let mut run = self.host.begin(self.index, manner);
        let mut polled = loop {
            match run.next().await {
                NextStep::Done(polled) => break polled,
                NextStep::Attempt(request) => match run.hedge_after() {
                    None => run.record(self.attempt(request).await),
                    // Boxed, since few polls need a second attempt.
                    Some(delay) => Box::pin(self.race(&mut run, request, delay)).await,
                },
            }
        };
        if let PollOutcome::Fresh(body) | PollOutcome::NotModified(body) = &mut polled.outcome {
            self.finish(body).await;
        }
        Self::result(started, polled)
    }

    /// Makes an attempt, and another one beside it if there is no answer after `delay`.
    async fn race(&self, run: &mut PollRun<'_>, request: AttemptRequest, delay: Duration) {
        let mut first = pin!(self.attempt(request));
        if let Ok(result) = timeout(delay, first.as_mut()).await {
            return run.record(result);
        }
        let Some(request) = run.hedge(delay) else {
            return run.record(first.await);
        };
        let hedge = pin!(self.attempt(request));
        match select(first, hedge).await {
            Either::Left((result, hedge)) => {
                if !run.record_first(Racer::First, result) {
                    run.record_last(Racer::Hedge, hedge.await);
                }
            }
            Either::Right((result, first)) => {
                if !run.record_first(Racer::Hedge, result) {
                    run.record_last(Racer::First, first.await);
                }
            }
        }
    }

    /// Maps a body that was kept (304), and gives up the text of any body: what a poll holds until
    /// its slowest endpoint has answered are readings.
    async fn finish(&self, body: &mut Body) {
        if !body.is_mapped() {
            let (mapper, kept) = (self.mapper.clone(), body.clone());
            let map = move || mapper.map_kept(&kept);
            let readings = match body.is_large() {
                true => heavy::offload(map).await.unwrap_or_default(),
                false => map(),
            };
            body.set_readings(readings);
        }
        // The log explains a value that could not be read with the text.
        if !self.shared.keeps_text && !body.has_problems() {
            body.release_text();
        }
    }

    /// Makes no request. What is kept may stand in for the answer.
    pub(crate) fn decline(&self, why: Declined) -> EndpointPoll {
        Self::result(Instant::now(), self.host.decline(self.index, why))
    }

    fn result(started: Instant, polled: PollResult) -> EndpointPoll {
        EndpointPoll {
            outcome: polled.outcome,
            duration: started.elapsed(),
            attempts: polled.attempts,
            retry_delay: polled.retry_delay,
            stale_age: polled.stale_age,
            trace: Trace::of(&tracing::Span::current()),
        }
    }

    /// Makes one attempt and counts it: a request, and what its response is read as.
    pub(crate) async fn attempt(
        &self,
        order: AttemptRequest,
    ) -> Result<AttemptResponse, AttemptError> {
        let (started, limit) = (Instant::now(), order.timeout);
        let exchange = async {
            let permit = timeout(limit, self.shared.limiter.acquire()).await;
            let permit = permit.map_err(|_| ResponseError::Limiter)?;
            let _permit = permit.map_err(|_| ResponseError::Limiter)?;
            let _in_flight = self.shared.telemetry.request();
            let request = self.request(&order)?;
            let transport = &self.sites.at(order.instance).transport;
            let response = in_time(transport.get(request.clone()), started + limit).await;
            // Reading the response takes none of the node's time.
            let response = response.ok_or(ResponseError::Timeout(limit))??;
            self.read(response, request, &order).await
        };
        let result = exchange.await.map_err(ResponseError::into_attempt_error);
        let error = result.as_ref().err();
        // Waiting in vain for a place among the concurrent requests is not a request.
        if error.is_none_or(|error| error.class != ResultClass::NotSent) {
            let error_type = error.map(|error| error.failure.error_type);
            let telemetry = &self.shared.telemetry;
            telemetry.requested(&self.labels, started.elapsed(), error_type);
        }
        result
    }

    fn request(&self, order: &AttemptRequest) -> Result<TransportRequest, ResponseError> {
        let mut headers = self.shared.headers.clone();
        self.shared
            .credentials
            .add_to(&mut headers)
            .map_err(ResponseError::Credentials)?;
        if let Some(origin) = &order.validators {
            add_validators(&mut headers, origin);
        }
        Ok(TransportRequest {
            url: self.sites.at(order.instance).url.clone(),
            headers,
            body_limit_bytes: self.shared.body_limit_bytes,
            memory: Arc::clone(&self.shared.memory),
        })
    }

    async fn read(
        &self,
        response: TransportResponse,
        request: TransportRequest,
        order: &AttemptRequest,
    ) -> Result<AttemptResponse, ResponseError> {
        let (status, clock) = (response.status, &self.shared.clock);
        let origin = origin(&response.headers);
        if status == StatusCode::NOT_MODIFIED && order.validators.is_some() {
            return Ok(AttemptResponse::NotModified(origin));
        }
        if !status.is_success() {
            let retry_after = retry_after(status, &response.headers, clock.since_epoch());
            return Err(ResponseError::Status {
                status: status.as_u16(),
                detail: telltale::of_status(&request, status, &response.headers),
                retry_after,
            });
        }
        let received = clock.now();
        let is_heavy = match response.codings.is_empty() {
            true => response.body.len() > LARGE_BYTES,
            false => response.body.len() > HEAVY_BYTES,
        };
        let mapper = self.mapper.clone();
        let read = move || read_body(&mapper, response, &request, received);
        let (body, share) = match (self.mapper.reader.transform(), is_heavy) {
            (Some(transform), _) => transform.apart(read).await??,
            (None, true) => heavy::offload(read).await??,
            (None, false) => read()?,
        };
        let body = body.accounted(share, &self.shared.kept);
        Ok(AttemptResponse::Body(body, origin))
    }
}

/// Waits for a node until `deadline`. If this task wakes long after that, the node may have
/// answered in time and nothing has looked: what lies in the socket is read then.
async fn in_time<T>(answer: impl Future<Output = T>, deadline: Instant) -> Option<T> {
    let mut answer = pin!(answer);
    if let Ok(answer) = timeout_at(deadline, &mut answer).await {
        return Some(answer);
    }
    let late = deadline.elapsed();
    if late < LATE {
        return None;
    }
    timeout(late, answer).await.ok()
}

/// Reserves memory for a large body of so many bytes, no more and no less.
fn hold(
    share: &mut Option<Share>,
    bytes: u64,
    memory: &Arc<Allowance>,
) -> Result<(), TransportError> {
    let has_room = match share.as_mut() {
        None => {
            *share = memory.take(bytes);
            share.is_some()
        }
        Some(share) => {
            share.shrink(bytes);
            share.grow(bytes - share.bytes())
        }
    };
    has_room.then_some(()).ok_or(TransportError::Memory)
}

/// Decompresses the body of a response, reads it and maps it.
fn read_body(
    mapper: &BodyMapper,
    response: TransportResponse,
    request: &TransportRequest,
    received: SystemTime,
) -> Result<(Body, Option<Share>), ResponseError> {
    let TransportResponse {
        status,
        headers,
        body: sent,
        codings,
        mut share,
    } = response;
    let limit_bytes = request.body_limit_bytes;
    let raw = codings
        .decode(sent, limit_bytes)
        .map_err(|error| match error {
            DecodeError::TooLarge => TransportError::TooLarge { limit_bytes },
            other => other.into(),
        })?;
    if raw.len() > LARGE_BYTES {
        hold(&mut share, raw.len() as u64, &request.memory)?;
    }
    if mapper.reader.is_json() && telltale::is_empty(&raw) {
        let status = status.as_u16();
        return Err(ResponseError::Empty { status });
    }
    let body = mapper.body(raw.clone(), received);
    let body = body.map_err(|error| match error {
        DocumentError::TooLarge(_)
        | DocumentError::Transform { .. }
        | DocumentError::NotRun { .. } => error.into(),
        source => ResponseError::Unreadable {
            what: telltale::of_body(request, &headers, &raw),
            source,
        },
    })?;
    Ok((body, share))
}

impl ResponseError {
    fn into_attempt_error(self) -> AttemptError {
        let error_type = self.error_type();
        let retry_after = match self {
            Self::Status { retry_after, .. } => retry_after,
            _ => None,
        };
        let failure = PollFailure {
            error_type,
            message: chain(&self).into(),
        };
        AttemptError {
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
            Self::Document(DocumentError::TooLarge(_)) => ErrorType::TooLarge,
            Self::Document(DocumentError::Transform { .. } | DocumentError::NotRun { .. }) => {
                ErrorType::Transform
            }
            Self::Document(_) | Self::Unreadable { .. } => ErrorType::Decode,
            Self::Undone(_) => ErrorType::Memory,
        }
    }
}

/// How the breakers see a failure.
fn class(error_type: ErrorType) -> ResultClass {
    match error_type {
        ErrorType::Dns | ErrorType::Connect | ErrorType::Tls => ResultClass::Transport,
        ErrorType::Timeout => ResultClass::Timeout,
        ErrorType::Body | ErrorType::Protocol | ErrorType::Header | ErrorType::Redirect => {
            ResultClass::Body
        }
        ErrorType::TooLarge => ResultClass::TooLarge,
        ErrorType::Decode | ErrorType::Transform | ErrorType::Empty => ResultClass::Decode,
        ErrorType::Status(status) => ResultClass::Status(status),
        ErrorType::Limiter
        | ErrorType::Credentials
        | ErrorType::CircuitOpen
        | ErrorType::Paused
        | ErrorType::Waiting
        | ErrorType::Suspect
        | ErrorType::Memory => ResultClass::NotSent,
    }
}

/// A poll made of saved bodies, one for each endpoint. An endpoint without one has failed.
pub(crate) fn sample(definition: &Definition, bodies: Vec<Option<Vec<u8>>>, clock: &Clock) -> Poll {
    let now = clock.now();
    let endpoints = definition
        .endpoints
        .iter()
        .zip(bodies)
        .map(|(endpoint, saved)| {
            let decoded = match saved {
                None => Err((ErrorType::Body, "no saved body".into())),
                Some(saved) => {
                    let reader = Reader::new(endpoint, SAMPLE_BYTES_MAX);
                    let decoded = reader.read(&saved).map_err(ResponseError::Document);
                    decoded
                        .map(|decoded| {
                            let mut body = reader.body(saved.into(), now);
                            body.repaired = decoded.repaired;
                            body
                        })
                        .map_err(|error| (error.error_type(), chain(&error).into()))
                }
            };
            let outcome = match decoded {
                Ok(body) => PollOutcome::Fresh(body),
                Err((error_type, message)) => PollOutcome::Failed(PollFailure {
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

#[cfg(test)]
mod tests {
    use tokio::{
        task::yield_now,
        time::{advance, sleep},
    };

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// It answers after that, which takes two looks.
    async fn answer(after: Duration) -> u64 {
        sleep(after).await;
        yield_now().await;
        7
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_came_in_time_counts_however_late_the_task_wakes() {
        let deadline = Instant::now() + SECOND;
        let busy = async {
            yield_now().await;
            advance(SECOND * 3).await;
        };
        let (answer, ()) = tokio::join!(in_time(answer(SECOND / 2), deadline), busy);
        assert_eq!(answer, Some(7));
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_that_does_not_answer_gets_no_extra_time() {
        let begun = Instant::now();
        assert_eq!(in_time(answer(SECOND * 2), begun + SECOND).await, None);
        assert!(begun.elapsed() < SECOND + LATE, "{:?}", begun.elapsed());
    }
}
