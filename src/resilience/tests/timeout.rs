//! Tests of the estimators with a stream of response times: lognormal with a median of 80 ms and 1
//! % of spikes of 1.5–4 s, 900 polls of at most 4 attempts, 40 seeds.

use std::time::Duration;

use fastrand::Rng;

use super::secs;
use crate::{
    resilience::{config::TimeoutConfig, timeout::Timeout},
    settings,
};

const MAX: Duration = Duration::from_secs(5);
const POLLS: u32 = 900;

const ADAPTIVE: TimeoutConfig = TimeoutConfig {
    max: settings::Duration::from_secs(5),
    adaptive: true,
};

/// Gives a limit for an attempt, and learns from its result.
trait Estimator {
    fn limit(&self, retry: u32) -> Duration;
    fn answered(&mut self, took: Duration);
    fn timed_out(&mut self, _after: Duration) {}
}

impl Estimator for Timeout {
    fn limit(&self, retry: u32) -> Duration {
        Self::limit(self, &ADAPTIVE, retry)
    }

    fn answered(&mut self, took: Duration) {
        self.sample(took);
    }
}

/// RFC 6298 without its floor and its doubling.
struct BareRfc(Option<(f64, f64)>);

impl Estimator for BareRfc {
    fn limit(&self, _: u32) -> Duration {
        let limit = |(time, deviation)| Duration::from_secs_f64(time + 4.0 * deviation);
        self.0.map_or(MAX, limit).min(MAX)
    }

    fn answered(&mut self, took: Duration) {
        let took = took.as_secs_f64();
        self.0 = Some(self.0.map_or((took, took / 2.0), |(time, deviation)| {
            let deviation = 0.75 * deviation + 0.25 * (time - took).abs();
            (0.875 * time + 0.125 * took, deviation)
        }));
    }
}

/// The 99th percentile of the last answers, times a margin, without doubling.
struct BareP99 {
    window: Vec<Duration>,
    size: usize,
    margin: u32,
    learns_timeouts: bool,
}

impl Estimator for BareP99 {
    fn limit(&self, _: u32) -> Duration {
        if self.window.len() < 20 {
            return MAX;
        }
        let mut sorted = self.window.clone();
        sorted.sort();
        (sorted[(sorted.len() * 99).div_ceil(100) - 1] * self.margin).min(MAX)
    }

    fn answered(&mut self, took: Duration) {
        if self.window.len() == self.size {
            self.window.remove(0);
        }
        self.window.push(took);
    }

    fn timed_out(&mut self, after: Duration) {
        if self.learns_timeouts {
            self.answered(after);
        }
    }
}

#[derive(Default)]
struct Result {
    tries: u32,
    timeouts: u32,
    lost_polls: u32,
    /// Timeouts in the last 100 polls.
    late_timeouts: u32,
}

fn lognormal(rng: &mut Rng, median_ms: f64, sigma: f64) -> Duration {
    let (a, b) = (1.0 - rng.f64(), rng.f64());
    let normal = (-2.0 * a.ln()).sqrt() * (std::f64::consts::TAU * b).cos();
    Duration::from_secs_f64(median_ms / 1000.0 * (sigma * normal).exp())
}

fn latency(rng: &mut Rng, median_ms: f64) -> Duration {
    if rng.f64() < 0.01 {
        return Duration::from_secs_f64(1.5 + 2.5 * rng.f64());
    }
    lognormal(rng, median_ms, 0.3)
}

/// Runs the polls. At half time the median changes from 80 ms to `shifted_ms`.
fn run(estimator: &mut dyn Estimator, seed: u64, shifted_ms: Option<f64>) -> Result {
    let mut rng = Rng::with_seed(seed);
    let mut result = Result::default();
    for poll in 0..POLLS {
        let median = shifted_ms.filter(|_| poll >= POLLS / 2).unwrap_or(80.0);
        let is_late = poll >= POLLS - 100;
        let answered = (0..4).any(|retry| {
            let (took, limit) = (latency(&mut rng, median), estimator.limit(retry));
            result.tries += 1;
            if took <= limit {
                estimator.answered(took);
            } else {
                estimator.timed_out(limit);
                result.timeouts += 1;
                result.late_timeouts += u32::from(is_late);
            }
            took <= limit
        });
        result.lost_polls += u32::from(!answered);
    }
    result
}

fn over_seeds(new: impl Fn() -> Box<dyn Estimator>, shifted_ms: Option<f64>) -> Vec<Result> {
    over(0..40, new, shifted_ms)
}

/// The wrong estimators are slow, and fail at once.
fn over_few_seeds(new: impl Fn() -> Box<dyn Estimator>, shifted_ms: Option<f64>) -> Vec<Result> {
    over(0..5, new, shifted_ms)
}

fn over(
    seeds: std::ops::Range<u64>,
    new: impl Fn() -> Box<dyn Estimator>,
    shifted_ms: Option<f64>,
) -> Vec<Result> {
    seeds
        .map(|seed| run(&mut *new(), seed, shifted_ms))
        .collect()
}

fn recommended() -> Box<dyn Estimator> {
    Box::new(Timeout::default())
}

