//! OTLP and Prometheus' remote write over HTTP: one `POST` of protobuf a batch.

use std::{fmt, io};

use ::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use reqwest::{Client, Url, redirect};

use super::{
    Answer, Destination, Invalid, Outcome, Remote, compress, outcome::shorten,
    remote::RequestHeaders,
};
use crate::{
    client::{Tls, headers::USER_AGENT},
    http::retry_after,
    runtime::Clock,
    settings::Compression,
};

/// The most of an answer that is read, as OTLP recommends.
const MAX_RESPONSE_BYTES: usize = 4 * 1024 * 1024;

/// Which remote write is spoken.
const REMOTE_WRITE_VERSION: (HeaderName, HeaderValue) = (
    HeaderName::from_static("x-prometheus-remote-write-version"),
    HeaderValue::from_static("0.1.0"),
);
const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");

/// Sends over HTTP.
pub struct HttpDestination {
    client: Client,
    url: Url,
    headers: RequestHeaders,
    /// What the headers that are configured cannot change.
    content: HeaderMap,
    protocol: Protocol,
}

/// What is spoken.
#[derive(Debug, Clone, Copy)]
enum Protocol {
    Otlp(Compression),
    /// Version 1.0; its compression is snappy.
    RemoteWrite,
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("the server answered {0}")]
    Status(StatusCode),
    #[error("the server answered {0}: {1}")]
    Refusal(StatusCode, String),
    #[error("the exchange with the server failed")]
    Exchange(#[source] reqwest::Error),
    #[error("the server's answer is longer than {MAX_RESPONSE_BYTES} bytes")]
    AnswerTooLong,
    #[error("the batch cannot be compressed")]
    Compress(#[source] io::Error),
}

impl HttpDestination {
    /// Speaks OTLP. Prepares a client; connects when there is something to send.
    ///
    /// # Errors
    ///
    /// Names the value of the configuration that cannot be used.
    pub fn new(url: Url, remote: &Remote<'_>) -> Result<Self, Invalid> {
        let encoding = compress::encoding(remote.compression);
        let encoding = encoding.map(HeaderValue::from_static);
        let content = encoding.map(|encoding| (header::CONTENT_ENCODING, encoding));
        Self::speaking(Protocol::Otlp(remote.compression), url, remote, content)
    }

    /// The same for Prometheus' remote write, whose compression is snappy.
    ///
    /// # Errors
    ///
    /// Names the value of the configuration that cannot be used.
    pub fn remote_write(url: Url, remote: &Remote<'_>) -> Result<Self, Invalid> {
        let snappy = HeaderValue::from_static("snappy");
        let content = [(header::CONTENT_ENCODING, snappy), REMOTE_WRITE_VERSION];
        Self::speaking(Protocol::RemoteWrite, url, remote, content)
    }

    fn speaking(
        protocol: Protocol,
        url: Url,
        remote: &Remote<'_>,
        content: impl IntoIterator<Item = (HeaderName, HeaderValue)>,
    ) -> Result<Self, Invalid> {
        let content_type = [(header::CONTENT_TYPE, PROTOBUF)];
        Ok(Self {
            client: client(remote.tls, url.scheme() == "https")?,
            url,
            headers: remote.request_headers()?,
            content: content_type.into_iter().chain(content).collect(),
            protocol,
        })
    }

    async fn attempt(&self, mut headers: HeaderMap, payload: Bytes) -> Result<Outcome, Error> {
        headers.extend(self.content.clone());
        let body = self.protocol.compress(payload).map_err(Error::Compress)?;
        let request = self
            .client
            .post(self.url.clone())
            .headers(headers)
            .body(body);
        let response = request.send().await.map_err(exchange)?;
        let status = response.status();
        if status.is_success() {
            return Ok(Outcome::Sent(match self.protocol {
                Protocol::Otlp(_) => Answer::decode(read(response).await?),
                Protocol::RemoteWrite => Answer::default(),
            }));
        }
        let after = retry_after(status, response.headers(), Clock::System.since_epoch());
        let is_retried = self.protocol.retries(status);
        let error = self.protocol.error(status, response).await.into();
        Ok(match is_retried {
            true => Outcome::Retry { error, after },
            false => Outcome::Permanent { error },
        })
    }
}

impl Protocol {
    fn compress(self, payload: Bytes) -> io::Result<Bytes> {
        match self {
            Self::Otlp(compression) => compress::compress(compression, payload),
            Self::RemoteWrite => compress::snappy(&payload),
        }
    }

    /// Whether a request that was answered so may be taken later.
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

    /// What the server says of a request that it does not take. Prometheus says which sample it
    /// was, and why.
    async fn error(self, status: StatusCode, response: reqwest::Response) -> Error {
        match self {
            Self::Otlp(_) => Error::Status(status),
            Self::RemoteWrite => {
                let body = read(response).await.unwrap_or_default();
                let text = String::from_utf8_lossy(&body);
                Error::Refusal(status, shorten(text.trim()))
            }
        }
    }
}

impl fmt::Debug for HttpDestination {
    /// Without the URL, which may hold credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpDestination").finish_non_exhaustive()
    }
}

#[async_trait]
impl Destination for HttpDestination {
    async fn send(&self, payload: Bytes) -> Outcome {
        let headers = match self.headers.make() {
            Ok(headers) => headers,
            Err(outcome) => return outcome,
        };
        self.attempt(headers, payload)
            .await
            .unwrap_or_else(|error| match error {
                Error::Exchange(_) => Outcome::retry(error),
                Error::Status(_)
                | Error::Refusal(..)
                | Error::AnswerTooLong
                | Error::Compress(_) => Outcome::permanent(error),
            })
    }
}

fn client(tls: &Tls, encrypted: bool) -> Result<Client, Invalid> {
    if let Some(mistake) = tls.check_for_urls(encrypted).into_iter().next() {
        return Err(mistake);
    }
    let builder = Client::builder()
        .user_agent(USER_AGENT)
        .retry(reqwest::retry::never())
        .redirect(redirect::Policy::none())
        .no_proxy();
    let builder = if encrypted {
        builder.tls_backend_preconfigured(tls.client_config()?)
    } else {
        // A machine without certificates can still speak clear text.
        builder.tls_certs_only([])
    };
    builder.build().map_err(|error| Invalid::new("tls", error))
}

/// The body, decompressed, as far as we are willing to read it.
async fn read(mut response: reqwest::Response) -> Result<Bytes, Error> {
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(exchange)? {
        if body.len() + chunk.len() > MAX_RESPONSE_BYTES {
            return Err(Error::AnswerTooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// An error without the URL, which may hold credentials.
fn exchange(error: reqwest::Error) -> Error {
    Error::Exchange(error.without_url())
}

#[cfg(test)]
mod tests;
