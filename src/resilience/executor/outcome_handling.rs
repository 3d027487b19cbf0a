//! Handles the outcome of an attempt.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    AttemptError, AttemptResponse, EndedAttempt, NextAction, sent_attempt::FinishedAttempt,
};
use crate::{
    pipeline::{PollFailure, PollOutcome},
    resilience::{
        balancer::AttemptResult,
        cache::Reader,
        outcome::{self, ResultClass, RetryAdvice, Verdict},
        receiver_resilience::GuardReply,
        recorder::{DecisionEvent, DecisionScope},
        retry::{FailedAttempt, RetryDecision, RetryStop, least, pause},
        state::BreakerState,
        target_resilience::TargetResilience,
        target_state::HostState,
        time::{DecisionInputs, later},
    },
    runtime::rounded_seconds,
};

/// The classification of an attempt.
struct Classified {
    class: ResultClass,
    verdict: Verdict,
    /// Whether it was a trial request of a half-open breaker.
    probe: bool,
    /// Whether it can be repeated at another instance at once.
    elsewhere: bool,
}

impl Classified {
    /// What the attempt says about its instance.
    fn experience(&self, took: Duration, miss: Option<&AttemptError>) -> AttemptResult {
        match self.class {
            ResultClass::NotSent
            | ResultClass::Cancelled
            | ResultClass::DeadlineCut { overdue: false } => AttemptResult::Unknown,
            _ if self.verdict.is_against_instance() => AttemptResult::Failed {
                retry_after: miss.and_then(|miss| miss.retry_after),
            },
            _ => AttemptResult::Answered(took),
        }
    }
}

