//! What the configuration says under `service::telemetry`, in the Collector's words.

use std::fmt;

use reqwest::Url;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};

use crate::settings::{Headers, HttpUrl};

pub use super::resource::ResourceConfig;

/// What the collector says about itself, and where.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct TelemetryConfig {
    /// Log lines on standard error.
    pub logs: LogsConfig,
    /// The collector's own metrics.
    pub metrics: MetricsConfig,
    /// A span a poll, a child span a request.
    pub traces: TracesConfig,
    /// Attributes of the collector's own Resource.
    pub resource: ResourceConfig,
}

/// Log lines on standard error.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct LogsConfig {
    /// The least severe level that is written.
    pub level: LogLevel,
    /// How a line is written.
    pub encoding: LogEncoding,
}

/// A log level.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// A line for each poll and each value that could not be read.
    Debug,
    /// What changes.
    #[default]
    Info,
    /// What an operator should look at.
    Warn,
    /// What no longer works.
    Error,
}

/// How a log line is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogEncoding {
    /// For people.
    #[default]
    Console,
    /// One JSON object a line.
    Json,
}

/// The collector's own metrics.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct MetricsConfig {
    /// `none` neither serves nor pushes them; the other levels are alike.
    pub level: MetricsLevel,
    /// Where they can be read and where they are pushed.
    pub readers: Vec<MetricReaderConfig>,
}

/// How much is measured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MetricsLevel {
    /// Nothing is served or pushed.
    None,
    /// Everything.
    Basic,
    /// Everything.
    #[default]
    Normal,
    /// Everything.
    Detailed,
}

/// One way out for the collector's own metrics.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MetricReaderConfig {
    /// Served for a scrape.
    Pull(PullConfig),
    /// Pushed.
    Periodic(PeriodicConfig),
}

/// Served for a scrape.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct PullConfig {
    /// How.
    pub exporter: PullExporterConfig,
}

/// How the collector's own metrics are served.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct PullExporterConfig {
    /// As Prometheus text at `/metrics`.
    pub prometheus: PrometheusConfig,
}

/// Prometheus text at `/metrics`.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct PrometheusConfig {
    /// The address to listen on.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// Pushed at an interval.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct PeriodicConfig {
    /// Milliseconds between two pushes.
    #[serde(default = "default_interval_ms", deserialize_with = "milliseconds")]
    #[schemars(range(min = 1))]
    pub interval: u64,
    /// Where to.
    pub exporter: OtlpExporterConfig,
}

/// An OTLP destination of the collector's own telemetry.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct OtlpExporterConfig {
    /// The destination.
    pub otlp: OtlpConfig,
}

/// An OTLP destination.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct OtlpConfig {
    /// How it is spoken to.
    #[serde(default)]
    pub protocol: Protocol,
    /// Base URL, for example `http://localhost:4318`; a URL with a path is taken as it is.
    pub endpoint: HttpUrl,
    /// Headers of every request.
    #[serde(default)]
    pub headers: Headers,
    /// Milliseconds that one request may take.
    #[serde(default = "default_timeout_ms", deserialize_with = "milliseconds")]
    #[schemars(range(min = 1))]
    pub timeout: u64,
}

/// An OTLP protocol.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum Protocol {
    /// OTLP over HTTP, as protobuf.
    #[default]
    #[serde(rename = "http/protobuf")]
    HttpProtobuf,
}

/// Spans of polls.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct TracesConfig {
    /// Where they are sent; nowhere by default.
    pub processors: Vec<SpanProcessorConfig>,
    /// Which polls are traced.
    pub sampler: SamplerConfig,
}

/// One way out for spans.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SpanProcessorConfig {
    /// In batches.
    Batch(BatchConfig),
}

/// In batches.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct BatchConfig {
    /// Where to.
    pub exporter: OtlpExporterConfig,
}

/// Which polls are traced.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct SamplerConfig {
    /// A share of them, chosen by trace id; all of them if not given.
    pub trace_id_ratio_based: Option<RatioConfig>,
}

/// A share.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct RatioConfig {
    /// From 0 to 1.
    pub ratio: f64,
}

impl Default for MetricsConfig {
    fn default() -> Self {
        let prometheus = PrometheusConfig::default();
        let exporter = PullExporterConfig { prometheus };
        let readers = vec![MetricReaderConfig::Pull(PullConfig { exporter })];
        Self {
            level: MetricsLevel::default(),
            readers,
        }
    }
}

impl Default for PrometheusConfig {
    fn default() -> Self {
        Self {
            host: "localhost".to_owned(),
            port: 8888,
        }
    }
}

impl TelemetryConfig {
    /// Where the collector's own metrics can be scraped, as `host:port`.
    pub fn scrape_endpoints(&self) -> impl Iterator<Item = String> {
        self.readers().iter().filter_map(|reader| match reader {
            MetricReaderConfig::Pull(pull) => Some(pull.exporter.prometheus.endpoint()),
            MetricReaderConfig::Periodic(_) => None,
        })
    }

    /// How the collector's own metrics are pushed.
    pub fn pushes(&self) -> impl Iterator<Item = &PeriodicConfig> {
        self.readers().iter().filter_map(|reader| match reader {
            MetricReaderConfig::Pull(_) => None,
            MetricReaderConfig::Periodic(periodic) => Some(periodic),
        })
    }

    fn readers(&self) -> &[MetricReaderConfig] {
        match self.metrics.level {
            MetricsLevel::None => &[],
            _ => &self.metrics.readers,
        }
    }
}

impl PrometheusConfig {
    /// `host:port`; an IPv6 address stands in brackets.
    pub fn endpoint(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }
}

impl OtlpConfig {
    /// The whole URL for a signal whose default path is `path`.
    pub fn url(&self, path: &str) -> Url {
        let mut url = self.endpoint.get().clone();
        if matches!(url.path(), "" | "/") {
            url.set_path(path);
        }
        url
    }
}

/// The Collector has a duration with its unit everywhere but here.
fn milliseconds<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    struct Visitor;
    impl de::Visitor<'_> for Visitor {
        type Value = u64;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("milliseconds, an integer of 1 or more such as 60000")
        }

        fn visit_u64<E: de::Error>(self, value: u64) -> Result<u64, E> {
            let found = de::Unexpected::Unsigned(value);
            let refused = || E::invalid_value(found, &self);
            Some(value).filter(|value| *value > 0).ok_or_else(refused)
        }
    }
    from.deserialize_u64(Visitor)
}

fn default_interval_ms() -> u64 {
    60_000
}

fn default_timeout_ms() -> u64 {
    10_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_address_stands_in_brackets() {
        let at = |host: &str| {
            PrometheusConfig {
                host: host.to_owned(),
                port: 8888,
            }
            .endpoint()
        };
        assert_eq!(at("::1"), "[::1]:8888");
        assert_eq!(at("localhost"), "localhost:8888");
    }
}
