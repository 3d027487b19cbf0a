//! The report metrics: the collector's own metrics about each target, which travel with its data.
//! This table is all that is said about them; a producer names a row, never a text.
//!
//! Their names begin with the type of the receiver that polls the target: `betanet.up`, and
//! `http_json.up` for everything that is no Betanet node. This file alone decides that.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::names::{
    BREAKER_SCOPE, ENDPOINT, ERROR_TYPE, FROM, INSTANCE, METRIC, Metric, MetricKind, OUTCOME,
    READER, REASON, RESULT, STATE, TO, URL_TEMPLATE, WITHIN_OBJECTIVE,
};

/// How many report metrics there are about each target. The words are those of the Collector.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum MetricsLevel {
    /// What alerts need: whether the target and its endpoints answer, since when they do not, how
    /// long a poll takes, missed polls, resets, problems of the mapping, failed polls, and breakers
    /// that are not closed. A series about a problem appears with the first problem.
    #[default]
    Basic,
    /// In addition all results of polls, retries, the actions of breakers and their reasons, the
    /// cache, the timeout, the load balancer, sizes and numbers of values.
    Normal,
    /// All metrics: in addition the time in each state of a breaker, and the entries of the cache.
    Detailed,
}

/// The lowest level at which a report metric is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportedFrom {
    /// All of its series are there at every level.
    Basic,
    /// At `basic` only its series about a problem are there. From `normal` on all of them are.
    BasicPart,
    /// It is there from `normal` on.
    Normal,
    /// It is there only at `detailed`.
    Detailed,
}

/// One factor of the number of series of a report metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeriesFactor {
    /// One for each endpoint.
    Endpoints,
    /// One for each endpoint and one for the host.
    Breakers,
    /// One for each instance of a target with replicas.
    Instances,
    /// One for each metric of the definition.
    Metrics,
    /// So many.
    Count(usize),
}

/// What the number of series of a target depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TargetSize {
    /// The number of endpoints.
    pub endpoints: usize,
    /// The number of instances; 1 without replicas.
    pub instances: usize,
    /// The number of metrics in the definition.
    pub metrics: usize,
}

/// A row of the table.
#[derive(Debug)]
pub struct TargetMetricRow {
    /// Name without its beginning, kind, unit, description and attributes.
    pub metric: Metric,
    /// The levels that have it.
    pub reported_from: ReportedFrom,
    /// The product is the most series that a target has of it.
    pub series: &'static [SeriesFactor],
}

/// The outcomes of polls that differ in more than their class of error.
const OUTCOMES: usize = 3;

/// The expected number of error classes, including some statuses, of one endpoint. The SDK
/// allocates memory for all series of an instrument at once, so the number must not be too high.
const ERROR_TYPES: usize = 12;

/// The number of reasons for which a value cannot be read.
pub const PROBLEM_REASONS: usize = 10;

/// Declares the report metrics and their rows.
macro_rules! target_metrics {
    ($($id:ident = $name:literal, $kind:ident, $unit:literal, $from:ident,
        attributes [$($attribute:ident),*], series [$($factor:expr),*],
        $description:literal;)+) => {
        /// A report metric. Its number is its position in [`Self::ALL`].
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum TargetMetric {
            $(#[doc = $description] $id),+
        }

        impl TargetMetric {
            /// All report metrics.
            pub const ALL: &[Self] = &[$(Self::$id),+];

            /// What the table says about it.
            pub const fn row(self) -> &'static TargetMetricRow {
                use SeriesFactor::*;
                match self {
                    $(Self::$id => const { &TargetMetricRow {
                        metric: Metric {
                            name: $name,
                            kind: MetricKind::$kind,
                            unit: $unit,
                            description: $description,
                            attributes: &[$($attribute),*],
                        },
                        reported_from: ReportedFrom::$from,
                        series: &[$($factor),*],
                    } },)+
                }
            }
        }
    };
}

