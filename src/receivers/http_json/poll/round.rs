//! One round over the endpoints of a target: all at the same time where the host is known to cope
//! with that, one after the other where it is not.

use futures_util::future::join_all;
use tokio::time::Instant;
use tracing::{Instrument as _, Span};

use super::endpoint::EndpointPoller;
use crate::{
    pipeline::{EndpointPoll, PollOutcome, Target},
    resilience::{
        caution::{Heard, Next, Steps},
        executor::{Declined, Manner, WitnessAnswer},
        target_resilience::TargetResilience,
    },
};

/// One round over the endpoints of a target.
#[derive(Clone, Copy)]
pub(crate) struct Round<'a> {
    pub(crate) target: &'a Target,
    pub(crate) endpoints: &'a [EndpointPoller],
    pub(crate) host: &'a TargetResilience,
    /// The span of the poll.
    pub(crate) span: &'a Span,
}

/// When a round ends.
#[derive(Debug, Clone, Copy)]
struct RoundEnd {
    deadline: Instant,
    /// Whether the deadline is the latest moment. If not, an endpoint that is asked alone gets time
    /// for one attempt after it.
    is_strict: bool,
}

/// What the endpoints gave; none for one that was not to be asked.
struct Results(Vec<Option<EndpointPoll>>);

impl Round<'_> {
    /// Asks the endpoints that are `asked`, one flag each, and gives a result for every endpoint.
    /// The round ends at `end` at the latest; without one, at the deadline of a poll, or a little
    /// later where endpoints are asked one by one.
    pub(crate) async fn run(self, asked: &[bool], end: Option<Instant>) -> Vec<EndpointPoll> {
        let deadline = self.host.deadline();
        let end = RoundEnd {
            deadline: end.map_or(deadline, |end| end.min(deadline)),
            is_strict: end.is_some(),
        };
        let mut steps = self.host.steps(asked);
        self.parents_first(&mut steps);
        let mut polled = Results(self.endpoints.iter().map(|_| None).collect());
        for index in std::mem::take(&mut steps.left_out) {
            let result = self.decline(index, Declined::Suspect);
            self.hand_on(index, result.as_ref());
            polled.put(index, result);
        }
        let manner = Manner {
            deadline: end.deadline,
            alone: false,
        };
        let mut heard = Vec::new();
        // Usually there is one generation.
        while !steps.together.is_empty() {
            let generation = self.take_generation(&mut steps);
            let asked = generation.iter().map(|index| self.ask(*index, manner));
            let results = join_all(asked).await;
            for (index, result) in generation.into_iter().zip(results) {
                heard.extend(result.as_ref().map(|it| (index, Heard::of(&it.outcome))));
                self.hand_on(index, result.as_ref());
                polled.put(index, result);
            }
        }
        let mut goes_on = self.host.heard_together(&heard);
        for index in steps.alone {
            let has_time = !end.is_strict || Instant::now() < end.deadline;
            if goes_on && has_time {
                let (result, next) = Box::pin(self.ask_alone(index, end)).await;
                self.hand_on(index, result.as_ref());
                polled.put(index, result);
                goes_on = next;
            } else {
                let result = self.decline(index, Declined::Waiting);
                self.hand_on(index, result.as_ref());
                polled.put(index, result);
            }
        }
        polled.all()
    }

    /// Gives what an endpoint answered to those that are requested for its elements.
    fn hand_on(&self, parent: usize, result: Option<&EndpointPoll>) {
        let Some(result) = result else { return };
        for endpoint in self.endpoints {
            if endpoint
                .origin
                .as_ref()
                .is_some_and(|of| of.parent == parent)
            {
                endpoint.follow_parent(result);
            }
        }
    }

    fn parent(&self, index: usize) -> Option<usize> {
        let origin = self.endpoints.get(index)?.origin.as_ref()?;
        Some(origin.parent)
    }

    /// Puts an endpoint that needs the answer of another one behind that.
    fn parents_first(&self, steps: &mut Steps) {
        if self
            .endpoints
            .iter()
            .all(|endpoint| endpoint.origin.is_none())
        {
            return;
        }
        // One that may be asked together with others waits for a parent that may not.
        let mut alone = std::mem::take(&mut steps.alone);
        while let Some(at) = steps.together.iter().position(|index| {
            self.parent(*index)
                .is_some_and(|parent| alone.contains(&parent))
        }) {
            alone.push(steps.together.remove(at));
        }
        while !alone.is_empty() {
            let is_free = |index: &usize| {
                self.parent(*index)
                    .is_none_or(|parent| !alone.contains(&parent))
            };
            // There is no circle, so one of them is free.
            let at = alone.iter().position(is_free).unwrap_or_default();
            steps.alone.push(alone.remove(at));
        }
    }

    /// Takes the endpoints of which no parent is still to be asked.
    fn take_generation(&self, steps: &mut Steps) -> Vec<usize> {
        let all = std::mem::take(&mut steps.together);
        let waits = |index: &usize| self.parent(*index).is_some_and(|of| all.contains(&of));
        let (later, now): (Vec<_>, Vec<_>) = all.iter().partition(|index| waits(index));
        steps.together = later;
        now
    }

    /// Asks an endpoint while nothing else is in flight, and finds out whether the host has
    /// survived that. Gives the result, and whether the next endpoint may be asked.
    async fn ask_alone(&self, index: usize, end: RoundEnd) -> (Option<EndpointPoll>, bool) {
        let deadline = match end.is_strict {
            true => end.deadline,
            false => self.host.deadline_alone(end.deadline),
        };
        let manner = Manner {
            deadline,
            alone: true,
        };
        let Some(mut polled) = self.ask(index, manner).await else {
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
        let answer = self.ask_witness(index, witness).await;
        let confirmed = self.host.confirmed(index, heard, answer);
        polled.attempts += u32::from(answer.was_sent);
        if confirmed.is_suspect
            && let PollOutcome::Failed(failure) = polled.outcome
        {
            polled.outcome = PollOutcome::Failed(failure.of_suspect());
        }
        (Some(polled), confirmed.goes_on)
    }

    /// Asks another endpoint once: does the host still answer after a request to `suspect`?
    async fn ask_witness(&self, suspect: usize, witness: &EndpointPoller) -> WitnessAnswer {
        let Some(attempt) = self.host.ask_witness(suspect, witness.index) else {
            return WitnessAnswer::NONE;
        };
        let result = witness.attempt_once(attempt.request.clone());
        let result = result.instrument(self.request_span(witness)).await;
        attempt.record(result)
    }

    async fn ask(&self, index: usize, manner: Manner) -> Option<EndpointPoll> {
        let endpoint = self.endpoints.get(index)?;
        let span = self.request_span(endpoint);
        Some(endpoint.poll(manner).instrument(span).await)
    }

    fn decline(&self, index: usize, why: Declined) -> Option<EndpointPoll> {
        self.endpoints.get(index).map(|it| it.decline(why))
    }

    /// The span of a request of this poll.
    fn request_span(&self, endpoint: &EndpointPoller) -> Span {
        tracing::info_span!(
            parent: self.span,
            "GET",
            otel.name = endpoint.method().name(),
            otel.kind = "client",
            server.address = self.target.server_address,
            server.port = self.target.server_port,
            endpoint = endpoint.labels.id.as_str(),
            url.template = &*endpoint.labels.path,
        )
    }
}

impl Results {
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
