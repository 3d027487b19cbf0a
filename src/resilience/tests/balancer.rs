//! Tests of the choice among instances.

use std::time::Duration;

use fastrand::Rng;
use proptest::prelude::*;
use tokio::time::Instant;

use super::{OPEN, secs};
use crate::resilience::{
    balancer::{
        AttemptResult, Balancer, BalancerPolicy, Gates, InstanceCounts, InstanceLoads,
        InstanceSelection, SelectionReason,
    },
    circuit::Admission,
    instances::Instances,
    positions::Positions,
};

const INTERVAL: Duration = Duration::from_secs(15);
const POLICY: BalancerPolicy = BalancerPolicy {
    interval: INTERVAL,
    ejected_for: OPEN,
};
const POLLS: u32 = 2_000;
const FAILED: AttemptResult = AttemptResult::Failed { retry_after: None };

fn answered(millis: u64) -> AttemptResult {
    AttemptResult::Answered(Duration::from_millis(millis))
}

/// A balancer with a manual clock. No breaker is open.
struct Bench {
    loads: InstanceLoads,
    gates: Vec<Admission>,
    now: Instant,
    rng: Rng,
}

impl Bench {
    fn new(instances: usize) -> Self {
        let mut loads = InstanceLoads::default();
        loads.arrange(&Positions::all_new(instances));
        Self {
            loads,
            gates: vec![Admission::Free; instances],
            now: Instant::now(),
            rng: Rng::with_seed(7),
        }
    }

    fn balancer(&self) -> Balancer<'_> {
        self.loads.balancer(POLICY)
    }

    fn gates(&self) -> Gates {
        self.gates.iter().copied().collect()
    }

    fn choose(&mut self, tried: &[usize]) -> Option<InstanceSelection> {
        let tried = tried.iter().copied().collect();
        let gates = self.gates();
        let balancer = self.loads.balancer(POLICY);
        balancer.choose(self.now, gates, tried, &mut self.rng)
    }

    fn ended(&mut self, instance: usize, experience: AttemptResult) {
        self.loads.ended(&POLICY, instance, self.now, experience);
    }

    fn ejected(&self) -> Vec<usize> {
        let ejected = self.balancer().ejected(self.now, self.gates());
        (0..self.gates.len())
            .filter(|at| ejected.has(*at))
            .collect()
    }

    fn is_panic(&self) -> bool {
        self.balancer().is_panic(self.now, self.gates())
    }
}

/// The share of each of `N` instances in this number of polls, where `ask` gives the results.
fn shares<const N: usize>(ask: impl Fn(usize) -> AttemptResult) -> [f64; N] {
    let mut bench = Bench::new(N);
    let mut chosen = [0_u32; N];
    for _ in 0..POLLS {
        let instance = bench.choose(&[]).unwrap().instance;
        bench.ended(instance, ask(instance));
        bench.now += INTERVAL;
        chosen[instance] += 1;
    }
    chosen.map(|count| f64::from(count) / f64::from(POLLS))
}

#[test]
fn equal_instances_share_the_polls() {
    let shares: [f64; 3] = shares(|_| answered(80));
    assert!(
        shares.iter().all(|share| (0.25..0.42).contains(share)),
        "{shares:?}"
    );
}

#[test]
fn a_slow_answer_is_remembered_over_many_ticks() {
    let mut bench = Bench::new(2);
    bench.ended(0, answered(4_000));
    bench.ended(1, answered(40));
    for tick in 1..=10 {
        bench.now += INTERVAL;
        let choice = bench.choose(&[]).unwrap();
        assert_eq!(
            (choice.instance, choice.because),
            (1, SelectionReason::Faster)
        );
        assert!(choice.over.unwrap().1 > choice.expected, "at tick {tick}");
    }
}

#[test]
fn a_failed_instance_is_ejected_for_the_open_duration_and_then_tried_first() {
    let mut bench = Bench::new(3);
    bench.ended(1, FAILED);
    for _ in 0..100 {
        assert_ne!(bench.choose(&[]).unwrap().instance, 1);
    }
    assert_eq!(bench.ejected(), [1]);
    bench.now += OPEN;
    assert!(bench.ejected().is_empty());
    let choice = bench.choose(&[]).unwrap();
    assert_eq!((choice.instance, choice.because), (1, SelectionReason::Due));
    assert_ne!(
        bench.choose(&[0]).unwrap().because,
        SelectionReason::Due,
        "a failover does not go to an ejected instance"
    );
    bench.ended(1, answered(80));
    assert_ne!(bench.choose(&[]).unwrap().because, SelectionReason::Due);
    let counts = InstanceCounts {
        ok: 1,
        failed: 1,
        failovers: 0,
    };
    assert_eq!(bench.balancer().counts(1), counts);
}

#[test]
fn an_instance_that_refuses_fast_does_not_attract_requests() {
    let shares: [f64; 3] = shares(|instance| match instance {
        0 => FAILED,
        _ => answered(80),
    });
    // It is tried again at every second tick, when its time is over, and never in between.
    assert_eq!(shares[0], 0.5, "{shares:?}");
    let mut bench = Bench::new(2);
    bench.ended(0, FAILED);
    bench.ended(1, answered(80));
    assert!(bench.balancer().expected(0, bench.now) >= secs(5));
    assert_eq!(bench.choose(&[]).unwrap().because, SelectionReason::Only);
}

