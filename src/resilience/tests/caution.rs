//! Tests of the order of requests, and of the suspect when a host hangs.

use super::*;
use crate::resilience::caution::{
    Caution, Change,
    Heard::{self, Answer, Gone, Nothing, Silence},
    LEFT_OUT, LEFT_OUT_MAX, Next, Steps,
};

/// Three endpoints as a poll requests them, and a host that a test scripts.
struct Lab {
    caution: Caution,
    now: Instant,
    changes: Vec<Change>,
}

impl Lab {
    fn new() -> Self {
        Self {
            caution: Caution::new(3),
            now: Instant::now(),
            changes: Vec::new(),
        }
    }

    fn steps(&self) -> Steps {
        self.caution.steps(self.now, &[true; 3])
    }

    /// One poll of all endpoints. Returns their order, with a `?` for witnesses.
    fn poll(&mut self, mut host: impl FnMut(usize) -> Heard) -> Vec<String> {
        let steps = self.steps();
        let mut asked: Vec<_> = steps.together.iter().map(usize::to_string).collect();
        let heard: Vec<_> = steps.together.iter().map(|at| (*at, host(*at))).collect();
        let (mut goes_on, change) = self.caution.together(self.now, &heard);
        self.changes.extend(change);
        for at in steps.alone {
            if !goes_on {
                break;
            }
            asked.push(at.to_string());
            let was = host(at);
            let (next, change) = self.caution.alone(self.now, at, was);
            self.changes.extend(change);
            goes_on = match next {
                Next::GoOn => true,
                Next::Over => false,
                Next::Confirm(witness) => {
                    asked.push(format!("{witness}?"));
                    let heard = host(witness);
                    let (goes_on, change) = self.caution.confirmed(self.now, (at, was), heard);
                    self.changes.extend(change);
                    goes_on
                }
            };
        }
        self.now += secs(15);
        asked
    }

    fn suspected(&self) -> Vec<(usize, Duration)> {
        let suspected = self.changes.iter().filter_map(|change| match change {
            Change::Suspected { endpoint, left_out } => Some((*endpoint, *left_out)),
            Change::Cleared { .. } => None,
        });
        suspected.collect()
    }
}

/// Answers until a request for this endpoint, then never again, on any path.
fn hangs_at(killer: usize) -> impl FnMut(usize) -> Heard {
    let mut hangs = false;
    move |at| {
        hangs |= at == killer;
        if hangs { Silence } else { Answer }
    }
}

#[test]
fn endpoints_are_polled_together_after_each_has_answered() {
    let mut lab = Lab::new();
    assert_eq!(lab.steps().alone, [0, 1, 2]);
    assert_eq!(lab.poll(|_| Answer), ["0", "1", "2"]);
    let together = lab.steps();
    assert_eq!((together.together, together.alone), (vec![0, 1, 2], vec![]));
}

#[test]
fn the_endpoint_after_which_nothing_answers_is_the_suspect() {
    let mut lab = Lab::new();
    assert_eq!(lab.poll(hangs_at(1)), ["0", "1", "0?"], "2 is not asked");
    assert_eq!(lab.suspected(), [(1, LEFT_OUT)]);
    assert_eq!(lab.steps().left_out, [1]);
}

#[test]
fn a_suspect_is_polled_again_after_a_growing_time_and_after_all_others() {
    let mut lab = Lab::new();
    let mut left_out = LEFT_OUT;
    for _ in 0..8 {
        lab.poll(hangs_at(1));
        assert_eq!(lab.suspected().last(), Some(&(1, left_out)));
        // However long the outage is, the time starts at its end.
        lab.now += LEFT_OUT_MAX * 2;
        assert_eq!(lab.steps().left_out, [1]);
        assert_eq!(lab.poll(|_| Answer), ["0", "2"]);
        lab.now += left_out - secs(16);
        assert_eq!(lab.poll(|_| Answer), ["0", "2"]);
        lab.now += secs(1);
        assert_eq!(
            (lab.steps().together, lab.steps().alone),
            (vec![0, 2], vec![1])
        );
        left_out = (left_out * 2).min(LEFT_OUT_MAX);
    }
    lab.poll(|_| Answer);
    assert_eq!(lab.changes.last(), Some(&Change::Cleared { endpoint: 1 }));
    assert_eq!(lab.steps().together, [0, 1, 2]);
}

