//! The metrics of the collector itself. A test generates `docs/metrics.md` from these tables.
//!
//! There are two families. Metrics about a target travel with the target's data to every exporter:
//! OpenTelemetry names with dots, which a scrape shows with underscores and suffixes
//! (`target_metrics.rs`). Metrics about the collector are on its own telemetry endpoint. They have the names of the OpenTelemetry
//! Collector (`otelcol_…`), or `betanet_…` if it has no such metric.

/// A metric of the collector itself.
#[derive(Debug)]
pub struct Metric {
    /// The name of the instrument.
    pub name: &'static str,
    /// The kind of instrument.
    pub kind: MetricKind,
    /// The unit in UCUM; empty without a unit.
    pub unit: &'static str,
    /// The HELP text, in one sentence.
    pub description: &'static str,
    /// The keys of the attributes.
    pub attributes: &'static [&'static str],
}

/// The kind of instrument.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MetricKind {
    /// A total that only grows.
    Counter,
    /// A sum that may fall.
    UpDownCounter,
    /// The current value.
    Gauge,
    /// A histogram whose buckets have these upper bounds.
    Histogram(&'static [f64]),
}

/// Buckets of durations in seconds: those of the semantic conventions for HTTP, and longer ones for
/// polls.
const SECONDS: &[f64] = &[
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 15.0, 30.0,
];

/// Buckets of body sizes in bytes.
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

/// Buckets of the age of cached answers, in seconds.
const AGES: &[f64] = &[15.0, 30.0, 45.0, 60.0, 120.0, 300.0];

/// Buckets of the number of attempts of one poll.
const ATTEMPTS: &[f64] = &[1.0, 2.0, 3.0, 4.0, 5.0];

/// Attribute: the name of the endpoint in its definition, which identifies it.
pub const ENDPOINT: &str = "endpoint";
/// Attribute: the path of the endpoint, without the values of its query. The semantic conventions use this name for paths of low
/// cardinality.
pub const URL_TEMPLATE: &str = "url.template";
/// Attribute: the class of a failure; absent on success.
pub const ERROR_TYPE: &str = "error.type";
/// Attribute: the outcome of a poll.
pub const OUTCOME: &str = "outcome";
/// Attribute: the metric of the definition that a problem is about.
pub const METRIC: &str = "metric";
/// Attribute: why something was not done or was dropped.
pub const REASON: &str = "reason";
/// Attribute: the id of a receiver.
pub const RECEIVER: &str = "receiver";
/// Attribute: the entry of a receiver's discovery, such as `file_sd_configs/0`.
pub const SOURCE: &str = "source";
/// Attribute: the id of an exporter.
pub const EXPORTER: &str = "exporter";
/// Attribute: the id of a processor.
pub const PROCESSOR: &str = "processor";
/// Attribute: the signal of a component; here always `metrics`.
pub const SIGNAL: &str = "otel.signal";

/// Attribute: the id of a component.
pub const COMPONENT_ID: &str = "otelcol.component.id";
/// Attribute: the kind of a component: receiver, processor, exporter, extension, service, or
/// listener for a port of the collector.
pub const COMPONENT_KIND: &str = "otelcol.component.kind";

/// Attribute: the method of a request.
pub const HTTP_REQUEST_METHOD: &str = "http.request.method";
/// Attribute: what a breaker belongs to: `host` or `endpoint`.
pub const BREAKER_SCOPE: &str = "betanet.breaker.scope";
/// Attribute: the instance of a target with replicas, as `host:port`; absent for other targets.
pub const INSTANCE: &str = "betanet.instance";
/// Attribute: the state of a breaker: `closed`, `open` or `half_open`.
pub const STATE: &str = "state";
/// Attribute: the state before a change.
pub const FROM: &str = "from";
/// Attribute: the state after a change.
pub const TO: &str = "to";
/// Attribute: the result of an operation.
pub const RESULT: &str = "result";
/// Attribute: the reader of the cache: `poll` or `api`.
pub const READER: &str = "reader";
/// Attribute: whether the data was within the freshness objective.
pub const WITHIN_OBJECTIVE: &str = "within_objective";

