//! Every metric that the collector makes up itself, in one place. `docs/metrics.md` is written
//! from these tables and a test keeps it in step.
//!
//! Two families: what is said of each target travels with the target's data to every exporter
//! (OTel names with dots; a scrape shows them with underscores and suffixes); what is said of the
//! collector itself is served on its own telemetry endpoint, under the names that the
//! OpenTelemetry Collector uses for the same thing (`otelcol_…`), or `betanet_…` where it has
//! none.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A metric that the collector makes up itself.
#[derive(Debug)]
pub struct Metric {
    /// The instrument's name.
    pub name: &'static str,
    /// How it aggregates.
    pub kind: MetricKind,
    /// UCUM unit; empty where there is none.
    pub unit: &'static str,
    /// What it says, in one sentence.
    pub description: &'static str,
    /// The keys of its attributes.
    pub attributes: &'static [&'static str],
}

/// How a metric aggregates.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MetricKind {
    /// Only grows.
    Counter,
    /// Sum that may fall.
    UpDownCounter,
    /// A value of the moment.
    Gauge,
    /// A distribution, in buckets with these upper bounds.
    Histogram(&'static [f64]),
}

/// Buckets of a duration in seconds: the semantic conventions' for HTTP, and longer ones for polls.
const SECONDS: &[f64] = &[
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 15.0, 30.0,
];

/// Buckets of the size of a body in bytes.
const BYTES: &[f64] = &[
    256.0,
    1024.0,
    4096.0,
    16384.0,
    65536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
];

/// Buckets of the age of what is served in place of an answer, in seconds.
const AGES: &[f64] = &[15.0, 30.0, 45.0, 60.0, 120.0, 300.0];

/// Buckets of the attempts of one poll.
const ATTEMPTS: &[f64] = &[1.0, 2.0, 3.0, 4.0, 5.0];

/// Attribute: the endpoint's path. The semantic conventions' name for a low-cardinality path.
pub const URL_TEMPLATE: &str = "url.template";
/// Attribute: the class of a failure; absent on success.
pub const ERROR_TYPE: &str = "error.type";
/// Attribute: what a poll came to.
pub const OUTCOME: &str = "outcome";
/// Attribute: the metric of the definition that is spoken of.
pub const METRIC: &str = "metric";
/// Attribute: why something was not done or not kept.
pub const REASON: &str = "reason";
/// Attribute: id of a receiver.
pub const RECEIVER: &str = "receiver";
/// Attribute: which entry of a receiver's discovery, such as `file_sd_configs/0`.
pub const SOURCE: &str = "source";
/// Attribute: id of an exporter.
pub const EXPORTER: &str = "exporter";
/// Attribute: id of a processor.
pub const PROCESSOR: &str = "processor";
/// Attribute: what a component carries; here always `metrics`.
pub const SIGNAL: &str = "otel.signal";

/// Attribute: id of a component.
pub const COMPONENT_ID: &str = "otelcol.component.id";
/// Attribute: receiver, processor, exporter, extension, listener for a port of our own, service.
pub const COMPONENT_KIND: &str = "otelcol.component.kind";

/// Attribute: the method of a request.
pub const HTTP_REQUEST_METHOD: &str = "http.request.method";
/// Attribute: whose breaker it is: `host` or `endpoint`.
pub const BREAKER_SCOPE: &str = "betanet.breaker.scope";
/// Attribute: which of several instances of a target, as `host:port`; absent where there is one.
pub const INSTANCE: &str = "betanet.instance";
/// Attribute: a breaker's state: `closed`, `open` or `half_open`.
pub const STATE: &str = "state";
/// Attribute: the state before.
pub const FROM: &str = "from";
/// Attribute: the state after.
pub const TO: &str = "to";
/// Attribute: what something came to.
pub const RESULT: &str = "result";
/// Attribute: who reads the cache: `poll` or `api`.
pub const READER: &str = "reader";
/// Attribute: whether the data was as young as promised.
pub const WITHIN_OBJECTIVE: &str = "within_objective";

/// Declares the metrics of one family and the list of them.
macro_rules! metrics {
    ($list:ident, $list_doc:literal; $($id:ident = $name:literal, $kind:expr, $unit:literal, $attributes:expr, $description:literal;)+) => {
        $(
            #[doc = $description]
            pub const $id: Metric = Metric {
                name: $name,
                kind: $kind,
                unit: $unit,
                description: $description,
                attributes: $attributes,
            };
        )+
        #[doc = $list_doc]
        pub const $list: &[&Metric] = &[$(&$id),+];
    };
}

