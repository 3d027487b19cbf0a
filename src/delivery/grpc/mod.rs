//! OTLP over gRPC: one unary call for each batch.

use std::{
    fmt,
    net::SocketAddr,
    sync::{Mutex, PoisonError},
};

use ::http::{HeaderMap, Method, StatusCode, Uri, uri::PathAndQuery};
use async_trait::async_trait;
use bytes::{BufMut as _, Bytes};
use reqwest::Url;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tonic::{
    Code, Request, Status,
    client::Grpc,
    codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder},
    metadata::MetadataMap,
    transport::{Channel, Endpoint},
};

use self::{balance::Balancer, connect::Connect};
use super::{
    BoxError, ClientSettings, ConfigError, Destination, ExportAnswer, SendOutcome,
    client_settings::RequestHeaders,
};
use crate::{
    client::{
        Proxy, Secrets, Spoken,
        auth::{Answer, AuthError, AuthRequest, OriginCredentials},
        explain,
        headers::USER_AGENT,
    },
    settings::{self, Compression},
    telemetry::chain,
};

mod balance;
mod connect;
mod retry_info;

const METHOD: PathAndQuery =
    PathAndQuery::from_static("/opentelemetry.proto.collector.metrics.v1.MetricsService/Export");

/// The largest answer. It is one byte less than the 4 MiB that servers accept for a request, so
/// that an error message shows which side refused a message because of its size.
const MAX_ANSWER_BYTES: usize = 4 * 1024 * 1024 - 1;

const EXPECTED: &str = "expected an address such as localhost:4317, https://example.com:4317 or \
                        dns:///example.com:4317";

/// How the exporter uses the addresses of a name, with gRPC's names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BalancerName {
    /// One connection, to the first address that accepts one.
    #[default]
    PickFirst,
    /// Batches go to the addresses in turn.
    RoundRobin,
}

/// Pings that detect a lost connection, with the Collector's keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Keepalive {
    /// A connection without any data for this time gets a ping.
    pub time: settings::Duration,
    /// A ping without an answer for this time ends the connection.
    pub timeout: settings::Duration,
    /// Whether there are pings even while no request is in progress.
    pub permit_without_stream: bool,
}

impl Default for Keepalive {
    fn default() -> Self {
        Self {
            time: settings::Duration::from_secs(10),
            timeout: settings::Duration::from_secs(10),
            permit_without_stream: false,
        }
    }
}

/// Settings that only gRPC has.
#[derive(Debug, Clone, Copy, Default)]
pub struct GrpcSettings {
    /// How the exporter uses the addresses of a name.
    pub balancer: BalancerName,
    /// Pings, if configured.
    pub keepalive: Option<Keepalive>,
}

/// Sends over gRPC.
pub struct GrpcDestination {
    endpoint: Endpoint,
    connect: Connect,
    /// Chooses an address for each batch, with `round_robin`.
    balancer: Option<Balancer>,
    /// The only connection, with `pick_first`. `None` before the first batch.
    channel: Mutex<Option<Channel>>,
    headers: RequestHeaders,
    /// What credentials are for.
    url: Url,
    compression: Option<CompressionEncoding>,
}

/// A status without its metadata, which may contain secrets.
#[derive(Debug, thiserror::Error)]
#[error("the server answered {code:?} ({message})")]
struct Error {
    code: Code,
    message: String,
    source: Option<BoxError>,
}

