//! The counters of an exporter: what happened to its points.

use super::scrape::Scrape;

/// The counters of one exporter in one scrape of the collector's own metrics.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Accounts {
    pub(crate) received: f64,
    pub(crate) sent: f64,
    pub(crate) rejected: f64,
    pub(crate) dropped: f64,
    pub(crate) held: f64,
    /// Points written to disk since the start.
    pub(crate) stored: f64,
}

impl Accounts {
    /// Reads them, and checks that points in = sent + rejected + dropped + held.
    pub(crate) fn of(scrape: &Scrape, exporter: &str) -> Self {
        let sum = |name| scrape.sum(&format!("{name}{{exporter=\"{exporter}\"}}"));
        let accounts = Self {
            received: sum("betanet_exporter_received_metric_points"),
            sent: sum("otelcol_exporter_sent_metric_points"),
            rejected: sum("betanet_exporter_rejected_metric_points"),
            dropped: sum("betanet_exporter_dropped_metric_points"),
            held: sum("betanet_exporter_held_metric_points"),
            stored: sum("betanet_exporter_queue_stored_metric_points"),
        };
        let Self {
            received,
            sent,
            rejected,
            dropped,
            held,
            ..
        } = accounts;
        let accounted = sent + rejected + dropped + held;
        assert_eq!(received, accounted, "{exporter}: {accounts:?}");
        accounts
    }
}
