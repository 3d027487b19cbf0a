//! The configuration of resilience, and its conversion to policies.

use std::{collections::BTreeSet, fmt, time};

use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, IntoDeserializer as _, value::MapAccessDeserializer},
};

use super::{breaker, cache, outcome::Statuses, retry};
use crate::settings::Duration;

/// The time limit of one attempt: connecting, headers, body and decoding. `5s` alone is always 5s.
/// `{max: 5s}` adapts to the answers of the endpoint and is at most 5s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct TimeoutConfig {
    /// The longest time for an attempt.
    pub max: Duration,
    /// Whether the limit is shorter for an endpoint that usually answers faster.
    pub adaptive: bool,
}

/// How a failed attempt is repeated within its poll.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RetryConfig {
    /// The most attempts after the first one. With 3, a poll makes at most 4 attempts.
    pub max_retries: u32,
    /// The wait before the first retry.
    pub initial_interval: Duration,
    /// Each wait is this many times the previous one; at least 1.
    pub multiplier: f64,
    /// The longest wait.
    pub max_interval: Duration,
    /// Each wait is random between (1 − this) and (1 + this) times its interval; 0 to 1. No wait is
    /// shorter than `initial_interval`.
    pub jitter: f64,
    /// HTTP statuses that are retried.
    pub retryable_statuses: BTreeSet<u16>,
    /// HTTP statuses that ask for fewer requests. They are retried only with a `Retry-After`.
    pub throttled_statuses: BTreeSet<u16>,
}

/// When the collector stops sending requests to an endpoint or host that does not answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct CircuitBreakerConfig {
    /// What has a breaker: each endpoint, each host, or both.
    pub scope: BreakerScope,
    /// The number of consecutive failures that open an endpoint's breaker.
    pub failure_threshold: u32,
    /// The number of consecutive failures of one endpoint that open its host's breaker, if no other
    /// endpoint answers in between. Default: `failure_threshold`.
    pub host_failure_threshold: Option<u32>,
    /// How long a breaker is open before it permits a trial request. After a failed trial request
    /// the time counts from when that request was sent, but at least half of it passes in any case.
    pub open_duration: Duration,
    /// The open time is random between (1 − this) and (1 + this) times its value; 0 to 1.
    pub open_jitter: f64,
    /// Each consecutive opening is this many times longer than the previous one; 1 means constant.
    pub open_multiplier: f64,
    /// The longest time that a breaker is open.
    pub max_open_duration: Duration,
    /// The most simultaneous trial requests.
    pub half_open_max_probes: u32,
    /// HTTP statuses that count as failures of the endpoint.
    pub failure_statuses: BTreeSet<u16>,
}

/// What has a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BreakerScope {
    /// Each endpoint. All failures count against it.
    Endpoint,
    /// Each host. All failures of its endpoints count against it.
    Host,
    /// Both. A request without an answer counts against the host, a bad answer against the
    /// endpoint.
    #[default]
    Both,
}

/// How long the last good answer of an endpoint is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct CacheConfig {
    /// Readers get an answer younger than this without a request to the node. Polls always send a
    /// request.
    pub ttl: Duration,
    /// While the node does not answer, its last answer is served up to this age.
    pub max_stale: Duration,
    /// Whether the node's `Cache-Control` applies as well.
    pub honor_origin: bool,
}

impl Default for TimeoutConfig {
    fn default() -> Self {
        Self {
            max: Duration::from_secs(5),
            adaptive: true,
        }
    }
}

impl Default for RetryConfig {
    fn default() -> Self {
        let statuses = Statuses::default();
        Self {
            max_retries: 3,
            initial_interval: Duration::from_secs(1),
            multiplier: 2.0,
            max_interval: Duration::from_secs(30),
            jitter: 0.2,
            retryable_statuses: statuses.retryable,
            throttled_statuses: statuses.throttled,
        }
    }
}

impl Default for CircuitBreakerConfig {
    fn default() -> Self {
        Self {
            scope: BreakerScope::Both,
            failure_threshold: 5,
            host_failure_threshold: None,
            open_duration: Duration::from_secs(30),
            open_jitter: 0.1,
            open_multiplier: 1.0,
            max_open_duration: Duration::from_secs(300),
            half_open_max_probes: 1,
            failure_statuses: Statuses::default().failure,
        }
    }
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self {
            ttl: Duration::from_secs(10),
            max_stale: Duration::from_secs(300),
            honor_origin: false,
        }
    }
}

