//! The choice among instances, at the pace of polls.

use std::time::Duration;

use fastrand::Rng;
use tokio::time::Instant;

use crate::resilience::balancer::{Balancer, Ended, Health};

const INTERVAL: Duration = Duration::from_secs(15);
const POLLS: u32 = 2_000;

/// How often each of `instances` is picked in so many polls, where `ask` says how they answer.
fn shares<const N: usize>(ask: impl Fn(usize, u32) -> Ended) -> [f64; N] {
    let mut balancer = Balancer::new(N, INTERVAL);
    let (mut rng, start) = (Rng::with_seed(1), Instant::now());
    let mut picked = [0_u32; N];
    for poll in 0..POLLS {
        let now = start + INTERVAL * poll;
        let instance = balancer.pick(now, |_| true, &mut rng).unwrap();
        balancer.started(instance);
        balancer.ended(instance, now, ask(instance, poll));
        picked[instance] += 1;
    }
    picked.map(|count| f64::from(count) / f64::from(POLLS))
}

fn answered(millis: u64) -> Ended {
    Ended::Answered(Duration::from_millis(millis))
}

#[test]
fn equals_share_the_polls() {
    let shares: [f64; 3] = shares(|_, _| answered(80));
    assert!(
        shares.iter().all(|share| (0.25..0.42).contains(share)),
        "{shares:?}"
    );
}

#[test]
fn one_that_fails_at_once_is_no_black_hole() {
    let shares: [f64; 3] = shares(|instance, _| match instance {
        0 => Ended::Failed { retry_after: None },
        _ => answered(80),
    });
    assert!(shares[0] < 0.03, "{shares:?}");
    assert!(shares[0] > 0.0, "it is tried now and then: {shares:?}");
}

#[test]
fn a_slow_answer_is_remembered_over_many_ticks() {
    let mut balancer = Balancer::new(2, INTERVAL);
    let (mut rng, start) = (Rng::with_seed(7), Instant::now());
    for instance in 0..2 {
        balancer.started(instance);
        balancer.ended(
            instance,
            start,
            answered(if instance == 0 { 4_000 } else { 40 }),
        );
    }
    for tick in 1..=10 {
        let picked = balancer.pick(start + INTERVAL * tick, |_| true, &mut rng);
        assert_eq!(picked, Some(1), "at tick {tick}");
    }
}

#[test]
fn requests_under_way_count() {
    let mut balancer = Balancer::new(2, INTERVAL);
    let (mut rng, now) = (Rng::with_seed(7), Instant::now());
    balancer.started(0);
    assert_eq!(balancer.pick(now, |_| true, &mut rng), Some(1));
    balancer.ended(0, now, Ended::Unknown);
    balancer.started(1);
    assert_eq!(balancer.pick(now, |_| true, &mut rng), Some(0));
}

#[test]
fn only_those_that_may_be_asked_are() {
    let balancer = Balancer::new(3, INTERVAL);
    let (mut rng, now) = (Rng::with_seed(7), Instant::now());
    for _ in 0..50 {
        assert_eq!(balancer.pick(now, |i| i == 2, &mut rng), Some(2));
        assert_eq!(balancer.pick(now, |_| false, &mut rng), None);
    }
    assert_eq!(
        Balancer::new(0, INTERVAL).pick(now, |_| true, &mut rng),
        None
    );
}

#[test]
fn a_long_pause_weighs_more_than_a_failure() {
    let asked = Some(Duration::from_secs(60));
    let mut balancer = Balancer::new(2, INTERVAL);
    let (mut rng, now) = (Rng::with_seed(7), Instant::now());
    balancer.ended(0, now, Ended::Failed { retry_after: asked });
    balancer.ended(1, now, Ended::Failed { retry_after: None });
    assert_eq!(balancer.pick(now, |_| true, &mut rng), Some(1));
}

#[test]
fn half_may_be_ejected_and_no_more() {
    let health = |open: &[bool]| Health::of(open.iter().copied());
    assert!(!health(&[true, false]).is_panic());
    assert!(!health(&[true, true, false, false]).is_panic());
    assert!(health(&[true, true, false]).is_panic());
    assert!(health(&[true]).is_panic());
    assert!(!health(&[]).is_panic());
}
