//! What many runs come to.

use std::time::Duration;

use serde::Serialize;

use super::run::Run;

/// The middle and the worst of something.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// The mean.
    pub mean: f64,
    /// The largest.
    pub max: f64,
    /// In so many outages there was such a thing at all.
    pub outages: usize,
}

/// What the outages of one kind come to. Numbers without a spread are means.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The kind.
    pub fault: String,
    /// So many were simulated.
    pub outages: usize,
    /// Requests sent while the outage was on, to all endpoints.
    pub requests: Option<Spread>,
    /// Seconds from its beginning to the first opening of a breaker; none if none ever opened.
    pub detection_seconds: Option<Spread>,
    /// Seconds from its end until there was fresh data of each endpoint.
    pub recovery_seconds: Option<Spread>,
    /// Ticks that were lost because the poll before them took too long.
    pub late_ticks: f64,
    /// Polls that brought data.
    pub fresh_polls: f64,
    /// Polls that are due if nothing fails, before, in and after the outage.
    pub planned_polls: f64,
    /// Polls that were made and brought nothing; what an open breaker leaves out is none.
    pub lost_polls: f64,
}

impl Report {
    /// Sums up the runs of one kind of outage.
    pub fn new(fault: &str, runs: &[Run]) -> Self {
        let seconds = |of: fn(&Run) -> Option<Duration>| {
            Spread::of(runs.iter().filter_map(of).map(|span| span.as_secs_f64()))
        };
        let count = |of: fn(&Run) -> u32| Spread::of(runs.iter().map(|run| f64::from(of(run))));
        let mean = |of| count(of).map_or(0.0, |spread| spread.mean);
        Self {
            fault: fault.to_owned(),
            outages: runs.len(),
            requests: count(|run| run.requests),
            detection_seconds: seconds(|run| run.detection),
            recovery_seconds: seconds(|run| run.recovery),
            late_ticks: mean(|run| run.late_ticks),
            fresh_polls: mean(|run| run.fresh_polls),
            planned_polls: mean(|run| run.planned_polls),
            lost_polls: mean(|run| run.lost_polls),
        }
    }
}

impl Spread {
    fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        let (mut sum, mut max, mut outages) = (0.0, f64::MIN, 0_u32);
        for value in values {
            sum += value;
            max = max.max(value);
            outages += 1;
        }
        (outages > 0).then(|| Self {
            mean: sum / f64::from(outages),
            max,
            outages: outages as usize,
        })
    }
}
