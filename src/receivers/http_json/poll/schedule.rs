//! When a target is polled; no clock inside.
//!
//! The phase of a target within the interval comes from its name and is pinned to the wall
//! clock (as in Prometheus), so that a fleet is spread, restarts keep the phase and nobody
//! herds. The first poll of a small fleet comes sooner: a fresh collector shows data at once. Its
//! ticks then move to their phase little by little, so that no two polls are far apart.

use std::time::Duration;

use tokio::time::Instant;

use super::grid::{SchedulePlan, Timing, fraction};

/// So many first polls a second, so that starting a fleet is no herd either.
const FIRST_POLLS_PER_SECOND: u32 = 50;

/// So many targets begin at once. It is as many as one step has.
const FIRST_AT_ONCE: u32 = 10;

/// On its way to the grid, a tick is later than an interval after the one before it by this part of
/// the interval.
const STEP: u32 = 10;

/// The ticks of one target.
#[derive(Debug, Clone)]
pub(crate) struct Schedule {
    interval: Duration,
    due: Instant,
    /// The tick after the one that is due.
    following: Instant,
    /// How much later the ticks still have to become to lie on the grid.
    shift: Duration,
    missed: u64,
}

impl Schedule {
    /// The first tick is soon after `now`, which is `since_epoch` on the wall clock. In a large
    /// fleet it lies on the target's grid already; if not, later ones move there.
    pub(crate) fn new(plan: SchedulePlan<'_>, now: Instant, since_epoch: Duration) -> Self {
        let Timing {
            interval,
            initial_delay,
            targets,
            ..
        } = plan.timing;
        let targets = u32::try_from(targets).unwrap_or(u32::MAX);
        let ramp = Duration::from_secs(1) * targets / FIRST_POLLS_PER_SECOND;
        let first = match ramp {
            _ if targets <= FIRST_AT_ONCE => initial_delay,
            // The first polls take an interval in any case, so each is made in its slot.
            ramp if ramp >= interval => {
                initial_delay + plan.until_tick(since_epoch + initial_delay)
            }
            ramp => {
                let soon = initial_delay + ramp.mul_f64(fraction(plan.name));
                soon + plan.until_step(since_epoch + soon)
            }
        };
        Self::from(plan, now + first, since_epoch + first, 0)
    }

    /// A schedule whose first tick is `due`, which is `since_epoch` on the wall clock.
    fn from(plan: SchedulePlan<'_>, due: Instant, since_epoch: Duration, missed: u64) -> Self {
        let interval = plan.timing.interval;
        let until_tick = plan.until_tick(since_epoch);
        let mut schedule = Self {
            interval,
            due,
            following: due,
            shift: match until_tick < interval {
                true => until_tick,
                false => Duration::ZERO,
            },
            missed,
        };
        schedule.following = schedule.after_due();
        schedule
    }

    /// The tick after the one that is due, a little closer to the grid.
    fn after_due(&mut self) -> Instant {
        let step = self.shift.min(self.interval / STEP);
        self.shift -= step;
        self.due + self.interval + step
    }

    /// Goes over to another plan: what was due stays due, unless the grid of the new one has a tick
    /// before that.
    pub(crate) fn follow(&mut self, plan: SchedulePlan<'_>, now: Instant, since_epoch: Duration) {
        if plan.timing.interval == self.interval {
            return;
        }
        let due = self.due.min(now + plan.until_tick(since_epoch));
        let wait = due.saturating_duration_since(now);
        *self = Self::from(plan, due, since_epoch + wait, self.missed);
    }

    /// Goes over to another plan with a first tick soon, as at the start.
    pub(crate) fn begin_again(
        &mut self,
        plan: SchedulePlan<'_>,
        now: Instant,
        since_epoch: Duration,
    ) {
        *self = Self {
            missed: self.missed,
            ..Self::new(plan, now, since_epoch)
        };
    }

    /// When the next poll is due.
    pub(crate) fn due(&self) -> Instant {
        self.due
    }

