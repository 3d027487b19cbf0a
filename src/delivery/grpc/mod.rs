//! OTLP over gRPC: one unary call a batch.

use std::sync::{Mutex, PoisonError};

use ::http::{HeaderMap, uri::PathAndQuery};
use async_trait::async_trait;
use bytes::{BufMut as _, Bytes};
use tonic::{
    Code, Request, Status,
    client::Grpc,
    codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder},
    metadata::MetadataMap,
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity},
};

use super::{
    Answer, BoxError, Destination, Invalid, Outcome, Tls, headers, outcome::shorten, tls::Files,
};
use crate::settings::{Compression, Headers};

mod retry_info;

const METHOD: PathAndQuery =
    PathAndQuery::from_static("/opentelemetry.proto.collector.metrics.v1.MetricsService/Export");

const EXPECTED: &str = "expected an address such as localhost:4317 or https://example.com:4317";

/// Sends over gRPC.
#[derive(Debug)]
pub struct GrpcDestination {
    endpoint: Endpoint,
    /// None until there is something to send.
    channel: Mutex<Option<Channel>>,
    headers: HeaderMap,
    compression: Option<CompressionEncoding>,
}

/// A status without its metadata, which may hold anything.
#[derive(Debug, thiserror::Error)]
#[error("the server answered {code:?} ({message})")]
struct Error {
    code: Code,
    message: String,
    source: Option<BoxError>,
}

impl GrpcDestination {
    /// Prepares a channel; connects when there is something to send.
    ///
    /// # Errors
    ///
    /// Names the value of the configuration that cannot be used.
    pub fn new(
        endpoint: &str,
        configured: &Headers,
        compression: Compression,
        tls: &Tls,
    ) -> Result<Self, Invalid> {
        let invalid = |_| Invalid::new("endpoint", EXPECTED);
        let (uri, encrypted) = uri(endpoint, tls.insecure);
        let mut endpoint = Endpoint::from_shared(uri)
            .and_then(|endpoint| endpoint.user_agent(headers::USER_AGENT))
            .map_err(invalid)?;
        let uri = endpoint.uri();
        if !matches!(uri.scheme_str(), Some("http" | "https")) {
            return Err(Invalid::new("endpoint", EXPECTED));
        }
        if uri
            .authority()
            .is_some_and(|host| host.as_str().contains('@'))
        {
            let message = "a user or password must not be part of the address: use `headers`";
            return Err(Invalid::new("endpoint", message));
        }
        if encrypted {
            let tls = tls_config(tls)?;
            endpoint = endpoint
                .tls_config(tls)
                .map_err(|error| Invalid::new("tls", error))?;
        }
        Ok(Self {
            channel: Mutex::new(None),
            endpoint,
            headers: headers::parse(configured)?,
            compression: match compression {
                Compression::None => None,
                Compression::Gzip => Some(CompressionEncoding::Gzip),
                Compression::Zstd => Some(CompressionEncoding::Zstd),
            },
        })
    }

    fn client(&self) -> Grpc<Channel> {
        let channel = self
            .channel
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert_with(|| self.endpoint.connect_lazy())
            .clone();
        let client = Grpc::new(channel)
            .accept_compressed(CompressionEncoding::Gzip)
            .accept_compressed(CompressionEncoding::Zstd);
        match self.compression {
            Some(encoding) => client.send_compressed(encoding),
            None => client,
        }
    }

    async fn attempt(&self, payload: Bytes) -> Result<Answer, Status> {
        let mut client = self.client();
        let ready = client.ready().await;
        ready.map_err(|error| Status::from_error(Box::new(error)))?;
        let mut request = Request::new(payload);
        *request.metadata_mut() = MetadataMap::from_headers(self.headers.clone());
        let response = client.unary(request, METHOD, PassThrough).await?;
        Ok(response.into_inner())
    }
}

#[async_trait]
impl Destination for GrpcDestination {
    async fn send(&self, payload: Bytes) -> Outcome {
        self.attempt(payload)
            .await
            .map_or_else(classify, Outcome::Sent)
    }

    /// A connection whose other end is gone without a word would be used until the kernel gives
    /// up on it, a quarter of an hour later: the next attempt gets a new one.
    fn timed_out(&self) {
        *self.channel.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Whether a call that failed so can succeed later: the list of the OTLP specification.
fn classify(status: Status) -> Outcome {
    let after = retry_info::delay(status.details());
    // Both ends answer this way to a message over their limit; it will not shrink.
    let too_large = status.message().contains("message length too large");
    let retry = match status.code() {
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss => !too_large,
        Code::ResourceExhausted => after.is_some(),
        // No answer at all: what tonic could not name.
        Code::Unknown => std::error::Error::source(&status).is_some(),
        _ => false,
    };
    let error = BoxError::from(Error::from(status));
    if retry {
        Outcome::Retry { error, after }
    } else {
        Outcome::Permanent { error }
    }
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        let source = std::error::Error::source(&status);
        Self {
            code: status.code(),
            message: shorten(status.message()),
            source: source.map(|source| crate::telemetry::chain(source).into()),
        }
    }
}

/// The URI to connect to, and whether by TLS. An explicit scheme decides.
fn uri(endpoint: &str, insecure: bool) -> (String, bool) {
    match endpoint.split_once("://") {
        Some((scheme, _)) => (endpoint.to_owned(), !scheme.eq_ignore_ascii_case("http")),
        None if insecure => (format!("http://{endpoint}"), false),
        None => (format!("https://{endpoint}"), true),
    }
}

fn tls_config(tls: &Tls) -> Result<ClientTlsConfig, Invalid> {
    if tls.insecure_skip_verify {
        let reason = "is for HTTP only; name the certificate's issuer in `ca_file`";
        return Err(Invalid::new("tls.insecure_skip_verify", reason));
    }
    let files = Files::read(tls)?;
    let mut config = match files.ca {
        Some(ca) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca)),
        None => ClientTlsConfig::new().with_native_roots(),
    };
    if let Some((cert, key)) = files.identity {
        config = config.identity(Identity::from_pem(cert, key));
    }
    if let Some(name) = &tls.server_name_override {
        config = config.domain_name(name);
    }
    Ok(config)
}

/// Sends bytes that are a message already; reads the answer.
#[derive(Debug, Clone, Copy)]
struct PassThrough;

impl Codec for PassThrough {
    type Encode = Bytes;
    type Decode = Answer;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for PassThrough {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(message);
        Ok(())
    }
}

impl Decoder for PassThrough {
    type Item = Answer;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Answer>, Status> {
        Ok(Some(Answer::decode(buffer)))
    }
}

#[cfg(test)]
mod tests;
