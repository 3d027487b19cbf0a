//! OTLP and Prometheus remote write over HTTP: one `POST` of protobuf for each batch.

mod refusal_reason;

use std::{fmt, io};

use ::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use async_trait::async_trait;
use bytes::Bytes;
use reqwest::{Client, Url};

use super::{
    BoxError, ClientSettings, ConfigError, Destination, ExportAnswer, SendOutcome,
    client_settings::RequestHeaders, compress,
};
use crate::{
    client::{
        Proxy, Secrets, Spoken,
        auth::{AuthError, AuthRequest, OriginCredentials},
        client_through, explain, read_body,
    },
    http::retry_after,
    runtime::{Clock, heavy},
    settings::Compression,
};

/// The largest part of an answer that is read, as OTLP recommends.
const MAX_RESPONSE_BYTES: usize = 4 * 1024 * 1024;

/// The largest number of redirects to another path of the same server.
const MAX_REDIRECTS: usize = 5;

/// A larger body takes a millisecond or more to compress.
const LARGE_BYTES: usize = 64 * 1024;

/// The version of remote write.
const REMOTE_WRITE_VERSION: (HeaderName, HeaderValue) = (
    HeaderName::from_static("x-prometheus-remote-write-version"),
    HeaderValue::from_static("0.1.0"),
);
const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");

/// Sends over HTTP.
pub struct HttpDestination {
    client: Client,
    /// The proxy, if there is one.
    proxy: Option<Proxy>,
    /// The time of day, for dates that a server sends.
    clock: Clock,
    url: Url,
    headers: RequestHeaders,
    /// Headers that the configuration cannot change.
    content: HeaderMap,
    protocol: Protocol,
}

/// The protocol of the requests.
#[derive(Debug, Clone, Copy)]
enum Protocol {
    Otlp(Compression),
    /// Version 1.0, which uses snappy.
    RemoteWrite,
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("the server answered {0}{1}")]
    Refusal(StatusCode, Words),
    #[error("the server answered {0} and redirects to `{1}`: use that as the endpoint")]
    Elsewhere(StatusCode, String),
    #[error("the exchange with the server{0} failed{1}")]
    Exchange(String, String, #[source] reqwest::Error),
    #[error("the server's answer is longer than {MAX_RESPONSE_BYTES} bytes")]
    AnswerTooLong,
    #[error(transparent)]
    Auth(#[from] AuthError),
    #[error("the batch cannot be compressed")]
    Compress(#[source] io::Error),
}

/// The message of a refusal, if the server sends one.
#[derive(Debug)]
struct Words(String);

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_str() {
            "" => Ok(()),
            words => write!(f, ": {words}"),
        }
    }
}

impl HttpDestination {
    /// Sends OTLP. Prepares a client, which connects when there is something to send.
    ///
    /// # Errors
    /// If a value of the configuration cannot be used. The error names its key.
    pub fn new(url: Url, remote: &ClientSettings<'_>) -> Result<Self, ConfigError> {
        let encoding = compress::encoding(remote.compression);
        let encoding = encoding.map(HeaderValue::from_static);
        let content = encoding.map(|encoding| (header::CONTENT_ENCODING, encoding));
        Self::speaking(Protocol::Otlp(remote.compression), url, remote, content)
    }

    /// Sends Prometheus remote write, which uses snappy.
    ///
    /// # Errors
    /// If a value of the configuration cannot be used. The error names its key.
    pub fn remote_write(url: Url, remote: &ClientSettings<'_>) -> Result<Self, ConfigError> {
        let snappy = HeaderValue::from_static("snappy");
        let content = [(header::CONTENT_ENCODING, snappy), REMOTE_WRITE_VERSION];
        Self::speaking(Protocol::RemoteWrite, url, remote, content)
    }

    fn speaking(
        protocol: Protocol,
        url: Url,
        remote: &ClientSettings<'_>,
        content: impl IntoIterator<Item = (HeaderName, HeaderValue)>,
    ) -> Result<Self, ConfigError> {
        let content_type = [(header::CONTENT_TYPE, PROTOBUF)];
        let uri = url.as_str().parse();
        let uri = uri.map_err(|error| ConfigError::new("endpoint", BoxError::from(error)))?;
        let proxy = Proxy::of(&uri, remote.proxy_url)?;
        Ok(Self {
            client: client_through(remote.tls, url.scheme() == "https", proxy.as_ref())?,
            proxy,
            clock: remote.clock.clone(),
            headers: remote.request_headers(&url)?,
            url,
            content: content_type.into_iter().chain(content).collect(),
            protocol,
        })
    }

    async fn attempt(&self, payload: Bytes) -> Result<SendOutcome, Error> {
        let body = self.protocol.body(payload).await;
        let body = body.map_err(Error::Compress)?;
        let (response, secrets) = self.exchange(body).await?;
        let status = response.status();
        if status.is_success() {
            return Ok(SendOutcome::Sent(match self.protocol {
                Protocol::Otlp(_) => {
                    ExportAnswer::decode(self.read(response).await?).quoted(&secrets)
                }
                Protocol::RemoteWrite => ExportAnswer::default(),
            }));
        }
        if let Some(elsewhere) = self.location(&response).filter(|_| status.is_redirection()) {
            return Err(Error::Elsewhere(
                status,
                secrets.quote(elsewhere.as_bytes()),
            ));
        }
        let after = retry_after(status, response.headers(), self.clock.since_epoch());
        let words = secrets.quote(&refusal_reason::words(response).await);
        let is_too_large = is_too_large(status, &words);
        let error = Error::Refusal(status, Words(words)).into();
        Ok(if is_too_large {
            SendOutcome::TooLarge { error }
        } else if self.protocol.retries(status) {
            SendOutcome::Retry { error, after }
        } else {
            SendOutcome::Permanent { error }
        })
    }

