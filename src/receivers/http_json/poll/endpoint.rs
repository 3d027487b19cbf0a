//! One endpoint of one target: its requests, their deadlines, and what their responses are read as.
//!
//! The resilience layer decides when an attempt is made and how long it may take. This file makes
//! the attempts.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use http::{HeaderMap, StatusCode};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout},
};

use super::{
    asked::{AskedRequest, EndpointUrl, RequestValues},
    authenticated::AuthenticatedExchange,
    body_mapper::BodyMapper,
    failure::ResponseError,
    in_time::in_time,
    receive::read_body,
};
use crate::{
    client::auth::{Authenticator, OriginAuth},
    definition::{EndpointLabels, Method, Parameters},
    http::retry_after,
    pipeline::{Allowance, Body, EndpointPoll, ErrorType, LARGE_BYTES, PollOutcome},
    receivers::http_json::{
        http::{
            cache_headers::{add_validators, origin},
            telltale,
            transport::{Transport, TransportRequest, TransportResponse},
        },
        telemetry::ReceiverTelemetry,
    },
    resilience::{
        executor::{
            AttemptError, AttemptRequest, AttemptResponse, Declined, Manner, NextStep, PollResult,
        },
        outcome::ResultClass,
        per_instance::PerInstance,
        target_resilience::TargetResilience,
    },
    runtime::{Clock, heavy},
    telemetry::Trace,
};

/// What all endpoints of a receiver have in common.
pub(crate) struct ReceiverParts {
    /// Sent with each request.
    pub(crate) headers: HeaderMap,
    /// What requests may refer to.
    pub(crate) parameters: Arc<Parameters>,
    /// Says who we are to a target.
    pub(crate) auth: Option<Arc<dyn Authenticator>>,
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
    /// What it is asked for.
    pub(crate) values: RequestValues,
    /// It is asked at every so many ticks.
    pub(crate) every: u32,
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
    pub(crate) url: EndpointUrl,
    /// Says who we are to the instance.
    pub(crate) auth: Option<OriginAuth>,
    pub(crate) transport: Arc<dyn Transport>,
}

/// A compressed body of so many bytes can take a millisecond to decompress.
const HEAVY_BYTES: usize = 1024;

impl EndpointPoller {
    /// How it is asked.
    pub(crate) fn method(&self) -> Method {
        self.values.request.method
    }

    /// Polls once: makes the attempts that the resilience layer asks for.
    pub(crate) async fn poll(&self, manner: Manner) -> EndpointPoll {
        let started = Instant::now();
        let mut run = self.host.begin(self.index, manner);
        let mut polled = loop {
            match run.next().await {
                NextStep::Done(polled) => break polled,
                NextStep::Attempt(request) => run.record(self.attempt(request).await),
            }
        };
        if let PollOutcome::Fresh(body) | PollOutcome::NotModified(body) = &mut polled.outcome {
            self.finish(body).await;
        }
        Self::result(started, polled)
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
        let started = Instant::now();
        let has_begun = (self.method() == Method::Post).then(Arc::<AtomicBool>::default);
        let exchange = self.exchange(&order, has_begun.as_ref()).await;
        let mut result = exchange.map_err(ResponseError::into_attempt_error);
        if let (Err(error), Some(has_begun)) = (&mut result, &has_begun) {
            error.is_final = self.is_final(error, has_begun.load(Ordering::Relaxed));
        }
        let error_type = match &result {
            // Waiting in vain for a place among the concurrent requests is not a request.
            Err(error) if error.class == ResultClass::NotSent => return result,
            Err(error) => Some(error.failure.error_type),
            Ok(AttemptResponse::Body(body, _)) => body.accepted_status.map(ErrorType::Status),
            Ok(AttemptResponse::NotModified(_)) => None,
        };
        let (of, took) = ((self.method(), &self.labels), started.elapsed());
        self.shared.telemetry.requested(of, took, error_type);
        result
    }

    async fn exchange(
        &self,
        order: &AttemptRequest,
        has_begun: Option<&Arc<AtomicBool>>,
    ) -> Result<AttemptResponse, ResponseError> {
        let (started, limit) = (Instant::now(), order.timeout);
        let permit = timeout(limit, self.shared.limiter.acquire()).await;
        let permit = permit.map_err(|_| ResponseError::Limiter)?;
        let _permit = permit.map_err(|_| ResponseError::Limiter)?;
        let _in_flight = self.shared.telemetry.request();
        let request = TransportRequest {
            has_begun: has_begun.cloned(),
            ..self.request(order)?
        };
        let EndpointAddress {
            transport, auth, ..
        } = self.sites.at(order.instance);
        let (response, request) = match auth {
            None => {
                let response = in_time(transport.fetch(request.clone()), started + limit).await;
                (response.ok_or(ResponseError::Timeout(limit))??, request)
            }
            // Boxed, since most targets need none.
            Some(auth) => {
                let exchange = AuthenticatedExchange {
                    auth,
                    transport,
                    limit,
                };
                Box::pin(exchange.run(request)).await?
            }
        };
        // Reading the response takes none of the node's time.
        self.read(response, request, order).await
    }

    /// Whether a `POST` that failed must not be sent again: something may have been done for it.
    fn is_final(&self, error: &AttemptError, has_begun: bool) -> bool {
        let was_sent = !matches!(
            error.failure.error_type,
            ErrorType::Dns | ErrorType::Connect | ErrorType::Tls
        ) && error.class != ResultClass::NotSent;
        has_begun || (was_sent && !self.values.request.is_idempotent)
    }

    fn request(&self, order: &AttemptRequest) -> Result<TransportRequest, ResponseError> {
        let ReceiverParts { headers, clock, .. } = &*self.shared;
        let url = &self.sites.at(order.instance).url;
        let AskedRequest {
            url,
            mut headers,
            body,
        } = self.values.at(url, headers, clock)?;
        if let Some(origin) = &order.validators
            && self.method() == Method::Get
        {
            add_validators(&mut headers, origin);
        }
        Ok(TransportRequest {
            definition: Arc::clone(&self.values.request),
            method: self.method(),
            url,
            headers,
            credentials: None,
            body,
            body_limit_bytes: self.shared.body_limit_bytes,
            memory: Arc::clone(&self.shared.memory),
            has_begun: None,
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
        if !request.accepts(status) {
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
        let mut body = body.accounted(share, &self.shared.kept);
        body.accepted_status = (!status.is_success()).then_some(status.as_u16());
        Ok(AttemptResponse::Body(body, origin))
    }
}
