//! OTLP over HTTP: one `POST` of protobuf a batch.

use std::{fmt, io};

use ::http::{HeaderMap, HeaderValue, StatusCode, header};
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use reqwest::{Client, Url, redirect};

use super::{Answer, Destination, Invalid, Outcome, Remote, compress, remote::RequestHeaders};
use crate::{
    client::{Tls, headers::USER_AGENT},
    http::retry_after,
    runtime::Clock,
    settings::Compression,
};

/// The most of an answer that is read, as OTLP recommends.
const MAX_RESPONSE_BYTES: usize = 4 * 1024 * 1024;
const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");

/// Sends over HTTP.
pub struct HttpDestination {
    client: Client,
    url: Url,
    headers: RequestHeaders,
    /// What the headers that are configured cannot change.
    content: HeaderMap,
    compression: Compression,
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("the server answered {0}")]
    Status(StatusCode),
    #[error("the exchange with the server failed")]
    Exchange(#[source] reqwest::Error),
    #[error("the server's answer is longer than {MAX_RESPONSE_BYTES} bytes")]
    AnswerTooLong,
    #[error("the batch cannot be compressed")]
    Compress(#[source] io::Error),
}

impl HttpDestination {
    /// Prepares a client; connects when there is something to send.
    ///
    /// # Errors
    ///
    /// Names the value of the configuration that cannot be used.
    pub fn new(url: Url, remote: &Remote<'_>) -> Result<Self, Invalid> {
        let mut content = HeaderMap::from_iter([(header::CONTENT_TYPE, PROTOBUF)]);
        if let Some(encoding) = compress::encoding(remote.compression) {
            content.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
        }
        Ok(Self {
            client: client(remote.tls, url.scheme() == "https")?,
            url,
            headers: remote.request_headers()?,
            content,
            compression: remote.compression,
        })
    }

    async fn attempt(&self, mut headers: HeaderMap, payload: Bytes) -> Result<Outcome, Error> {
        headers.extend(self.content.clone());
        let body = compress::compress(self.compression, payload).map_err(Error::Compress)?;
        let request = self
            .client
            .post(self.url.clone())
            .headers(headers)
            .body(body);
        let response = request.send().await.map_err(exchange)?;
        let status = response.status();
        if status.is_success() {
            return Ok(Outcome::Sent(Answer::decode(read(response).await?)));
        }
        let after = retry_after(status, response.headers(), Clock::System.since_epoch());
        let error = Error::Status(status).into();
        Ok(match status {
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => Outcome::Retry { error, after },
            _ => Outcome::Permanent { error },
        })
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
                Error::Status(_) | Error::AnswerTooLong | Error::Compress(_) => {
                    Outcome::permanent(error)
                }
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
