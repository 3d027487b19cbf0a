//! Every metric that the collector makes up itself, in one place. `docs/metrics.md` is written
//! from these tables and a test keeps it in step.
//!
//! Two families: what is said of each target travels with the target's data to every exporter
//! (OTel names with dots; a scrape shows them with underscores and suffixes); what is said of the
//! collector itself is served on its own telemetry endpoint, under the names that the
//! OpenTelemetry Collector uses for the same thing (`otelcol_…`), or `betanet_…` where it has
//! none.

/// A metric that the collector makes up itself.
#[derive(Debug)]
pub struct Metric {
    /// The instrument's name.
    pub name: &'static str,
    /// How it aggregates.
    pub kind: Kind,
    /// UCUM unit; empty where there is none.
    pub unit: &'static str,
    /// What it says, in one sentence.
    pub description: &'static str,
    /// The keys of its attributes.
    pub attributes: &'static [&'static str],
}

/// How a metric aggregates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Sum that may fall.
    UpDownCounter,
    /// A value of the moment.
    Gauge,
}

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
/// Attribute: id of an exporter.
pub const EXPORTER: &str = "exporter";

/// Declares the metrics of one family and the list of them.
macro_rules! metrics {
    ($list:ident, $list_doc:literal; $($id:ident = $name:literal, $kind:ident, $unit:literal, $attributes:expr, $description:literal;)+) => {
        $(
            #[doc = $description]
            pub const $id: Metric = Metric {
                name: $name,
                kind: Kind::$kind,
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
    UP = "betanet.up", Gauge, "", &[],
        "Whether the last poll of the target gave at least one body (1) or none (0).";
    SOURCE_UP = "betanet.source.up", Gauge, "", &[URL_TEMPLATE],
        "Whether the last poll of the endpoint gave a body (1) or not (0).";
    LAST_SUCCESS = "betanet.source.last_success.timestamp", Gauge, "s", &[URL_TEMPLATE],
        "Unix time at which the endpoint's last body arrived; absent before the first.";
    SCRAPE_DURATION = "betanet.scrape.duration", Gauge, "s", &[],
        "Duration of the last poll of all endpoints of the target.";
    SCRAPE_BODY_SIZE = "betanet.scrape.body_size", Gauge, "By", &[],
        "Size of all bodies of the last poll, decompressed.";
    SCRAPE_SAMPLES = "betanet.scrape.samples_scraped", Gauge, "", &[],
        "Number of values that the last poll's bodies gave.";
    POLL_RESULTS = "betanet.poll.results", Counter, "{poll}", &[URL_TEMPLATE, OUTCOME, ERROR_TYPE],
        "Polls of the endpoint by outcome (fresh, missing) and, where missing, class of error.";
    MISSED_TICKS = "betanet.poll.missed_ticks", Counter, "{tick}", &[],
        "Polls that were due while an earlier one of the target still ran.";
    COUNTER_RESETS = "betanet.counter.resets", Counter, "{reset}", &[],
        "Running totals of the target that fell, so that a new start time was set.";
    MAPPING_PROBLEMS = "betanet.mapping.problems", Counter, "{value}", &[METRIC, REASON],
        "Values that could not be read, by metric and reason (missing, type, range, max_series, duplicate).";
    EPOCHS_EXHAUSTED = "betanet.epochs.exhausted", Counter, "{reset}", &[],
        "Resets that kept their old start time because the target had too many epochs.";
}

metrics! {
    COLLECTOR, "Said of the collector itself, on its telemetry endpoint.";
    SCRAPED_POINTS = "otelcol_scraper_scraped_metric_points", Counter, "{datapoint}", &[RECEIVER],
        "Data points that polls gave.";
    ERRORED_POINTS = "otelcol_scraper_errored_metric_points", Counter, "{datapoint}", &[RECEIVER],
        "Data points that could not be read from a body.";
    POLLS = "betanet_receiver_polls", Counter, "{poll}", &[RECEIVER, OUTCOME],
        "Polls of targets by outcome: up if any endpoint gave a body, else down.";
    REQUESTS_IN_FLIGHT = "betanet_receiver_requests_in_flight", UpDownCounter, "{request}", &[RECEIVER],
        "Requests to targets that have not been answered yet.";
    TARGETS = "betanet_receiver_targets", UpDownCounter, "{target}", &[RECEIVER],
        "Targets that are polled.";
    SENT_POINTS = "otelcol_exporter_sent_metric_points", Counter, "{datapoint}", &[EXPORTER],
        "Data points that the destination accepted.";
    FAILED_POINTS = "otelcol_exporter_send_failed_metric_points", Counter, "{datapoint}", &[EXPORTER],
        "Data points in attempts to send that failed; one that is tried again counts again.";
    DROPPED_POINTS = "betanet_exporter_dropped_metric_points", Counter, "{datapoint}", &[EXPORTER, REASON],
        "Data points that were given up, by reason (queue_full, rejected, retries_exhausted, too_large, encoding, shutdown, type_conflict, unsupported).";
    QUEUE_SIZE = "otelcol_exporter_queue_size", Gauge, "{batch}", &[EXPORTER],
        "Batches that wait to be sent.";
    QUEUE_CAPACITY = "otelcol_exporter_queue_capacity", Gauge, "{batch}", &[EXPORTER],
        "The most batches that may wait.";
    SERIES = "betanet_exporter_series", Gauge, "{series}", &[EXPORTER],
        "Series that a scrape shows now.";
    CONNECTIONS_REFUSED = "betanet_http_connections_refused", Counter, "{connection}", &[],
        "Connections to our own listeners that were closed at once because too many were open.";
    UPTIME = "otelcol_process_uptime", Counter, "s", &[],
        "Time since the collector started.";
    CPU_SECONDS = "otelcol_process_cpu_seconds", Counter, "s", &[],
        "Processor time that the collector used, user and system.";
    MEMORY_RSS = "otelcol_process_memory_rss", Gauge, "By", &[],
        "Resident memory of the collector.";
}
