//! Tests of the core under a lock, as the executor uses it, with threads in every order.

use std::panic::catch_unwind;

use fastrand::Rng;
use shuttle::{
    check_random,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};
use tokio::time::Instant;

use super::{OPEN, policy, secs};
use crate::resilience::{
    breaker::{Breaker, BreakerPermit},
    outcome::BreakerOutcome,
    single_flight::{SharedResult, SingleFlight},
    state::BreakerState,
    time::DecisionInputs,
};

const SCHEDULES: usize = 5_000;

/// A breaker that threads share.
#[derive(Clone)]
struct Shared {
    breaker: Arc<Mutex<Breaker>>,
    now: Instant,
}

impl Shared {
    /// An open breaker whose time is over.
    fn expired() -> Self {
        let (mut now, mut rng) = (Instant::now(), Rng::with_seed(7));
        let mut breaker = Breaker::new(now);
        for _ in 0..5 {
            let permit = breaker.try_acquire(&policy(), now).unwrap();
            now += secs(1);
            let rng = &mut rng;
            let inputs = DecisionInputs { now, rng };
            breaker.complete(&policy(), permit, BreakerOutcome::Fail, inputs);
        }
        Self {
            breaker: Arc::new(Mutex::new(breaker)),
            now: now + OPEN,
        }
    }

    fn acquire(&self) -> Option<BreakerPermit> {
        let mut breaker = self.breaker.lock().unwrap();
        breaker.try_acquire(&policy(), self.now).ok()
    }

    fn complete(&self, permit: BreakerPermit, outcome: BreakerOutcome) {
        let mut rng = Rng::with_seed(7);
        let mut breaker = self.breaker.lock().unwrap();
        let inputs = DecisionInputs {
            now: self.now,
            rng: &mut rng,
        };
        breaker.complete(&policy(), permit, outcome, inputs);
    }

    fn state(&self) -> BreakerState {
        self.breaker.lock().unwrap().view(self.now).state
    }

