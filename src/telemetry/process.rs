//! The resources that the collector uses, read from `/proc/self` at each collection.

use tokio::time::Instant;

use super::{Meter, names};

/// Linux counts processor time in hundredths of a second on all its platforms (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

/// Memory pages have 4 KiB on the platforms that this binary is built for.
const PAGE_BYTES: u64 = 4096;

/// Registers uptime, processor time and resident memory.
pub(super) fn observe(meter: &Meter) {
    let started = Instant::now();
    names::UPTIME.always_counter(meter, move |observer| {
        observer.observe(started.elapsed().as_secs_f64(), &[]);
    });
    names::CPU_SECONDS.always_counter(meter, |observer| {
        if let Some(seconds) = read("/proc/self/stat").and_then(|stat| cpu_seconds(&stat)) {
            observer.observe(seconds, &[]);
        }
    });
    names::MEMORY_RSS.always_gauge(meter, |observer| {
        if let Some(bytes) = resident_bytes() {
            observer.observe(bytes, &[]);
        }
    });
}

/// Resident memory of this process in bytes. `None` if `/proc` does not have it.
pub fn resident_bytes() -> Option<u64> {
    let pages: u64 = read("/proc/self/statm")?
        .split_whitespace()
        .nth(1)?
        .parse()
        .ok()?;
    Some(pages * PAGE_BYTES)
}

/// Memory in bytes that this process may use: the limit of its control group, or the memory of the
/// machine. `None` if neither is known.
pub fn memory_bytes() -> Option<u64> {
    let number = |text: String| text.trim().parse::<u64>().ok();
    // Without a limit, version 2 has `max` and version 1 has a number beyond all memory.
    let group = read("/sys/fs/cgroup/memory.max")
        .or_else(|| read("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
        .and_then(number);
    let machine = read("/proc/meminfo").and_then(|text| memory_total(&text));
    group.into_iter().chain(machine).min()
}

/// Parses `MemTotal:  24576000 kB`.
fn memory_total(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

fn read(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

/// User and system time: fields 14 and 15 of `proc(5)`. The command in field 2 may contain spaces.
#[expect(
    clippy::cast_precision_loss,
    reason = "ticks of a process are far below 2^53"
)]
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, after_command) = stat.rsplit_once(')')?;
    let mut fields = after_command.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some((user + system) as f64 / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_read_after_a_command_with_spaces() {
        let stat = "12 (a b) c) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0 8 0 100";
        assert_eq!(cpu_seconds(stat), Some(3.0));
    }

    #[test]
    fn total_memory_is_read_from_meminfo() {
        let text = "MemFree: 5 kB\nMemTotal:       24576000 kB\n";
        assert_eq!(memory_total(text), Some(24_576_000 * 1024));
        assert!(memory_bytes().unwrap() > resident_bytes().unwrap());
    }

    #[test]
    fn resident_memory_of_this_process_is_above_zero() {
        assert!(resident_bytes().unwrap() > 100_000);
    }
}
