//! One round of a target: all its endpoints at the same time where the host is known to outlive
//! that, and one after the other where it is not.

use futures_util::future::join_all;
use tokio::time::Instant;
use tracing::{Instrument as _, Span};

use super::poller::TargetPoller;
use crate::{
    pipeline::{EndpointPoll, PollOutcome},
    resilience::{
        caution::{Heard, Next},
        executor::{Declined, Manner},
    },
};

/// When a round ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// After what a poll has in all, or a little later where endpoints are asked one by one.
    Usual,
    /// At this moment at the latest.
    At(Instant),
}

impl TargetPoller {
    /// Asks those endpoints that are `asked`, one flag each; what each of them came to.
    pub(crate) async fn round(&self, asked: &[bool], end: End, span: &Span) -> Vec<EndpointPoll> {
        let deadline = match end {
            End::Usual => self.host.deadline(),
            End::At(end) => self.host.deadline().min(end),
        };
        let steps = self.host.steps(asked);
        let mut polled = Polled(self.endpoints.iter().map(|_| None).collect());
        let manner = Manner {
            deadline,
            alone: false,
        };
        let together = steps.together.iter().copied();
        let results = together.map(|index| self.ask(index, manner, span));
        let results = join_all(results).await;
        let mut heard = Vec::new();
        for (index, result) in steps.together.into_iter().zip(results) {
            heard.extend(result.as_ref().map(|it| (index, Heard::of(&it.outcome))));
            polled.put(index, result);
        }
        let mut goes_on = self.host.heard_together(&heard);
        for index in steps.alone {
            let has_time = end == End::Usual || Instant::now() < deadline;
            if goes_on && has_time {
                let (result, next) = Box::pin(self.ask_alone(index, (deadline, end), span)).await;
                polled.put(index, result);
                goes_on = next;
            } else {
                polled.put(index, self.decline(index, Declined::Waiting));
            }
        }
        for index in steps.left_out {
            polled.put(index, self.decline(index, Declined::Suspect));
        }
        polled.all()
    }

    /// Asks an endpoint while nothing else is in flight, and finds out whether the host has
    /// outlived that; what it came to, and whether the next one may be asked.
    async fn ask_alone(
        &self,
        index: usize,
        (deadline, end): (Instant, End),
        span: &Span,
    ) -> (Option<EndpointPoll>, bool) {
        let deadline = match end {
            End::Usual => self.host.deadline_alone(index, deadline),
            End::At(_) => deadline,
        };
        let manner = Manner {
            deadline,
            alone: true,
        };
        let Some(mut polled) = self.ask(index, manner, span).await else {
            return (None, true);
        };
        let heard = Heard::of(&polled.outcome);
        let witness = match self.host.heard_alone(index, heard) {
            Next::GoOn => return (Some(polled), true),
            Next::Over => return (Some(polled), false),
            Next::Confirm(witness) => self.endpoints.get(witness),
        };
        let Some(witness) = witness else {
            return (Some(polled), false);
        };
        let of = (index, heard);
        let confirmed = self.host.confirm(of, witness.index, witness);
        let confirmed = confirmed.instrument(self.request_span(witness, span)).await;
        polled.attempts += u32::from(confirmed.was_sent);
        if confirmed.is_suspect
            && let PollOutcome::Failed(failure) = polled.outcome
        {
            polled.outcome = PollOutcome::Failed(failure.of_suspect());
        }
        (Some(polled), confirmed.goes_on)
    }

    async fn ask(&self, index: usize, manner: Manner, span: &Span) -> Option<EndpointPoll> {
        let endpoint = self.endpoints.get(index)?;
        let request = self.request_span(endpoint, span);
        Some(endpoint.poll(manner).instrument(request).await)
    }

    fn decline(&self, index: usize, why: Declined) -> Option<EndpointPoll> {
        self.endpoints.get(index).map(|it| it.decline(why))
    }
}

/// What the endpoints came to; none for one that was not to be asked.
struct Polled(Vec<Option<EndpointPoll>>);

impl Polled {
    fn put(&mut self, index: usize, result: Option<EndpointPoll>) {
        if let Some(free) = self.0.get_mut(index) {
            *free = result;
        }
    }

    fn all(self) -> Vec<EndpointPoll> {
        let skipped = || EndpointPoll::new(PollOutcome::Skipped);
        let results = self.0.into_iter();
        results.map(|it| it.unwrap_or_else(skipped)).collect()
    }
}