    /// Ticks that were overrun since the start.
    pub(crate) fn missed(&self) -> u64 {
        self.missed
    }

    /// The poll that was due begins at `now`. If that is so late that others were due since, they
    /// are counted and left out: it is the last of them that begins.
    pub(crate) fn begin(&mut self, now: Instant) {
        if now < self.following {
            return;
        }
        let late = now - self.following;
        let passed = late.as_nanos() / self.interval.as_nanos().max(1);
        let passed = u32::try_from(passed).unwrap_or(u32::MAX);
        self.missed += u64::from(passed) + 1;
        self.due = self.following + self.interval * passed;
        self.following = self.after_due();
    }

    /// The poll that was due has ended at `now`. Ticks that passed meanwhile are counted and
    /// left out: they never queue up.
    pub(crate) fn done(&mut self, now: Instant) {
        self.due = self.following;
        if self.due < now {
            let late = now - self.due;
            let passed = late.as_nanos() / self.interval.as_nanos().max(1) + 1;
            let passed = u32::try_from(passed).unwrap_or(u32::MAX);
            self.missed += u64::from(passed);
            self.due += self.interval * passed;
        }
        self.following = self.after_due();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const INTERVAL: Duration = Duration::from_secs(15);

    fn schedule(name: &str, targets: usize, now: Instant, since_epoch: Duration) -> Schedule {
        Schedule::new(plan(name, INTERVAL, targets), now, since_epoch)
    }

    fn plan(name: &str, interval: Duration, targets: usize) -> SchedulePlan<'_> {
        let timing = Timing {
            interval,
            initial_delay: Duration::ZERO,
            targets,
            all_targets: targets,
        };
        SchedulePlan { timing, name }
    }

