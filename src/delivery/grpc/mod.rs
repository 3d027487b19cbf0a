//! OTLP over gRPC: one unary call a batch.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
};

use ::http::{Uri, uri::PathAndQuery};
use async_trait::async_trait;
use bytes::{BufMut as _, Bytes};
use tonic::{
    Code, Request, Status,
    client::Grpc,
    codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder},
    metadata::MetadataMap,
    transport::{Channel, Endpoint},
};

use self::connect::Connect;
use super::{
    Answer, BoxError, Destination, Invalid, Outcome, Remote, outcome::shorten,
    remote::RequestHeaders,
};
use crate::{client::headers::USER_AGENT, settings::Compression};

mod connect;
mod retry_info;

const METHOD: PathAndQuery =
    PathAndQuery::from_static("/opentelemetry.proto.collector.metrics.v1.MetricsService/Export");

const EXPECTED: &str = "expected an address such as localhost:4317 or https://example.com:4317";

/// Sends over gRPC.
pub struct GrpcDestination {
    endpoint: Endpoint,
    /// Makes TLS connections; none for clear text.
    connect: Option<Connect>,
    /// None until there is something to send.
    channel: Mutex<Option<Channel>>,
    headers: RequestHeaders,
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
    pub fn new(endpoint: &str, remote: &Remote<'_>) -> Result<Self, Invalid> {
        let (uri, encrypted) = uri(endpoint, remote.tls.insecure);
        let uri: Uri = uri
            .parse()
            .map_err(|_| Invalid::new("endpoint", EXPECTED))?;
        check(&uri, remote)?;
        let connect = encrypted
            .then(|| Connect::new(remote.tls, uri.host().unwrap_or_default()))
            .transpose()?;
        Ok(Self {
            endpoint: address(uri)?,
            connect,
            channel: Mutex::new(None),
            headers: remote.request_headers()?,
            compression: match remote.compression {
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
            .get_or_insert_with(|| match &self.connect {
                Some(connect) => self.endpoint.connect_with_connector_lazy(connect.clone()),
                None => self.endpoint.connect_lazy(),
            })
            .clone();
        let client = Grpc::new(channel)
            .accept_compressed(CompressionEncoding::Gzip)
            .accept_compressed(CompressionEncoding::Zstd);
        match self.compression {
            Some(encoding) => client.send_compressed(encoding),
            None => client,
        }
    }

    async fn attempt(&self, request: Request<Bytes>) -> Result<Answer, Status> {
        let mut client = self.client();
        let ready = client.ready().await;
        ready.map_err(|error| Status::from_error(Box::new(error)))?;
        let response = client.unary(request, METHOD, PassThrough).await?;
        Ok(response.into_inner())
    }
}

impl fmt::Debug for GrpcDestination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrpcDestination")
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Destination for GrpcDestination {
    async fn send(&self, payload: Bytes) -> Outcome {
        let headers = match self.headers.make() {
            Ok(headers) => headers,
            Err(outcome) => return outcome,
        };
        let mut request = Request::new(payload);
        *request.metadata_mut() = MetadataMap::from_headers(headers);
        self.attempt(request)
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
    // Then the status is not the server's word: the connection broke, or a proxy reset the stream.
    let is_broken = std::error::Error::source(&status).is_some();
    let is_passing = match status.code() {
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss => true,
        Code::ResourceExhausted => after.is_some(),
        _ => false,
    };
    let retry = (is_broken || is_passing) && !too_large;
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

/// Whether the address and the settings around it make sense together.
fn check(uri: &Uri, remote: &Remote<'_>) -> Result<(), Invalid> {
    if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none() {
        return Err(Invalid::new("endpoint", EXPECTED));
    }
    if uri
        .authority()
        .is_some_and(|host| host.as_str().contains('@'))
    {
        let message = "a user or password must not be part of the address: use `auth` or `headers`";
        return Err(Invalid::new("endpoint", message));
    }
    let encrypted = uri.scheme_str() == Some("https");
    match remote.tls.check_for_urls(encrypted).into_iter().next() {
        Some(mistake) => Err(mistake),
        None => Ok(()),
    }
}

/// For tonic all connections are clear text; what it says to the server is the truth.
fn address(uri: Uri) -> Result<Endpoint, Invalid> {
    let invalid = |_| Invalid::new("endpoint", EXPECTED);
    let host = uri.host().unwrap_or_default();
    let port = match (uri.port_u16(), uri.scheme_str()) {
        (Some(port), _) => port,
        (None, Some("https")) => 443,
        (None, _) => 80,
    };
    let endpoint = Endpoint::from_shared(format!("http://{host}:{port}")).map_err(invalid)?;
    endpoint.origin(uri).user_agent(USER_AGENT).map_err(invalid)
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

/// Reads the details of a status, for fuzzing.
#[doc(hidden)]
pub fn fuzz_retry_info(details: &[u8]) {
    let _ = retry_info::delay(details);
}

#[cfg(test)]
mod tests;
