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
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, header};
use reqwest::{Client, ClientBuilder};
use tokio::task::yield_now;

use super::{
    line::Line,
    transport::{Request, Response, Transport, TransportError},
};

const CLOSE: HeaderValue = HeaderValue::from_static("close");

/// How long a connection that should have been closed after a poll may stay.
const BRIEFLY: Duration = Duration::from_secs(1);

/// Clients that differ in how long they keep a connection; shared by all targets.
#[derive(Debug, Clone)]
pub(super) struct HttpClient {
    /// From poll to poll.
    pooled: Client,
    /// For the requests of one poll.
    brief: Client,
    /// For one request.
    unpooled: Client,
    budget: Arc<Budget>,
}

/// How many connections may stay open between polls. Each is some 30 KB of buffers, and a file
/// descriptor: a large fleet has neither to spare.
#[derive(Debug)]
pub(super) struct Budget {
    targets: AtomicUsize,
    /// What one target would keep.
    per_target: usize,
    max: usize,
}

/// The client of one target.
#[derive(Debug)]
pub(super) struct TargetClient {
    client: HttpClient,
    /// Whose turn it is where a poll has one connection.
    line: Line,
    /// How many connections of the pool the server may have closed without saying so.
    kept: AtomicUsize,
}

impl HttpClient {
    /// Clients of the same settings; a connection that is kept is closed after `idle` without use.
    pub(super) fn new(
        settings: impl Fn() -> reqwest::Result<ClientBuilder>,
        idle: Duration,
        budget: &Arc<Budget>,
    ) -> reqwest::Result<Self> {
        let builder = || -> reqwest::Result<ClientBuilder> {
            Ok(settings()?.retry(reqwest::retry::never()).http1_only())
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
        })
    }

    /// A client for one target, on the same pool.
    pub(super) fn for_target(&self) -> TargetClient {
        self.budget.targets.fetch_add(1, Ordering::Relaxed);
        TargetClient {
            client: self.clone(),
            line: Line::new(),
            kept: AtomicUsize::new(0),
        }
    }
}

impl Budget {
    /// Room for `max` connections; each target would keep `per_target`.
    pub(super) fn new(per_target: usize, max: usize) -> Self {
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
    async fn get(&self, mut request: Request) -> Result<Response, TransportError> {
        if self.client.budget.keeps() {
            return self.get_by(&self.client.pooled, request, true).await;
        }
        let Some(turn) = self.line.turn().await else {
            return self.get_by(&self.client.unpooled, request, false).await;
        };
        if !turn.is_awaited {
            request.headers.insert(header::CONNECTION, CLOSE);
        }
        let brief = &self.client.brief;
        let response = self.get_by(brief, request, turn.is_awaited).await;
        if turn.is_awaited {
            // A task of the pool takes the connection back: let it, before the next one looks.
            yield_now().await;
        }
        response
    }
}

impl TargetClient {
    /// Asks by one of the clients; whether that `keeps` the connection.
    async fn get_by(
        &self,
        client: &Client,
        request: Request,
        keeps: bool,
    ) -> Result<Response, TransportError> {
        let answer = match send(client, &request).await {
            // A kept-alive connection may be dead at its second use (Betanet servers close each
            // one without a word). That says nothing of the host: ask again on a new one, once.
            Err(error) if is_lost(&error) && self.take_kept() => {
                send(&self.client.unpooled, &request).await
            }
            answer => answer,
        };
        let answer = answer.map_err(classify)?;
        let status = answer.status();
        let headers = answer.headers().clone();
        let body = match status.is_success() {
            true => read(answer, request.body_limit_bytes).await?,
            false => Bytes::new(),
        };
        self.kept.fetch_add(usize::from(keeps), Ordering::Relaxed);
        Ok(Response {
            status,
            headers,
            body,
        })
    }

    /// Whether a connection may have been kept; each is doubted once.
    fn take_kept(&self) -> bool {
        let take = |kept: usize| kept.checked_sub(1);
        self.kept
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
            .is_ok()
    }
}

async fn send(client: &Client, request: &Request) -> reqwest::Result<reqwest::Response> {
    client
        .get(request.url.clone())
        .headers(request.headers.clone())
        .send()
        .await
}

/// Reads the decompressed body up to the limit, so that a bomb stops there.
async fn read(mut answer: reqwest::Response, limit_bytes: u64) -> Result<Bytes, TransportError> {
    let mut body = BytesMut::new();
    while let Some(chunk) = answer.chunk().await.map_err(classify)? {
        if (body.len() + chunk.len()) as u64 > limit_bytes {
            return Err(TransportError::TooLarge { limit_bytes });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// Whether the connection went away before an answer began.
fn is_lost(error: &reqwest::Error) -> bool {
    error.is_request() && !error.is_connect() && !error.is_timeout()
}

fn classify(error: reqwest::Error) -> TransportError {
    // The URL is the target's, said elsewhere; in an error it would repeat at every poll.
    let error = error.without_url();
    if !error.is_connect() {
        return TransportError::Cut(error.into());
    }
    let mut dns = false;
    let mut tls = false;
    let mut source = error.source();
    while let Some(cause) = source {
        dns |= cause.to_string().starts_with("dns error");
        if let Some(cause) = cause.downcast_ref::<io::Error>() {
            // What TCP says comes from the operating system; what is wrapped comes from rustls,
            // and so does an end of the stream while connecting.
            tls |= cause.get_ref().is_some() || cause.kind() == io::ErrorKind::UnexpectedEof;
        }
        source = cause.source();
    }
    match (dns, tls) {
        (true, _) => TransportError::Dns(error.into()),
        (_, true) => TransportError::Tls(error.into()),
        _ => TransportError::Connect(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_kept_as_long_as_there_is_room_for_those_of_all_targets() {
        let budget = Arc::new(Budget::new(3, 6));
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
