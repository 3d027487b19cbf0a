//! The state of a node, and how it changes over time.

use std::ops::RangeInclusive;
use std::time::Duration;

use fastrand::Rng;

/// The usual latency of a healthy node, in milliseconds.
const USUAL_LATENCY_MS: f64 = 45.0;

/// Every number that a node reports, in both APIs. All of them can be set to any value.
///
/// The fields down to `peak_throughput` are those of the first API, the others those of the second
/// one.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct NodeState {
    /// Packets processed since the start.
    pub packets_processed: u64,
    /// Packets dropped since the start.
    pub packets_dropped: u64,
    /// Active nodes of the network.
    pub active_nodes: u64,
    /// Known but inactive nodes of the network.
    pub inactive_nodes: u64,
    /// All nodes of the network. It is a separate value, so that a test can make it contradict the
    /// others.
    pub total_nodes: u64,
    /// Bytes sent since the start.
    pub bytes_transmitted: u64,
    /// Bytes received since the start.
    pub bytes_received: u64,
    /// Current average latency in milliseconds.
    pub avg_latency_ms: f64,
    /// The highest throughput since the start, in bytes per second.
    pub peak_throughput: u64,
    /// The current mixnodes. The totals of the second API are sums over them.
    pub mixnodes: Vec<Mixnode>,
    /// Time since the start. The second API reports it in whole seconds.
    pub uptime: Duration,
    /// The `timestamp` of the second API in Unix seconds. `None` means the time of the answer.
    pub timestamp: Option<u64>,
}

/// One element of `/mixnodes`.
#[derive(Debug, Clone, PartialEq)]
pub struct Mixnode {
    /// Its name, unique in its node: `mixnode-` and 16 hexadecimal digits.
    pub id: String,
    /// Its current status.
    pub status: MixnodeStatus,
    /// Packets processed since it was added or the node restarted.
    pub packets_processed: u64,
    /// Packets forwarded since then.
    pub packets_forwarded: u64,
    /// Packets dropped since then.
    pub packets_dropped: u64,
    /// Time since then, in whole seconds.
    pub uptime_seconds: u64,
    /// Current average latency in milliseconds.
    pub avg_latency_ms: f64,
}

/// The status of a mixnode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MixnodeStatus {
    /// It is starting, and becomes active with the next [`NodeState::advance`].
    Deploying,
    /// It has traffic.
    Active,
    /// It has no traffic.
    Stopped,
}

impl MixnodeStatus {
    /// The name in the answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deploying => "deploying",
            Self::Active => "active",
            Self::Stopped => "stopped",
        }
    }
}

impl NodeState {
    /// A network of five to nine nodes and two to four mixnodes without any traffic yet.
    pub fn random(rng: &mut Rng) -> Self {
        let active_nodes = rng.u64(4..=7);
        let inactive_nodes = rng.u64(1..=2);
        let mut state = Self {
            active_nodes,
            inactive_nodes,
            total_nodes: active_nodes + inactive_nodes,
            avg_latency_ms: USUAL_LATENCY_MS,
            ..Self::default()
        };
        for _ in 0..rng.u8(2..=4) {
            state.add_mixnode(rng);
        }
        state
    }

    /// Advances by `elapsed`: traffic grows, the latency changes, and now and then a node appears
    /// or disappears.
    ///
    /// Totals only grow, and stop at `u64::MAX`.
    pub fn advance(&mut self, elapsed: Duration, rng: &mut Rng) {
        let seconds_before = self.uptime.as_secs();
        self.uptime = self.uptime.saturating_add(elapsed);
        let seconds = self.uptime.as_secs() - seconds_before;

        let packets = flow(200..=800, elapsed, rng);
        let packet_bytes = rng.u64(600..=1_400);
        let bytes = packets.saturating_mul(packet_bytes);
        add(&mut self.packets_processed, packets);
        add(&mut self.packets_dropped, flow(0..=4, elapsed, rng));
        add(&mut self.bytes_transmitted, bytes);
        add(&mut self.bytes_received, bytes / 2);
        self.peak_throughput = self.peak_throughput.max(per_second(bytes, elapsed));
        self.avg_latency_ms = wander(self.avg_latency_ms, rng);
        self.flip_one_node(rng);
        for mixnode in &mut self.mixnodes {
            mixnode.advance(elapsed, seconds, rng);
        }
    }

    /// The effect of a restart of the server on the numbers: totals and uptimes fall to 0.
    ///
    /// The members of the network and the latency stay.
    pub fn restart(&mut self) {
        self.packets_processed = 0;
        self.packets_dropped = 0;
        self.bytes_transmitted = 0;
        self.bytes_received = 0;
        self.peak_throughput = 0;
        self.uptime = Duration::ZERO;
        for mixnode in &mut self.mixnodes {
            mixnode.packets_processed = 0;
            mixnode.packets_forwarded = 0;
            mixnode.packets_dropped = 0;
            mixnode.uptime_seconds = 0;
        }
    }

    /// Adds a mixnode with a new name, which is still deploying.
    pub fn add_mixnode(&mut self, rng: &mut Rng) {
        self.mixnodes.push(Mixnode {
            id: format!("mixnode-{:016x}", rng.u64(..)),
            status: MixnodeStatus::Deploying,
            packets_processed: 0,
            packets_forwarded: 0,
            packets_dropped: 0,
            uptime_seconds: 0,
            avg_latency_ms: 0.0,
        });
    }

    /// Removes the oldest mixnode, and its share of the second API's totals.
    pub fn remove_mixnode(&mut self) -> Option<Mixnode> {
        (!self.mixnodes.is_empty()).then(|| self.mixnodes.remove(0))
    }

