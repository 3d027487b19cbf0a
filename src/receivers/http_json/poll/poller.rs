//! One target: waits for its tick, polls its endpoints, hands the poll on.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::time::{Instant, sleep_until};
use tracing::Span;

use super::{
    endpoint::EndpointPoller,
    round::End,
    schedule::Schedule,
    state::{EndpointUp, PollState},
};
use crate::{
    pipeline::{
        EndpointPoll, ErrorType, OwnReading, Poll, PollFailure, PollOutcome, StatusBoard, Target,
    },
    receivers::http_json::{targets::control::TargetControl, telemetry::ReceiverTelemetry},
    resilience::target_resilience::TargetResilience,
    runtime::Clock,
    telemetry::names::MetricsDetail,
};

/// What polls one target.
pub(crate) struct TargetPoller {
    pub(crate) target: Arc<Target>,
    pub(crate) endpoints: Vec<EndpointPoller>,
    pub(crate) host: Arc<TargetResilience>,
    /// When counting what is said of the host began.
    pub(crate) since: SystemTime,
    pub(crate) clock: Clock,
    pub(crate) board: Arc<StatusBoard>,
    pub(crate) telemetry: ReceiverTelemetry,
    pub(crate) detail: MetricsDetail,
}

/// Why a poller does not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PollingEnded {
    /// The target is not polled any more.
    Stopped,
    /// It is polled with other settings.
    Changed,
    /// The target answered 404 to every endpoint.
    Unknown,
}

impl TargetPoller {
    /// Polls at each tick until there are other orders; a poll under way is dropped only when the
    /// order is to stop.
    pub(crate) async fn run(&self, state: &mut PollState, control: &TargetControl) -> PollingEnded {
        let polls = self.poll_until_news(state, control);
        let ended = control.stop().run_until_cancelled(polls).await;
        ended.unwrap_or(PollingEnded::Stopped)
    }

    async fn poll_until_news(
        &self,
        state: &mut PollState,
        control: &TargetControl,
    ) -> PollingEnded {
        loop {
            let Some(round) = self.next_round(&state.schedule, control).await else {
                return PollingEnded::Changed;
            };
            if round.is_tick {
                state.schedule.begin(Instant::now());
            }
            if state.is_refused() {
                let poll = self.refused(state.schedule.missed());
                self.board.record(&self.target, &poll);
                poll.note_up(&mut state.up.endpoints);
                state.accept(poll).await;
                // Not even for a probe; the next tick asks again.
                if round.is_tick {
                    state.schedule.done(Instant::now());
                }
                tokio::select! {
                    () = sleep_until(state.schedule.due()) => {}
                    () = control.news() => return PollingEnded::Changed,
                }
                continue;
            }
            self.telemetry
                .started(Instant::now().saturating_duration_since(round.due));
            if self.host.is_half_open() {
                state.accept(self.between(state.schedule.missed())).await;
            }
            let under_way = self.telemetry.poll();
            // Boxed, so that between two polls a target takes no room for one.
            let poll = self.poll(&round.asked, state.schedule.missed(), End::Usual);
            let poll = Box::pin(poll).await;
            under_way.ended();
            let leaves = state.leaves_unknown && poll.is_unknown();
            if !leaves {
                self.report(&poll, &mut state.up);
            }
            state.accept(poll).await;
            if leaves {
                return PollingEnded::Unknown;
            }
            if round.is_tick {
                state.schedule.done(Instant::now());
            }
        }
    }

    /// Waits for the next tick, or for the moment before it at which a breaker lets a probe
    /// through: waiting for the tick then would make every outage longer. A reader that wants an
    /// endpoint has it polled at once. None if there are other settings first.
    async fn next_round(&self, schedule: &Schedule, control: &TargetControl) -> Option<PollRound> {
        let expiries: Vec<_> = self
            .endpoints
            .iter()
            .map(|endpoint| self.host.retry_at(endpoint.index))
            .collect();
        let tick = schedule.due();
        let due = expiries
            .iter()
            .flatten()
            .copied()
            .min()
            .map_or(tick, |first| first.min(tick));
        let wait = due.saturating_duration_since(Instant::now());
        self.board.expect(&self.target, self.clock.now() + wait);
        tokio::select! {
            biased;
            () = control.news() => return None,
            () = sleep_until(due) => {}
            () = self.host.wanted() => return Some(PollRound {
                due: Instant::now(),
                is_tick: false,
                asked: self.host.wanted_endpoints(),
            }),
        }
        let is_tick = due >= tick;
        let expired = |expiry: &Option<Instant>| expiry.is_some_and(|expiry| expiry <= due);
        let asked = expiries
            .iter()
            .map(|expiry| is_tick || expired(expiry))
            .collect();
        Some(PollRound {
            due,
            is_tick,
            asked,
        })
    }

