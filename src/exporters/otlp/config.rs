//! The configuration of `otlp_http` and `otlp_grpc`, with the OpenTelemetry Collector's keys.

use std::sync::Arc;

use reqwest::Url;
use schemars::{JsonSchema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::{Otlp, foreign, split::split};
use crate::{
    client::{ClientAuthConfig, ConfigError, Tls},
    delivery::{
        ClientSettings, RetryOnFailure, SendingQueue,
        grpc::{BalancerName, GrpcDestination, GrpcSettings, Keepalive},
        http::HttpDestination,
    },
    exporters::{
        contract::{self, ExporterConfig, ExporterContext, ExporterType},
        sender_config::{NetworkExporter, SenderConfig, sender_config},
    },
    pipeline::Exporter,
    settings::{
        BuildError, Capability, Compression, Duration, ExtensionUse, Headers, HttpUrl, ProxyUrl,
    },
    yaml::{Cursor, Diagnostics},
};

/// The entry of the register.
pub const HTTP_TYPE: ExporterType = ExporterType {
    name: "otlp_http",
    aliases: &["otlphttp"],
    about: "Pushes OTLP over HTTP, as protobuf.",
    schema: SchemaGenerator::subschema_for::<HttpConfig>,
    foreign: &foreign::HTTP_FOREIGN,
    decode: contract::decode::<HttpConfig>,
};

/// Sends metrics as OTLP over HTTP.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct HttpConfig {
    /// Base URL of the destination. The exporter appends `/v1/metrics`. An `http://` URL has no
    /// TLS.
    pub endpoint: Option<HttpUrl>,
    /// Full URL for metrics, used without a change in place of `endpoint`.
    pub metrics_endpoint: Option<HttpUrl>,
    /// The longest time for one attempt.
    pub timeout: Duration,
    /// The compression of requests.
    pub compression: Compression,
    /// Headers of every request.
    pub headers: Headers,
    /// Credentials for the destination.
    pub auth: ClientAuthConfig,
    /// TLS settings of the connection to the destination.
    pub tls: Tls,
    /// The proxy to use instead of that of the environment (`HTTPS_PROXY` and similar variables).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy_url: Option<ProxyUrl>,
    /// When and how long the exporter retries a failed batch.
    pub retry_on_failure: RetryOnFailure,
    /// The queue between the polls and the network.
    pub sending_queue: SendingQueue,
}

/// The path that is appended to the endpoint of OTLP over HTTP.
const METRICS_PATH: &str = "/v1/metrics";

/// The entry of the register.
pub const GRPC_TYPE: ExporterType = ExporterType {
    name: "otlp_grpc",
    aliases: &["otlp"],
    about: "Pushes OTLP over gRPC.",
    schema: SchemaGenerator::subschema_for::<GrpcConfig>,
    foreign: &foreign::GRPC_FOREIGN,
    decode: contract::decode::<GrpcConfig>,
};

/// Sends metrics as OTLP over gRPC.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct GrpcConfig {
    /// The destination as `host:port`, `http://host:port`, `https://host:port` or
    /// `dns:///host:port`. It uses TLS, except with `http://`, or without a scheme if
    /// `tls.insecure` is set.
    pub endpoint: String,
    /// How the exporter uses the addresses of a name.
    pub balancer_name: BalancerName,
    /// Pings that detect a lost connection. Without this key there are no pings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keepalive: Option<Keepalive>,
    /// The longest time for one attempt.
    pub timeout: Duration,
    /// The compression of requests.
    pub compression: Compression,
    /// Metadata of every request.
    pub headers: Headers,
    /// Credentials for the destination.
    pub auth: ClientAuthConfig,
    /// TLS settings of the connection to the destination.
    pub tls: Tls,
    /// The proxy to use instead of that of the environment (`HTTPS_PROXY` and similar variables).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy_url: Option<ProxyUrl>,
    /// When and how long the exporter retries a failed batch.
    pub retry_on_failure: RetryOnFailure,
    /// The queue between the polls and the network.
    pub sending_queue: SendingQueue,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            endpoint: None,
            metrics_endpoint: None,
            timeout: Duration::from_secs(30),
            compression: Compression::Gzip,
            headers: Headers::default(),
            auth: ClientAuthConfig::default(),
            tls: Tls::default(),
            proxy_url: None,
            retry_on_failure: RetryOnFailure::default(),
            sending_queue: SendingQueue::default(),
        }
    }
}