    /// Sends a request, and once more if the server wants other credentials. Returns what is secret
    /// in the request as well.
    async fn exchange(&self, body: Bytes) -> Result<(reqwest::Response, Secrets), Error> {
        let used = self.headers.credentials().await?;
        let (response, secrets) = self.post(used.as_ref(), body.clone()).await?;
        let other = self.headers.answered(used.as_ref(), &response).await?;
        let Some(other) = other else {
            return Ok((response, secrets));
        };
        let (response, secrets) = self.post(Some(&other), body).await?;
        self.headers.repeated(&other, &response);
        Ok((response, secrets))
    }

    /// The headers of a request to `url`.
    fn headers(
        &self,
        credentials: Option<&OriginCredentials>,
        url: &Url,
        body: &Bytes,
    ) -> Result<HeaderMap, Error> {
        let mut headers = self.headers.fixed();
        headers.extend(self.content.clone());
        if let Some(credentials) = credentials {
            credentials.apply(AuthRequest {
                method: &Method::POST,
                url,
                headers: &mut headers,
                body,
            })?;
        }
        Ok(headers)
    }

    /// Sends a request, and sends it again after a redirect to another path of the same server.
    async fn post(
        &self,
        credentials: Option<&OriginCredentials>,
        body: Bytes,
    ) -> Result<(reqwest::Response, Secrets), Error> {
        let mut url = self.url.clone();
        let mut redirects = 0;
        loop {
            let headers = self.headers(credentials, &url, &body)?;
            let secrets = Secrets::of(Some(&self.url), &headers);
            let request = self.client.post(url.clone()).headers(headers);
            let response = request.body(body.clone()).send().await;
            let response = response.map_err(|error| self.lost(error))?;
            let keeps_method = matches!(
                response.status(),
                StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT
            );
            let next = location(&response).and_then(|location| url.join(location).ok());
            let next = next.filter(|next| next.origin() == url.origin());
            match next.filter(|_| keeps_method && redirects < MAX_REDIRECTS) {
                Some(next) => url = next,
                None => return Ok((response, secrets)),
            }
            redirects += 1;
        }
    }

    /// The location of a redirect, without possible secrets.
    fn location(&self, response: &reqwest::Response) -> Option<String> {
        let mut url = self.url.join(location(response)?).ok()?;
        url.set_query(None);
        url.set_fragment(None);
        let is_without = url.set_username("").is_ok() && url.set_password(None).is_ok();
        is_without.then(|| url.to_string())
    }

    /// The decompressed body, up to the limit.
    async fn read(&self, mut response: reqwest::Response) -> Result<Bytes, Error> {
        let body = read_body(&mut response, MAX_RESPONSE_BYTES).await;
        let body = body.map_err(|error| self.lost(error))?;
        body.ok_or(Error::AnswerTooLong)
    }

    /// An error without the URL, which may contain credentials.
    fn lost(&self, error: reqwest::Error) -> Error {
        let error = error.without_url();
        let by = self.proxy.as_ref();
        let by = by.map(|proxy| format!(" through the proxy {}", proxy.address()));
        let why = explain(Spoken::Http, &error).map(|why| format!(" ({why})"));
        Error::Exchange(by.unwrap_or_default(), why.unwrap_or_default(), error)
    }
}

fn location(response: &reqwest::Response) -> Option<&str> {
    response.headers().get(header::LOCATION)?.to_str().ok()
}

/// Whether the server refused the request because of its size. Go's servers, such as the Collector,
/// answer with 400.
fn is_too_large(status: StatusCode, words: &str) -> bool {
    let says_so = words
        .to_ascii_lowercase()
        .contains("request body too large");
    status == StatusCode::PAYLOAD_TOO_LARGE || (status == StatusCode::BAD_REQUEST && says_so)
}

impl Protocol {
    /// The body of a request: compressed on another thread if that takes long, because one thread
    /// polls all targets.
    async fn body(self, payload: Bytes) -> io::Result<Bytes> {
        if payload.len() <= LARGE_BYTES {
            return self.compress(payload);
        }
        let compressed = heavy::offload(move || self.compress(payload)).await;
        compressed.map_err(io::Error::other)?
    }

    fn compress(self, payload: Bytes) -> io::Result<Bytes> {
        match self {
            Self::Otlp(compression) => compress::compress(compression, payload),
            Self::RemoteWrite => compress::snappy(&payload),
        }
    }

    /// Whether a request with this answer may be accepted later.
    fn retries(self, status: StatusCode) -> bool {
        match self {
            Self::Otlp(_) => matches!(
                status,
                StatusCode::TOO_MANY_REQUESTS
                    | StatusCode::BAD_GATEWAY
                    | StatusCode::SERVICE_UNAVAILABLE
                    | StatusCode::GATEWAY_TIMEOUT
            ),
            Self::RemoteWrite => {
                status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error()
            }
        }
    }
}

impl fmt::Debug for HttpDestination {
    /// Prints no URL, which may contain credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpDestination").finish_non_exhaustive()
    }
}

#[async_trait]
impl Destination for HttpDestination {
    async fn send(&self, payload: Bytes) -> SendOutcome {
        let attempt = self.attempt(payload).await;
        attempt.unwrap_or_else(|error| match error {
            Error::Exchange(..) => SendOutcome::retry(error),
            // What is missing now, such as a file or a token, may be there later.
            Error::Auth(error) => SendOutcome::retry(error),
            Error::Elsewhere(..)
            | Error::Refusal(..)
            | Error::AnswerTooLong
            | Error::Compress(_) => SendOutcome::permanent(error),
        })
    }
}

#[cfg(test)]
mod tests;
