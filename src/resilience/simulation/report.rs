//! Summarizes many runs.

use std::time::Duration;

use serde::Serialize;

use super::run::Run;

/// The mean and the maximum of a value.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// The mean value.
    pub mean: f64,
    /// The largest value.
    pub max: f64,
    /// The number of outages that had such a value.
    pub outages: usize,
}

/// The results of the outages of one kind. Numbers without a spread are means.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The kind of outage.
    pub fault: String,
    /// The number of simulated outages.
    pub outages: usize,
    /// Requests during the outage, to all endpoints.
    pub requests: Option<Spread>,
    /// Seconds from its start to the first opening of a breaker. `None` if no breaker opened.
    pub detection_seconds: Option<Spread>,
    /// Seconds from its end until each endpoint had fresh data.
    pub recovery_seconds: Option<Spread>,
    /// Ticks that were lost because the previous poll took too long.
    pub late_ticks: f64,
    /// Polls with data.
    pub fresh_polls: f64,
    /// Polls that would be due without a failure, before, during and after the outage.
    pub planned_polls: f64,
    /// Polls that were made and had no data. Polls that an open breaker prevents do not count.
    pub lost_polls: f64,
}

impl Report {
    /// Summarizes the runs of one kind of outage.
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
