//! The real transport. A target in clear text, or behind a Unix socket, is asked over connections of
//! its own (`connection.rs`); reqwest, with its retries and redirects off, speaks TLS, goes through proxies
//! and follows to other origins.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use hyper::body::Body as _;
use reqwest::{Client, ClientBuilder};
use tokio::task::yield_now;

use super::{
    answer::{Answer, ask_directly, classify},
    connection::{Connector, KeptSockets},
    connection_budget::ConnectionBudget,
    connection_queue::ConnectionQueue,
    redirect,
    transport::{Transport, TransportError, TransportRequest, TransportResponse},
};
use crate::{
    client::content_encoding::{ACCEPTED, Codings},
    definition::Method,
    pipeline::{Allowance, LARGE_BYTES, Share},
};

const CLOSE: HeaderValue = HeaderValue::from_static("close");

/// How long a connection that should have been closed after a poll may stay.
const BRIEFLY: Duration = Duration::from_secs(1);

/// Clients that differ in how long they keep a connection; shared by all targets.
#[derive(Debug, Clone)]
pub(crate) struct HttpClient {
    /// From poll to poll.
    pooled: Client,
    /// For the requests of one poll.
    brief: Client,
    /// For one request.
    unpooled: Client,
    /// Opens connections in clear text; none where requests go through a proxy.
    connector: Option<Connector>,
    /// How long a connection may be idle between two polls.
    idle: Duration,
    budget: Arc<ConnectionBudget>,
    /// How many redirects are followed.
    max_redirects: usize,
}

/// The client of one target.
#[derive(Debug)]
pub(crate) struct TargetClient {
    client: HttpClient,
    /// Whose turn it is where the requests of a poll share a connection.
    line: ConnectionQueue,
    /// Sockets of a target in clear text; none where reqwest asks.
    sockets: Option<KeptSockets>,
    /// How many connections of reqwest's pool the server may have closed without saying so.
    kept: AtomicUsize,
}

/// How a request reaches the target.
#[derive(Clone, Copy)]
enum Route<'c> {
    /// Over a socket of the target's own; so many are kept afterwards.
    Direct(&'c Connector, &'c KeptSockets, usize),
    /// By reqwest; whether its pool keeps the connection.
    Pooled(&'c Client, bool),
}

impl HttpClient {
    /// Clients of the same settings; a connection that is kept is closed after `idle` without use.
    pub(crate) fn new(
        settings: impl Fn() -> reqwest::Result<ClientBuilder>,
        idle: Duration,
        budget: &Arc<ConnectionBudget>,
    ) -> reqwest::Result<Self> {
        let builder = || -> reqwest::Result<ClientBuilder> { Ok(settings()?.http1_only()) };
        let brief = builder()?.pool_max_idle_per_host(1);
        let unpooled = builder()?
            .pool_max_idle_per_host(0)
            .default_headers(HeaderMap::from_iter([(header::CONNECTION, CLOSE)]));
        Ok(Self {
            pooled: builder()?.pool_idle_timeout(idle).build()?,
            brief: brief.pool_idle_timeout(BRIEFLY).build()?,
            unpooled: unpooled.build()?,
            connector: None,
            idle,
            budget: Arc::clone(budget),
            max_redirects: 0,
        })
    }

    /// The same, which asks targets in clear text over connections of their own.
    pub(crate) fn connecting_by(self, connector: Option<Connector>) -> Self {
        Self { connector, ..self }
    }

    /// The same, which follows so many redirects.
    pub(crate) fn following(self, max_redirects: usize) -> Self {
        Self {
            max_redirects,
            ..self
        }
    }

    /// A client for one target. Without TLS it has connections of its own, if there is no proxy.
    pub(crate) fn for_target(&self, is_clear: bool) -> TargetClient {
        self.budget.add_target();
        let is_direct = is_clear && self.connector.is_some();
        TargetClient {
            client: self.clone(),
            line: ConnectionQueue::new(),
            sockets: is_direct.then(|| KeptSockets::new(self.idle)),
            kept: AtomicUsize::new(0),
        }
    }
}

impl HttpClient {
    /// A client for one target behind a Unix socket, which knows no other way.
    pub(crate) fn for_socket(&self, path: &Arc<Path>) -> TargetClient {
        let connector = Connector::to_socket(path);
        let client = self.clone().connecting_by(Some(connector)).following(0);
        client.for_target(true)
    }
}

impl Drop for TargetClient {
    fn drop(&mut self) {
        self.client.budget.remove_target();
    }
}

