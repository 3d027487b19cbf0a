//! What an attempt came to, and what follows from it.

use std::time::Duration;

use tokio::time::Instant;

use super::{Answer, Ended, Miss, Step, admission::Held};
use crate::{
    pipeline::{Failure, Outcome},
    resilience::{
        cache::Reader,
        host::{Host, HostState},
        outcome::{self, Class, Verdict},
        recorder::Event,
        retry::{Decision, Failed, Stop, least},
        state::State,
    },
};

impl Host {
    /// Judges an attempt: charges the breakers, keeps the answer, decides what follows.
    pub(super) fn settle(
        &self,
        mut held: Held<'_>,
        ended: &Ended,
        result: Result<Answer, Miss>,
    ) -> Step {
        let now = Instant::now();
        let class = match &result {
            Ok(Answer::Body(..)) => Class::Success,
            Ok(Answer::NotModified(_)) => Class::NotModified,
            Err(miss) => self.class_of(miss, ended),
        };
        if class == Class::Transport {
            // One process serves all of them.
            for endpoint in &mut self.lock().endpoints {
                endpoint.timeout.chill();
            }
        }
        let verdict = self.fleet.settings.statuses.classify(class);
        let probe = held.is_probe();
        // First of all: the failure that makes it likely that the fault is ours charges nobody.
        self.tell_guard(now, verdict.host);
        self.charge(&mut held, ended, &verdict, result.as_ref().err());
        self.verdict.notify_waiters();
        match result {
            Ok(answer) => self.keep(ended, answer),
            Err(miss) => self.decide(ended, &verdict, probe, miss),
        }
    }

    fn tell_guard(&self, now: Instant, outcome: outcome::Outcome) {
        let (suspect, changed) =
            self.fleet
                .tell_guard(now, self.member.position, outcome, &self.name);
        let mut state = self.lock();
        state.circuit.hold(suspect);
        if changed {
            self.record(&mut state, None, Event::Guard { suspect });
        }
    }

    /// A timeout that only the poll's deadline made so short says nothing of the host.
    fn class_of(&self, miss: &Miss, ended: &Ended) -> Class {
        let at_deadline = Instant::now() >= ended.deadline;
        if miss.class != Class::Timeout || !at_deadline {
            return miss.class;
        }
        let state = self.lock();
        let usual = state
            .endpoints
            .get(ended.endpoint)
            .map(|e| e.timeout.limit(0).min(self.fleet.settings.deadline));
        Class::DeadlineCut {
            // Where the timeout is as long as the deadline, the moments before the attempt are
            // missing from it; a host that hangs must be charged all the same.
            overdue: usual.is_none_or(|usual| ended.limit >= usual / 10 * 9),
        }
    }

    fn charge(&self, held: &mut Held<'_>, ended: &Ended, verdict: &Verdict, miss: Option<&Miss>) {
        let (now, probe) = (Instant::now(), held.is_probe());
        let Some(permit) = held.permit.take() else {
            return;
        };
        let mut state = self.lock();
        let state = &mut *state;
        let changes = state.circuit.complete(now, permit, verdict, &mut state.rng);
        let event = Event::Attempt {
            attempt: ended.number,
            probe,
            timeout: ended.limit,
            took: now.saturating_duration_since(ended.sent),
            error_type: miss.map(|miss| miss.failure.error_type),
            endpoint_outcome: verdict.endpoint,
            host_outcome: verdict.host,
        };
        self.record(state, Some(ended.endpoint), event);
        let error = miss.map(|miss| &*miss.failure.message);
        self.note_changes(state, ended.endpoint, changes, error);
        if verdict.drop_stale
            && let Some(endpoint) = state.endpoints.get_mut(ended.endpoint)
        {
            endpoint.slot.clear();
        }
    }

    fn keep(&self, ended: &Ended, answer: Answer) -> Step {
        let now = Instant::now();
        let mut state = self.lock();
        let Some(endpoint) = state.endpoints.get_mut(ended.endpoint) else {
            return Step::Over(Failure::lost());
        };
        endpoint
            .timeout
            .sample(now.saturating_duration_since(ended.sent));
        let outcome = match answer {
            Answer::Body(body, origin) => {
                endpoint
                    .slot
                    .store(Reader::Poll, ended.sent, origin, body.clone());
                Outcome::Fresh(body)
            }
            Answer::NotModified(origin) => {
                match endpoint.slot.revalidated(Reader::Poll, ended.sent, origin) {
                    Some(body) => Outcome::NotModified(body.clone()),
                    // A server that says 304 to an unconditional request.
                    None => return Step::Over(Failure::lost()),
                }
            }
        };
        let age = endpoint.slot.age(now).unwrap_or_default();
        if let Some(objective) = &mut endpoint.objective {
            objective.updated(now, age);
        }
        Step::Done(outcome)
    }

    fn decide(&self, ended: &Ended, verdict: &Verdict, probe: bool, miss: Miss) -> Step {
        let now = Instant::now();
        let mut state = self.lock();
        let state = &mut *state;
        let view = state.circuit.view(now, ended.endpoint);
        let settings = &self.fleet.settings;
        let p50 = state
            .endpoints
            .get(ended.endpoint)
            .and_then(|endpoint| endpoint.timeout.p50());
        let failed = Failed {
            attempts: ended.number,
            retry: verdict.retry,
            retry_after: miss.retry_after,
            open: probe || view.state() == State::Open,
            remaining: ended.deadline.saturating_duration_since(now),
            least: least(p50, settings.deadline),
        };
        let decision = self.fleet.decide(now, &failed, &mut state.rng);
        match decision {
            Decision::Retry { delay } => {
                self.record(state, Some(ended.endpoint), Event::Retry { delay });
                self.log_retry(ended, delay, &miss.failure);
                Step::Again(delay, miss.failure)
            }
            Decision::Stop { reason, not_before } => {
                self.record(state, Some(ended.endpoint), Event::NoRetry { reason });
                if let Some(until) = not_before {
                    state.circuit.pause(until);
                }
                if miss.class == Class::Timeout
                    && let Some(endpoint) = state.endpoints.get_mut(ended.endpoint)
                {
                    endpoint.timeout.chill();
                }
                self.count_suppressed(state, ended.endpoint, reason);
                Step::Over(miss.failure)
            }
        }
    }

    pub(super) fn count_suppressed(&self, state: &mut HostState, endpoint: usize, reason: Stop) {
        // A poll that needs no retry has none suppressed.
        let suppressed = Stop::SUPPRESSING.contains(&reason);
        if let Some(endpoint) = state.endpoints.get_mut(endpoint).filter(|_| suppressed) {
            *endpoint.suppressed.entry(reason).or_default() += 1;
        }
    }

    fn log_retry(&self, ended: &Ended, delay: Duration, failure: &Failure) {
        tracing::debug!(
            target = self.name,
            endpoint = self.path(ended.endpoint),
            attempt = ended.number,
            delay_seconds = delay.as_secs_f64(),
            error = &*failure.message,
            "retrying"
        );
    }
}