    /// In about one of fifty cases, one node of the network becomes active or inactive.
    fn flip_one_node(&mut self, rng: &mut Rng) {
        if rng.u8(0..50) > 0 {
            return;
        }
        let (from, to) = if rng.bool() {
            (&mut self.active_nodes, &mut self.inactive_nodes)
        } else {
            (&mut self.inactive_nodes, &mut self.active_nodes)
        };
        if let (Some(fewer), Some(more)) = (from.checked_sub(1), to.checked_add(1)) {
            (*from, *to) = (fewer, more);
        }
    }
}

impl Mixnode {
    fn advance(&mut self, elapsed: Duration, seconds: u64, rng: &mut Rng) {
        match self.status {
            MixnodeStatus::Stopped => return,
            MixnodeStatus::Deploying => {
                self.status = MixnodeStatus::Active;
                self.avg_latency_ms = USUAL_LATENCY_MS;
            }
            MixnodeStatus::Active => {}
        }
        let forwarded = flow(50..=200, elapsed, rng);
        let dropped = flow(0..=2, elapsed, rng);
        add(&mut self.packets_forwarded, forwarded);
        add(&mut self.packets_dropped, dropped);
        add(
            &mut self.packets_processed,
            forwarded.saturating_add(dropped),
        );
        add(&mut self.uptime_seconds, seconds);
        self.avg_latency_ms = wander(self.avg_latency_ms, rng);
    }
}

fn add(total: &mut u64, amount: u64) {
    *total = total.saturating_add(amount);
}

/// The amount in `elapsed` at a random rate per second.
fn flow(rates: RangeInclusive<u64>, elapsed: Duration, rng: &mut Rng) -> u64 {
    let nanos = elapsed
        .as_nanos()
        .saturating_mul(u128::from(rng.u64(rates)));
    u64::try_from(nanos / 1_000_000_000).unwrap_or(u64::MAX)
}

fn per_second(amount: u64, elapsed: Duration) -> u64 {
    let per_nano = (u128::from(amount) * 1_000_000_000).checked_div(elapsed.as_nanos());
    u64::try_from(per_nano.unwrap_or(0)).unwrap_or(u64::MAX)
}

/// One step of a random walk that tends to the usual latency.
fn wander(latency_ms: f64, rng: &mut Rng) -> f64 {
    let pull = (USUAL_LATENCY_MS - latency_ms) * 0.05;
    let step = (rng.f64() - 0.5) * 10.0;
    (latency_ms + pull + step).max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_states() {
        let life = |seed| {
            let mut rng = Rng::with_seed(seed);
            let mut state = NodeState::random(&mut rng);
            for _ in 0..100 {
                state.advance(Duration::from_secs(1), &mut rng);
            }
            state
        };
        assert_eq!(life(7), life(7));
        assert_ne!(life(7), life(8));
    }

    #[test]
    fn totals_grow_and_the_network_keeps_its_size() {
        let mut rng = Rng::with_seed(1);
        let mut state = NodeState::random(&mut rng);
        for _ in 0..1_000 {
            let before = state.clone();
            state.advance(Duration::from_secs(1), &mut rng);
            assert!(state.packets_processed > before.packets_processed);
            assert!(state.packets_dropped >= before.packets_dropped);
            assert!(state.bytes_transmitted > before.bytes_transmitted);
            assert!(state.bytes_received > before.bytes_received);
            assert!(state.avg_latency_ms >= 1.0);
            assert_eq!(state.active_nodes + state.inactive_nodes, state.total_nodes);
        }
        let mixnode = &state.mixnodes[0];
        assert_eq!(mixnode.status, MixnodeStatus::Active);
        assert_eq!(
            mixnode.packets_processed,
            mixnode.packets_forwarded + mixnode.packets_dropped
        );
    }

    #[test]
    fn short_ticks_add_up_to_whole_seconds() {
        let mut rng = Rng::with_seed(1);
        let mut state = NodeState::random(&mut rng);
        for _ in 0..25 {
            state.advance(Duration::from_millis(100), &mut rng);
        }
        assert_eq!(state.uptime, Duration::from_millis(2_500));
        assert_eq!(state.mixnodes[0].uptime_seconds, 2);
    }

    #[test]
    fn full_totals_stay_full() {
        let mut rng = Rng::with_seed(1);
        let mut state = NodeState {
            packets_processed: u64::MAX,
            bytes_transmitted: u64::MAX - 1,
            ..NodeState::random(&mut rng)
        };
        state.advance(Duration::from_secs(1), &mut rng);
        assert_eq!(state.packets_processed, u64::MAX);
        assert_eq!(state.bytes_transmitted, u64::MAX);
    }

    #[test]
    fn a_restart_resets_totals_and_keeps_the_network() {
        let mut rng = Rng::with_seed(1);
        let mut state = NodeState::random(&mut rng);
        state.advance(Duration::from_secs(60), &mut rng);
        let before = state.clone();
        state.restart();
        assert_eq!(state.packets_processed, 0);
        assert_eq!(state.uptime, Duration::ZERO);
        assert!(
            state
                .mixnodes
                .iter()
                .all(|m| m.packets_processed == 0 && m.uptime_seconds == 0)
        );
        assert_eq!(state.mixnodes.len(), before.mixnodes.len());
        assert_eq!(state.total_nodes, before.total_nodes);
    }

    #[test]
    fn mixnodes_are_added_and_the_oldest_is_removed_first() {
        let mut rng = Rng::with_seed(1);
        let mut state = NodeState::default();
        state.add_mixnode(&mut rng);
        state.add_mixnode(&mut rng);
        let oldest = state.mixnodes[0].clone();
        assert_eq!(state.remove_mixnode(), Some(oldest));
        assert!(state.remove_mixnode().is_some());
        assert_eq!(state.remove_mixnode(), None);
    }
}