    /// Runs `work` in this number of simultaneous threads.
    fn in_threads(&self, threads: usize, work: impl Fn(&Self) + Clone + Send + 'static) {
        let threads: Vec<_> = (0..threads)
            .map(|_| {
                let (shared, work) = (self.clone(), work.clone());
                thread::spawn(move || work(&shared))
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
    }
}

#[test]
fn one_trial_request_at_a_time_in_every_schedule() {
    check_random(
        || {
            let (shared, probing) = (Shared::expired(), Arc::new(AtomicUsize::new(0)));
            shared.in_threads(3, move |shared| {
                let Some(permit) = shared.acquire() else {
                    return;
                };
                if permit.is_probe() {
                    assert_eq!(
                        probing.fetch_add(1, Ordering::SeqCst),
                        0,
                        "two trial requests"
                    );
                    probing.fetch_sub(1, Ordering::SeqCst);
                }
                shared.complete(permit, BreakerOutcome::Fail);
            });
        },
        SCHEDULES,
    );
}

#[test]
fn a_check_before_the_lock_would_permit_two() {
    // The test above would find this error: a check, a released lock, and then the action.
    let found = catch_unwind(|| {
        check_random(
            || {
                let (shared, probing) = (Shared::expired(), Arc::new(AtomicUsize::new(0)));
                shared.in_threads(3, move |shared| {
                    if shared.state() == BreakerState::HalfOpen
                        && probing.load(Ordering::SeqCst) == 0
                    {
                        assert_eq!(
                            probing.fetch_add(1, Ordering::SeqCst),
                            0,
                            "two trial requests"
                        );
                    }
                });
            },
            SCHEDULES,
        );
    });
    assert!(found.is_err());
}

#[test]
fn a_reader_sees_the_real_state_in_every_schedule_of_threads() {
    check_random(
        || {
            let shared = Shared::expired();
            let seen = Arc::new(Mutex::new(Vec::new()));
            let reader = Arc::clone(&seen);
            shared.in_threads(3, move |shared| {
                if let Some(permit) = shared.acquire() {
                    shared.complete(permit, BreakerOutcome::Ok);
                }
                reader.lock().unwrap().push(shared.state());
            });
            // The last thread had a result, or waited for one. No thread saw an older state after
            // that.
            let last = *seen.lock().unwrap().last().unwrap();
            assert!(last == BreakerState::Closed && shared.state() == BreakerState::Closed);
        },
        SCHEDULES,
    );
}

#[test]
fn a_gauge_that_is_written_after_the_lock_ends_at_a_wrong_value() {
    let found = catch_unwind(|| {
        check_random(
            || {
                let (shared, gauge) = (Shared::expired(), Arc::new(Mutex::new(BreakerState::Open)));
                let pushed = Arc::clone(&gauge);
                shared.in_threads(3, move |shared| {
                    if let Some(permit) = shared.acquire() {
                        shared.complete(permit, BreakerOutcome::Ok);
                    }
                    let state = shared.state();
                    // The lock is free here, and another thread overtakes.
                    *pushed.lock().unwrap() = state;
                });
                assert_eq!(*gauge.lock().unwrap(), shared.state());
            },
            SCHEDULES,
        );
    });
    assert!(found.is_err());
}

#[test]
fn a_dropped_permit_frees_its_slot_in_every_schedule_of_threads() {
    check_random(
        || {
            let shared = Shared::expired();
            shared.in_threads(3, |shared| {
                let Some(permit) = shared.acquire() else {
                    return;
                };
                let mut breaker = shared.breaker.lock().unwrap();
                breaker.give_back(permit);
            });
            assert_eq!(shared.state(), BreakerState::HalfOpen, "nothing was proved");
            assert!(shared.acquire().is_some(), "the slot is free");
        },
        SCHEDULES,
    );
}

/// One polling thread and three readers, as in the executor.
#[derive(Clone, Default)]
struct SharedPolls {
    state: Arc<Mutex<(SingleFlight, usize)>>,
    wanted: Arc<Condvar>,
    poll_ended: Arc<Condvar>,
    in_flight: Arc<AtomicUsize>,
    requests: Arc<AtomicUsize>,
}

const READERS: usize = 3;

impl SharedPolls {
    /// Polls as long as somebody reads.
    fn poll(&self) {
        loop {
            let mut state = self.state.lock().unwrap();
            while !state.0.is_wanted() && state.1 < READERS {
                state = self.wanted.wait(state).unwrap();
            }
            if !state.0.is_wanted() {
                return;
            }
            state.0.start();
            drop(state);
            assert_eq!(self.in_flight.fetch_add(1, Ordering::SeqCst), 0);
            self.requests.fetch_add(1, Ordering::SeqCst);
            self.in_flight.fetch_sub(1, Ordering::SeqCst);
            self.state
                .lock()
                .unwrap()
                .0
                .finish(Some(SharedResult::Fresh));
            self.poll_ended.notify_all();
        }
    }

    fn want(&self) -> u64 {
        let (before, is_news) = self.state.lock().unwrap().0.want();
        if is_news {
            self.wanted.notify_one();
        }
        before
    }

    /// Waits for the end of a poll after this one.
    fn follow(&self, before: u64) {
        let mut state = self.state.lock().unwrap();
        while state.0.finished_after(before).is_none() {
            state = self.poll_ended.wait(state).unwrap();
        }
        state.1 += 1;
        self.wanted.notify_one();
    }

    fn run(&self, read: impl Fn(&Self) + Clone + Send + 'static) {
        let poller = self.clone();
        let mut threads = vec![thread::spawn(move || poller.poll())];
        for _ in 0..READERS {
            let (airport, read) = (self.clone(), read.clone());
            threads.push(thread::spawn(move || read(&airport)));
        }
        for thread in threads {
            thread.join().unwrap();
        }
    }
}

#[test]
fn all_waiting_readers_get_the_result_in_every_schedule() {
    check_random(
        || {
            let airport = SharedPolls::default();
            airport.run(|airport| airport.follow(airport.want()));
            let requests = airport.requests.load(Ordering::SeqCst);
            assert!((1..=READERS).contains(&requests), "{requests}");
        },
        SCHEDULES,
    );
}

#[test]
fn a_request_without_a_notification_would_wait_forever() {
    let found = catch_unwind(|| {
        check_random(
            || {
                SharedPolls::default().run(|airport| {
                    let (before, _) = airport.state.lock().unwrap().0.want();
                    airport.follow(before);
                });
            },
            SCHEDULES,
        );
    });
    assert!(found.is_err());
}
