//! One poll of one target.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{endpoint::EndpointPoller, round::Round};
use crate::{
    pipeline::{EndpointPoll, ErrorType, Poll, PollFailure, PollOutcome, StatusBoard, Target},
    receivers::http_json::telemetry::ReceiverTelemetry,
    resilience::target_resilience::TargetResilience,
    runtime::Clock,
    telemetry::target_metrics::MetricsLevel,
};

/// Polls one target as one definition says.
pub(crate) struct TargetPoller {
    pub(crate) target: Arc<Target>,
    pub(crate) endpoints: Box<[EndpointPoller]>,
    pub(crate) host: Arc<TargetResilience>,
    pub(crate) clock: Clock,
    pub(crate) board: Arc<StatusBoard>,
    pub(crate) telemetry: Arc<ReceiverTelemetry>,
    pub(crate) level: MetricsLevel,
}

impl TargetPoller {
    /// Polls all endpoints once.
    pub(crate) async fn poll_all(&self) -> Poll {
        let all = vec![true; self.endpoints.len()];
        self.poll(&all, 0, None).await
    }

    /// Polls all endpoints once, until `end` at the latest.
    pub(crate) async fn poll_all_until(&self, end: Instant) -> Poll {
        let all = vec![true; self.endpoints.len()];
        self.poll(&all, 0, Some(end)).await
    }

    /// Polls the endpoints that are `asked`, one flag each, once each; until `end` at the latest.
    pub(crate) async fn poll(
        &self,
        asked: &[bool],
        missed_ticks: u64,
        end: Option<Instant>,
    ) -> Poll {
        let (started, start) = (self.clock.now(), Instant::now());
        let span = tracing::info_span!(
            "poll",
            otel.name = "poll",
            receiver = self.target.receiver,
            target = self.target.name,
            up = tracing::field::Empty,
        );
        let round = Round {
            target: &self.target,
            endpoints: &self.endpoints,
            host: &self.host,
            span: &span,
        };
        let endpoints = round.run(asked, end).await;
        let ended = self.clock.now();
        let poll = Poll {
            started,
            ended,
            counting_since: self.host.since(),
            duration: start.elapsed(),
            missed_ticks,
            endpoints,
            level: self.level,
            own: self.host.readings(self.level),
        };
        span.record("up", poll.is_up());
        poll
    }

    /// A poll without requests, before a probe that may take as long as any attempt: it shows that
    /// the breaker is no longer open.
    pub(crate) fn half_open(&self, missed_ticks: u64) -> Poll {
        self.without_requests(missed_ticks, || PollOutcome::Skipped)
    }

    /// A poll that was not made because there is no memory for what it would bring.
    pub(crate) fn refused(&self, missed_ticks: u64) -> Poll {
        self.without_requests(missed_ticks, || {
            PollOutcome::Failed(PollFailure {
                error_type: ErrorType::Memory,
                message: "not polled: the collector has no memory for an answer".into(),
            })
        })
    }

    fn without_requests(&self, missed_ticks: u64, outcome: impl Fn() -> PollOutcome) -> Poll {
        let now = self.clock.now();
        let endpoints = self.endpoints.iter().map(|_| EndpointPoll::new(outcome()));
        Poll {
            started: now,
            ended: now,
            counting_since: self.host.since(),
            duration: Duration::ZERO,
            missed_ticks,
            endpoints: endpoints.collect(),
            level: self.level,
            own: self.host.readings(self.level),
        }
    }
}