metrics! {
    TARGET, "Said of each target, in the target's own provider.";
    UP = "betanet.up", MetricKind::Gauge, "", &[],
        "Whether the last poll of the target gave at least one body (1) or none (0).";
    SOURCE_UP = "betanet.source.up", MetricKind::Gauge, "", &[URL_TEMPLATE],
        "Whether the last poll of the endpoint gave a body (1) or not (0).";
    LAST_SUCCESS = "betanet.source.last_success.timestamp", MetricKind::Gauge, "s", &[URL_TEMPLATE],
        "Unix time at which the endpoint's last body arrived; absent before the first.";
    SCRAPE_DURATION = "betanet.scrape.duration", MetricKind::Gauge, "s", &[],
        "Duration of the last poll of all endpoints of the target.";
    SCRAPE_BODY_SIZE = "betanet.scrape.body_size", MetricKind::Gauge, "By", &[],
        "Size of all bodies of the last poll, decompressed.";
    SCRAPE_SAMPLES = "betanet.scrape.samples_scraped", MetricKind::Gauge, "", &[],
        "Number of values that the last poll's bodies gave.";
    POLL_RESULTS = "betanet.poll.results", MetricKind::Counter, "{poll}", &[URL_TEMPLATE, OUTCOME, ERROR_TYPE],
        "Polls of the endpoint by outcome (fresh, not_modified, stale, missing) and, where there was no answer, class of error.";
    POLL_RETRIES = "betanet.poll.retries", MetricKind::Counter, "{retry}", &[URL_TEMPLATE, ERROR_TYPE],
        "Attempts that were repeated, by endpoint and the class of error that made it necessary.";
    RETRIES_SUPPRESSED = "betanet.poll.retries_suppressed", MetricKind::Counter, "{retry}", &[URL_TEMPLATE, REASON],
        "Retries that were not made, by reason (budget, deadline, open, retry_after).";
    BREAKER_STATE = "betanet.circuit_breaker.state", MetricKind::Gauge, "{state}", &[URL_TEMPLATE, BREAKER_SCOPE, INSTANCE],
        "State of a breaker: 0 closed, 1 open, 2 half-open. An endpoint's is the worse of its own and its host's. Do not average or sum it.";
    BREAKER_STATUS = "betanet.circuit_breaker.status", MetricKind::UpDownCounter, "{breaker}", &[URL_TEMPLATE, BREAKER_SCOPE, INSTANCE, STATE],
        "1 for the state that a breaker has, 0 for the others.";
    BREAKER_TRANSITIONS = "betanet.circuit_breaker.transitions", MetricKind::Counter, "{transition}", &[URL_TEMPLATE, BREAKER_SCOPE, INSTANCE, FROM, TO, REASON],
        "Changes of state of a breaker.";
    BREAKER_REJECTIONS = "betanet.circuit_breaker.rejections", MetricKind::Counter, "{request}", &[URL_TEMPLATE, BREAKER_SCOPE, INSTANCE],
        "Requests that a breaker refused.";
    BREAKER_PROBES = "betanet.circuit_breaker.probes", MetricKind::Counter, "{probe}", &[URL_TEMPLATE, BREAKER_SCOPE, INSTANCE, RESULT],
        "Probes of a half-open breaker by result (ok, fail, cancelled).";
    BREAKER_STATE_TIME = "betanet.circuit_breaker.state.time", MetricKind::Counter, "s", &[URL_TEMPLATE, BREAKER_SCOPE, INSTANCE, STATE],
        "Time that a breaker spent in each state.";
    BREAKER_FAILURES = "betanet.circuit_breaker.consecutive_failures", MetricKind::Gauge, "{failure}", &[URL_TEMPLATE, BREAKER_SCOPE, INSTANCE],
        "Failures since the last success.";
    BREAKER_STALE_RESULTS = "betanet.circuit_breaker.stale_results", MetricKind::Counter, "{result}", &[URL_TEMPLATE, BREAKER_SCOPE, INSTANCE],
        "Results that came after the state they belonged to, and were ignored.";
    CACHE_REQUESTS = "betanet.cache.requests", MetricKind::Counter, "{request}", &[URL_TEMPLATE, RESULT, READER],
        "Reads of the kept answer by result (hit, miss, stale, revalidated, expired) and reader.";
    CACHE_ENTRIES = "betanet.cache.entries", MetricKind::UpDownCounter, "{entry}", &[STATE],
        "Kept answers of the target's endpoints by state (fresh, stale, expired, empty).";
    CACHE_AGE = "betanet.cache.entry.age", MetricKind::Gauge, "s", &[URL_TEMPLATE],
        "Age of the kept answer when the target was last collected; absent where there is none.";
    FRESHNESS_TIME = "betanet.source.freshness.time", MetricKind::Counter, "s", &[URL_TEMPLATE, WITHIN_OBJECTIVE],
        "Time during which the endpoint's data was as young as freshness_objective promises, and was not.";
    TIMEOUT_EFFECTIVE = "betanet.timeout.effective", MetricKind::Gauge, "s", &[URL_TEMPLATE, INSTANCE],
        "How long the first attempt of a poll may take now.";
    BALANCER_REQUESTS = "betanet.balancer.requests", MetricKind::Counter, "{request}", &[URL_TEMPLATE, INSTANCE, RESULT],
        "Requests to each of several instances, by result (ok, fail).";
    BALANCER_FAILOVERS = "betanet.balancer.failovers", MetricKind::Counter, "{request}", &[URL_TEMPLATE, INSTANCE],
        "Requests that failed at the instance and were sent to another one at once.";
    BALANCER_EJECTED = "betanet.balancer.ejected", MetricKind::Gauge, "", &[URL_TEMPLATE, INSTANCE],
        "Whether the instance is left out now (1), by a breaker or because it failed, or not (0).";
    BALANCER_LATENCY = "betanet.balancer.latency", MetricKind::Gauge, "s", &[URL_TEMPLATE, INSTANCE],
        "Time that an answer of the instance is expected to take; a failure counts as at least 5 s.";
    BALANCER_PANIC = "betanet.balancer.panic", MetricKind::Gauge, "", &[URL_TEMPLATE],
        "Whether more than half of the instances would be left out, so that only open breakers leave any out (1), or not (0).";
    POLL_HEDGES = "betanet.poll.hedges", MetricKind::Counter, "{hedge}", &[URL_TEMPLATE, RESULT],
        "Second requests, to another instance beside a slow first one, by result: their answer came first (won), that to the first request did (lost), or they brought none (failed).";
    MISSED_TICKS = "betanet.poll.missed_ticks", MetricKind::Counter, "{tick}", &[],
        "Polls that were due and not made: an earlier one of the target still ran, or the collector itself was late.";
    COUNTER_RESETS = "betanet.counter.resets", MetricKind::Counter, "{reset}", &[],
        "Running totals of the target that fell, so that a new start time was set.";
    MAPPING_PROBLEMS = "betanet.mapping.problems", MetricKind::Counter, "{value}", &[METRIC, REASON],
        "Values that could not be read, by metric and reason (missing, several, type, range, max_series, duplicate, steps).";
}

