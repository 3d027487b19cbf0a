use std::collections::BTreeSet;

use crate::resilience::outcome::{
    BreakerOutcome::{Fail, Neutral, Ok},
    ResultClass, RetryAdvice, Statuses, Verdict,
};

/// Class → retry, endpoint, host, trial request, `drop_stale`: the rows of the specification in its
/// order.
#[test]
fn every_row_of_the_table() {
    let (no, yes, when_told) = (
        RetryAdvice::No,
        RetryAdvice::Yes,
        RetryAdvice::AfterRetryAfter,
    );
    let mut rows = vec![
        (ResultClass::Success, (no, Ok, Ok, Ok, false)),
        (ResultClass::NotModified, (no, Ok, Ok, Ok, false)),
        (ResultClass::Transport, (yes, Neutral, Fail, Neutral, false)),
        (ResultClass::Timeout, (yes, Neutral, Fail, Neutral, false)),
        (ResultClass::Body, (yes, Neutral, Fail, Neutral, false)),
        (ResultClass::TooLarge, (no, Fail, Ok, Fail, false)),
        (ResultClass::Decode, (no, Fail, Ok, Fail, false)),
        (ResultClass::NotSent, (no, Neutral, Neutral, Neutral, false)),
        (
            ResultClass::Cancelled,
            (no, Neutral, Neutral, Neutral, false),
        ),
        (
            ResultClass::DeadlineCut { overdue: true },
            (no, Neutral, Fail, Neutral, false),
        ),
        (
            ResultClass::DeadlineCut { overdue: false },
            (no, Neutral, Neutral, Neutral, false),
        ),
    ];
    let mut statuses = |codes: &[u16], row| {
        rows.extend(codes.iter().map(|code| (ResultClass::Status(*code), row)));
    };
    statuses(&[301, 302, 307, 308], (no, Neutral, Ok, Neutral, false));
    statuses(&[400, 401, 403, 404, 499], (no, Neutral, Ok, Ok, false));
    statuses(&[410], (no, Neutral, Ok, Ok, true));
    statuses(&[408, 425], (yes, Fail, Ok, Fail, false));
    statuses(&[429], (when_told, Neutral, Ok, Fail, false));
    statuses(&[500, 502, 503, 504], (yes, Fail, Ok, Fail, false));
    statuses(&[501, 505], (no, Neutral, Ok, Neutral, false));
    for (class, (retry, endpoint, host, probe, drop_stale)) in rows {
        let expected = Verdict {
            retry,
            endpoint,
            host,
            probe,
            drop_stale,
        };
        assert_eq!(Statuses::default().classify(class), expected, "{class:?}");
    }
}

#[test]
fn the_statuses_are_configuration() {
    let statuses = Statuses {
        retryable: BTreeSet::from([404]),
        failure: BTreeSet::from([403]),
        throttled: BTreeSet::from([503]),
    };
    let judge = |status| {
        let verdict = statuses.classify(ResultClass::Status(status));
        (verdict.retry, verdict.endpoint, verdict.probe)
    };
    assert_eq!(judge(404), (RetryAdvice::Yes, Neutral, Ok));
    assert_eq!(judge(403), (RetryAdvice::No, Fail, Fail));
    assert_eq!(judge(503), (RetryAdvice::AfterRetryAfter, Neutral, Fail));
    assert_eq!(judge(500), (RetryAdvice::No, Neutral, Neutral));
}