#[async_trait]
impl Transport for TargetClient {
    async fn fetch(&self, request: &TransportRequest) -> Result<TransportResponse, TransportError> {
        if !request.definition.is_idempotent {
            return self.fetch_once(request).await;
        }
        let budget = &self.client.budget;
        let max_kept = budget.kept_per_target();
        match self.direct() {
            Some((connector, sockets)) if max_kept > 0 => {
                // A request that does not get its turn soon has a connection of its own.
                let turn = self.line.turn().await;
                if turn.is_none() && max_kept == 1 {
                    let route = Route::Direct(connector, sockets, 0);
                    return self.fetch_by(route, &closing(request)).await;
                }
                let route = Route::Direct(connector, sockets, max_kept);
                self.fetch_by(route, request).await
            }
            None if max_kept == budget.per_target() => {
                let pooled = Route::Pooled(&self.client.pooled, true);
                self.fetch_by(pooled, request).await
            }
            _ => self.fetch_over_one_connection(request).await,
        }
    }
}

/// The same request, after which the server closes the connection.
fn closing(request: &TransportRequest) -> TransportRequest {
    let mut closing = request.clone();
    closing.headers.insert(header::CONNECTION, CLOSE);
    closing
}

impl TargetClient {
    fn direct(&self) -> Option<(&Connector, &KeptSockets)> {
        self.client.connector.as_ref().zip(self.sockets.as_ref())
    }

    /// Asks what must not be asked twice. A connection that was kept may be dead, and the request
    /// could not be sent again.
    async fn fetch_once(
        &self,
        request: &TransportRequest,
    ) -> Result<TransportResponse, TransportError> {
        match self.client.connector.as_ref() {
            Some(connector) if connector.is_of_socket() => {
                let nothing = KeptSockets::new(Duration::ZERO);
                let route = Route::Direct(connector, &nothing, 0);
                self.fetch_by(route, &closing(request)).await
            }
            _ => {
                let route = Route::Pooled(&self.client.unpooled, false);
                self.fetch_by(route, request).await
            }
        }
    }

    /// Asks where no connection is kept between polls: the requests of one poll share one.
    async fn fetch_over_one_connection(
        &self,
        request: &TransportRequest,
    ) -> Result<TransportResponse, TransportError> {
        let turn = self.line.turn_of_poll().await;
        let is_awaited = turn.as_ref().is_some_and(|turn| turn.is_awaited);
        let last;
        let request = match is_awaited {
            true => request,
            false => {
                last = closing(request);
                &last
            }
        };
        let route = match (self.direct(), &turn) {
            (Some((connector, sockets)), _) => {
                Route::Direct(connector, sockets, usize::from(is_awaited))
            }
            (None, Some(_)) => Route::Pooled(&self.client.brief, is_awaited),
            (None, None) => Route::Pooled(&self.client.unpooled, false),
        };
        let response = self.fetch_by(route, request).await;
        if is_awaited && matches!(route, Route::Pooled(..)) {
            // A task of the pool takes the connection back: let it, before the next one looks.
            yield_now().await;
        }
        response
    }

    /// Asks by one route, and follows where the answers lead.
    async fn fetch_by(
        &self,
        mut route: Route<'_>,
        request: &TransportRequest,
    ) -> Result<TransportResponse, TransportError> {
        let max_redirects = self.client.max_redirects;
        let mut answer = self.ask(route, request).await?;
        let (mut followed, mut is_from_elsewhere) = (0, false);
        // The request to which the latest redirect led.
        let mut latest = None;
        while max_redirects > 0
            && let before = latest.as_ref().unwrap_or(request)
            && !before.accepts(answer.status())
            && let Some(mut next) = redirect::next(before, answer.status(), answer.headers())
        {
            if followed == max_redirects {
                return Err(redirect::too_many(followed, &next));
            }
            followed += 1;
            if next.url.origin() != before.url.origin() {
                is_from_elsewhere = true;
                route = Route::Pooled(&self.client.unpooled, false);
            }
            next.authenticate()?;
            answer = self.ask(route, &next).await?;
            latest = Some(next);
        }
        let request = latest.as_ref().unwrap_or(request);
        let status = answer.status();
        let has_body = request.method != Method::Head && request.accepts(status);
        let (body, codings, share) = match has_body {
            true => read(&mut answer, request).await?,
            false => (Bytes::new(), Codings::default(), None),
        };
        let headers = self.finish(route, answer, has_body);
        Ok(TransportResponse {
            status,
            headers,
            is_from_elsewhere,
            redirected_to: latest.map(|request| request.url),
            body,
            codings,
            share,
        })
    }

    /// Keeps the connection as the route says, if the body was read or there is none; the headers
    /// of the answer.
    fn finish(&self, route: Route<'_>, answer: Answer, was_read: bool) -> HeaderMap {
        match (answer, route) {
            (Answer::Plain(answer), Route::Direct(_, sockets, max_kept)) => {
                if max_kept > 0
                    && let Some(socket) = answer.socket
                {
                    sockets.keep(socket, max_kept);
                }
                answer.headers
            }
            (Answer::Plain(answer), Route::Pooled(..)) => answer.headers,
            (Answer::Direct(exchange, head), Route::Direct(_, sockets, max_kept)) => {
                let (head, body) = head.into_parts();
                let is_whole = was_read || body.is_end_stream();
                drop(body);
                if max_kept > 0
                    && is_whole
                    && let Some(socket) = exchange.into_socket()
                {
                    sockets.keep(socket, max_kept);
                }
                head.headers
            }
            (Answer::Direct(_, head), Route::Pooled(..)) => head.into_parts().0.headers,
            (Answer::Pooled(mut answer), route) => {
                let keeps = matches!(route, Route::Pooled(_, true));
                self.kept.fetch_add(usize::from(keeps), Ordering::Relaxed);
                std::mem::take(answer.headers_mut())
            }
        }
    }