/// Declares the metrics of one family, and the list of them.
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
    AGGREGATE, "Metrics about each aggregate, next to it.";
    AGGREGATE_COVERAGE = "betanet.aggregate.coverage", MetricKind::Gauge, "1", &[METRIC],
        "Share of the expected targets whose fresh values are in the aggregate of the metric; has the labels of the group too.";
}

metrics! {
    PROBE, "Metrics about a probe, in the answer of `/probe`.";
    PROBE_SUCCESS = "probe.success", MetricKind::Gauge, "", &[],
        "Whether the probe got at least one body (1) or none (0).";
    PROBE_DURATION = "probe.duration", MetricKind::Gauge, "s", &[],
        "Duration of the probe. The answer for a target that a receiver polls may come from its cache.";
    PROBE_ENDPOINT_SUCCESS = "probe.endpoint.success", MetricKind::Gauge, "", &[ENDPOINT, URL_TEMPLATE],
        "Whether the probe got a body of the endpoint (1) or not (0).";
    PROBE_ENDPOINT_FAILURE = "probe.endpoint.failure", MetricKind::Gauge, "", &[ENDPOINT, URL_TEMPLATE, ERROR_TYPE],
        "1 for each endpoint without a body in the probe, with the reason.";
    PROBE_ENDPOINT_AGE = "probe.endpoint.age", MetricKind::Gauge, "s", &[ENDPOINT, URL_TEMPLATE],
        "Age of the endpoint's body; absent if this probe requested it.";
}