/// How much is said of the resilience of each target. What the target itself says, and whether
/// it is up, is said at any level.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum MetricsDetail {
    /// Retries, the state of the breakers, which instances are left out, and the cache.
    Basic,
    /// Also what breakers did and why: transitions, rejections, probes, suppressed retries; the
    /// timeout, and the freshness objective.
    Normal,
    /// Everything.
    #[default]
    Detailed,
}

impl MetricsDetail {
    /// Whether a metric is said at this level.
    pub fn says(self, metric: &str) -> bool {
        let basic = [
            POLL_RETRIES,
            BREAKER_STATE,
            BALANCER_FAILOVERS,
            BALANCER_EJECTED,
            CACHE_REQUESTS,
            CACHE_AGE,
        ];
        let normal = [
            RETRIES_SUPPRESSED,
            BREAKER_TRANSITIONS,
            BREAKER_REJECTIONS,
            BREAKER_PROBES,
            BALANCER_REQUESTS,
            BALANCER_LATENCY,
            BALANCER_PANIC,
            POLL_HEDGES,
            TIMEOUT_EFFECTIVE,
            FRESHNESS_TIME,
        ];
        let is_in = |metrics: &[Metric]| metrics.iter().any(|known| known.name == metric);
        match self {
            Self::Basic => is_in(&basic),
            Self::Normal => is_in(&basic) || is_in(&normal),
            Self::Detailed => true,
        }
    }
}

