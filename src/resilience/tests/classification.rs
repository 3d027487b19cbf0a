use std::collections::BTreeSet;

use crate::resilience::outcome::{
    Class,
    Outcome::{Fail, Neutral, Ok},
    Retry, Statuses, Verdict,
};

/// Class → retry, endpoint, host, probe, `drop_stale`; the rows of the specification in its order.
#[test]
fn every_row_of_the_table() {
    let (no, yes, when_told) = (Retry::No, Retry::Yes, Retry::AfterRetryAfter);
    let mut rows = vec![
        (Class::Success, (no, Ok, Ok, Ok, false)),
        (Class::NotModified, (no, Ok, Ok, Ok, false)),
        (Class::Transport, (yes, Neutral, Fail, Neutral, false)),
        (Class::Timeout, (yes, Neutral, Fail, Neutral, false)),
        (Class::Body, (yes, Neutral, Fail, Neutral, false)),
        (Class::TooLarge, (no, Fail, Ok, Fail, false)),
        (Class::Decode, (no, Fail, Ok, Fail, false)),
        (Class::NotSent, (no, Neutral, Neutral, Neutral, false)),
        (Class::Cancelled, (no, Neutral, Neutral, Neutral, false)),
        (
            Class::DeadlineCut { overdue: true },
            (no, Neutral, Fail, Neutral, false),
        ),
        (
            Class::DeadlineCut { overdue: false },
            (no, Neutral, Neutral, Neutral, false),
        ),
    ];
    let mut statuses = |codes: &[u16], row| {
        rows.extend(codes.iter().map(|code| (Class::Status(*code), row)));
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
        let verdict = statuses.classify(Class::Status(status));
        (verdict.retry, verdict.endpoint, verdict.probe)
    };
    assert_eq!(judge(404), (Retry::Yes, Neutral, Ok));
    assert_eq!(judge(403), (Retry::No, Fail, Fail));
    assert_eq!(judge(503), (Retry::AfterRetryAfter, Neutral, Fail));
    assert_eq!(judge(500), (Retry::No, Neutral, Neutral));
}
