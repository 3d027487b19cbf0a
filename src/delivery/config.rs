//! The configuration that all sending exporters share, with the OpenTelemetry Collector's keys.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ConfigError;
use crate::settings::Duration;

/// The default of the Collector.
const DEFAULT_LIMIT: Duration = Duration::from_secs(300);

/// When and how long the exporter retries a failed batch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RetryOnFailure {
    /// Whether a failed batch is sent again.
    pub enabled: bool,
    /// The wait after the first failure.
    pub initial_interval: Duration,
    /// Each wait is random between (1 − this factor) and (1 + this factor) times its interval; 0 to
    /// 1.
    pub randomization_factor: f64,
    /// Each interval is this many times the previous one; at least 1.
    pub multiplier: f64,
    /// The longest interval.
    pub max_interval: Duration,
    /// A batch is dropped this long after its first attempt; 0 means never. Default: 5m, and with a
    /// queue on disk never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_elapsed_time: Option<Duration>,
}

impl Default for RetryOnFailure {
    fn default() -> Self {
        Self {
            enabled: true,
            initial_interval: Duration::from_secs(5),
            randomization_factor: 0.5,
            multiplier: 1.5,
            max_interval: Duration::from_secs(30),
            max_elapsed_time: None,
        }
    }
}

impl RetryOnFailure {
    /// How long a batch is retried; zero means without a limit.
    pub(super) fn limit(&self) -> std::time::Duration {
        self.max_elapsed_time.unwrap_or(DEFAULT_LIMIT).get()
    }

    /// The same settings for a queue on disk, which keeps a batch until its result is known.
    pub(super) fn on_disk(mut self) -> Self {
        self.max_elapsed_time = self.max_elapsed_time.or(Some(Duration::from_secs(0)));
        self
    }

    /// Finds invalid values, by their keys.
    pub fn check(&self) -> Vec<ConfigError> {
        let limit = self.limit();
        let too_short = self.enabled && !limit.is_zero() && limit < self.initial_interval.get();
        let multiplies = self.multiplier.is_finite() && self.multiplier >= 1.0;
        let checks = [
            (
                "retry_on_failure.randomization_factor",
                (0.0..=1.0).contains(&self.randomization_factor),
                "must be between 0 and 1",
            ),
            (
                "retry_on_failure.multiplier",
                multiplies,
                "must be at least 1",
            ),
            (
                "retry_on_failure.initial_interval",
                is_at_most_a_day(self.initial_interval),
                TOO_LONG,
            ),
            (
                "retry_on_failure.max_interval",
                is_at_most_a_day(self.max_interval),
                TOO_LONG,
            ),
            (
                "retry_on_failure.max_elapsed_time",
                !too_short,
                "must not be less than `initial_interval`",
            ),
        ];
        invalid(checks)
    }
}

/// The errors of those values that are not valid: key, whether it is valid, message.
pub(super) fn invalid<const N: usize>(
    checks: [(&'static str, bool, &'static str); N],
) -> Vec<ConfigError> {
    let failed = checks.into_iter().filter(|(_, good, _)| !good);
    failed
        .map(|(key, _, why)| ConfigError::new(key, why))
        .collect()
}

pub(super) const TOO_LONG: &str = "must not be longer than a day";

/// Keeps sums of times and waits within the range of the clock.
pub(super) fn is_at_most_a_day(value: Duration) -> bool {
    value <= Duration::from_secs(86_400)
}