metrics! {
    AGGREGATE, "Said of each aggregate, beside it.";
    AGGREGATE_COVERAGE = "betanet.aggregate.coverage", MetricKind::Gauge, "1", &[METRIC],
        "Share of the expected targets whose fresh values are in the aggregate of the metric; carries the labels of the group too.";
}

metrics! {
    PROBE, "Said in the answer to a probe.";
    PROBE_SUCCESS = "probe.success", MetricKind::Gauge, "", &[],
        "Whether the probe got at least one body (1) or none (0).";
    PROBE_DURATION = "probe.duration", MetricKind::Gauge, "s", &[],
        "Duration of the probe; a target that is polled anyway may be answered from its cache.";
    PROBE_ENDPOINT_SUCCESS = "probe.endpoint.success", MetricKind::Gauge, "", &[URL_TEMPLATE],
        "Whether the probe got a body of the endpoint (1) or not (0).";
    PROBE_ENDPOINT_FAILURE = "probe.endpoint.failure", MetricKind::Gauge, "", &[URL_TEMPLATE, ERROR_TYPE],
        "1 for an endpoint of which the probe got no body, with the reason.";
    PROBE_ENDPOINT_AGE = "probe.endpoint.age", MetricKind::Gauge, "s", &[URL_TEMPLATE],
        "Age of the endpoint's body; absent where it was asked for by the probe.";
}

