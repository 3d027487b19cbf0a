//! The real transport: reqwest, with its own retries and redirects off.

use std::{
    error::Error as _,
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use reqwest::{Client, ClientBuilder};
use tokio::task::yield_now;
use tokio_rustls::rustls::{self, InvalidMessage};

use super::{
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
    budget: Arc<ConnectionBudget>,
    /// How many redirects are followed.
    max_redirects: usize,
}

/// How many connections may stay open between polls. Each is some 30 KB of buffers, and a file
/// descriptor: a large fleet has neither to spare.
#[derive(Debug)]
pub(crate) struct ConnectionBudget {
    targets: AtomicUsize,
    /// What one target would keep.
    per_target: usize,
    max: usize,
}

/// The client of one target.
#[derive(Debug)]
pub(crate) struct TargetClient {
    client: HttpClient,
    /// Whose turn it is where a poll has one connection.
    line: ConnectionQueue,
    /// How many connections of the pool the server may have closed without saying so.
    kept: AtomicUsize,
}

impl HttpClient {
    /// Clients of the same settings; a connection that is kept is closed after `idle` without use.
    pub(crate) fn new(
        settings: impl Fn() -> reqwest::Result<ClientBuilder>,
        idle: Duration,
        budget: &Arc<ConnectionBudget>,
    ) -> reqwest::Result<Self> {
        let builder = || -> reqwest::Result<ClientBuilder> {
            let builder = settings()?.retry(reqwest::retry::never()).http1_only();
            // We do it: bodies of several members, and those that are cut.
            Ok(builder.no_gzip().no_zstd().no_deflate())
        };
        let brief = builder()?.pool_max_idle_per_host(1);
        let unpooled = builder()?
            .pool_max_idle_per_host(0)
            .default_headers(HeaderMap::from_iter([(header::CONNECTION, CLOSE)]));
        Ok(Self {
            pooled: builder()?.pool_idle_timeout(idle).build()?,
            brief: brief.pool_idle_timeout(BRIEFLY).build()?,
            unpooled: unpooled.build()?,
            budget: Arc::clone(budget),
            max_redirects: 0,
        })
    }

    /// The same, which follows so many redirects.
    pub(crate) fn following(self, max_redirects: usize) -> Self {
        Self {
            max_redirects,
            ..self
        }
    }

    /// A client for one target, on the same pool.
    pub(crate) fn for_target(&self) -> TargetClient {
        self.budget.targets.fetch_add(1, Ordering::Relaxed);
        TargetClient {
            client: self.clone(),
            line: ConnectionQueue::new(),
            kept: AtomicUsize::new(0),
        }
    }
}

impl ConnectionBudget {
    /// Room for `max` connections; each target would keep `per_target`.
    pub(crate) fn new(per_target: usize, max: usize) -> Self {
        Self {
            targets: AtomicUsize::new(0),
            per_target,
            max,
        }
    }

    /// Whether there is room for the connections of all targets. If not, none is kept: which
    /// targets are polled over new connections must not be a matter of luck.
    fn keeps(&self) -> bool {
        let targets = self.targets.load(Ordering::Relaxed);
        targets.saturating_mul(self.per_target) <= self.max
    }
}

impl Drop for TargetClient {
    fn drop(&mut self) {
        self.client.budget.targets.fetch_sub(1, Ordering::Relaxed);
    }
}

#[async_trait]
impl Transport for TargetClient {
    async fn fetch(
        &self,
        mut request: TransportRequest,
    ) -> Result<TransportResponse, TransportError> {
        if !request.definition.is_idempotent {
            // A connection that was kept may be dead, and it could not be sent again.
            return self.fetch_by(&self.client.unpooled, request, false).await;
        }
        if self.client.budget.keeps() {
            return self.fetch_by(&self.client.pooled, request, true).await;
        }
        let Some(turn) = self.line.turn().await else {
            return self.fetch_by(&self.client.unpooled, request, false).await;
        };
        if !turn.is_awaited {
            request.headers.insert(header::CONNECTION, CLOSE);
        }
        let brief = &self.client.brief;
        let response = self.fetch_by(brief, request, turn.is_awaited).await;
        if turn.is_awaited {
            // A task of the pool takes the connection back: let it, before the next one looks.
            yield_now().await;
        }
        response
    }
}

impl TargetClient {
    /// Asks by one of the clients; whether that `keeps` the connection.
    async fn fetch_by(
        &self,
        client: &Client,
        mut request: TransportRequest,
        keeps: bool,
    ) -> Result<TransportResponse, TransportError> {
        let max_redirects = self.client.max_redirects;
        let mut answer = self.ask(client, &request).await?;
        let mut followed = 0;
        while max_redirects > 0
            && !request.accepts(answer.status())
            && let Some(next) = redirect::next(&request, answer.status(), answer.headers())
        {
            if followed == max_redirects {
                return Err(redirect::too_many(followed, &next));
            }
            followed += 1;
            request = next;
            answer = self.ask(client, &request).await?;
        }
        let status = answer.status();
        let headers = answer.headers().clone();
        let has_body = request.method != Method::Head && request.accepts(status);
        let (body, codings, share) = match has_body {
            true => read(answer, &request).await?,
            false => (Bytes::new(), Codings::default(), None),
        };
        self.kept.fetch_add(usize::from(keeps), Ordering::Relaxed);
        Ok(TransportResponse {
            status,
            headers,
            body,
            codings,
            share,
        })
    }

    /// Asks once, whatever the answer is.
    async fn ask(
        &self,
        client: &Client,
        request: &TransportRequest,
    ) -> Result<reqwest::Response, TransportError> {
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
        answer.map_err(classify)
    }

    /// Whether a connection may have been kept; each is doubted once.
    fn take_kept(&self) -> bool {
        let take = |kept: usize| kept.checked_sub(1);
        self.kept
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
            .is_ok()
    }
}

async fn send(client: &Client, request: &TransportRequest) -> reqwest::Result<reqwest::Response> {
    let method = match request.method {
        Method::Get => http::Method::GET,
        Method::Post => http::Method::POST,
        Method::Head => http::Method::HEAD,
    };
    let builder = client
        .request(method, request.url.clone())
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
    mut answer: reqwest::Response,
    request: &TransportRequest,
) -> Result<(Bytes, Codings, Option<Share>), TransportError> {
    let limit_bytes = request.body_limit_bytes;
    let codings = Codings::of(answer.headers())?;
    let (mut body, mut memory) = (Vec::new(), Memory::new(&request.memory));
    while let Some(chunk) = answer.chunk().await.map_err(classify)? {
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

fn classify(error: reqwest::Error) -> TransportError {
    // The URL is the target's, said elsewhere; in an error it would repeat at every poll.
    let error = error.without_url();
    let is_connect = error.is_connect();
    let (mut dns, mut tls, mut not_tls) = (false, false, false);
    let mut head = None;
    let mut source = error.source();
    while let Some(cause) = source {
        dns |= cause.to_string().starts_with("dns error");
        if let Some(cause) = cause.downcast_ref::<io::Error>() {
            let wrapped = cause.get_ref();
            let of_tls = of_tls(cause);
            not_tls |= matches!(
                of_tls,
                Some(rustls::Error::InvalidMessage(
                    InvalidMessage::InvalidContentType
                ))
            );
            // A client's certificate is refused when the handshake is over for us.
            tls |= of_tls.is_some();
            // What TCP says comes from the operating system; what is wrapped comes from rustls,
            // and so does an end of the stream while connecting.
            let is_end = wrapped.is_some() || cause.kind() == io::ErrorKind::UnexpectedEof;
            tls |= is_connect && is_end;
        }
        if let Some(cause) = cause.downcast_ref::<hyper::Error>()
            && cause.is_parse()
        {
            let is_version = cause.to_string().contains("version");
            head = Some(is_version || cause.is_parse_version_h2());
        }
        source = cause.source();
    }
    let error = Box::new(error);
    match (is_connect, head) {
        (true, _) if dns => TransportError::Dns(error),
        _ if not_tls => TransportError::NotTls(error),
        _ if tls => TransportError::Tls(error),
        (true, _) => TransportError::Connect(error),
        (false, Some(true)) => TransportError::Protocol(error),
        (false, Some(false)) => TransportError::Header(error),
        (false, None) => TransportError::Cut(error),
    }
}

/// What rustls says, however often it is wrapped.
fn of_tls(error: &io::Error) -> Option<&rustls::Error> {
    let mut error = error.get_ref()?;
    loop {
        let of_tls = error.downcast_ref::<rustls::Error>();
        match error.downcast_ref::<io::Error>() {
            None => return of_tls,
            Some(wrapped) => error = wrapped.get_ref()?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_kept_as_long_as_there_is_room_for_those_of_all_targets() {
        let budget = Arc::new(ConnectionBudget::new(3, 6));
        let settings = || Ok(ClientBuilder::new().tls_certs_only([]).no_proxy());
        let client = HttpClient::new(settings, BRIEFLY, &budget).unwrap();
        let _two = [client.for_target(), client.for_target()];
        assert!(budget.keeps());
        let third = client.for_target();
        assert!(!budget.keeps());
        drop(third);
        assert!(budget.keeps());
    }
}
