use std::time::Duration;

use fastrand::Rng;
use proptest::prelude::*;
use tokio::time::Instant;

use super::secs;
use crate::resilience::{
    budget::RetryBudget,
    outcome::RetryAdvice,
    retry::{FailedAttempt, RetryDecision, RetryPolicy, RetryStop, least},
};

const POLICY: RetryPolicy = RetryPolicy {
    max_retries: 3,
    initial_interval: Duration::from_secs(1),
    multiplier: 2.0,
    max_interval: Duration::from_secs(30),
    jitter: 0.0,
};

fn failed() -> FailedAttempt {
    FailedAttempt {
        attempts: 1,
        retry: RetryAdvice::Yes,
        retry_after: None,
        open: false,
        remaining: secs(13),
        least: secs(1),
    }
}

fn next(failed: FailedAttempt) -> RetryDecision {
    let now = Instant::now();
    let mut budget = RetryBudget::new(1, secs(15), now);
    POLICY.next(now, &failed, &mut budget, &mut Rng::with_seed(1))
}

fn reason(failed: FailedAttempt) -> RetryStop {
    match next(failed) {
        RetryDecision::Stop { reason, .. } => reason,
        RetryDecision::Retry { delay } => panic!("retries after {delay:?}"),
    }
}

#[test]
fn waits_exactly_1_2_and_4_seconds_and_then_stops() {
    let delay = |attempts| {
        next(FailedAttempt {
            attempts,
            ..failed()
        })
    };
    for (attempts, seconds) in [(1, 1), (2, 2), (3, 4)] {
        let delay_expected = secs(seconds);
        assert_eq!(
            delay(attempts),
            RetryDecision::Retry {
                delay: delay_expected
            }
        );
    }
    assert_eq!(
        reason(FailedAttempt {
            attempts: 4,
            ..failed()
        }),
        RetryStop::Exhausted
    );
    assert_eq!(POLICY.interval(100), secs(30));
}

#[test]
fn an_open_breaker_ends_the_retries_without_a_wait_or_a_token() {
    let now = Instant::now();
    let mut budget = RetryBudget::new(1, secs(15), now);
    let before = budget.available(now);
    let open = FailedAttempt {
        open: true,
        ..failed()
    };
    let decision = POLICY.next(now, &open, &mut budget, &mut Rng::with_seed(1));
    let (reason, not_before) = (RetryStop::Open, None);
    assert_eq!(decision, RetryDecision::Stop { reason, not_before });
    assert_eq!(budget.available(now), before);
}

#[test]
fn a_request_that_would_fail_again_is_not_retried() {
    assert_eq!(
        reason(FailedAttempt {
            retry: RetryAdvice::No,
            ..failed()
        }),
        RetryStop::NotRetryable
    );
}

#[test]
fn retries_never_outlast_the_deadline_of_the_poll() {
    // The node hangs for the whole time of each attempt, with a fixed timeout of 5 s.
    let (deadline, least) = (Duration::from_millis(13_500), least(None, secs(15)));
    let (mut elapsed, mut attempts) = (Duration::ZERO, 0);
    loop {
        elapsed += secs(5).min(deadline - elapsed);
        attempts += 1;
        let remaining = deadline - elapsed;
        match next(FailedAttempt {
            attempts,
            remaining,
            least,
            ..failed()
        }) {
            RetryDecision::Retry { delay } => elapsed += delay,
            RetryDecision::Stop { reason, .. } => {
                assert_eq!(
                    (attempts, elapsed, reason),
                    (2, secs(11), RetryStop::Deadline)
                );
                break;
            }
        }
    }
    let remaining = Duration::from_millis(1_999);
    assert_eq!(
        reason(FailedAttempt {
            remaining,
            ..failed()
        }),
        RetryStop::Deadline
    );
    assert!(matches!(
        next(FailedAttempt {
            remaining: secs(2),
            ..failed()
        }),
        RetryDecision::Retry { .. }
    ));
}

#[test]
fn an_attempt_needs_a_second_or_the_usual_time_but_no_more_than_there_is() {
    assert_eq!(least(None, secs(13)), secs(1));
    assert_eq!(least(Some(Duration::from_millis(80)), secs(13)), secs(1));
    assert_eq!(least(Some(secs(3)), secs(13)), secs(3));
    assert_eq!(
        least(Some(secs(3)), Duration::from_millis(900)),
        Duration::from_millis(900)
    );
}

#[test]
fn retry_after_is_obeyed_in_the_poll_or_after_it() {
    let asked = |seconds| FailedAttempt {
        retry_after: Some(secs(seconds)),
        retry: RetryAdvice::AfterRetryAfter,
        ..failed()
    };
    assert_eq!(next(asked(5)), RetryDecision::Retry { delay: secs(5) });
    assert_eq!(
        next(asked(0)),
        RetryDecision::Retry { delay: secs(1) },
        "not before the own schedule"
    );
    let pause = |seconds| {
        let now = Instant::now();
        let mut budget = RetryBudget::new(1, secs(15), now);
        let decision = POLICY.next(now, &asked(seconds), &mut budget, &mut Rng::with_seed(1));
        match decision {
            RetryDecision::Stop {
                reason: RetryStop::RetryAfter,
                not_before,
            } => not_before.unwrap() - now,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(pause(60), secs(60));
    assert_eq!(pause(86_400), secs(300), "at most 5 minutes");
    assert_eq!(pause(u64::MAX), secs(300));
    let silent = FailedAttempt {
        retry: RetryAdvice::AfterRetryAfter,
        ..failed()
    };
    assert_eq!(reason(silent), RetryStop::RetryAfter);
}

#[test]
fn without_budget_there_is_no_retry() {
    let now = Instant::now();
    let mut budget = RetryBudget::new(1, secs(15), now);
    while budget.try_retry(now) {}
    let decision = POLICY.next(now, &failed(), &mut budget, &mut Rng::with_seed(1));
    let (reason, not_before) = (RetryStop::Budget, None);
    assert_eq!(decision, RetryDecision::Stop { reason, not_before });
}

proptest! {
    #[test]
    fn a_retry_always_fits_and_its_wait_is_near_its_interval(
        seed: u64,
        attempts in 1..6_u32,
        remaining_ms in 0..20_000_u64,
        after in prop::option::of(0..400_u64),
    ) {
        let policy = RetryPolicy { jitter: 0.2, ..POLICY };
        let now = Instant::now();
        let mut budget = RetryBudget::new(1, secs(15), now);
        let remaining = Duration::from_millis(remaining_ms);
        let failed = FailedAttempt { attempts, remaining, retry_after: after.map(secs), ..failed() };
        let decision = policy.next(now, &failed, &mut budget, &mut Rng::with_seed(seed));
        if let RetryDecision::Retry { delay } = decision {
            prop_assert!(attempts <= 3);
            prop_assert!(delay + failed.least <= remaining);
            let nominal = policy.interval(attempts).as_secs_f64();
            let asked = after.unwrap_or(0) as f64;
            prop_assert!(delay.as_secs_f64() >= asked.max(0.799 * nominal));
            prop_assert!(delay >= policy.initial_interval);
            prop_assert!(delay.as_secs_f64() <= asked.max(1.201 * nominal));
        }
    }
}
