//! The keys of `service::telemetry`, with the names of the Collector.

use std::fmt;

use reqwest::Url;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};

use crate::settings::{Headers, HttpUrl};

pub use super::resource::ResourceConfig;

/// The collector's own logs, metrics and traces.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct TelemetryConfig {
    /// Log lines on standard error.
    pub logs: LogsConfig,
    /// The collector's own metrics.
    pub metrics: MetricsConfig,
    /// Traces of polls: one span for each poll, and a child span for each request.
    pub traces: TracesConfig,
    /// Attributes of the collector's own Resource.
    pub resource: ResourceConfig,
}

/// Log lines on standard error.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct LogsConfig {
    /// The least severe level that is logged.
    pub level: LogLevel,
    /// The format of a log line.
    pub encoding: LogEncoding,
}

/// A log level.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Adds a line for each poll and for each value that could not be read.
    Debug,
    /// Adds changes of state.
    #[default]
    Info,
    /// Adds events that an operator should look at.
    Warn,
    /// Only failures.
    Error,
}

/// The format of a log line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogEncoding {
    /// Text for people.
    #[default]
    Console,
    /// One JSON object for each line.
    Json,
}

/// The collector's own metrics.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct MetricsConfig {
    /// `none` turns them off. The other levels are the same.
    pub level: MetricsLevel,
    /// Where the metrics are served and where they are pushed.
    pub readers: Vec<MetricReaderConfig>,
}

/// Whether the collector's own metrics are on. Every level except `none` has all of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MetricsLevel {
    /// Serves and pushes no metrics.
    None,
    /// Serves and pushes all metrics, like the higher levels.
    Basic,
    /// Serves and pushes all metrics.
    #[default]
    Normal,
    /// Serves and pushes all metrics.
    Detailed,
}

/// A destination of the collector's own metrics.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MetricReaderConfig {
    /// Serves the metrics for a scraper.
    Pull(PullConfig),
    /// Pushes the metrics at an interval.
    Periodic(PeriodicConfig),
}

/// Serves the metrics for a scraper.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct PullConfig {
    /// The format in which the metrics are served.
    pub exporter: PullExporterConfig,
}

/// The format in which the collector's own metrics are served.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct PullExporterConfig {
    /// Prometheus text at `/metrics`.
    pub prometheus: PrometheusConfig,
}

/// Prometheus text at `/metrics`.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct PrometheusConfig {
    /// The address to listen on.
    pub host: String,
    /// The port to listen on.
    pub port: u16,
}

/// Pushes the metrics at an interval.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct PeriodicConfig {
    /// Time between two pushes, in milliseconds.
    #[serde(default = "default_interval_ms", deserialize_with = "milliseconds")]
    #[schemars(range(min = 1))]
    pub interval: u64,
    /// The destination of the metrics.
    pub exporter: OtlpExporterConfig,
}

/// An OTLP destination of the collector's own telemetry.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct OtlpExporterConfig {
    /// The OTLP destination.
    pub otlp: OtlpConfig,
}

/// An OTLP destination.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct OtlpConfig {
    /// The OTLP protocol that the destination uses.
    #[serde(default)]
    pub protocol: Protocol,
    /// Base URL, for example `http://localhost:4318`. A URL with a path is used as it is.
    pub endpoint: HttpUrl,
    /// Headers that every request has.
    #[serde(default)]
    pub headers: Headers,
    /// The longest time for one request, in milliseconds.
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

/// Traces of polls.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct TracesConfig {
    /// The destinations of the spans. There is none by default.
    pub processors: Vec<SpanProcessorConfig>,
    /// Selects the polls that are traced.
    pub sampler: SamplerConfig,
}

/// A destination of spans.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SpanProcessorConfig {
    /// Sends spans in batches.
    Batch(BatchConfig),
}

/// Sends spans in batches.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct BatchConfig {
    /// The destination of the spans.
    pub exporter: OtlpExporterConfig,
}

/// Selects the polls that are traced.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct SamplerConfig {
    /// Traces a share of the polls, chosen by trace id. Without it all polls are traced.
    pub trace_id_ratio_based: Option<RatioConfig>,
}

/// A share of the polls.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct RatioConfig {
    /// The share, from 0 to 1.
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
    /// The addresses, as `host:port`, where the collector's own metrics can be scraped.
    pub fn scrape_endpoints(&self) -> impl Iterator<Item = String> {
        self.readers().iter().filter_map(|reader| match reader {
            MetricReaderConfig::Pull(pull) => Some(pull.exporter.prometheus.endpoint()),
            MetricReaderConfig::Periodic(_) => None,
        })
    }

    /// The push destinations of the collector's own metrics.
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
    /// The address as `host:port`. An IPv6 address is in brackets.
    pub fn endpoint(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }
}

impl OtlpConfig {
    /// The full URL of a signal. `path` is the default path of the signal.
    pub fn url(&self, path: &str) -> Url {
        let mut url = self.endpoint.get().clone();
        if matches!(url.path(), "" | "/") {
            url.set_path(path);
        }
        url
    }
}

/// Reads milliseconds as an integer. Everywhere else the Collector has durations with a unit.
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