impl Default for GrpcConfig {
    fn default() -> Self {
        Self {
            endpoint: String::new(),
            balancer_name: BalancerName::default(),
            keepalive: None,
            timeout: Duration::from_secs(5),
            compression: Compression::Gzip,
            headers: Headers::default(),
            auth: ClientAuthConfig::default(),
            tls: Tls::default(),
            proxy_url: None,
            retry_on_failure: RetryOnFailure::default(),
            sending_queue: SendingQueue::default(),
        }
    }
}

impl ExporterConfig for HttpConfig {
    fn build(&self, context: &mut ExporterContext<'_>) -> Result<Arc<dyn Exporter>, BuildError> {
        Ok(self.start(context, Otlp, split, None)?)
    }

    fn check(&self, at: &Cursor<'_>, diagnostics: &mut Diagnostics) {
        self.check_sender(at, diagnostics);
    }

    fn speaks_otlp(&self) -> bool {
        true
    }

    fn uses(&self) -> Vec<ExtensionUse<'_>> {
        self.sender().uses()
    }

    fn warn(&self, at: &Cursor<'_>, diagnostics: &mut Diagnostics) {
        self.sender().warn(at, diagnostics);
        let base = self.endpoint.as_ref();
        let base = base.filter(|_| self.metrics_endpoint.is_none());
        let path = base.map(|base| base.get().path().trim_end_matches('/'));
        if path.is_some_and(|path| path.ends_with(METRICS_PATH)) {
            let message = format!(
                "`{METRICS_PATH}` is appended to it, so requests go to `…{METRICS_PATH}{METRICS_PATH}`; \
                 leave it out, or give the whole URL as `metrics_endpoint`"
            );
            at.warning(&["endpoint"], message, diagnostics);
        }
    }
}

impl NetworkExporter for HttpConfig {
    type Destination = HttpDestination;

    fn sender(&self) -> SenderConfig<'_> {
        sender_config!(self, compression: self.compression)
    }

    fn destination(&self, client: &ClientSettings<'_>) -> Result<HttpDestination, ConfigError> {
        let (key, url) = match (&self.metrics_endpoint, &self.endpoint) {
            (Some(url), _) => ("metrics_endpoint", url.get().as_str().to_owned()),
            (None, Some(base)) if !base.is_base() => {
                return Err(ConfigError::new(
                    "endpoint",
                    "`/v1/metrics` follows it, so it can have no query and no fragment: give \
                     `metrics_endpoint`",
                ));
            }
            (None, Some(base)) => {
                let base = base.get().as_str().trim_end_matches('/');
                ("endpoint", format!("{base}{METRICS_PATH}"))
            }
            (None, None) => {
                return Err(ConfigError::new(
                    "endpoint",
                    "is required, such as http://localhost:4318",
                ));
            }
        };
        let url = Url::parse(&url).map_err(|error| ConfigError::new(key, error))?;
        HttpDestination::new(url, client)
    }
}

impl ExporterConfig for GrpcConfig {
    fn build(&self, context: &mut ExporterContext<'_>) -> Result<Arc<dyn Exporter>, BuildError> {
        Ok(self.start(context, Otlp, split, None)?)
    }

    fn check(&self, at: &Cursor<'_>, diagnostics: &mut Diagnostics) {
        self.check_sender(at, diagnostics);
    }

    fn speaks_otlp(&self) -> bool {
        true
    }

    fn uses(&self) -> Vec<ExtensionUse<'_>> {
        let mut uses = self.sender().uses();
        for used in &mut uses {
            if used.needs == Capability::Authenticator {
                used.needs = Capability::GrpcAuthenticator;
            }
        }
        uses
    }

    fn warn(&self, at: &Cursor<'_>, diagnostics: &mut Diagnostics) {
        self.sender().warn(at, diagnostics);
    }
}

impl NetworkExporter for GrpcConfig {
    type Destination = GrpcDestination;

    fn sender(&self) -> SenderConfig<'_> {
        sender_config!(self, compression: self.compression)
    }

    fn destination(&self, client: &ClientSettings<'_>) -> Result<GrpcDestination, ConfigError> {
        if self.endpoint.is_empty() {
            return Err(ConfigError::new(
                "endpoint",
                "is required, such as localhost:4317",
            ));
        }
        if let Some(keepalive) = &self.keepalive {
            let positive = [
                ("keepalive.time", keepalive.time),
                ("keepalive.timeout", keepalive.timeout),
            ];
            if let Some((key, _)) = positive.iter().find(|(_, value)| value.get().is_zero()) {
                return Err(ConfigError::new(key, "requires positive value"));
            }
        }
        let settings = GrpcSettings {
            balancer: self.balancer_name,
            keepalive: self.keepalive,
        };
        GrpcDestination::with(&self.endpoint, client, &settings)
    }
}
