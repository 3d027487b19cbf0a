//! Tests of when the report metrics are in OTLP messages.

use super::{
    times::{Sent, sent},
    *,
};

/// A healthy poll, unless one endpoint timed out, so many seconds after the first one.
fn at(second: u64, fresh: [bool; 2]) -> Poll {
    let time = UNIX_EPOCH + Duration::from_secs(2_000 + second);
    Poll {
        started: time,
        ended: time,
        duration: Duration::from_millis(second),
        level: MetricsLevel::Basic,
        ..poll(fresh)
    }
}

/// The points of a poll: all, and those of report metrics.
fn points_at(both: &mut Both, second: u64, fresh: [bool; 2]) -> (Vec<Sent>, usize) {
    let messages = both.otlp(&at(second, fresh), &readings([total(second)]));
    let all = sent(&messages);
    let own = all.iter().filter(|of| of.name.starts_with("betanet."));
    let own = own.count();
    (all, own)
}

#[test]
fn report_metrics_are_sent_when_they_change_and_each_minute() {
    let mut both = instruments();
    let healthy = [true, true];
    let (_, all) = points_at(&mut both, 0, healthy);
    assert!(all > 5, "{all}");
    for (second, fresh, expected) in [
        (15, healthy, 0),
        (45, healthy, 0),
        (60, healthy, all),
        (75, healthy, 0),
        // One endpoint more has a result that is not fresh.
        (90, [true, false], all + 1),
        (105, [true, false], all + 1),
        (120, healthy, all + 1),
        (135, healthy, 0),
        // The clock was set back.
        (30, healthy, all + 1),
    ] {
        let (points, own) = points_at(&mut both, second, fresh);
        assert_eq!(own, expected, "at {second}");
        let ended = points.iter().filter(|of| of.is_end);
        assert_eq!(
            ended.filter(|of| of.name.starts_with("betanet.")).count(),
            0
        );
        assert!(points.iter().any(|of| of.name == "total"));
    }
}

#[test]
fn the_first_failure_comes_with_the_time_of_the_last_success() {
    let mut both = instruments();
    points_at(&mut both, 0, [true, true]);
    points_at(&mut both, 15, [true, true]);
    let (points, _) = points_at(&mut both, 30, [true, false]);
    let mut last = points.iter().filter(|of| of.name.contains("last_success"));
    assert!(last.all(|of| of.time == points[0].time));
    assert_eq!(
        points
            .iter()
            .filter(|of| of.name.contains("last_success"))
            .count(),
        2
    );
}

#[test]
fn series_of_report_metrics_end_although_the_last_message_had_none() {
    let mut both = instruments();
    let (_, all) = points_at(&mut both, 0, [true, true]);
    points_at(&mut both, 15, [true, true]);
    let end = sent(&decoded(&both.instruments.end_of_series(UNIX_EPOCH)));
    let own = end.iter().filter(|of| of.name.starts_with("betanet."));
    assert_eq!(own.filter(|of| of.is_end).count(), all);
}