target_metrics! {
    Up = "up", Gauge, "", Basic,
        attributes [], series [],
        "Whether the last poll of the target gave at least one body (1) or none (0).";
    SourceUp = "source.up", Gauge, "", Basic,
        attributes [ENDPOINT, URL_TEMPLATE], series [Endpoints],
        "Whether the last poll of the endpoint gave a body (1) or not (0).";
    LastSuccess = "source.last_success.timestamp", Gauge, "s", Basic,
        attributes [ENDPOINT, URL_TEMPLATE], series [Endpoints],
        "Unix time at which the endpoint's last body arrived; absent before the first.";
    ScrapeDuration = "scrape.duration", Gauge, "s", Basic,
        attributes [], series [],
        "Duration of the last poll of all endpoints of the target.";
    ScrapeBodySize = "scrape.body_size", Gauge, "By", Normal,
        attributes [], series [],
        "Size of all bodies of the last poll, decompressed.";
    ScrapeSamples = "scrape.samples_scraped", Gauge, "", Normal,
        attributes [], series [],
        "Number of values that the last poll's bodies gave.";
    PollResults = "poll.results", Counter, "{poll}", BasicPart,
        attributes [ENDPOINT, URL_TEMPLATE, OUTCOME, ERROR_TYPE], series [Endpoints, Count(OUTCOMES), Count(ERROR_TYPES)],
        "Polls of the endpoint by outcome (fresh, not_modified, stale, missing) and, if there was no answer, by class of error. At `basic` only those without an answer (stale, missing).";
    PollRetries = "poll.retries", Counter, "{retry}", Normal,
        attributes [ENDPOINT, URL_TEMPLATE, ERROR_TYPE], series [Endpoints, Count(ERROR_TYPES)],
        "Repeated attempts, by endpoint and the class of the error before the repetition.";
    RetriesSuppressed = "poll.retries_suppressed", Counter, "{retry}", Normal,
        attributes [ENDPOINT, URL_TEMPLATE, REASON], series [Endpoints, Count(4)],
        "Retries that were due but not made, by reason (budget, deadline, open, retry_after).";
    BreakerState = "circuit_breaker.state", Gauge, "{state}", BasicPart,
        attributes [ENDPOINT, URL_TEMPLATE, BREAKER_SCOPE, INSTANCE], series [Breakers, Instances],
        "State of a circuit breaker: 0 closed, 1 open, 2 half-open. The state of an endpoint is the worse one of its own breaker and its host's. At `basic`, an endpoint has a series only while its own breaker is not closed. Do not average or sum it.";
    BreakerStatus = "circuit_breaker.status", UpDownCounter, "{breaker}", Detailed,
        attributes [ENDPOINT, URL_TEMPLATE, BREAKER_SCOPE, INSTANCE, STATE], series [Breakers, Instances, Count(3)],
        "1 for the current state of a circuit breaker, 0 for the other states.";
    BreakerTransitions = "circuit_breaker.transitions", Counter, "{transition}", Normal,
        attributes [ENDPOINT, URL_TEMPLATE, BREAKER_SCOPE, INSTANCE, FROM, TO, REASON], series [Breakers, Instances, Count(4)],
        "State changes of a circuit breaker.";
    BreakerRejections = "circuit_breaker.rejections", Counter, "{request}", Normal,
        attributes [ENDPOINT, URL_TEMPLATE, BREAKER_SCOPE, INSTANCE], series [Breakers, Instances],
        "Requests that a circuit breaker refused.";
    BreakerProbes = "circuit_breaker.probes", Counter, "{probe}", Normal,
        attributes [ENDPOINT, URL_TEMPLATE, BREAKER_SCOPE, INSTANCE, RESULT], series [Breakers, Instances, Count(3)],
        "Trial requests of a half-open circuit breaker by result (ok, fail, cancelled).";
    BreakerStateTime = "circuit_breaker.state.time", Counter, "s", Detailed,
        attributes [ENDPOINT, URL_TEMPLATE, BREAKER_SCOPE, INSTANCE, STATE], series [Breakers, Instances, Count(3)],
        "Time that a circuit breaker spent in each state.";
    BreakerFailures = "circuit_breaker.consecutive_failures", Gauge, "{failure}", Detailed,
        attributes [ENDPOINT, URL_TEMPLATE, BREAKER_SCOPE, INSTANCE], series [Breakers, Instances],
        "Failures since the last success.";
    BreakerStaleResults = "circuit_breaker.stale_results", Counter, "{result}", Detailed,
        attributes [ENDPOINT, URL_TEMPLATE, BREAKER_SCOPE, INSTANCE], series [Breakers, Instances],
        "Results that arrived after their breaker state had ended, and were ignored.";
    CacheRequests = "cache.requests", Counter, "{request}", Normal,
        attributes [ENDPOINT, URL_TEMPLATE, RESULT, READER], series [Endpoints, Count(5), Count(2)],
        "Reads of the cached answer by result (hit, miss, stale, revalidated, expired) and reader.";
    CacheEntries = "cache.entries", UpDownCounter, "{entry}", Detailed,
        attributes [STATE], series [Count(4)],
        "Cached answers of the target's endpoints by state (fresh, stale, expired, empty).";
    CacheAge = "cache.entry.age", Gauge, "s", Normal,
        attributes [ENDPOINT, URL_TEMPLATE], series [Endpoints],
        "Age of the cached answer when the target was last collected; absent without one.";
    FreshnessTime = "source.freshness.time", Counter, "s", Basic,
        attributes [ENDPOINT, URL_TEMPLATE, WITHIN_OBJECTIVE], series [Endpoints, Count(2)],
        "Time during which the endpoint's data was within freshness_objective (true), and during which it was older (false); absent without the objective.";
    TimeoutEffective = "timeout.effective", Gauge, "s", Normal,
        attributes [ENDPOINT, URL_TEMPLATE, INSTANCE], series [Endpoints, Instances],
        "Current time limit of the first attempt of a poll.";
    BalancerRequests = "balancer.requests", Counter, "{request}", Normal,
        attributes [ENDPOINT, URL_TEMPLATE, INSTANCE, RESULT], series [Endpoints, Instances, Count(2)],
        "Requests to each instance of a target with replicas, by result (ok, fail).";
    BalancerFailovers = "balancer.failovers", Counter, "{request}", Normal,
        attributes [ENDPOINT, URL_TEMPLATE, INSTANCE], series [Endpoints, Instances],
        "Requests that failed at the instance and were repeated at another one at once.";
    BalancerEjected = "balancer.ejected", Gauge, "", BasicPart,
        attributes [ENDPOINT, URL_TEMPLATE, INSTANCE], series [Endpoints, Instances],
        "Whether the instance gets no requests now (1), because its breaker is open or it failed, or does (0). At `basic` only the ones with 1.";
    BalancerLatency = "balancer.latency", Gauge, "s", Normal,
        attributes [ENDPOINT, URL_TEMPLATE, INSTANCE], series [Endpoints, Instances],
        "Expected response time of the instance; a failure counts as at least 5 s.";
    BalancerPanic = "balancer.panic", Gauge, "", Normal,
        attributes [ENDPOINT, URL_TEMPLATE], series [Endpoints],
        "Whether more than half of the instances would be ejected, so that only open breakers exclude instances (1), or not (0).";
    MissedTicks = "poll.missed_ticks", Counter, "{tick}", Basic,
        attributes [], series [],
        "Polls that were due but not made, because an earlier one of the target was still running or the collector itself was late.";
    CounterResets = "counter.resets", Counter, "{reset}", Basic,
        attributes [], series [],
        "Totals of the target that fell and got a new start time.";
    MappingProblems = "mapping.problems", Counter, "{value}", Basic,
        attributes [METRIC, REASON], series [Metrics, Count(PROBLEM_REASONS)],
        "Values that could not be read, by metric and reason (missing, several, type, range, max_series, duplicate, steps, max_pages, max_requests, request).";
}

