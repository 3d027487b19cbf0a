//! The real transport: reqwest, with its own retries and redirects off.

use std::{
    error::Error as _,
    io,
    sync::atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use reqwest::{Client, ClientBuilder};

use super::transport::{Request, Response, Transport, TransportError};

/// A pooling client, and one that opens a connection for each request; shared by all targets.
#[derive(Debug, Clone)]
pub(super) struct HttpClient {
    pooled: Client,
    unpooled: Client,
}

/// The client of one target.
#[derive(Debug)]
pub(super) struct TargetClient {
    client: HttpClient,
    /// How many connections of the pool the server may have closed without saying so.
    kept: AtomicUsize,
}

impl HttpClient {
    /// Two clients of the same settings.
    pub(super) fn new(
        settings: impl Fn() -> reqwest::Result<ClientBuilder>,
    ) -> reqwest::Result<Self> {
        let builder = || -> reqwest::Result<ClientBuilder> {
            Ok(settings()?.retry(reqwest::retry::never()).http1_only())
        };
        let unpooled = builder()?.pool_max_idle_per_host(0).build()?;
        Ok(Self {
            pooled: builder()?.build()?,
            unpooled,
        })
    }

    /// A client for one target, on the same pool.
    pub(super) fn for_target(&self) -> TargetClient {
        TargetClient {
            client: self.clone(),
            kept: AtomicUsize::new(0),
        }
    }
}

#[async_trait]
impl Transport for TargetClient {
    async fn get(&self, request: Request) -> Result<Response, TransportError> {
        let answer = match send(&self.client.pooled, &request).await {
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
        self.kept.fetch_add(1, Ordering::Relaxed);
        Ok(Response {
            status,
            headers,
            body,
        })
    }
}

impl TargetClient {
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
