//! The answers of a node: from its state to the bodies of both APIs.

use serde_json::{Value, json};

use super::state::{Mixnode, MixnodeStatus, NodeState};

/// The two Betanet APIs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// The documented metrics API, below `/api/v1/`.
    Betanet,
    /// The real API of the public Betanet server: `/status`, `/mixnodes`, `/metrics`.
    Mixnode,
}

/// A body before it becomes bytes, so that a fault can still change a field.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Content {
    Json(Value),
    Prometheus(String),
}

impl Dialect {
    /// The paths of the API. Every other path is a 404.
    pub fn paths(self) -> &'static [&'static str] {
        match self {
            Self::Betanet => &[
                "/api/v1/metrics",
                "/api/v1/nodes/status",
                "/api/v1/network/stats",
            ],
            Self::Mixnode => &["/status", "/mixnodes", "/metrics"],
        }
    }

    /// The body at `path`, or `None` for an unknown path. `now` is in Unix seconds.
    pub(super) fn content(self, path: &str, state: &NodeState, now: u64) -> Option<Content> {
        match self {
            Self::Betanet => betanet(path, state).map(Content::Json),
            Self::Mixnode => mixnode(path, state, now),
        }
    }
}

fn betanet(path: &str, state: &NodeState) -> Option<Value> {
    match path {
        "/api/v1/metrics" => Some(json!({
            "packets_processed": state.packets_processed,
            "packets_dropped": state.packets_dropped,
        })),
        "/api/v1/nodes/status" => Some(json!({
            "active_nodes": state.active_nodes,
            "inactive_nodes": state.inactive_nodes,
            "total_nodes": state.total_nodes,
        })),
        "/api/v1/network/stats" => Some(json!({
            "bytes_transmitted": state.bytes_transmitted,
            "bytes_received": state.bytes_received,
            "avg_latency_ms": state.avg_latency_ms,
            "peak_throughput": state.peak_throughput,
        })),
        _ => None,
    }
}

fn mixnode(path: &str, state: &NodeState, now: u64) -> Option<Content> {
    match path {
        "/status" => Some(Content::Json(status(state, now))),
        "/mixnodes" => {
            let mixnodes = state.mixnodes.iter().map(element).collect();
            Some(Content::Json(Value::Array(mixnodes)))
        }
        "/metrics" => Some(Content::Prometheus(exposition(state))),
        _ => None,
    }
}

fn status(state: &NodeState, now: u64) -> Value {
    let active = active(state);
    json!({
        "status": if active > 0 { "operational" } else { "idle" },
        "active_nodes": active,
        "connections": active,
        "avg_latency_ms": mean_latency_ms(state),
        "packets_processed": sum(state, |mixnode| mixnode.packets_processed),
        "timestamp": state.timestamp.unwrap_or(now).to_string(),
    })
}

fn element(mixnode: &Mixnode) -> Value {
    json!({
        "id": mixnode.id,
        "status": mixnode.status.as_str(),
        "packets_processed": mixnode.packets_processed,
        "packets_forwarded": mixnode.packets_forwarded,
        "packets_dropped": mixnode.packets_dropped,
        "uptime_seconds": mixnode.uptime_seconds,
        "avg_latency_ms": mixnode.avg_latency_ms,
    })
}

/// The Prometheus text format, version 0.0.4.
fn exposition(state: &NodeState) -> String {
    let families = [
        (
            "betanet_nodes_total",
            "gauge",
            state.mixnodes.len().to_string(),
        ),
        ("betanet_nodes_active", "gauge", active(state).to_string()),
        (
            "betanet_packets_processed_total",
            "counter",
            sum(state, |mixnode| mixnode.packets_processed).to_string(),
        ),
        (
            "betanet_packets_forwarded_total",
            "counter",
            sum(state, |mixnode| mixnode.packets_forwarded).to_string(),
        ),
        (
            "betanet_packets_dropped_total",
            "counter",
            sum(state, |mixnode| mixnode.packets_dropped).to_string(),
        ),
        (
            "betanet_avg_latency_ms",
            "gauge",
            mean_latency_ms(state).to_string(),
        ),
        (
            "betanet_uptime_seconds",
            "counter",
            state.uptime.as_secs().to_string(),
        ),
    ];
    families
        .iter()
        .map(|(name, kind, value)| format!("# TYPE {name} {kind}\n{name} {value}\n"))
        .collect()
}

fn active(state: &NodeState) -> usize {
    state
        .mixnodes
        .iter()
        .filter(|mixnode| mixnode.status == MixnodeStatus::Active)
        .count()
}

fn sum(state: &NodeState, total: impl Fn(&Mixnode) -> u64) -> u64 {
    state
        .mixnodes
        .iter()
        .map(total)
        .fold(0, u64::saturating_add)
}

