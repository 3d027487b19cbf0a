//! One endpoint of one target: its requests, their deadlines, and what their responses are read as.
//!
//! The resilience layer decides when an attempt is made and how long it may take. This file makes
//! the attempts.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http::{HeaderMap, StatusCode};
use tokio::time::Instant;

use super::{
    asked::{AskedRequest, EndpointUrl, RequestValues},
    authenticated::AuthenticatedExchange,
    body_mapper::{BodyMapper, BodyMappers},
    failure::ResponseError,
    in_time::in_time,
    origin::Origin,
    places::Places,
    receive::read_body,
    shown,
};
use crate::{
    client::auth::{Authenticator, OriginAuth},
    definition::{EndpointLabels, Method, Pages, Parameters, RequestElement},
    http::retry_after,
    pipeline::{Allowance, Body, EndpointPoll, ErrorType, LARGE_BYTES, MadeRequest, PollOutcome},
    receivers::http_json::{
        http::{
            cache_headers::{add_validators, origin},
            telltale,
            transport::{Transport, TransportRequest, TransportResponse},
        },
        telemetry::{EndpointTelemetry, ReceiverTelemetry},
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
    /// Authenticates requests to a target.
    pub(crate) auth: Option<Arc<dyn Authenticator>>,
    /// The most bytes of a decompressed body.
    pub(crate) body_limit_bytes: u64,
    /// The memory of the texts of large bodies.
    pub(crate) memory: Arc<Allowance>,
    /// The memory of the texts of large bodies that are kept.
    pub(crate) kept: Arc<Allowance>,
    /// One for each request in flight.
    pub(crate) places: Arc<Places>,
    /// The time of day.
    pub(crate) clock: Clock,
    /// Counts requests.
    pub(crate) telemetry: Arc<ReceiverTelemetry>,
    /// Reads and maps bodies, by definition and endpoint.
    pub(crate) mappers: BodyMappers,
    /// Whether polls come with the text of their bodies.
    pub(crate) keeps_text: bool,
}

impl ReceiverParts {
    /// The same for probes, which send no credentials and have places of their own.
    pub(crate) fn for_probes(&self, concurrency: usize) -> Self {
        Self {
            headers: HeaderMap::new(),
            parameters: Arc::clone(&self.parameters),
            auth: None,
            body_limit_bytes: self.body_limit_bytes,
            memory: Arc::clone(&self.memory),
            kept: Arc::clone(&self.kept),
            places: Arc::new(Places::new(concurrency)),
            clock: self.clock.clone(),
            telemetry: Arc::clone(&self.telemetry),
            mappers: BodyMappers::default(),
            keeps_text: self.keeps_text,
        }
    }
}

/// One endpoint of one target.
pub(crate) struct EndpointPoller {
    /// Where it is at each instance of the target.
    pub(crate) sites: PerInstance<EndpointAddress>,
    /// What metrics, logs and pages show of it.
    pub(crate) labels: EndpointLabels,
    /// Counts its polls and requests.
    pub(crate) telemetry: Arc<EndpointTelemetry>,
    /// What it is asked for.
    pub(crate) values: RequestValues,
    /// It is asked at every so many ticks.
    pub(crate) every: u32,
    /// How the rest of a long answer is found.
    pub(crate) pages: Option<Arc<Pages>>,
    /// The elements of another endpoint's answer for which it is requested.
    pub(crate) origin: Option<Box<Origin>>,
    /// Reads and maps its bodies.
    pub(crate) mapper: Arc<BodyMapper>,
    pub(crate) shared: Arc<ReceiverParts>,
    /// Breakers, cache and the rest, of the whole target.
    pub(crate) host: Arc<TargetResilience>,
    /// Position among the endpoints of the target.
    pub(crate) index: usize,
    /// The requests of the poll in progress, where the text of bodies is kept as well.
    pub(crate) made: Mutex<Vec<MadeRequest>>,
}

/// The endpoint at one instance.
pub(crate) struct EndpointAddress {
    pub(crate) url: EndpointUrl,
    /// Authenticates requests to the instance.
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
        if let Some(polled) = self.without_request() {
            return Self::result(started, polled);
        }
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
        let mut polled = Self::result(started, polled);
        polled.requests = std::mem::take(&mut *self.made());
        polled
    }

    /// Whether an attempt may take several requests.
    fn takes_several(&self) -> bool {
        self.pages.is_some() || self.origin.is_some()
    }

    /// Maps a body that was kept (304), and gives up the text of any body: what a poll holds until
    /// its slowest endpoint has answered are readings.
    async fn finish(&self, body: &mut Body) {
        if !body.is_mapped() {
            let (mapper, kept) = (Arc::clone(&self.mapper), body.clone());
            let map = move || mapper.map_kept(&kept);
            let (readings, derived) = match body.is_large() {
                true => heavy::offload(map).await.unwrap_or_default(),
                false => map(),
            };
            body.set_readings(readings);
            body.set_derived(derived);
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
            requests: Vec::new(),
        }
    }

    /// Makes one attempt: a request, or all that the endpoint needs, and what comes of it.
    pub(crate) async fn attempt(
        &self,
        order: AttemptRequest,
    ) -> Result<AttemptResponse, AttemptError> {
        match self.takes_several() {
            false => self.attempt_once(order).await,
            // Boxed, since few endpoints need it.
            true => Box::pin(self.attempt_all(order)).await,
        }
    }

    /// Makes all requests of an attempt.
    async fn attempt_all(&self, order: AttemptRequest) -> Result<AttemptResponse, AttemptError> {
        let has_begun = self.has_begun();
        // It counts each of its requests.
        let exchange = self.exchange_all(&order, has_begun.as_ref()).await;
        self.judged(exchange, has_begun.as_ref())
    }

    /// Whether an answer has begun, where that matters.
    fn has_begun(&self) -> Option<Arc<AtomicBool>> {
        (self.method() == Method::Post).then(Arc::<AtomicBool>::default)
    }

    fn judged(
        &self,
        exchange: Result<AttemptResponse, ResponseError>,
        has_begun: Option<&Arc<AtomicBool>>,
    ) -> Result<AttemptResponse, AttemptError> {
        let mut result = exchange.map_err(ResponseError::into_attempt_error);
        if let (Err(error), Some(has_begun)) = (&mut result, has_begun) {
            error.is_final = self.is_final(error, has_begun.load(Ordering::Relaxed));
        }
        result
    }

    /// Makes one request and counts it, also where the endpoint needs several.
    pub(crate) async fn attempt_once(
        &self,
        order: AttemptRequest,
    ) -> Result<AttemptResponse, AttemptError> {
        let started = Instant::now();
        let has_begun = self.has_begun();
        let exchange = self.exchange(&order, has_begun.as_ref()).await;
        let result = self.judged(exchange, has_begun.as_ref());
        let error_type = match &result {
            // Waiting in vain for a place among the concurrent requests is not a request.
            Err(error) if error.class == ResultClass::NotSent => return result,
            Err(error) => Some(error.failure.error_type),
            Ok(AttemptResponse::Body(body, _)) => body.accepted_status.map(ErrorType::Status),
            Ok(AttemptResponse::NotModified(_)) => None,
        };
        self.telemetry
            .requested(&self.shared.telemetry, started.elapsed(), error_type);
        result
    }

    async fn exchange(
        &self,
        order: &AttemptRequest,
        has_begun: Option<&Arc<AtomicBool>>,
    ) -> Result<AttemptResponse, ResponseError> {
        let request = || {
            let found = self.origin.as_deref().and_then(Origin::found);
            let first = found.as_ref().and_then(|found| found.elements.first());
            let request = self.request(order, first.map(|of| &**of))?;
            Ok(TransportRequest {
                has_begun: has_begun.cloned(),
                ..request
            })
        };
        let (response, request) = self.fetch(request, order, order.timeout).await?;
        // Reading the response takes none of the node's time.
        self.read(response, request, order).await
    }

    /// Waits for a place among the concurrent requests, makes the request and sends it.
    pub(super) async fn fetch(
        &self,
        request: impl FnOnce() -> Result<TransportRequest, ResponseError>,
        order: &AttemptRequest,
        limit: Duration,
    ) -> Result<(TransportResponse, TransportRequest), ResponseError> {
        let started = Instant::now();
        let place = self.shared.places.take(order.is_doubtful, limit).await;
        let _place = place.ok_or(ResponseError::Limiter)?;
        let _in_flight = self.shared.telemetry.request();
        let request = request()?;
        let sent = Instant::now();
        let noted = self.shared.keeps_text.then(|| MadeRequest {
            method: request.method.name(),
            url: shown::request(&request.url, &self.labels.path),
            status: None,
            took: Duration::ZERO,
        });
        let fetched = self.send(request, order.instance, started, limit).await;
        if let Some(noted) = noted {
            let answer = fetched.as_ref().ok();
            self.made().push(MadeRequest {
                status: answer.map(|(response, _)| response.status.as_u16()),
                took: sent.elapsed(),
                ..noted
            });
        }
        fetched
    }

    /// Sends a request to an instance, which has `limit` from `started` on.
    async fn send(
        &self,
        request: TransportRequest,
        instance: usize,
        started: Instant,
        limit: Duration,
    ) -> Result<(TransportResponse, TransportRequest), ResponseError> {
        let EndpointAddress {
            transport, auth, ..
        } = self.sites.at(instance);
        match auth {
            None => {
                let response = in_time(transport.fetch(&request), started + limit).await;
                Ok((response.ok_or(ResponseError::Timeout(limit))??, request))
            }
            // Boxed, since most targets need none.
            Some(auth) => {
                let exchange = AuthenticatedExchange {
                    auth,
                    transport,
                    limit,
                };
                Ok(Box::pin(exchange.run(request)).await?)
            }
        }
    }

    fn made(&self) -> MutexGuard<'_, Vec<MadeRequest>> {
        // The list is consistent at every moment, so a panic elsewhere does no damage.
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a `POST` that failed must not be sent again: something may have been done for it.
    fn is_final(&self, error: &AttemptError, has_begun: bool) -> bool {
        let was_sent = !matches!(
            error.failure.error_type,
            ErrorType::Dns | ErrorType::Connect | ErrorType::Tls
        ) && error.class != ResultClass::NotSent;
        has_begun || (was_sent && !self.values.request.is_idempotent)
    }

    pub(super) fn request(
        &self,
        order: &AttemptRequest,
        element: Option<&RequestElement>,
    ) -> Result<TransportRequest, ResponseError> {
        let ReceiverParts { headers, clock, .. } = &*self.shared;
        let url = &self.sites.at(order.instance).url;
        let AskedRequest {
            url,
            mut headers,
            body,
        } = self.values.at(url, headers, element, clock)?;
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
        let response = self.accepted(&request, response)?;
        let received = clock.now();
        let (mapper, is_heavy) = (Arc::clone(&self.mapper), is_heavy(&response));
        let read = move || read_body(&mapper, response, &request, received);
        let (body, share) = self.work(is_heavy, read).await??;
        let mut body = body.accounted(share, &self.shared.kept);
        body.accepted_status = (!status.is_success()).then_some(status.as_u16());
        Ok(AttemptResponse::Body(body, origin))
    }

    /// The response, if the body of one with its status is read.
    pub(super) fn accepted(
        &self,
        request: &TransportRequest,
        response: TransportResponse,
    ) -> Result<TransportResponse, ResponseError> {
        let (status, headers) = (response.status, &response.headers);
        if request.accepts(status) {
            return Ok(response);
        }
        let now = self.shared.clock.since_epoch();
        Err(ResponseError::Status {
            status: status.as_u16(),
            detail: telltale::of_status(request, status, headers),
            retry_after: retry_after(status, headers, now),
        })
    }

    /// Reads a body: here, or on another thread if that takes long.
    pub(super) async fn work<T: Send + 'static>(
        &self,
        is_heavy: bool,
        read: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ResponseError> {
        Ok(match (self.mapper.reader.transform(), is_heavy) {
            (Some(transform), _) => transform.on_another_thread(read).await?,
            (None, true) => heavy::offload(read).await?,
            (None, false) => read(),
        })
    }
}

/// Whether reading the response takes long.
pub(super) fn is_heavy(response: &TransportResponse) -> bool {
    let limit = match response.codings.is_empty() {
        true => LARGE_BYTES,
        false => HEAVY_BYTES,
    };
    response.body.len() > limit
}
