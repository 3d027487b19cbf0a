//! Logs whether sending works, when this changes: one line when sending starts to fail, and one
//! when it works again.

use std::{error::Error, time::Duration};

use tokio::time::Instant;

use super::send_outcome::ExportAnswer;
use crate::{runtime::rounded_seconds, telemetry::chain};

/// A destination that has reported no refused points for this time accepts everything again.
const RESERVED: Duration = Duration::from_secs(300);

/// The largest number of different messages that are logged in this time.
const MAX_RESERVATIONS: usize = 16;

/// Whether sending works.
#[derive(Debug)]
pub(super) struct FailureLog {
    exporter: String,
    failing_since: Option<Instant>,
    /// Whether the log says that the destination accepts only smaller requests.
    has_told_of_size: bool,
    /// The messages about refused points, without the numbers in them.
    reservations: Vec<String>,
    last_reservation: Option<Instant>,
}

impl FailureLog {
    pub(super) fn new(exporter: &str) -> Self {
        Self {
            exporter: exporter.to_owned(),
            failing_since: None,
            has_told_of_size: false,
            reservations: Vec::new(),
            last_reservation: None,
        }
    }

    /// The destination refused a request because of its size, and the batch is halved. This is
    /// logged once.
    pub(super) fn halved(&mut self, bytes: usize, error: &(dyn Error + 'static)) {
        let (exporter, error) = (&self.exporter, chain(error));
        if self.has_told_of_size {
            tracing::debug!(%exporter, bytes, error, "too large for the destination: halved");
            return;
        }
        self.has_told_of_size = true;
        tracing::warn!(
            %exporter,
            bytes,
            error,
            "the destination does not accept a batch of this size: it is sent in halves; a smaller \
             `sending_queue::batch::max_size` saves the requests that are refused"
        );
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

    /// An attempt succeeded, and the destination may have sent a message. A repeated message is one
    /// line, whatever numbers are in it.
    pub(super) fn answered(&mut self, answer: &ExportAnswer, now: Instant) {
        let (exporter, rejected, said) = (&self.exporter, answer.rejected, &answer.message);
        if rejected == 0 && said.is_empty() {
            let is_over = |last: Instant| now - last >= RESERVED;
            if self.last_reservation.is_some_and(is_over) {
                self.last_reservation = None;
                self.reservations.clear();
                tracing::info!(%exporter, "the destination accepts everything again");
            }
            return;
        }
        self.last_reservation = Some(now);
        let text = without_numbers(said);
        if self.reservations.contains(&text) || self.reservations.len() >= MAX_RESERVATIONS {
            tracing::debug!(%exporter, rejected, said, "the destination repeats its message");
            return;
        }
        self.reservations.push(text);
        tracing::warn!(
            %exporter,
            rejected,
            said,
            "the destination accepted a batch only in part, or with a warning"
        );
    }

    /// An attempt succeeded.
    pub(super) fn worked(&mut self, now: Instant) {
        if let Some(since) = self.failing_since.take() {
            let seconds = rounded_seconds(now - since);
            tracing::info!(exporter = %self.exporter, seconds, "sending works again");
        }
    }
}

fn without_numbers(text: &str) -> String {
    text.split(|c: char| c.is_ascii_digit())
        .filter(|part| !part.is_empty())
        .collect()
}