metrics! {
    COLLECTOR, "Said of the collector itself, on its telemetry endpoint.";
    SCRAPED_POINTS = "otelcol_scraper_scraped_metric_points", MetricKind::Counter, "{datapoint}", &[RECEIVER],
        "Data points that polls gave.";
    ERRORED_POINTS = "otelcol_scraper_errored_metric_points", MetricKind::Counter, "{datapoint}", &[RECEIVER],
        "Data points that could not be read from a body.";
    POLLS = "betanet_receiver_polls", MetricKind::Counter, "{poll}", &[RECEIVER, OUTCOME],
        "Polls of targets by outcome: up if any endpoint gave a body, else down.";
    REQUESTS_IN_FLIGHT = "betanet_receiver_requests_in_flight", MetricKind::UpDownCounter, "{request}", &[RECEIVER],
        "Requests to targets that have not been answered yet.";
    REQUEST_DURATION = "http_client_request_duration", MetricKind::Histogram(SECONDS), "s", &[HTTP_REQUEST_METHOD, URL_TEMPLATE, ERROR_TYPE],
        "Duration of single requests to targets; each attempt counts.";
    POLL_DURATION = "betanet_poll_duration", MetricKind::Histogram(SECONDS), "s", &[URL_TEMPLATE, OUTCOME],
        "Duration of polls of one endpoint, retries and their waits included.";
    POLL_ATTEMPTS = "betanet_poll_attempts", MetricKind::Histogram(ATTEMPTS), "{attempt}", &[URL_TEMPLATE, OUTCOME],
        "Requests that one poll of an endpoint sent; polls that sent none are not in it.";
    POLL_RETRY_DELAY = "betanet_poll_retry_delay", MetricKind::Histogram(SECONDS), "s", &[URL_TEMPLATE],
        "How long a poll of an endpoint waited before its retries, in all; polls without a retry are not in it.";
    RESPONSE_BODY_SIZE = "http_client_response_body_size", MetricKind::Histogram(BYTES), "By", &[URL_TEMPLATE],
        "Size of whole answers of targets, decompressed.";
    RESPONSE_REPAIRED = "betanet_response_repaired", MetricKind::Counter, "{value}", &[URL_TEMPLATE],
        "Characters and numbers in answers of targets that JSON does not allow (bad UTF-8, half a surrogate pair, NaN, a number that no double holds); each costs itself and not the answer.";
    SERVED_STALE_AGE = "betanet_cache_served_stale_age", MetricKind::Histogram(AGES), "s", &[URL_TEMPLATE],
        "Age of the kept answer that stood in for a missing one, once a poll.";
    POLL_START_DELAY = "betanet_poll_start_delay", MetricKind::Histogram(SECONDS), "s", &[RECEIVER],
        "How long after it was due a poll began.";
    RETRY_BUDGET = "betanet_retry_budget_available", MetricKind::Gauge, "{token}", &[RECEIVER],
        "Retries that all targets of the receiver together may still make.";
    TARGETS = "betanet_receiver_targets", MetricKind::UpDownCounter, "{target}", &[RECEIVER],
        "Targets that are polled.";
    TARGETS_REFUSED = "betanet_receiver_targets_refused", MetricKind::Counter, "{target}", &[RECEIVER, REASON],
        "Targets that were asked for and are not polled, by reason (duplicate: another one has the name; invalid).";
    POLL_PANICS = "betanet_receiver_poll_panics", MetricKind::Counter, "{panic}", &[RECEIVER],
        "Mistakes of ours that ended the polls of a target, which are begun anew after a while; no other target notices.";
    RECEIVED_POINTS = "betanet_exporter_received_metric_points", MetricKind::Counter, "{datapoint}", &[EXPORTER],
        "Data points that were handed to the exporter. Always the sum of those sent, rejected, dropped and held.";
    DISCOVERY_TARGETS = "betanet_discovery_targets", MetricKind::Gauge, "{target}", &[RECEIVER, SOURCE, RESULT],
        "Targets that a source names now, by what becomes of them (kept, dropped, other_shard, duplicate, over_limit, invalid).";
    DISCOVERY_REFRESHES = "betanet_discovery_refreshes", MetricKind::Counter, "{refresh}", &[RECEIVER, SOURCE],
        "Times that a source of targets was asked.";
    DISCOVERY_FAILURES = "betanet_discovery_failures", MetricKind::Counter, "{failure}", &[RECEIVER, SOURCE, REASON],
        "Files, answers and lookups of which nothing could be used, by reason (read, too_large, syntax, status, content_type, request, credentials, timeout, lookup); the last good list is kept.";
    DISCOVERY_LAST_SUCCESS = "betanet_discovery_last_success_timestamp", MetricKind::Gauge, "s", &[RECEIVER, SOURCE],
        "Unix time at which a source was last read without a failure; absent before the first.";
    SHARD_INDEX = "betanet_shard_index", MetricKind::Gauge, "{shard}", &[RECEIVER],
        "Which of the collectors that share the targets this one is, from 0.";
    SHARD_COUNT = "betanet_shard_count", MetricKind::Gauge, "{shard}", &[RECEIVER],
        "How many collectors share the targets.";
    INCOMING_ITEMS = "otelcol_processor_incoming_items", MetricKind::Counter, "{item}", &[PROCESSOR, SIGNAL],
        "Data points that were given to the processor.";
    OUTGOING_ITEMS = "otelcol_processor_outgoing_items", MetricKind::Counter, "{item}", &[PROCESSOR, SIGNAL],
        "Data points that the processor passed on.";
    LIMITER_ACCEPTED = "otelcol_processor_memory_limiter_accepted_metric_points", MetricKind::Counter, "{datapoint}", &[PROCESSOR],
        "Data points that came while there was memory.";
    LIMITER_REFUSED = "otelcol_processor_memory_limiter_refused_metric_points", MetricKind::Counter, "{datapoint}", &[PROCESSOR],
        "Data points of polls under way that were dropped because there was too little memory.";
    LIMITER_POLLS = "betanet_memory_limiter_refused_polls", MetricKind::Counter, "{poll}", &[PROCESSOR],
        "Polls that the limiter refused before the target was asked.";
    AGGREGATE_DROPPED = "betanet_aggregate_dropped_metric_points", MetricKind::Counter, "{datapoint}", &[PROCESSOR, REASON],
        "Data points that an aggregate could not take in, by reason (max_groups).";
    UNPLACED_POINTS = "betanet_pipeline_dropped_metric_points", MetricKind::Counter, "{datapoint}", &[REASON],
        "Data points without a place, by reason (duplicate: two of one metric with the same attributes; max_resources; name_case: the name of another metric but for upper and lower case; overflow: over the metric's max_series, or marked `otel.metric.overflow`).";
    SENT_POINTS = "otelcol_exporter_sent_metric_points", MetricKind::Counter, "{datapoint}", &[EXPORTER],
        "Data points that the destination accepted.";
    REJECTED_POINTS = "betanet_exporter_rejected_metric_points", MetricKind::Counter, "{datapoint}", &[EXPORTER],
        "Data points that the destination refused for good, in part of a request (partial success) or all of it.";
    FAILED_POINTS = "otelcol_exporter_send_failed_metric_points", MetricKind::Counter, "{datapoint}", &[EXPORTER],
        "Data points in attempts to send that failed; one that is tried again counts again.";
    DROPPED_POINTS = "betanet_exporter_dropped_metric_points", MetricKind::Counter, "{datapoint}", &[EXPORTER, REASON],
        "Data points that were given up, by reason (queue_full, retries_exhausted, too_large, encoding, shutdown, storage, panic, type_conflict, name_conflict, duplicate_series, unsupported).";
    HELD_POINTS = "betanet_exporter_held_metric_points", MetricKind::Gauge, "{datapoint}", &[EXPORTER],
        "Data points that wait or are being sent.";
    QUEUE_SIZE = "otelcol_exporter_queue_size", MetricKind::Gauge, "{unit}", &[EXPORTER],
        "What is held in the sending queue, in the unit of its sizer: batches, data points or bytes.";
    QUEUE_CAPACITY = "otelcol_exporter_queue_capacity", MetricKind::Gauge, "{unit}", &[EXPORTER],
        "The most that the sending queue may hold, in the unit of its sizer.";
    DESTINATION_BREAKER = "betanet_exporter_circuit_breaker_state", MetricKind::Gauge, "{state}", &[EXPORTER],
        "State of the breaker of a destination: 0 closed, 1 open (nothing is sent), 2 half-open. Do not average or sum it.";
    QUEUE_BYTES = "betanet_exporter_queue_bytes", MetricKind::Gauge, "By", &[EXPORTER],
        "Bytes that wait or are being sent, before compression.";
    QUEUE_OLDEST_AGE = "betanet_exporter_queue_oldest_age", MetricKind::Gauge, "s", &[EXPORTER],
        "How long the oldest data point that is held has been waiting; 0 if none is.";
    STORED_POINTS = "betanet_exporter_queue_stored_metric_points", MetricKind::Counter, "{datapoint}", &[EXPORTER],
        "Data points of the sending queue that reached the disk; those found there at the start are not in it.";
    STORAGE_FAILURES = "betanet_exporter_queue_storage_failures", MetricKind::Counter, "{failure}", &[EXPORTER, REASON],
        "What went wrong with the sending queue's disk, by reason (open, write, read, damaged).";
    PROBES = "betanet_exporter_probes", MetricKind::Counter, "{probe}", &[EXPORTER, RESULT],
        "Requests to read one target, by result (success, failure, refused).";
    SERIES = "betanet_exporter_series", MetricKind::Gauge, "{series}", &[EXPORTER],
        "Series that a scrape shows now.";
    CONNECTIONS_REFUSED = "betanet_http_connections_refused", MetricKind::Counter, "{connection}", &[REASON],
        "Connections to our own listeners that were closed before a request, by reason (limit, idle, tls, tls_timeout): an idle one goes where another needs its place.";
    REQUESTS_REFUSED = "betanet_http_requests_refused", MetricKind::Counter, "{request}", &[REASON],
        "Requests to our own listeners that were refused, by reason (unauthorized, credentials, not_found, method, foreign, busy, host, malformed, head_too_large, body_too_large, body).";
    RELOAD_SUCCESSFUL = "betanet_config_last_reload_successful", MetricKind::Gauge, "", &[],
        "Whether the last attempt to load a configuration succeeded (1) or the one before stayed (0).";
    RELOAD_SUCCESS_TIME = "betanet_config_last_reload_success_timestamp_seconds", MetricKind::Gauge, "s", &[],
        "Unix time of the last configuration that was loaded.";
    COMPONENT_STATUS = "betanet_component_status", MetricKind::Gauge, "{component}", &[COMPONENT_ID, COMPONENT_KIND, STATE],
        "1 for the status that a component has (starting, ok, recoverable_error, permanent_error, fatal_error, stopped), 0 for the others.";
    COMPONENT_PANICS = "betanet_component_panics", MetricKind::Counter, "{panic}", &[COMPONENT_ID, COMPONENT_KIND],
        "Mistakes of ours (panics) in the tasks of a component. The status says whether one is begun anew.";
    UPTIME = "otelcol_process_uptime", MetricKind::Counter, "s", &[],
        "Time since the collector started.";
    CPU_SECONDS = "otelcol_process_cpu_seconds", MetricKind::Counter, "s", &[],
        "Processor time that the collector used, user and system.";
    MEMORY_RSS = "otelcol_process_memory_rss", MetricKind::Gauge, "By", &[],
        "Resident memory of the collector.";
}
