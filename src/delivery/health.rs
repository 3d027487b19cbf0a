//! Whether sending works, told in the log when it changes: one line when it starts to fail, one
//! when it works again.

use std::error::Error;

use tokio::time::Instant;

use super::outcome::Answer;
use crate::telemetry::chain;

/// Whether sending works.
#[derive(Debug)]
pub(super) struct Health {
    exporter: String,
    failing_since: Option<Instant>,
}

impl Health {
    pub(super) fn new(exporter: &str) -> Self {
        Self {
            exporter: exporter.to_owned(),
            failing_since: None,
        }
    }

    /// An attempt failed.
    pub(super) fn failed(&mut self, error: &(dyn Error + 'static), now: Instant) {
        let (exporter, error) = (&self.exporter, chain(error));
        if self.failing_since.is_none() {
            self.failing_since = Some(now);
            // The change of the exporter's status is the warning.
            tracing::info!(%exporter, error, "sending fails");
        } else {
            tracing::debug!(%exporter, error, "sending still fails");
        }
    }

    /// An attempt succeeded, but the destination has something to say.
    pub(super) fn warned(&self, answer: &Answer) {
        tracing::warn!(
            exporter = %self.exporter,
            rejected = answer.rejected,
            message = answer.message,
            "the destination accepted a batch with reservations"
        );
    }

    /// An attempt succeeded.
    pub(super) fn worked(&mut self, now: Instant) {
        if let Some(since) = self.failing_since.take() {
            let seconds = (now - since).as_secs_f64();
            tracing::info!(exporter = %self.exporter, seconds, "sending works again");
        }
    }
}
