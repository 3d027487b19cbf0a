//! The loop of one target: waits for its tick, polls, reports, hands the poll on.

use tokio::time::{Instant, sleep_until};

use super::{
    poll_state::{EndpointUp, PollState},
    signals::{TargetSignals, Turn},
    target_poller::TargetPoller,
};
use crate::{
    pipeline::{EndpointPoll, Poll},
    runtime::idle,
};

/// The loop of one target.
pub(crate) struct PollLoop<'a, S> {
    pub(crate) poller: &'a TargetPoller,
    pub(crate) state: &'a mut PollState,
    pub(crate) signals: &'a mut TargetSignals<S>,
}

/// Why the loop of a target ended.
#[derive(Debug)]
pub(crate) enum PollingEnded {
    /// The target was told to stop.
    Stopped,
    /// There is a new spec, and it is the turn of this target to apply it.
    Changed(Turn),
    /// The target answered 404 to every endpoint.
    Unknown,
}

/// What is polled next.
struct NextPoll {
    due: Instant,
    /// Whether it is a tick of the schedule. If not, a breaker lets a probe through, or a reader
    /// wants an answer.
    is_tick: bool,
    /// Which endpoints are polled, one flag each. A tick adds those that are due.
    asked: Vec<bool>,
}

/// Each endpoint is asked at every so many ticks.
fn every(poller: &TargetPoller) -> impl Iterator<Item = u32> + Clone {
    poller.endpoints.iter().map(|endpoint| endpoint.every)
}

impl<S: Clone> PollLoop<'_, S> {
    /// Polls at each tick until there is a new spec or the signal to stop. A poll in progress is
    /// dropped only by the signal to stop.
    pub(crate) async fn run(mut self) -> PollingEnded {
        let stop = self.signals.stop().clone();
        let ended = stop.run_until_cancelled(self.run_until_changed()).await;
        ended.unwrap_or(PollingEnded::Stopped)
    }

    async fn run_until_changed(&mut self) -> PollingEnded {
        loop {
            let mut next = match self.wait().await {
                Ok(next) => next,
                Err(turn) => return PollingEnded::Changed(turn),
            };
            if next.is_tick {
                self.state.schedule.begin(Instant::now());
                let every = every(self.poller);
                for (asked, is_due) in next.asked.iter_mut().zip(self.state.pace.tick(every)) {
                    *asked |= is_due;
                }
            }
            // Boxed: between two polls, a target needs no memory for one.
            if !self.state.sink.admits() {
                match Box::pin(self.skip(next.is_tick)).await {
                    None => continue,
                    Some(turn) => return PollingEnded::Changed(turn),
                }
            }
            // A trial request or a reader does not wait.
            if next.is_tick {
                idle::turn().await;
            }
            if Box::pin(self.poll(&next)).await {
                return PollingEnded::Unknown;
            }
            if next.is_tick {
                self.state.schedule.done(Instant::now());
            }
        }
    }

    /// Waits for the next tick, or for the moment before it at which a breaker lets a probe
    /// through: waiting for the tick would make every outage longer. A reader that wants an
    /// endpoint has it polled at once. The error is the turn to apply a new spec.
    async fn wait(&mut self) -> Result<NextPoll, Turn> {
        let poller = self.poller;
        let expiries: Vec<_> = poller
            .endpoints
            .iter()
            .map(|endpoint| poller.host.retry_at(endpoint.index))
            .collect();
        let tick = self.state.schedule.due();
        let first = expiries.iter().flatten().copied().min();
        let due = first.map_or(tick, |first| first.min(tick));
        let wait = due.saturating_duration_since(Instant::now());
        poller
            .board
            .expect(&poller.target, poller.clock.now() + wait);
        tokio::select! {
            biased;
            turn = self.signals.changed() => return Err(turn),
            () = sleep_until(due) => {}
            () = poller.host.wanted() => return Ok(NextPoll {
                due: Instant::now(),
                is_tick: false,
                asked: poller.host.wanted_endpoints(),
            }),
        }
        let is_tick = due >= tick;
        let expired = |expiry: &Option<Instant>| expiry.is_some_and(|expiry| expiry <= due);
        let asked = expiries.iter().map(expired).collect();
        Ok(NextPoll {
            due,
            is_tick,
            asked,
        })
    }

    /// Makes no poll, because the pipelines have no memory for one, and waits for the next tick: no
    /// breaker's probe is made either. Gives the turn to apply a new spec, if there is one first.
    async fn skip(&mut self, is_tick: bool) -> Option<Turn> {
        let poll = self.poller.refused(self.state.schedule.missed());
        self.poller.board.record(&self.poller.target, &poll);
        poll.note_up(&mut self.state.up.endpoints);
        self.state.accept(poll).await;
        if is_tick {
            self.state.schedule.done(Instant::now());
        }
        let due = self.state.schedule.due();
        tokio::select! {
            () = sleep_until(due) => None,
            turn = self.signals.changed() => Some(turn),
        }
    }

    /// Polls once. Whether the target does not know the definition and another one is to be tried.
    async fn poll(&mut self, next: &NextPoll) -> bool {
        let (poller, state) = (self.poller, &mut *self.state);
        let late = Instant::now().saturating_duration_since(next.due);
        poller.telemetry.started(late);
        if poller.host.is_half_open() {
            let between = poller.half_open(state.schedule.missed());
            state.accept(between).await;
        }
        let in_progress = poller.telemetry.poll();
        let missed = state.schedule.missed();
        let poll = poller.poll(&next.asked, missed, None).await;
        in_progress.ended();
        if next.is_tick {
            let asked = &next.asked;
            state.pace.asked(every(poller), asked, &poll.endpoints);
        }
        let is_unknown = state.leaves_unknown && poll.is_unknown();
        if !is_unknown {
            report(poller, &poll, &mut state.up);
        }
        state.accept(poll).await;
        is_unknown
    }
}

/// Updates the status board and the metrics, and logs what changed. A node that stays down is not
/// logged again.
fn report(poller: &TargetPoller, poll: &Poll, up: &mut EndpointUp) {
    poller.board.record(&poller.target, poll);
    for (endpoint, polled) in poller.endpoints.iter().zip(&poll.endpoints) {
        endpoint.telemetry.polled(&poller.telemetry, polled);
    }
    let was_up = up.target;
    poll.note_up(&mut up.endpoints);
    let is_up = up.endpoints.contains(&true);
    up.target = Some(is_up);
    poller.telemetry.polled(is_up);
    let (receiver, target) = (&poller.target.receiver, &poller.target.name);
    let failures = || poll.endpoints.iter().filter_map(EndpointPoll::failure);
    // An open breaker is a consequence. The operator needs the cause.
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