/// There was no answer, because the connection failed.
#[derive(Debug, thiserror::Error)]
#[error("the exchange with the server failed{0}")]
struct Broken(String, #[source] BoxError);

impl GrpcDestination {
    /// Prepares a channel. It connects when there is something to send.
    ///
    /// # Errors
    /// If a value of the configuration cannot be used. The error names its key.
    pub fn new(endpoint: &str, remote: &ClientSettings<'_>) -> Result<Self, ConfigError> {
        Self::with(endpoint, remote, &GrpcSettings::default())
    }

    /// Prepares a channel with settings that only gRPC has.
    ///
    /// # Errors
    /// If a value of the configuration cannot be used. The error names its key.
    pub fn with(
        endpoint: &str,
        remote: &ClientSettings<'_>,
        settings: &GrpcSettings,
    ) -> Result<Self, ConfigError> {
        let (uri, encrypted) = uri(endpoint, remote.tls.insecure)?;
        let uri: Uri = uri
            .parse()
            .map_err(|_| ConfigError::new("endpoint", EXPECTED))?;
        check(&uri, remote)?;
        // In Go, all gRPC uses the proxy for encrypted connections.
        let secure = format!("https://{}", uri.authority().map_or("", |of| of.as_str()));
        let secure = secure
            .parse()
            .map_err(|_| ConfigError::new("endpoint", EXPECTED))?;
        let url = Url::parse(&format!("{}{METHOD}", origin(&uri)));
        let url = url.map_err(|_| ConfigError::new("endpoint", EXPECTED))?;
        let mut connect = Connect::new(Proxy::of(&secure, remote.proxy_url)?)?;
        if encrypted {
            connect = connect.encrypted(remote.tls, uri.host().unwrap_or_default())?;
        }
        let takes_turns = settings.balancer == BalancerName::RoundRobin && !connect.has_proxy();
        let name = uri
            .authority()
            .map(|authority| authority.as_str().to_owned());
        Ok(Self {
            balancer: name.filter(|_| takes_turns).map(Balancer::new),
            endpoint: address(uri, settings.keepalive)?,
            connect,
            channel: Mutex::new(None),
            headers: remote.request_headers(&url)?,
            url,
            compression: match remote.compression {
                Compression::None => None,
                Compression::Gzip => Some(CompressionEncoding::Gzip),
                Compression::Zstd => Some(CompressionEncoding::Zstd),
            },
        })
    }

    /// The connection for the next batch, and its address if each batch has another one.
    async fn channel(&self) -> Result<(Option<SocketAddr>, Channel), Status> {
        let Some(balancer) = &self.balancer else {
            let mut channel = self.channel.lock().unwrap_or_else(PoisonError::into_inner);
            let connect = || {
                self.endpoint
                    .connect_with_connector_lazy(self.connect.clone())
            };
            return Ok((None, channel.get_or_insert_with(connect).clone()));
        };
        let found = balancer.channel(&self.endpoint, &self.connect).await;
        let (address, channel) = found.map_err(Status::from_error)?;
        Ok((Some(address), channel))
    }

    /// Makes a call, and once more if the server wants other credentials.
    async fn exchange(&self, payload: Bytes) -> Result<SendOutcome, AuthError> {
        let used = self.headers.credentials().await?;
        let (answer, secrets) = self.call(used.as_ref(), payload.clone()).await?;
        let status = CallStatus::of(&answer);
        let other = self.headers.answered(used.as_ref(), &status).await?;
        let Some(other) = other else {
            return Ok(outcome(answer, &secrets));
        };
        let (answer, secrets) = self.call(Some(&other), payload).await?;
        self.headers.repeated(&other, &CallStatus::of(&answer));
        Ok(outcome(answer, &secrets))
    }

    async fn call(
        &self,
        credentials: Option<&OriginCredentials>,
        payload: Bytes,
    ) -> Result<(Result<ExportAnswer, Status>, Secrets), AuthError> {
        let mut headers = self.headers.fixed();
        if let Some(credentials) = credentials {
            credentials.apply(AuthRequest {
                method: &Method::POST,
                url: &self.url,
                headers: &mut headers,
                body: &payload,
            })?;
        }
        let secrets = Secrets::of(None, &headers);
        let mut request = Request::new(payload);
        *request.metadata_mut() = MetadataMap::from_headers(headers);
        Ok((self.attempt(request).await, secrets))
    }

    async fn attempt(&self, request: Request<Bytes>) -> Result<ExportAnswer, Status> {
        let (address, channel) = self.channel().await?;
        let mut client = Grpc::new(channel)
            .max_decoding_message_size(MAX_ANSWER_BYTES)
            .accept_compressed(CompressionEncoding::Gzip)
            .accept_compressed(CompressionEncoding::Zstd);
        if let Some(encoding) = self.compression {
            client = client.send_compressed(encoding);
        }
        let answer = async {
            let ready = client.ready().await;
            ready.map_err(|error| Status::from_error(Box::new(error)))?;
            client.unary(request, METHOD, PassThrough).await
        };
        let answer = answer.await;
        if let Err(status) = &answer
            && is_broken(status)
            && let Some((balancer, address)) = self.balancer.as_ref().zip(address)
        {
            balancer.forget(address);
        }
        Ok(answer?.into_inner())
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
    async fn send(&self, payload: Bytes) -> SendOutcome {
        self.exchange(payload)
            .await
            .unwrap_or_else(SendOutcome::retry)
    }

    /// Closes the connection. If its other end has disappeared silently, the kernel would notice
    /// only after a quarter of an hour. The next attempt gets a new connection.
    fn timed_out(&self) {
        *self.channel.lock().unwrap_or_else(PoisonError::into_inner) = None;
        if let Some(balancer) = &self.balancer {
            balancer.forget_all();
        }
    }
}

/// The HTTP status that says of credentials what the status of a call says.
struct CallStatus {
    status: Option<StatusCode>,
    headers: HeaderMap,
}

impl CallStatus {
    fn of(answer: &Result<ExportAnswer, Status>) -> Self {
        let status = match answer.as_ref().map_err(Status::code) {
            Ok(_) => Some(StatusCode::OK),
            Err(Code::Unauthenticated) => Some(StatusCode::UNAUTHORIZED),
            Err(Code::PermissionDenied) => Some(StatusCode::FORBIDDEN),
            Err(_) => None,
        };
        Self {
            status,
            headers: HeaderMap::new(),
        }
    }
}

impl Answer for CallStatus {
    fn status(&self) -> Option<StatusCode> {
        self.status
    }

    fn headers(&self) -> &HeaderMap {
        &self.headers
    }
}

fn outcome(answer: Result<ExportAnswer, Status>, secrets: &Secrets) -> SendOutcome {
    match answer {
        Ok(answer) => SendOutcome::Sent(answer.quoted(secrets)),
        Err(status) => classify(&status, secrets),
    }
}

/// Whether the status does not come from the server: the connection broke, or a proxy reset the
/// stream.
fn is_broken(status: &Status) -> bool {
    std::error::Error::source(status).is_some()
}

/// Whether a failed call can succeed later, by the list of the OTLP specification.
fn classify(status: &Status, secrets: &Secrets) -> SendOutcome {
    let after = retry_info::delay(status.details());
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
    let retry = is_broken(status) || is_passing;
    let error = explained(status, secrets);
    if is_answer_too_long(status) {
        SendOutcome::Permanent { error }
    } else if is_too_large(status) {
        SendOutcome::TooLarge { error }
    } else if retry {
        SendOutcome::Retry { error, after }
    } else {
        SendOutcome::Permanent { error }
    }
}

/// Whether the answer was too large, which does not depend on the size of the request.
fn is_answer_too_long(status: &Status) -> bool {
    let limit = format!("the limit is: {MAX_ANSWER_BYTES} bytes");
    status.message().contains(&limit)
}

/// Whether the server refused a message because of its size. These are the messages of Rust, Go,
/// C++ and Java, and of HTTP proxies.
fn is_too_large(status: &Status) -> bool {
    const WORDS: [&str; 5] = [
        "message length too large",
        "message larger than max",
        "message exceeds maximum size",
        "http status code 413",
        "status code: 413",
    ];
    let message = status.message().to_ascii_lowercase();
    WORDS.iter().any(|words| message.contains(words))
}

fn explained(status: &Status, secrets: &Secrets) -> BoxError {
    let source = std::error::Error::source(status);
    if let Some(why) = source.and_then(|source| explain(Spoken::Grpc, source)) {
        let chain = source.map(chain).unwrap_or_default();
        return Broken(format!(" ({why})"), chain.into()).into();
    }
    Error {
        code: status.code(),
        message: secrets.quote(status.message().as_bytes()),
        source: source.map(|source| chain(source).into()),
    }
    .into()
}

/// The URI to connect to, and whether it uses TLS. An explicit scheme decides.
fn uri(endpoint: &str, insecure: bool) -> Result<(String, bool), ConfigError> {
    let address = match endpoint.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("dns") => {
            // The name of a DNS server may come before the last `/`.
            let message = "names a DNS server: only the system's is supported, write \
                           dns:///example.com:4317";
            let named = || ConfigError::new("endpoint", message);
            rest.strip_prefix('/').ok_or_else(named)?
        }
        Some((scheme, _)) => {
            let encrypted = !scheme.eq_ignore_ascii_case("http");
            return Ok((endpoint.to_owned(), encrypted));
        }
        None => endpoint.strip_prefix("dns:").unwrap_or(endpoint),
    };
    Ok(match insecure {
        true => (format!("http://{address}"), false),
        false => (format!("https://{address}"), true),
    })
}

/// The scheme, host and port of the server.
fn origin(uri: &Uri) -> String {
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    format!("{}://{authority}", uri.scheme_str().unwrap_or_default())
}

/// Checks the address together with the other settings.
fn check(uri: &Uri, remote: &ClientSettings<'_>) -> Result<(), ConfigError> {
    if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none() {
        return Err(ConfigError::new("endpoint", EXPECTED));
    }
    if uri
        .authority()
        .is_some_and(|host| host.as_str().contains('@'))
    {
        let message = "a user or password must not be part of the address: use `auth` or `headers`";
        return Err(ConfigError::new("endpoint", message));
    }
    if uri.port_u16().is_none() {
        let message = "needs a port, such as localhost:4317";
        return Err(ConfigError::new("endpoint", message));
    }
    let encrypted = uri.scheme_str() == Some("https");
    match remote.tls.check_for_urls(encrypted).into_iter().next() {
        Some(mistake) => Err(mistake),
        None => Ok(()),
    }
}

/// tonic sees all connections as plain text. The URI that the server gets has the real scheme.
fn address(uri: Uri, keepalive: Option<Keepalive>) -> Result<Endpoint, ConfigError> {
    let invalid = |_| ConfigError::new("endpoint", EXPECTED);
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let endpoint = Endpoint::from_shared(format!("http://{authority}")).map_err(invalid)?;
    let endpoint = endpoint.origin(uri).user_agent(USER_AGENT);
    let endpoint = endpoint.map_err(invalid)?;
    Ok(match keepalive {
        Some(keepalive) => endpoint
            .http2_keep_alive_interval(keepalive.time.get())
            .keep_alive_timeout(keepalive.timeout.get())
            .keep_alive_while_idle(keepalive.permit_without_stream),
        None => endpoint,
    })
}

/// Sends bytes that are already a message, and reads the answer.
#[derive(Debug, Clone, Copy)]
struct PassThrough;

impl Codec for PassThrough {
    type Encode = Bytes;
    type Decode = ExportAnswer;
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
    type Item = ExportAnswer;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<ExportAnswer>, Status> {
        Ok(Some(ExportAnswer::decode(buffer)))
    }
}

/// Reads the details of a status, for fuzzing.
#[doc(hidden)]
pub fn fuzz_retry_info(details: &[u8]) {
    let _ = retry_info::delay(details);
}

#[cfg(test)]
mod tests;