metrics! {
    COLLECTOR, "Metrics about the collector itself, on its telemetry endpoint.";
    SCRAPED_POINTS = "otelcol_scraper_scraped_metric_points", MetricKind::Counter, "{datapoint}", &[RECEIVER],
        "Data points from polls.";
    ERRORED_POINTS = "otelcol_scraper_errored_metric_points", MetricKind::Counter, "{datapoint}", &[RECEIVER],
        "Data points that could not be read from a body.";
    POLLS = "betanet_receiver_polls", MetricKind::Counter, "{poll}", &[RECEIVER, OUTCOME],
        "Polls of targets by outcome: up if any endpoint gave a body, else down.";
    REQUESTS_IN_FLIGHT = "betanet_receiver_requests_in_flight", MetricKind::UpDownCounter, "{request}", &[RECEIVER],
        "Requests to targets that wait for an answer.";
    REQUEST_DURATION = "http_client_request_duration", MetricKind::Histogram(SECONDS), "s", &[HTTP_REQUEST_METHOD, ENDPOINT, URL_TEMPLATE, ERROR_TYPE],
        "Duration of single requests to targets; each attempt counts.";
    POLL_DURATION = "betanet_poll_duration", MetricKind::Histogram(SECONDS), "s", &[ENDPOINT, URL_TEMPLATE, OUTCOME],
        "Duration of polls of one endpoint, with retries and the waiting times before them.";
    POLL_ATTEMPTS = "betanet_poll_attempts", MetricKind::Histogram(ATTEMPTS), "{attempt}", &[ENDPOINT, URL_TEMPLATE, OUTCOME],
        "Number of requests in one poll of an endpoint; polls without a request do not count.";
    POLL_RETRY_DELAY = "betanet_poll_retry_delay", MetricKind::Histogram(SECONDS), "s", &[ENDPOINT, URL_TEMPLATE],
        "Total waiting time before the retries of one poll of an endpoint; polls without a retry do not count.";
    RESPONSE_BODY_SIZE = "http_client_response_body_size", MetricKind::Histogram(BYTES), "By", &[ENDPOINT, URL_TEMPLATE],
        "Size of complete answers of targets, decompressed.";
    RESPONSE_REPAIRED = "betanet_response_repaired", MetricKind::Counter, "{value}", &[ENDPOINT, URL_TEMPLATE],
        "Characters and numbers in answers of targets that JSON does not allow (invalid UTF-8, half a surrogate pair, NaN, a number beyond the range of a double); each affects only its own value.";
    SERVED_STALE_AGE = "betanet_cache_served_stale_age", MetricKind::Histogram(AGES), "s", &[ENDPOINT, URL_TEMPLATE],
        "Age of a cached answer that replaced a missing one, once for each poll.";
    POLL_START_DELAY = "betanet_poll_start_delay", MetricKind::Histogram(SECONDS), "s", &[RECEIVER],
        "Time from the moment when a poll was due to its start.";
    RETRY_BUDGET = "betanet_retry_budget_available", MetricKind::Gauge, "{token}", &[RECEIVER],
        "Retries that all targets of the receiver together may still make.";
    RECEIVER_RETRIES = "betanet_receiver_retries", MetricKind::Counter, "{retry}", &[RECEIVER],
        "Repeated attempts at all targets of the receiver.";
    RECEIVER_RETRIES_SUPPRESSED = "betanet_receiver_retries_suppressed", MetricKind::Counter, "{retry}", &[RECEIVER, REASON],
        "Retries that were due but not made, by reason (budget, deadline, open, retry_after).";
    RECEIVER_FAILOVERS = "betanet_receiver_failovers", MetricKind::Counter, "{request}", &[RECEIVER],
        "Requests that failed at an instance of a target with replicas and were repeated at another one at once.";
    RECEIVER_BREAKER_TRANSITIONS = "betanet_receiver_breaker_transitions", MetricKind::Counter, "{transition}", &[RECEIVER, BREAKER_SCOPE, FROM, TO, REASON],
        "State changes of the circuit breakers of all targets of the receiver.";
    RECEIVER_BREAKER_REJECTIONS = "betanet_receiver_breaker_rejections", MetricKind::Counter, "{request}", &[RECEIVER, BREAKER_SCOPE],
        "Requests that the circuit breakers of all targets of the receiver refused.";
    TARGETS = "betanet_receiver_targets", MetricKind::UpDownCounter, "{target}", &[RECEIVER],
        "Targets that are polled.";
    TARGETS_REFUSED = "betanet_receiver_targets_refused", MetricKind::Counter, "{target}", &[RECEIVER, REASON],
        "Configured or discovered targets that are not polled, by reason (duplicate: another target has the name; invalid).";
    POLL_PANICS = "betanet_receiver_poll_panics", MetricKind::Counter, "{panic}", &[RECEIVER],
        "Panics in the polling task of a target. The task restarts after a pause; other targets are not affected.";
    PROBED_SUSPECTS = "betanet_receiver_probed_suspects", MetricKind::Counter, "{host}", &[RECEIVER, RESULT],
        "Hosts that hang since a probe asked them, by what became of that knowledge (remembered: the next probe leaves the request out; forgotten: there were too many).";
    RECEIVED_POINTS = "betanet_exporter_received_metric_points", MetricKind::Counter, "{datapoint}", &[EXPORTER],
        "Data points that the exporter received. Always the sum of those sent, rejected, dropped and held.";
    DISCOVERY_TARGETS = "betanet_discovery_targets", MetricKind::Gauge, "{target}", &[RECEIVER, SOURCE, RESULT],
        "Targets that a source currently names, by result (kept, dropped, other_shard, duplicate, over_limit, invalid).";
    DISCOVERY_REFRESHES = "betanet_discovery_refreshes", MetricKind::Counter, "{refresh}", &[RECEIVER, SOURCE],
        "Reads of a source of targets.";
    DISCOVERY_FAILURES = "betanet_discovery_failures", MetricKind::Counter, "{failure}", &[RECEIVER, SOURCE, REASON],
        "Files, answers, lookups and watches that could not be used, by reason (read, too_large, syntax, status, content_type, request, credentials, timeout, lookup, empty, connection). The last good list stays.";
    DISCOVERY_LAST_SUCCESS = "betanet_discovery_last_success_timestamp", MetricKind::Gauge, "s", &[RECEIVER, SOURCE],
        "Unix time of the last read of a source without a failure; absent before the first.";
    SHARD_INDEX = "betanet_shard_index", MetricKind::Gauge, "{shard}", &[RECEIVER],
        "Number of this collector among those that share the targets, starting with 0.";
    SHARD_COUNT = "betanet_shard_count", MetricKind::Gauge, "{shard}", &[RECEIVER],
        "Number of collectors that share the targets.";
    INCOMING_ITEMS = "otelcol_processor_incoming_items", MetricKind::Counter, "{item}", &[PROCESSOR, SIGNAL],
        "Data points that the processor received.";
    OUTGOING_ITEMS = "otelcol_processor_outgoing_items", MetricKind::Counter, "{item}", &[PROCESSOR, SIGNAL],
        "Data points that the processor passed on.";
    LIMITER_ACCEPTED = "otelcol_processor_memory_limiter_accepted_metric_points", MetricKind::Counter, "{datapoint}", &[PROCESSOR],
        "Data points that arrived while there was enough memory.";
    LIMITER_REFUSED = "otelcol_processor_memory_limiter_refused_metric_points", MetricKind::Counter, "{datapoint}", &[PROCESSOR],
        "Data points of running polls that were dropped because there was too little memory.";
    LIMITER_POLLS = "betanet_memory_limiter_refused_polls", MetricKind::Counter, "{poll}", &[PROCESSOR],
        "Polls that the memory limiter refused before any request was sent.";
    LIMITER_SHED = "betanet_memory_limiter_shed_items", MetricKind::Counter, "{item}", &[REASON],
        "What was forgotten because there was too little memory, by reason (kept_answer: the last answer of an endpoint; stale_series: on a scrape, a series whose endpoint failed; gone_series: the last value of a series that is gone, of which aggregates, deltas and start times knew; gone_resource: a Resource that a processor split off, and that is gone).";
    AGGREGATE_DROPPED = "betanet_aggregate_dropped_metric_points", MetricKind::Counter, "{datapoint}", &[PROCESSOR, REASON],
        "Data points that do not fit into an aggregate, by reason (max_groups).";
    UNPLACED_POINTS = "betanet_pipeline_dropped_metric_points", MetricKind::Counter, "{datapoint}", &[REASON],
        "Data points that the pipeline dropped, by reason (duplicate: two of one metric with the same attributes; max_resources; name_case: another metric has the same name except for upper and lower case; overflow: over the metric's max_series, or marked `otel.metric.overflow`).";
    SENT_POINTS = "otelcol_exporter_sent_metric_points", MetricKind::Counter, "{datapoint}", &[EXPORTER],
        "Data points that the destination accepted.";
    REJECTED_POINTS = "betanet_exporter_rejected_metric_points", MetricKind::Counter, "{datapoint}", &[EXPORTER],
        "Data points that the destination refused permanently, in part of a request (partial success) or all of it.";
    FAILED_POINTS = "otelcol_exporter_send_failed_metric_points", MetricKind::Counter, "{datapoint}", &[EXPORTER],
        "Data points in failed attempts to send; each attempt counts again.";
    DROPPED_POINTS = "betanet_exporter_dropped_metric_points", MetricKind::Counter, "{datapoint}", &[EXPORTER, REASON],
        "Data points that the exporter dropped, by reason (queue_full, retries_exhausted, too_large, encoding, shutdown, storage, panic, type_conflict, name_conflict, duplicate_series, unsupported).";
    HELD_POINTS = "betanet_exporter_held_metric_points", MetricKind::Gauge, "{datapoint}", &[EXPORTER],
        "Data points that wait or are being sent.";
    QUEUE_SIZE = "otelcol_exporter_queue_size", MetricKind::Gauge, "{unit}", &[EXPORTER],
        "Size of the sending queue in the unit of its sizer: batches, data points or bytes.";
    QUEUE_CAPACITY = "otelcol_exporter_queue_capacity", MetricKind::Gauge, "{unit}", &[EXPORTER],
        "Capacity of the sending queue in the unit of its sizer.";
    DESTINATION_BREAKER = "betanet_exporter_circuit_breaker_state", MetricKind::Gauge, "{state}", &[EXPORTER],
        "State of the circuit breaker of a destination: 0 closed, 1 open (nothing is sent), 2 half-open. Do not average or sum it.";
    QUEUE_BYTES = "betanet_exporter_queue_bytes", MetricKind::Gauge, "By", &[EXPORTER],
        "Bytes that wait or are being sent, before compression.";
    QUEUE_OLDEST_AGE = "betanet_exporter_queue_oldest_age", MetricKind::Gauge, "s", &[EXPORTER],
        "Age of the oldest data point in the sending queue; 0 if it is empty.";
    STORED_POINTS = "betanet_exporter_queue_stored_metric_points", MetricKind::Counter, "{datapoint}", &[EXPORTER],
        "Data points of the sending queue that were written to disk, without those found there at the start.";
    STORAGE_FAILURES = "betanet_exporter_queue_storage_failures", MetricKind::Counter, "{failure}", &[EXPORTER, REASON],
        "Failures of the disk of the sending queue, by reason (open, write, read, damaged).";
    PROBES = "betanet_exporter_probes", MetricKind::Counter, "{probe}", &[EXPORTER, RESULT],
        "Requests to `/probe`, by result (success, failure, refused).";
    SERIES = "betanet_exporter_series", MetricKind::Gauge, "{series}", &[EXPORTER],
        "Series that a scrape currently shows.";
    CONNECTIONS_REFUSED = "betanet_http_connections_refused", MetricKind::Counter, "{connection}", &[REASON],
        "Connections to the collector's listeners that were closed before a request, by reason (limit, idle, tls, tls_timeout). An idle connection is closed when another one needs its place.";
    REQUESTS_REFUSED = "betanet_http_requests_refused", MetricKind::Counter, "{request}", &[REASON],
        "Requests to the collector's listeners that were refused, by reason (unauthorized, credentials, not_found, method, foreign, busy, host, malformed, head_too_large, body_too_large, body).";
    RELOAD_SUCCESSFUL = "betanet_config_last_reload_successful", MetricKind::Gauge, "", &[],
        "Whether the last attempt to load a configuration succeeded (1), or the configuration before it stays in use (0).";
    RELOAD_SUCCESS_TIME = "betanet_config_last_reload_success_timestamp_seconds", MetricKind::Gauge, "s", &[],
        "Unix time at which a configuration was last loaded successfully.";
    COMPONENT_STATUS = "betanet_component_status", MetricKind::Gauge, "{component}", &[COMPONENT_ID, COMPONENT_KIND, STATE],
        "1 for the current status of a component (starting, ok, recoverable_error, permanent_error, fatal_error, stopped), 0 for the others.";
    COMPONENT_PANICS = "betanet_component_panics", MetricKind::Counter, "{panic}", &[COMPONENT_ID, COMPONENT_KIND],
        "Panics in the tasks of a component. Its status shows whether the task restarts.";
    UPTIME = "otelcol_process_uptime", MetricKind::Counter, "s", &[],
        "Time since the collector started.";
    CPU_SECONDS = "otelcol_process_cpu_seconds", MetricKind::Counter, "s", &[],
        "Processor time of the collector, user and system.";
    MEMORY_RSS = "otelcol_process_memory_rss", MetricKind::Gauge, "By", &[],
        "Resident memory of the collector.";
}