impl TargetResilience {
    /// Handles a finished attempt: updates the breakers, stores the answer, decides what follows.
    pub(super) fn settle(&self, mut finished: FinishedAttempt<'_>) -> NextAction<'_> {
        let mut judged = self.judge(&finished);
        let verdict = judged.verdict;
        let FinishedAttempt { ended, result, .. } = &finished;
        let is_final = result.as_ref().is_err_and(|miss| miss.is_final);
        judged.elsewhere = !is_final
            && self.may_fail_over(ended.at, ended, &verdict)
            && !self.is_once(&self.lock(), &ended.poll, judged.class);
        // This comes first, so that the failure that makes a fault on the collector's side likely
        // counts against no host. Instances often fail together for reasons of their own, so only
        // the last one counts for a target.
        let suspicion = (!judged.elsewhere).then(|| self.tell_guard(ended.at, verdict.host));
        let mut state = self.lock();
        if let Some(suspicion) = suspicion {
            self.hold(&mut state, suspicion);
        }
        self.charge(&mut state, &mut finished, &judged);
        let FinishedAttempt { ended, result, .. } = finished;
        match result {
            Ok(answer) => self.keep(&mut state, &ended, answer),
            Err(miss) => self.decide(&mut state, &ended, &judged, miss),
        }
    }

    /// Handles the attempt at a witness: updates the breakers. Nothing follows from it for a poll.
    pub(super) fn settle_witness(&self, mut finished: FinishedAttempt<'_>) {
        let judged = self.judge(&finished);
        let mut state = self.lock();
        self.charge(&mut state, &mut finished, &judged);
        let FinishedAttempt { ended, result, .. } = &finished;
        let asked = result.as_ref().err().and_then(|miss| miss.retry_after);
        if let Some(asked) = asked {
            let circuit = state.circuits.at_mut(ended.instance);
            circuit.pause(later(ended.at, pause(asked)));
        }
    }

    fn judge(&self, finished: &FinishedAttempt<'_>) -> Classified {
        let FinishedAttempt {
            held,
            ended,
            result,
        } = finished;
        let class = match result {
            Ok(AttemptResponse::Body(..)) => ResultClass::Success,
            Ok(AttemptResponse::NotModified(_)) => ResultClass::NotModified,
            Err(miss) => self.class_of(miss, ended),
        };
        if class == ResultClass::Transport {
            // All endpoints are one process.
            for endpoint in &mut self.lock().endpoints {
                endpoint.timeouts.at_mut(ended.instance).back_off();
            }
        }
        Classified {
            class,
            verdict: self.settings.statuses.classify(class),
            probe: held.is_probe(),
            elsewhere: false,
        }
    }

    fn tell_guard(&self, now: Instant, outcome: outcome::BreakerOutcome) -> GuardReply {
        let position = self.state.slot.position;
        self.fleet().tell_guard(now, position, outcome, &self.name)
    }

    /// While the fault may be on the collector's side, no breaker counts failures.
    fn hold(&self, state: &mut HostState, GuardReply { suspect, changed }: GuardReply) {
        for circuit in state.circuits.iter_mut() {
            circuit.hold(suspect);
        }
        if changed {
            let event = DecisionEvent::Guard { suspect };
            self.record(state, DecisionScope::default(), event);
        }
    }

    /// A timeout that is short only because of the poll's deadline says nothing about the host.
    fn class_of(&self, miss: &AttemptError, ended: &EndedAttempt) -> ResultClass {
        if miss.class != ResultClass::Timeout || ended.at < ended.poll.deadline {
            return miss.class;
        }
        let state = self.lock();
        let timeouts = state.endpoints.get(ended.poll.endpoint);
        let usual = timeouts.map(|e| {
            let usual = e.timeouts.at(ended.instance);
            let usual = usual.limit(&self.settings.timeout, 0);
            usual.min(self.settings.deadline)
        });
        ResultClass::DeadlineCut {
            // If the timeout is as long as the deadline, the time before the attempt is missing
            // from it. A host that hangs must count as failed anyway.
            overdue: usual.is_none_or(|usual| ended.limit >= usual / 10 * 9),
        }
    }

    fn charge(
        &self,
        state: &mut HostState,
        finished: &mut FinishedAttempt<'_>,
        judged: &Classified,
    ) {
        let FinishedAttempt {
            held,
            ended,
            result,
        } = finished;
        let miss = result.as_ref().err();
        let (now, verdict) = (ended.at, &judged.verdict);
        let Some(permit) = held.permit.take() else {
            return;
        };
        if judged.probe {
            // Others wait for its result.
            self.state.verdict.notify_waiters();
        }
        let place = self.place_of(ended);
        let circuit = state.circuits.at_mut(ended.instance);
        if ended.poll.alone {
            // The result counts for all endpoints.
            circuit.speak_for_all(ended.poll.endpoint);
        }
        let rng = &mut state.rng;
        let inputs = DecisionInputs { now, rng };
        let changes = circuit.complete(&self.circuit, permit, verdict, inputs);
        let event = DecisionEvent::Attempt {
            attempt: u16::try_from(ended.poll.attempts.max(1)).unwrap_or(u16::MAX),
            probe: judged.probe,
            timeout: ended.limit.into(),
            took: now.saturating_duration_since(ended.sent).into(),
            error_type: miss.map(|miss| miss.failure.error_type),
            endpoint_outcome: verdict.endpoint,
            host_outcome: verdict.host,
        };
        self.record(state, place, event);
        let error = miss.map(|miss| &*miss.failure.message);
        self.note_changes(state, place, changes, error);
        let Some(endpoint) = state.endpoints.get_mut(ended.poll.endpoint) else {
            return;
        };
        if verdict.drop_stale {
            endpoint.slot.clear();
        }
        endpoint.asked_at = ended.instance;
        if self.is_pool() {
            let policy = self.settings.balancer();
            let took = now.saturating_duration_since(ended.sent);
            let experience = judged.experience(took, miss);
            endpoint
                .loads
                .ended(&policy, ended.instance, now, experience);
        }
    }

    fn place_of(&self, ended: &EndedAttempt) -> DecisionScope {
        self.place(ended.poll.endpoint, ended.instance)
    }

    fn keep(
        &self,
        state: &mut HostState,
        ended: &EndedAttempt,
        answer: AttemptResponse,
    ) -> NextAction<'_> {
        let now = ended.at;
        let Some(endpoint) = state.endpoints.get_mut(ended.poll.endpoint) else {
            return NextAction::GiveUp(PollFailure::lost());
        };
        let timeout = endpoint.timeouts.at_mut(ended.instance);
        timeout.sample(now.saturating_duration_since(ended.sent));
        let slot = &mut endpoint.slot;
        let outcome = match answer {
            AttemptResponse::Body(body, origin) => {
                // The new answer may need the memory of the old one.
                slot.clear();
                match body.to_keep() {
                    Some(kept) => slot.store(Reader::Poll, ended.sent, origin, kept),
                    None => slot.forgo(Reader::Poll),
                }
                endpoint.kept_from = Some(ended.instance);
                PollOutcome::Fresh(body)
            }
            AttemptResponse::NotModified(origin) => {
                match slot.revalidated(Reader::Poll, ended.sent, origin) {
                    Some(body) => PollOutcome::NotModified(body.clone()),
                    // A server sent 304 to an unconditional request.
                    None => return NextAction::GiveUp(PollFailure::lost()),
                }
            }
        };
        let age = endpoint.slot.age(now).unwrap_or_default();
        if let Some(objective) = &mut endpoint.objective {
            objective.updated(now, age);
        }
        NextAction::Done(outcome)
    }