    /// Polls all endpoints, once each.
    pub(crate) async fn poll_all(&self) -> Poll {
        let all = vec![true; self.endpoints.len()];
        self.poll(&all, 0, End::Usual).await
    }

    /// The same, until `end` at the latest.
    pub(crate) async fn poll_all_until(&self, end: Instant) -> Poll {
        let all = vec![true; self.endpoints.len()];
        self.poll(&all, 0, End::At(end)).await
    }

    /// What tells of a request of a poll.
    pub(crate) fn request_span(&self, endpoint: &EndpointPoller, poll: &Span) -> Span {
        tracing::info_span!(
            parent: poll,
            "GET",
            otel.kind = "client",
            server.address = self.target.server_address,
            server.port = self.target.server_port,
            endpoint = endpoint.labels.id.as_str(),
            url.template = &*endpoint.labels.path,
        )
    }

    /// Polls the endpoints that are `asked`, once each.
    pub(crate) async fn poll(&self, asked: &[bool], missed_ticks: u64, end: End) -> Poll {
        let (started, start) = (self.clock.now(), Instant::now());
        let span = tracing::info_span!(
            "poll",
            otel.name = "poll",
            receiver = self.target.receiver,
            target = self.target.name,
            up = tracing::field::Empty,
        );
        let endpoints = self.round(asked, end, &span).await;
        let ended = self.clock.now();
        let poll = Poll {
            started,
            ended,
            counting_since: self.since,
            duration: start.elapsed(),
            missed_ticks,
            endpoints,
            own: self.own(),
        };
        span.record("up", poll.is_up());
        poll
    }

    /// What is said of the target before a probe, which may take as long as any attempt: its
    /// breaker is open no longer. Nothing was asked for it.
    fn between(&self, missed_ticks: u64) -> Poll {
        self.unasked(missed_ticks, || PollOutcome::Skipped)
    }

    /// A poll that was not made because there is no memory for what it would bring.
    fn refused(&self, missed_ticks: u64) -> Poll {
        self.unasked(missed_ticks, || {
            PollOutcome::Failed(PollFailure {
                error_type: ErrorType::Memory,
                message: "not polled: the collector has no memory for an answer".into(),
            })
        })
    }

    fn unasked(&self, missed_ticks: u64, outcome: impl Fn() -> PollOutcome) -> Poll {
        let now = self.clock.now();
        let unasked = |_: &EndpointPoller| EndpointPoll::new(outcome());
        Poll {
            started: now,
            ended: now,
            counting_since: self.since,
            duration: Duration::ZERO,
            missed_ticks,
            endpoints: self.endpoints.iter().map(unasked).collect(),
            own: self.own(),
        }
    }

    /// What is said of the target's resilience now.
    fn own(&self) -> Vec<OwnReading> {
        self.host.readings(self.detail)
    }

    /// Keeps the books, and logs what changed; a node that stays down is not news.
    fn report(&self, poll: &Poll, up: &mut EndpointUp) {
        self.board.record(&self.target, poll);
        for (endpoint, polled) in self.endpoints.iter().zip(&poll.endpoints) {
            self.telemetry.endpoint_polled(&endpoint.labels, polled);
        }
        let was_up = up.target;
        poll.note_up(&mut up.endpoints);
        let is_up = up.endpoints.contains(&true);
        up.target = Some(is_up);
        self.telemetry.polled(is_up);
        let (receiver, target) = (&self.target.receiver, &self.target.name);
        let failures = || poll.endpoints.iter().filter_map(EndpointPoll::failure);
        // That a breaker is open is a consequence; the cause is what people need.
        let cause = failures()
            .find(|failure| failure.was_sent())
            .or_else(|| failures().next());
        let error = cause.map(|failure| &*failure.message);
        if was_up == Some(is_up) || (was_up.is_none() && is_up) {
            tracing::debug!(receiver, target, up = is_up, error, "polled");
        } else if is_up {
            tracing::info!(receiver, target, "target is up again");
        } else {
            tracing::warn!(receiver, target, error, "target is down");
        }
    }
}

/// What is polled next.
struct PollRound {
    due: Instant,
    /// Whether it is a tick of the schedule, and not only an expired breaker's or a reader's.
    is_tick: bool,
    /// Which endpoints.
    asked: Vec<bool>,
}