#[test]
fn an_endpoint_that_alone_is_silent_does_not_affect_the_others() {
    let mut lab = Lab::new();
    let alone = |at| if at == 0 { Silence } else { Answer };
    assert_eq!(lab.poll(alone), ["0"], "it may be the host");
    assert_eq!(lab.poll(alone), ["1", "2", "0", "1?"]);
    assert_eq!(lab.poll(alone), ["0", "1", "2"], "it does no harm");
    // A later outage of the host is no proof against it.
    lab.poll(|_| Silence);
    assert_eq!(lab.changes, []);
}

#[test]
fn a_host_that_is_down_gets_one_request_per_poll_and_then_one_by_one() {
    let mut lab = Lab::new();
    lab.poll(|_| Answer);
    assert_eq!(lab.poll(|_| Gone), ["0", "1", "2"]);
    let down: Vec<_> = (0..4).map(|_| lab.poll(|_| Gone)).collect();
    assert_eq!(down, [["0"], ["1"], ["2"], ["0"]]);
    assert_eq!(lab.poll(|_| Answer), ["1", "2", "0"]);
    assert_eq!(lab.poll(|_| Answer), ["0", "1", "2"]);
    assert_eq!(lab.changes, []);
}

#[test]
fn the_first_endpoint_is_suspected_when_another_is_polled_before_it() {
    let mut lab = Lab::new();
    assert_eq!(lab.poll(hangs_at(0)), ["0"]);
    assert_eq!(lab.poll(|_| Silence), ["1"]);
    assert_eq!(lab.changes, [], "nothing is known of it yet");
    lab.poll(hangs_at(0)); // 2, 0
    assert_eq!(lab.suspected(), [(0, LEFT_OUT)]);
}

#[test]
fn an_endpoint_that_had_answered_gets_a_second_chance_alone() {
    let mut lab = Lab::new();
    lab.poll(|_| Answer);
    let mut silent = |at| if at == 2 { Silence } else { Answer };
    assert_eq!(lab.poll(&mut silent), ["0", "1", "2"]);
    lab.poll(|_| Silence);
    assert_eq!(lab.suspected(), [(2, Duration::ZERO)]);
    assert_eq!(
        lab.poll(|_| Silence),
        ["0"],
        "not polled while the host is down"
    );
    assert_eq!(lab.poll(|_| Answer), ["1", "0"]);
    assert_eq!(lab.poll(hangs_at(2)), ["0", "1", "2", "0?"]);
    assert_eq!(lab.suspected(), [(2, Duration::ZERO), (2, LEFT_OUT)]);
}

#[test]
fn two_simultaneous_requests_prove_nothing() {
    let mut lab = Lab::new();
    lab.poll(|_| Answer);
    lab.poll(|at| if at == 0 { Answer } else { Silence });
    lab.poll(|_| Silence);
    assert_eq!(lab.changes, []);
}

#[test]
fn a_poll_of_some_endpoints_proves_nothing_about_the_host() {
    let mut lab = Lab::new();
    lab.poll(|_| Answer);
    lab.caution.together(lab.now, &[(1, Silence)]);
    assert_eq!(lab.steps().together, [0, 1, 2]);
}

#[test]
fn an_unsent_request_proves_nothing() {
    let mut lab = Lab::new();
    assert_eq!(lab.poll(|_| Nothing), ["0", "1", "2"]);
    assert_eq!(lab.steps().alone, [0, 1, 2]);
    // The witness cannot be polled. The next poll finds out.
    let mut count = 0;
    lab.poll(|at| {
        count += 1;
        match (at, count) {
            (0, 1) => Answer,
            (0, _) => Nothing,
            _ => Silence,
        }
    });
    assert_eq!(lab.changes, []);
    lab.poll(|_| Silence);
    assert_eq!(lab.suspected(), [(1, LEFT_OUT)]);
}