    #[test]
    fn a_few_targets_are_polled_at_once() {
        let now = Instant::now();
        for targets in [1, 10] {
            let schedule = schedule("node", targets, now, Duration::from_millis(7_777));
            assert_eq!(schedule.due(), now);
        }
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

    /// How many of `targets` poll at the same moment, moment by moment from the start on.
    fn together(targets: usize, interval: Duration, ticks: usize) -> Vec<usize> {
        let (now, start) = (Instant::now(), Duration::from_millis(1_234_567));
        let mut moments = std::collections::BTreeMap::<_, usize>::new();
        for target in 0..targets {
            let mut schedule = Schedule::new(
                plan(&format!("10.0.0.{target}:9000"), interval, targets),
                now,
                start,
            );
            for _ in 0..ticks {
                *moments.entry(schedule.due()).or_default() += 1;
                schedule.begin(schedule.due());
                schedule.done(schedule.due());
            }
        }
        moments.into_values().collect()
    }

    #[test]
    fn few_targets_do_not_wake_alone_from_the_start_on_and_are_no_herd() {
        for interval in [Duration::from_secs(10), INTERVAL, INTERVAL * 20] {
            let moments = together(100, interval, 20);
            let wakes_a_tick = moments.len().div_ceil(20);
            assert!(
                wakes_a_tick <= 16,
                "{interval:?}: {wakes_a_tick} for 100 targets"
            );
            let most = moments.iter().max();
            assert!(
                most.is_some_and(|most| *most < 30),
                "{interval:?}: {most:?}"
            );
        }
    }

    /// How far each tick is from the one before it.
    fn gaps(mut schedule: Schedule, ticks: usize) -> Vec<Duration> {
        let mut gap = || {
            let due = schedule.due();
            schedule.begin(due);
            schedule.done(due);
            schedule.due() - due
        };
        (0..ticks).map(|_| gap()).collect()
    }

    #[test]
    fn after_the_start_no_poll_is_far_from_the_one_before_it() {
        for (targets, longest) in [
            (1, INTERVAL * 11 / 10),
            (50, INTERVAL * 11 / 10),
            (1500, INTERVAL),
        ] {
            for node in 0..100 {
                let start = Duration::from_millis(node * 777);
                let schedule = schedule(&format!("node-{node}"), targets, Instant::now(), start);
                let gaps = gaps(schedule, 20);
                let near = |gap: &Duration| (INTERVAL..=longest).contains(gap);
                assert!(gaps.iter().all(near), "{targets} targets: {gaps:?}");
                assert!(gaps[10..].iter().all(|gap| *gap == INTERVAL), "{gaps:?}");
            }
        }
    }

    #[test]
    fn a_restart_keeps_the_phase() {
        let now = Instant::now();
        for targets in [1, 100, 1000] {
            restart(now, targets);
        }
    }

    fn restart(now: Instant, targets: usize) {
        let due_after = |start: Duration| {
            let mut schedule = schedule("node", targets, now, start);
            for _ in 0..=STEP {
                schedule.done(schedule.due());
            }
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
    fn ticks_that_pass_before_we_wake_are_counted_when_the_poll_begins() {
        let now = Instant::now();
        let mut schedule = schedule("node", 1, now, Duration::ZERO);
        schedule.begin(now);
        schedule.done(now);
        let due = schedule.due();
        schedule.begin(due + INTERVAL - Duration::from_millis(1));
        assert_eq!((schedule.missed(), schedule.due()), (0, due));
        let late = due + INTERVAL * 40 + Duration::from_secs(1);
        schedule.begin(late);
        assert_eq!(schedule.missed(), 40);
        schedule.done(late + Duration::from_millis(5));
        assert_eq!(schedule.missed(), 40, "each is counted once");
        assert_eq!(schedule.due(), due + INTERVAL * 41);
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

    #[test]
    fn a_shorter_interval_counts_at_once_and_a_longer_one_delays_nothing() {
        let (now, start) = (Instant::now(), Duration::from_secs(7));
        let mut schedule = schedule("node", 1, now, start);
        schedule.done(now);
        let (due, second) = (schedule.due(), Duration::from_secs(1));
        let (now, start) = (now + second, start + second);
        schedule.follow(plan("node", INTERVAL, 9), now, start);
        assert_eq!(schedule.due(), due, "the same interval");
        schedule.follow(plan("node", second * 2, 9), now, start);
        let soon = schedule.due();
        assert!(soon <= now + second * 2 && soon < due);
        schedule.follow(plan("node", INTERVAL * 4, 9), now, start);
        assert_eq!(schedule.due(), soon);
        for _ in 0..=STEP {
            let due = schedule.due();
            schedule.done(due);
            assert!(schedule.due() <= due + INTERVAL * 5);
        }
        let into = (schedule.due() - now + start).as_millis() % (INTERVAL * 4).as_millis();
        let phase = plan("node", INTERVAL * 4, 9).phase() / 1_000_000;
        assert!(into.abs_diff(phase) <= 1, "{into} {phase}");
        assert_eq!(schedule.missed(), 0);
    }

    #[test]
    fn beginning_again_forgets_no_missed_tick() {
        let now = Instant::now();
        let mut schedule = schedule("node", 1, now, Duration::ZERO);
        let then = now + INTERVAL * 5;
        schedule.done(then);
        let missed = schedule.missed();
        assert!(missed > 0);
        schedule.begin_again(plan("node", INTERVAL, 1), then, INTERVAL * 5);
        assert_eq!((schedule.missed(), schedule.due()), (missed, then));
    }

    proptest! {
        #[test]
        fn a_tick_is_never_in_the_past_and_at_most_one_interval_and_a_half_away(
            name in ".{0,20}", polls in proptest::collection::vec(0_u64..60_000, 1..20), start in 0_u64..u64::from(u32::MAX)
        ) {
            let mut now = Instant::now();
            let mut schedule = schedule(&name, 50, now, Duration::from_millis(start));
            for took in polls {
                now = schedule.due() + Duration::from_millis(took / 2);
                schedule.begin(now);
                now += Duration::from_millis(took / 2);
                schedule.done(now);
                prop_assert!(schedule.due() >= now);
                prop_assert!(schedule.due() - now <= INTERVAL * 3 / 2);
            }
        }
    }
}