    /// Asks once, whatever the answer is.
    async fn ask(
        &self,
        route: Route<'_>,
        request: &TransportRequest,
    ) -> Result<Answer, TransportError> {
        match route {
            Route::Direct(connector, sockets, _) => ask_directly(connector, sockets, request).await,
            Route::Pooled(client, _) => self.ask_by_pool(client, request).await,
        }
    }

    async fn ask_by_pool(
        &self,
        client: &Client,
        request: &TransportRequest,
    ) -> Result<Answer, TransportError> {
        let answer = match send(client, request).await {
            // A kept-alive connection may be dead at its second use (Betanet servers close each
            // one without a word). That says nothing of the host: ask again on a new one, once.
            Err(error) if is_lost(&error) && self.take_kept() => {
                send(&self.client.unpooled, request).await
            }
            answer => answer,
        };
        if answer.is_ok() {
            request.begin();
        }
        answer.map(Answer::Pooled).map_err(classify)
    }

    /// Whether a connection of the pool may have been kept; each is doubted once.
    fn take_kept(&self) -> bool {
        let take = |kept: usize| kept.checked_sub(1);
        self.kept
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
            .is_ok()
    }
}

async fn send(client: &Client, request: &TransportRequest) -> reqwest::Result<reqwest::Response> {
    let builder = client
        .request(request.method.into(), request.url.clone())
        .header(header::ACCEPT_ENCODING, ACCEPTED)
        .headers(request.headers.clone());
    let builder = match request.method {
        Method::Post => builder.body(request.body.clone()),
        Method::Get | Method::Head => builder,
    };
    builder.send().await
}

/// Reads the body up to the limit.
async fn read(
    answer: &mut Answer,
    request: &TransportRequest,
) -> Result<(Bytes, Codings, Option<Share>), TransportError> {
    let limit_bytes = request.body_limit_bytes;
    let codings = Codings::of(answer.headers())?;
    if let Some(body) = answer.take_body() {
        return match body.len() as u64 > limit_bytes {
            true => Err(TransportError::TooLarge { limit_bytes }),
            false => Ok((body, codings, None)),
        };
    }
    let (mut body, mut memory) = (Vec::new(), Memory::new(&request.memory));
    while let Some(chunk) = answer.chunk().await? {
        if (body.len() + chunk.len()) as u64 > limit_bytes {
            return Err(TransportError::TooLarge { limit_bytes });
        }
        memory.hold(body.len() + chunk.len())?;
        body.extend_from_slice(&chunk);
    }
    body.shrink_to_fit();
    Ok((body.into(), codings, memory.share))
}

/// The memory of a body while it grows.
struct Memory<'r> {
    all: &'r Arc<Allowance>,
    share: Option<Share>,
    held_bytes: usize,
}

impl<'r> Memory<'r> {
    fn new(all: &'r Arc<Allowance>) -> Self {
        Self {
            all,
            share: None,
            held_bytes: 0,
        }
    }

    /// Takes what a body of so many bytes needs; a small one needs nothing.
    fn hold(&mut self, body_bytes: usize) -> Result<(), TransportError> {
        if body_bytes <= LARGE_BYTES.max(self.held_bytes) {
            return Ok(());
        }
        let wanted = body_bytes.next_multiple_of(LARGE_BYTES);
        let more = (wanted - self.held_bytes) as u64;
        let has_room = match &mut self.share {
            Some(share) => share.grow(more),
            empty => {
                *empty = self.all.take(more);
                empty.is_some()
            }
        };
        self.held_bytes = wanted;
        has_room.then_some(()).ok_or(TransportError::Memory)
    }
}

/// Whether the connection went away before an answer began.
fn is_lost(error: &reqwest::Error) -> bool {
    error.is_request() && !error.is_connect() && !error.is_timeout()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::receivers::http_json::http::connection_budget::ConnectionRoom;

    #[test]
    fn a_target_takes_room_for_connections_as_long_as_it_is_there() {
        let process = Arc::new(ConnectionRoom::new(100));
        let budget = Arc::new(ConnectionBudget::new(3, 6, &process));
        let settings = || Ok(ClientBuilder::new().tls_certs_only([]).no_proxy());
        let client = HttpClient::new(settings, BRIEFLY, &budget).unwrap();
        let mut targets = Vec::new();
        for expected in [3, 3, 1, 1, 1, 1, 0] {
            targets.push(client.for_target(true));
            let targets = targets.len();
            assert_eq!(budget.kept_per_target(), expected, "{targets} targets");
        }
        drop(targets);
        assert_eq!(budget.kept_per_target(), 3);
    }
}