/// The mean over all mixnodes, or 0 without mixnodes.
fn mean_latency_ms(state: &NodeState) -> f64 {
    let total: f64 = state
        .mixnodes
        .iter()
        .map(|mixnode| mixnode.avg_latency_ms)
        .sum();
    total / state.mixnodes.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const NOW: u64 = 1_795_437_295;

    fn parsed(dialect: Dialect, path: &str, state: &NodeState) -> Value {
        let Some(Content::Json(value)) = dialect.content(path, state, NOW) else {
            panic!("no JSON at {path}");
        };
        serde_json::from_str(&value.to_string()).expect("a JSON body")
    }

    fn mixnodes() -> NodeState {
        let mixnode = |id: &str, status, packets_processed, avg_latency_ms| Mixnode {
            id: id.to_owned(),
            status,
            packets_processed,
            packets_forwarded: 7,
            packets_dropped: 1,
            uptime_seconds: 60,
            avg_latency_ms,
        };
        NodeState {
            mixnodes: vec![
                mixnode("mixnode-18eaae29c0165880", MixnodeStatus::Active, 10, 2.0),
                mixnode("mixnode-18eaae29c0165881", MixnodeStatus::Stopped, 5, 3.0),
            ],
            uptime: Duration::from_millis(90_900),
            ..NodeState::default()
        }
    }

    #[test]
    fn the_betanet_bodies_follow_the_documentation() {
        let state = NodeState {
            packets_processed: 5_000,
            packets_dropped: 10,
            active_nodes: 5,
            inactive_nodes: 2,
            total_nodes: 7,
            bytes_transmitted: 1_000_000,
            bytes_received: 500_000,
            avg_latency_ms: 45.0,
            peak_throughput: 10_000,
            ..NodeState::default()
        };
        let body = |path| parsed(Dialect::Betanet, path, &state);
        assert_eq!(
            body("/api/v1/metrics"),
            json!({"packets_processed": 5000, "packets_dropped": 10})
        );
        assert_eq!(
            body("/api/v1/nodes/status"),
            json!({"active_nodes": 5, "inactive_nodes": 2, "total_nodes": 7})
        );
        assert_eq!(
            body("/api/v1/network/stats"),
            json!({"bytes_transmitted": 1_000_000, "bytes_received": 500_000,
                "avg_latency_ms": 45.0, "peak_throughput": 10_000})
        );
    }

    #[test]
    fn the_largest_total_is_exact() {
        let state = NodeState {
            packets_processed: u64::MAX,
            ..NodeState::default()
        };
        let body = parsed(Dialect::Betanet, "/api/v1/metrics", &state);
        assert_eq!(body["packets_processed"].as_u64(), Some(u64::MAX));

        let mut state = mixnodes();
        state.mixnodes[0].packets_processed = u64::MAX;
        let body = parsed(Dialect::Mixnode, "/status", &state);
        assert_eq!(body["packets_processed"].as_u64(), Some(u64::MAX));
    }

    #[test]
    fn the_status_has_the_sums_of_the_current_mixnodes() {
        let mut state = mixnodes();
        assert_eq!(
            parsed(Dialect::Mixnode, "/status", &state),
            json!({"status": "operational", "active_nodes": 1, "connections": 1,
                "avg_latency_ms": 2.5, "packets_processed": 15, "timestamp": "1795437295"})
        );
        state.remove_mixnode();
        state.timestamp = Some(1);
        assert_eq!(
            parsed(Dialect::Mixnode, "/status", &state),
            json!({"status": "idle", "active_nodes": 0, "connections": 0,
                "avg_latency_ms": 3.0, "packets_processed": 5, "timestamp": "1"})
        );
    }

    #[test]
    fn the_mixnodes_are_an_array_that_may_be_empty() {
        let body = parsed(Dialect::Mixnode, "/mixnodes", &mixnodes());
        assert_eq!(
            body[1],
            json!({"id": "mixnode-18eaae29c0165881", "status": "stopped",
                "packets_processed": 5, "packets_forwarded": 7, "packets_dropped": 1,
                "uptime_seconds": 60, "avg_latency_ms": 3.0})
        );
        let none = NodeState::default();
        assert_eq!(parsed(Dialect::Mixnode, "/mixnodes", &none), json!([]));
        assert_eq!(
            parsed(Dialect::Mixnode, "/status", &none)["avg_latency_ms"],
            json!(0.0)
        );
    }

    #[test]
    fn the_exposition_is_prometheus_text() {
        let content = Dialect::Mixnode.content("/metrics", &mixnodes(), NOW);
        let Some(Content::Prometheus(text)) = content else {
            panic!("no text at /metrics");
        };
        let samples: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            samples,
            [
                "betanet_nodes_total 2",
                "betanet_nodes_active 1",
                "betanet_packets_processed_total 15",
                "betanet_packets_forwarded_total 14",
                "betanet_packets_dropped_total 2",
                "betanet_avg_latency_ms 2.5",
                "betanet_uptime_seconds 90",
            ]
        );
        assert!(text.starts_with("# TYPE betanet_nodes_total gauge\n"));
    }

    #[test]
    fn each_api_has_only_its_own_paths() {
        let state = NodeState::default();
        for (dialect, other) in [
            (Dialect::Betanet, Dialect::Mixnode),
            (Dialect::Mixnode, Dialect::Betanet),
        ] {
            for path in dialect.paths() {
                assert!(dialect.content(path, &state, NOW).is_some());
                assert_eq!(other.content(path, &state, NOW), None);
            }
        }
    }
}
