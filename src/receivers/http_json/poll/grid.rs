//! The grid of a receiver's polls: which moments of the interval a target may be polled at.

use std::time::Duration;

/// First polls come together in steps of at most this length: a wake costs more than a poll.
const FIRST_STEP: Duration = Duration::from_millis(200);

/// An interval has this many slots, and the targets of one slot wake together: a wake for each
/// target costs more than a request (docs/performance.md). So 1 % of the interval has about 2 % of
/// the polls, and no node notices the grid.
const SLOTS: u32 = 50;

/// A receiver with at most so many targets has fewer slots, so that about ten of them wake together.
/// These slots are among the `SLOTS` too, so a receiver that grows stays spread.
const SLOTS_OF_FEW: [(usize, u32); 2] = [(100, 10), (250, 25)];

/// A receiver with more targets a slot has twice as many slots, or four times, and so on. More that
/// wake together would only wait for each other.
const MOST_IN_A_SLOT: usize = 32;

/// More slots would be closer together than timers are.
const MOST_SLOTS: u32 = SLOTS << 7;

/// When the targets of a receiver are polled.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timing {
    pub(crate) interval: Duration,
    pub(crate) initial_delay: Duration,
    /// How many targets begin together.
    pub(crate) targets: usize,
    /// How many targets the receiver has.
    pub(crate) all_targets: usize,
}

/// What the schedule of a target depends on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SchedulePlan<'a> {
    pub(crate) timing: Timing,
    /// Name of the target.
    pub(crate) name: &'a str,
}

impl SchedulePlan<'_> {
    /// Nanoseconds from the beginning of an interval to the target's tick.
    pub(super) fn phase(&self) -> u128 {
        let interval = self.timing.interval;
        let phase = interval.mul_f64(fraction(self.name)).as_nanos();
        phase - phase % (interval / self.slots()).as_nanos().max(1)
    }

    fn slots(&self) -> u32 {
        let targets = self.timing.all_targets;
        let few = SLOTS_OF_FEW.iter().find(|(most, _)| targets <= *most);
        let mut slots = few.map_or(SLOTS, |(_, slots)| *slots);
        while targets.div_ceil(MOST_IN_A_SLOT) > slots as usize && slots < MOST_SLOTS {
            slots *= 2;
        }
        slots
    }

    /// Time from `moment` to the next step of the first polls. A slot is a whole number of steps,
    /// so targets that begin together stay together on their way to the grid.
    pub(super) fn until_step(&self, moment: Duration) -> Duration {
        let slot = self.timing.interval / self.slots().max(SLOTS);
        let slot = slot.as_nanos().max(1);
        let step = (slot / slot.div_ceil(FIRST_STEP.as_nanos())).max(1);
        let wait = moment.as_nanos().next_multiple_of(step) - moment.as_nanos();
        Duration::from_nanos(u64::try_from(wait).unwrap_or(u64::MAX))
    }

    /// Time from `moment` to the next tick of the target's grid.
    pub(super) fn until_tick(&self, moment: Duration) -> Duration {
        let phase = self.phase();
        let interval = self.timing.interval.as_nanos().max(1);
        let into = (moment.as_nanos() + interval - phase % interval) % interval;
        Duration::from_nanos(u64::try_from(interval - into).unwrap_or(u64::MAX))
    }
}

/// A number in [0, 1) that depends on the text alone (FNV-1a, then mixed).
pub(super) fn fraction(text: &str) -> f64 {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    // FNV's high bits are weak on short texts; the generator's first output mixes them.
    fastrand::Rng::with_seed(hash).f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(15);

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
    fn the_targets_of_a_slot_wake_together_and_no_slot_is_a_herd() {
        for interval in [Duration::from_secs(1), INTERVAL, INTERVAL * 20] {
            let mut slots = std::collections::BTreeMap::<_, u32>::new();
            for target in 0..1_000 {
                let name = format!("10.0.{}.{}:9000", target / 256, target % 256);
                let phase = plan(&name, interval, 1_000).phase();
                assert_eq!(phase % (interval / SLOTS).as_nanos(), 0);
                *slots.entry(phase).or_default() += 1;
            }
            assert_eq!(slots.len(), 50);
            let most = slots.values().max();
            assert!(most.is_some_and(|most| *most < 40), "{slots:?}");
        }
    }

    #[test]
    fn in_a_fleet_of_any_size_about_as_many_wake_together() {
        for targets in [300, 1_600, 1_601, 5_000, 10_000, 100_000] {
            let mut slots = std::collections::BTreeMap::<_, usize>::new();
            for target in 0..targets {
                let phase = plan(&format!("node-{target}"), INTERVAL, targets).phase();
                *slots.entry(phase).or_default() += 1;
            }
            let average = targets / slots.len();
            assert!(
                (6..=MOST_IN_A_SLOT).contains(&average),
                "{targets}: {average}"
            );
            let most = slots.values().max();
            assert!(
                most.is_some_and(|most| *most < 3 * MOST_IN_A_SLOT),
                "{targets}: {most:?}"
            );
        }
        let plan = plan("node", INTERVAL, usize::MAX);
        assert_eq!(plan.slots(), MOST_SLOTS);
    }

    #[test]
    fn a_receiver_that_grows_target_by_target_is_no_herd() {
        let mut fiftieths = std::collections::BTreeMap::<_, u32>::new();
        for target in 0..10_000 {
            let name = format!("10.0.{}.{}:9000", target / 256, target % 256);
            let phase = plan(&name, INTERVAL, target + 1).phase();
            *fiftieths
                .entry(phase / (INTERVAL / SLOTS).as_nanos())
                .or_default() += 1;
        }
        assert_eq!(fiftieths.len(), 50);
        // 3 % of all polls would be a herd.
        assert!(
            fiftieths.values().all(|count| *count < 300),
            "{fiftieths:?}"
        );
    }
}