/// With what the names of report metrics begin, for the receivers of this program.
pub const PREFIXES: [&str; 2] = ["betanet", "http_json"];

/// With what the names of report metrics begin if this receiver polls the target. A receiver of
/// another program has its own type here as well.
pub fn prefix_of(receiver: &str) -> &str {
    receiver.split_once('/').map_or(receiver, |(kind, _)| kind)
}

impl TargetMetric {
    /// The name without its beginning, such as `poll.results`.
    pub const fn short_name(self) -> &'static str {
        self.row().metric.name
    }

    /// The name of the instrument, such as `betanet.poll.results`.
    pub fn name(self, prefix: &str) -> String {
        format!("{prefix}.{}", self.short_name())
    }

    /// The most series that a target of this size has of it.
    pub fn max_series(self, size: TargetSize) -> usize {
        let factors = self.row().series.iter();
        let factors = factors.map(|factor| match factor {
            SeriesFactor::Endpoints => size.endpoints,
            SeriesFactor::Breakers => size.endpoints + 1,
            SeriesFactor::Instances => size.instances,
            SeriesFactor::Metrics => size.metrics,
            SeriesFactor::Count(count) => *count,
        });
        factors.product::<usize>().max(1)
    }
}

impl MetricsLevel {
    /// Whether this level has a series of the metric. `is_problem` says that the series is about a
    /// problem that exists.
    pub fn has(self, metric: TargetMetric, is_problem: bool) -> bool {
        match metric.row().reported_from {
            ReportedFrom::Basic => true,
            ReportedFrom::BasicPart => is_problem || self >= Self::Normal,
            ReportedFrom::Normal => self >= Self::Normal,
            ReportedFrom::Detailed => self >= Self::Detailed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_a_metric_is_its_position_and_names_differ() {
        let mut names: Vec<_> = TargetMetric::ALL
            .iter()
            .map(|metric| metric.short_name())
            .collect();
        for (position, metric) in TargetMetric::ALL.iter().enumerate() {
            assert_eq!(*metric as usize, position);
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), TargetMetric::ALL.len());
    }

    #[test]
    fn a_higher_level_has_all_of_a_lower_one() {
        let levels = [
            MetricsLevel::Basic,
            MetricsLevel::Normal,
            MetricsLevel::Detailed,
        ];
        for metric in TargetMetric::ALL {
            for is_problem in [false, true] {
                let has = levels.map(|level| level.has(*metric, is_problem));
                assert!(
                    has.is_sorted() && has[2],
                    "{}: {has:?}",
                    metric.short_name()
                );
            }
        }
    }

    #[test]
    fn names_begin_with_the_type_of_the_receiver() {
        let names = ["betanet", "betanet/eu", "http_json/search", "http_json"];
        let names = names.map(|id| TargetMetric::SourceUp.name(prefix_of(id)));
        let known = PREFIXES.map(|prefix| format!("{prefix}.source.up"));
        assert_eq!([&names[0], &names[2]], [&known[0], &known[1]]);
        assert_eq!([&names[1], &names[3]], [&known[0], &known[1]]);
    }
}