#[test]
fn at_most_half_of_the_instances_are_ejected() {
    let mut bench = Bench::new(4);
    bench.ended(0, FAILED);
    bench.ended(1, FAILED);
    assert_eq!((bench.ejected(), bench.is_panic()), (vec![0, 1], false));
    bench.ended(2, FAILED);
    assert_eq!((bench.ejected(), bench.is_panic()), (vec![], true));
    let mut chosen = Instances::default();
    for _ in 0..100 {
        let choice = bench.choose(&[]).unwrap();
        assert_eq!(choice.because, SelectionReason::Panic);
        chosen = chosen.with(Instances::of(choice.instance));
    }
    assert!(chosen.has(3) && chosen.count() > 1, "{chosen:?}");
}

#[test]
fn an_open_breaker_counts_as_ejected_and_is_never_overruled() {
    let mut bench = Bench::new(3);
    bench.gates = vec![Admission::Shut, Admission::Free, Admission::Free];
    assert_eq!((bench.ejected(), bench.is_panic()), (vec![0], false));
    bench.ended(1, FAILED);
    assert_eq!((bench.ejected(), bench.is_panic()), (vec![0], true));
    for _ in 0..100 {
        assert_ne!(bench.choose(&[]).unwrap().instance, 0);
    }
    bench.gates = vec![Admission::Shut; 3];
    assert_eq!(bench.choose(&[]), None);
}

#[test]
fn a_trial_request_is_due_at_once_but_a_last_resort_for_a_failover() {
    let mut bench = Bench::new(3);
    bench.gates = vec![Admission::Free, Admission::Free, Admission::Probe];
    let choice = bench.choose(&[]).unwrap();
    assert_eq!((choice.instance, choice.because), (2, SelectionReason::Due));
    let choice = bench.choose(&[0]).unwrap();
    assert_eq!(
        (choice.instance, choice.because),
        (1, SelectionReason::Only)
    );
    let choice = bench.choose(&[0, 1]).unwrap();
    assert_eq!(
        (choice.instance, choice.because),
        (2, SelectionReason::LastResort)
    );
    assert_eq!(bench.choose(&[0, 1, 2]), None);
}

#[test]
fn a_long_pause_counts_more_than_a_failure() {
    let mut bench = Bench::new(2);
    let retry_after = Some(secs(60));
    bench.ended(0, AttemptResult::Failed { retry_after });
    bench.ended(1, FAILED);
    assert_eq!(bench.choose(&[]).unwrap().instance, 1);
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Wait(u64),
    Gate(usize, Admission),
    Ended(usize, AttemptResult),
}

fn step(instances: usize) -> impl Strategy<Value = Step> {
    let gate = prop_oneof![
        Just(Admission::Free),
        Just(Admission::Probe),
        Just(Admission::Shut)
    ];
    let experience = prop_oneof![
        (0..u64::MAX).prop_map(answered),
        (0..100_000_u64).prop_map(answered),
        Just(FAILED),
        Just(AttemptResult::Unknown),
    ];
    prop_oneof![
        (0..100_u64).prop_map(Step::Wait),
        (0..instances, gate).prop_map(|(at, gate)| Step::Gate(at, gate)),
        (0..instances, experience).prop_map(|(at, what)| Step::Ended(at, what)),
    ]
}

fn history() -> impl Strategy<Value = (usize, Vec<Step>, u64)> {
    (2..=6_usize).prop_flat_map(|count| {
        let steps = prop::collection::vec(step(count), 0..40);
        (Just(count), steps, any::<u64>())
    })
}

proptest! {
    /// This is true whatever happened before, and whichever instances were tried.
    #[test]
    fn a_choice_obeys_the_breakers_and_never_ejects_too_many(
        (count, steps, tried) in history(),
    ) {
        let mut bench = Bench::new(count);
        for step in steps {
            match step {
                Step::Wait(seconds) => bench.now += secs(seconds),
                Step::Gate(at, gate) => bench.gates[at] = gate,
                Step::Ended(at, what) => bench.ended(at, what),
            }
        }
        let tried: Vec<_> = (0..count).filter(|at| tried >> at & 1 == 1).collect();
        let gates = bench.gates.clone();
        let may = |at: &usize| gates[*at] != Admission::Shut && !tried.contains(at);
        let any_left = (0..count).any(|at| may(&at));
        let ejected = bench.ejected();
        let shut = (0..count).filter(|at| gates[*at] != Admission::Free).count();
        prop_assert!(ejected.len() == shut || ejected.len() * 2 <= count, "{:?}", ejected);
        let choice = bench.choose(&tried);
        prop_assert_eq!(choice.is_some(), any_left, "a permitted instance is chosen");
        if let Some(choice) = choice {
            prop_assert!(may(&choice.instance));
            let is_resort = matches!(choice.because, SelectionReason::LastResort | SelectionReason::Due);
            prop_assert!(is_resort || !ejected.contains(&choice.instance));
            if let Some((other, expected)) = choice.over {
                prop_assert!(may(&other) && other != choice.instance);
                prop_assert!(choice.expected <= expected);
            }
        }
    }
}