impl RetryConfig {
    /// The policy of the retry loop.
    pub fn policy(&self) -> retry::RetryPolicy {
        retry::RetryPolicy {
            max_retries: self.max_retries,
            initial_interval: self.initial_interval.get(),
            multiplier: self.multiplier,
            max_interval: self.max_interval.get(),
            jitter: self.jitter,
        }
    }
}

impl CircuitBreakerConfig {
    /// The policy of an endpoint's breaker.
    pub fn endpoint_policy(&self) -> breaker::BreakerPolicy {
        breaker::BreakerPolicy {
            failure_threshold: self.failure_threshold,
            counting: breaker::FailureCounting::Each,
            open_duration: self.open_duration.get(),
            open_jitter: self.open_jitter,
            open_multiplier: self.open_multiplier,
            max_open_duration: self.max_open_duration.get(),
            half_open_max_probes: self.half_open_max_probes,
        }
    }

    /// The policy of a host's breaker.
    pub fn host_policy(&self) -> breaker::BreakerPolicy {
        breaker::BreakerPolicy {
            failure_threshold: self
                .host_failure_threshold
                .unwrap_or(self.failure_threshold),
            counting: breaker::FailureCounting::Waves,
            ..self.endpoint_policy()
        }
    }
}

impl CacheConfig {
    /// The policy of an endpoint's cached answer.
    pub fn policy(&self) -> cache::CachePolicy {
        cache::CachePolicy {
            ttl: self.ttl.get(),
            max_stale: self.max_stale.get(),
            honor_origin: self.honor_origin,
        }
    }
}

impl Statuses {
    /// The configured statuses.
    pub fn new(retry: &RetryConfig, circuit_breaker: &CircuitBreakerConfig) -> Self {
        Self {
            retryable: retry.retryable_statuses.clone(),
            failure: circuit_breaker.failure_statuses.clone(),
            throttled: retry.throttled_statuses.clone(),
        }
    }
}

/// The time limit of a poll: the configured one, or 0.9 of the interval, so that a poll ends before
/// the next one is due.
pub fn deadline(configured: Option<Duration>, interval: Duration) -> time::Duration {
    configured.map_or(interval.get() / 10 * 9, Duration::get)
}

/// A timeout written as a map.
#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct TimeoutMap {
    /// The longest time for an attempt.
    max: Duration,
    /// Whether the limit is shorter for an endpoint that usually answers faster.
    adaptive: bool,
}

impl Default for TimeoutMap {
    fn default() -> Self {
        let TimeoutConfig { max, adaptive } = TimeoutConfig::default();
        Self { max, adaptive }
    }
}

impl<'de> Deserialize<'de> for TimeoutConfig {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(TimeoutVisitor)
    }
}

struct TimeoutVisitor;

impl TimeoutVisitor {
    fn fixed<'de, E: de::Error>(
        from: impl Deserializer<'de, Error = E>,
    ) -> Result<TimeoutConfig, E> {
        let max = Duration::deserialize(from)?;
        let adaptive = false;
        Ok(TimeoutConfig { max, adaptive })
    }
}

impl<'de> de::Visitor<'de> for TimeoutVisitor {
    type Value = TimeoutConfig;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration such as 5s, or a map such as {max: 5s, adaptive: true}")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<TimeoutConfig, E> {
        Self::fixed(text.into_deserializer())
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<TimeoutConfig, E> {
        Self::fixed(number.into_deserializer())
    }

    fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<TimeoutConfig, A::Error> {
        let TimeoutMap { max, adaptive } =
            TimeoutMap::deserialize(MapAccessDeserializer::new(map))?;
        Ok(TimeoutConfig { max, adaptive })
    }
}

impl JsonSchema for TimeoutConfig {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "TimeoutConfig".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let plain = generator.subschema_for::<Duration>();
        let map = generator.subschema_for::<TimeoutMap>();
        schemars::json_schema!({
            "description": "How long one attempt may take. `5s` alone is always 5s; `{max: 5s}` \
                learns from the answers of the endpoint and takes at most 5s.",
            "anyOf": [plain, map],
        })
    }
}
