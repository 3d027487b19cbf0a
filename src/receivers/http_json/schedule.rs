//! When a target is polled; no clock inside.
//!
//! The phase of a target within the interval comes from its name and is pinned to the wall
//! clock (as in Prometheus), so that a fleet is spread, restarts keep the phase and nobody
//! herds. The first poll comes sooner: a fresh collector shows data at once.

use std::time::Duration;

use tokio::time::Instant;

/// So many first polls a second, so that starting a fleet is no herd either.
const FIRST_POLLS_PER_SECOND: u32 = 50;

/// The ticks of one target.
#[derive(Debug, Clone)]
pub(super) struct Schedule {
    interval: Duration,
    due: Instant,
    /// The tick after the one that is due.
    following: Instant,
    missed: u64,
}

/// What the schedule of a target depends on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan<'a> {
    pub(super) interval: Duration,
    pub(super) initial_delay: Duration,
    /// Name of the target.
    pub(super) name: &'a str,
    /// How many targets its receiver has.
    pub(super) targets: usize,
}

impl Schedule {
    /// The first tick is soon after `now`, which is `since_epoch` on the wall clock; all later
    /// ones lie on the target's grid.
    pub(super) fn new(plan: Plan<'_>, now: Instant, since_epoch: Duration) -> Self {
        let share = fraction(plan.name);
        let targets = u32::try_from(plan.targets).unwrap_or(u32::MAX);
        let ramp = (Duration::from_secs(1) * targets / FIRST_POLLS_PER_SECOND).min(plan.interval);
        // One target alone waits for nobody.
        let ramp = if targets <= 1 {
            Duration::ZERO
        } else {
            ramp.mul_f64(share)
        };
        let first = plan.initial_delay + ramp;
        let phase = plan.interval.mul_f64(share);
        let mut gap = until_phase(since_epoch + first, plan.interval, phase);
        if gap < plan.interval / 2 {
            gap += plan.interval; // not twice in a moment
        }
        let due = now + first;
        Self {
            interval: plan.interval,
            due,
            following: due + gap,
            missed: 0,
        }
    }

    /// When the next poll is due.
    pub(super) fn due(&self) -> Instant {
        self.due
    }

    /// Ticks that were overrun since the start.
    pub(super) fn missed(&self) -> u64 {
        self.missed
    }

    /// The poll that was due has ended at `now`. Ticks that passed meanwhile are counted and
    /// left out: they never queue up.
    pub(super) fn done(&mut self, now: Instant) {
        // The first poll lies off the grid and may outlast the tick that follows it within an
        // interval: that one was not owed.
        let is_owed = self.following - self.due >= self.interval;
        self.due = self.following;
        if self.due < now && !is_owed {
            self.due += self.interval;
        }
        if self.due < now {
            let late = now - self.due;
            let passed = late.as_nanos() / self.interval.as_nanos().max(1) + 1;
            let passed = u32::try_from(passed).unwrap_or(u32::MAX);
            self.missed += u64::from(passed);
            self.due += self.interval * passed;
        }
        self.following = self.due + self.interval;
    }
}

/// Time from `moment` to the next point of the grid.
fn until_phase(moment: Duration, interval: Duration, phase: Duration) -> Duration {
    let (interval, phase) = (interval.as_nanos().max(1), phase.as_nanos());
    let into = (moment.as_nanos() + interval - phase % interval) % interval;
    Duration::from_nanos(u64::try_from(interval - into).unwrap_or(u64::MAX))
}

/// A number in [0, 1) that depends on the text alone (FNV-1a, then mixed).
fn fraction(text: &str) -> f64 {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    // FNV's high bits are weak on short texts; the generator's first output mixes them.
    fastrand::Rng::with_seed(hash).f64()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const INTERVAL: Duration = Duration::from_secs(15);

    fn schedule(name: &str, targets: usize, now: Instant, since_epoch: Duration) -> Schedule {
        let plan = Plan {
            interval: INTERVAL,
            initial_delay: Duration::ZERO,
            name,
            targets,
        };
        Schedule::new(plan, now, since_epoch)
    }

    #[test]
    fn one_target_is_polled_at_once() {
        let now = Instant::now();
        assert_eq!(schedule("node", 1, now, Duration::from_secs(7)).due(), now);
    }

    #[test]
    fn a_fleet_is_spread_over_the_interval() {
        let now = Instant::now();
        let mut per_second = [0; 15];
        for target in 0..1500 {
            let mut schedule = schedule(&format!("10.0.0.{target}:9000"), 1500, now, INTERVAL * 10);
            schedule.done(schedule.due());
            let phase = (schedule.due() - now).as_millis() % INTERVAL.as_millis();
            per_second[usize::try_from(phase / 1000).unwrap()] += 1;
        }
        assert!(
            per_second.iter().all(|count| (60..150).contains(count)),
            "{per_second:?}"
        );
    }

    #[test]
    fn a_restart_keeps_the_phase() {
        let now = Instant::now();
        let due_after = |start: Duration| {
            let mut schedule = schedule("node", 1000, now, start);
            schedule.done(schedule.due());
            (start + (schedule.due() - now)).as_millis() % INTERVAL.as_millis()
        };
        let (before, after) = (
            due_after(Duration::from_secs(1_000_000)),
            due_after(Duration::from_millis(1_234_567_891)),
        );
        assert!(before.abs_diff(after) <= 1, "{before} {after}");
    }

    #[test]
    fn overrun_ticks_are_counted_and_not_queued() {
        let now = Instant::now();
        let mut schedule = schedule("node", 1, now, Duration::ZERO);
        schedule.done(now);
        let due = schedule.due();
        schedule.done(due + INTERVAL * 3 + Duration::from_secs(1));
        assert_eq!(schedule.missed(), 3);
        assert_eq!(schedule.due(), due + INTERVAL * 4);
    }

    #[test]
    fn a_first_poll_of_nearly_an_interval_misses_no_tick() {
        let now = Instant::now();
        for node in 0..200 {
            let start = Duration::from_millis(node * 77);
            let mut schedule = schedule(&format!("node-{node}"), 1, now, start);
            schedule.done(now + INTERVAL / 10 * 9);
            assert_eq!(schedule.missed(), 0, "node-{node}");
            assert!(schedule.due() <= now + INTERVAL * 2, "node-{node}");
        }
    }

    proptest! {
        #[test]
        fn a_tick_is_never_in_the_past_and_at_most_one_interval_and_a_half_away(
            name in ".{0,20}", polls in proptest::collection::vec(0_u64..60_000, 1..20), start in 0_u64..u64::from(u32::MAX)
        ) {
            let mut now = Instant::now();
            let mut schedule = schedule(&name, 50, now, Duration::from_millis(start));
            for took in polls {
                now = schedule.due() + Duration::from_millis(took);
                schedule.done(now);
                prop_assert!(schedule.due() >= now);
                prop_assert!(schedule.due() - now <= INTERVAL * 3 / 2);
            }
        }
    }
}