fn bare_p99(size: usize, margin: u32, learns_timeouts: bool) -> Box<dyn Estimator> {
    let window = Vec::new();
    Box::new(BareP99 {
        window,
        size,
        margin,
        learns_timeouts,
    })
}

fn false_timeouts(results: &[Result]) -> f64 {
    let sum = |of: fn(&Result) -> u32| f64::from(results.iter().map(of).sum::<u32>());
    sum(|r| r.timeouts) / sum(|r| r.tries)
}

#[test]
fn the_adaptive_timeout_neither_cuts_good_answers_off_nor_shrinks_without_end() {
    let steady = over_seeds(recommended, None);
    let rate = false_timeouts(&steady);
    assert!(rate < 0.011, "the spikes are 1 %: {rate}");
    assert_eq!(steady.iter().map(|r| r.lost_polls).sum::<u32>(), 0);
    let bare = false_timeouts(&over_few_seeds(|| Box::new(BareRfc(None)), None));
    assert!(bare > 0.025, "{bare}");
    let no_margin = false_timeouts(&over_few_seeds(|| bare_p99(100, 1, false), None));
    assert!(no_margin > 0.1, "{no_margin}");
}

#[test]
fn after_a_shift_the_first_poll_succeeds_and_the_estimate_adapts() {
    for result in over_seeds(recommended, Some(1500.0)) {
        assert_eq!(result.lost_polls, 0);
        assert!(result.late_timeouts <= 8, "{}", result.late_timeouts);
    }
}

#[test]
fn simple_estimators_never_notice_a_shift() {
    let lost = |results: Vec<Result>| results.iter().map(|r| r.lost_polls).min().unwrap();
    let rfc = lost(over_few_seeds(|| Box::new(BareRfc(None)), Some(1500.0)));
    let p99 = lost(over_few_seeds(|| bare_p99(100, 1, false), Some(1500.0)));
    let learning = lost(over_few_seeds(|| bare_p99(100, 1, true), Some(1500.0)));
    for lost in [rfc, p99, learning] {
        assert!(lost > 50, "rfc {rfc}, p99 {p99}, with timeouts {learning}");
    }
}

#[test]
fn the_estimate_starts_at_the_maximum_and_adapts_after_20_answers() {
    let mut timeout = Timeout::default();
    let quick = Duration::from_millis(80);
    for _ in 0..19 {
        assert_eq!(timeout.limit(&ADAPTIVE, 0), MAX);
        timeout.sample(quick);
    }
    assert_eq!(
        (timeout.limit(&ADAPTIVE, 0), timeout.p50()),
        (MAX, Some(quick))
    );
    timeout.sample(quick);
    let ms = Duration::from_millis;
    let limits = [0, 1, 2, 3, 4, 99].map(|retry| timeout.limit(&ADAPTIVE, retry));
    assert_eq!(limits, [ms(500), ms(1000), ms(2000), ms(4000), MAX, MAX]);
}

#[test]
fn the_first_answer_after_an_outage_has_the_longest_timeout() {
    let mut timeout = Timeout::default();
    for _ in 0..256 {
        timeout.sample(Duration::from_millis(80));
    }
    assert_eq!(timeout.limit(&ADAPTIVE, 0), Duration::from_millis(500));
    timeout.back_off();
    assert_eq!(timeout.limit(&ADAPTIVE, 0), MAX);
    timeout.sample(Duration::from_millis(80));
    assert_eq!(timeout.limit(&ADAPTIVE, 0), Duration::from_millis(500));
}

#[test]
fn the_estimate_is_the_largest_of_its_terms_and_forgets() {
    let config = TimeoutConfig {
        max: settings::Duration::from_secs(60),
        ..ADAPTIVE
    };
    let mut timeout = Timeout::default();
    for _ in 0..256 {
        timeout.sample(secs(1));
    }
    // A stored sample has an error of at most a tenth of a percent.
    let limit = timeout.limit(&config, 0);
    assert!(
        limit <= secs(2) && limit > Duration::from_millis(1998),
        "2·p99"
    );
    timeout.sample(secs(9));
    assert!(
        timeout.limit(&config, 0) > secs(9),
        "SRTT + 4·RTTVAR sees one at once"
    );
    for _ in 0..10 {
        timeout.sample(secs(9));
    }
    for _ in 0..256 {
        timeout.sample(secs(1));
    }
    let limit = timeout.limit(&config, 0);
    assert!(limit > Duration::from_millis(1998) && limit < Duration::from_millis(2001));
}

#[test]
fn a_fixed_timeout_is_constant_and_a_low_maximum_applies() {
    let fixed = TimeoutConfig {
        adaptive: false,
        ..ADAPTIVE
    };
    let low = TimeoutConfig {
        max: settings::Duration::from_millis(200),
        ..ADAPTIVE
    };
    let mut timeout = Timeout::default();
    for _ in 0..30 {
        timeout.sample(Duration::from_millis(1));
    }
    let limits = [0, 3].map(|retry| timeout.limit(&fixed, retry));
    assert_eq!(limits, [MAX, MAX]);
    for _ in 0..30 {
        timeout.sample(secs(10));
    }
    let limit = timeout.limit(&low, 0);
    assert_eq!(limit, low.max.get(), "below the floor of 500 ms");
    assert_eq!(timeout.limit(&ADAPTIVE, 0), MAX);
}