    fn decide(
        &self,
        state: &mut HostState,
        ended: &EndedAttempt,
        judged: &Classified,
        miss: AttemptError,
    ) -> NextAction<'_> {
        let (now, place) = (ended.at, self.place_of(ended));
        let failed = self.failed(state, now, (ended, judged), &miss);
        if judged.elsewhere
            && let Some(held) = self.fail_over(state, now, ended)
        {
            return NextAction::FailOver(held, miss.failure);
        }
        let decision = self
            .fleet()
            .decide(&self.settings.retry, now, &failed, &mut state.rng);
        match decision {
            RetryDecision::Retry { delay } => {
                let waits = delay.into();
                self.record(state, place, DecisionEvent::Retry { delay: waits });
                self.log_retry(ended, delay, &miss.failure);
                NextAction::RetryAfter(delay, miss.failure)
            }
            RetryDecision::Stop { reason, not_before } => {
                self.record(state, place, DecisionEvent::NoRetry { reason });
                if let Some(until) = not_before {
                    state.circuits.at_mut(ended.instance).pause(until);
                }
                let endpoint = ended.poll.endpoint;
                if miss.class == ResultClass::Timeout
                    && let Some(endpoint) = state.endpoints.get_mut(endpoint)
                {
                    endpoint.timeouts.at_mut(ended.instance).back_off();
                }
                self.count_suppressed(state, endpoint, reason);
                NextAction::GiveUp(miss.failure)
            }
        }
    }

    /// The failure for the retry loop. If one of several instances asks for a pause, the pause
    /// applies only to that instance.
    fn failed(
        &self,
        state: &mut HostState,
        now: Instant,
        (ended, judged): (&EndedAttempt, &Classified),
        miss: &AttemptError,
    ) -> FailedAttempt {
        let (endpoint, instance) = (ended.poll.endpoint, ended.instance);
        let (mut retry, mut retry_after) = (judged.verdict.retry, miss.retry_after);
        if let Some(asked) = retry_after.filter(|_| state.circuits.are_several()) {
            let circuit = state.circuits.at_mut(instance);
            circuit.pause(later(ended.at, pause(asked)));
            retry_after = None;
            if retry == RetryAdvice::AfterRetryAfter {
                retry = RetryAdvice::Yes;
            }
        }
        if miss.is_final || self.is_once(state, &ended.poll, judged.class) {
            retry = RetryAdvice::No;
        }
        let mut views = state
            .circuits
            .iter()
            .map(|c| c.view(now, endpoint))
            .enumerate();
        let open = views.all(|(of, view)| {
            view.state() == BreakerState::Open || (judged.probe && of == instance)
        });
        let timeouts = state.endpoints.get(endpoint).map(|e| &e.timeouts);
        let p50 = timeouts.and_then(|timeouts| timeouts.at(instance).p50());
        FailedAttempt {
            attempts: ended.poll.waits + 1,
            retry,
            retry_after,
            open,
            remaining: ended.poll.remaining(now),
            least: least(p50, self.settings.deadline),
        }
    }

    pub(super) fn count_suppressed(
        &self,
        state: &mut HostState,
        endpoint: usize,
        reason: RetryStop,
    ) {
        // A poll that needs no retry suppresses none.
        let suppressed = RetryStop::SUPPRESSING.contains(&reason);
        if let Some(endpoint) = state.endpoints.get_mut(endpoint).filter(|_| suppressed) {
            self.fleet().counts.suppressed(reason);
            endpoint.suppressed.add(reason, 1);
        }
    }

    fn log_retry(&self, ended: &EndedAttempt, delay: Duration, failure: &PollFailure) {
        tracing::debug!(
            target = self.name,
            endpoint = self.endpoint_name(ended.poll.endpoint),
            attempt = ended.poll.attempts,
            delay_seconds = rounded_seconds(delay),
            error = &*failure.message,
            "retrying"
        );
    }
}
