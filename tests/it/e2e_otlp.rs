//! Tests of OTLP from the real program to a receiver: directly, and through an independent
//! collector.

use std::collections::{BTreeMap, BTreeSet};

use betanet_collector::simulator::{Dialect, Node, NodeFault};

use crate::support::{
    line::{Line, Way},
    sink::{Kind, Point, Value},
    stand::{documented_node, node},
};

const METRICS: &str = "/api/v1/metrics";
const TOTAL: Kind = Kind::Sum {
    monotonic: true,
    cumulative: true,
};

/// The metrics of the documented bodies: name, scope, unit and value.
type Documented = &'static [(&'static str, &'static str, &'static str, Value)];
const TOTALS: Documented = &[
    (
        "betanet_messages_total",
        "betanet/metrics",
        "",
        Value::Int(5_000),
    ),
    (
        "betanet_packets_dropped_total",
        "betanet/metrics",
        "",
        Value::Int(10),
    ),
    (
        "betanet_bytes_transmitted_total",
        "betanet/network",
        "By",
        Value::Int(1_000_000),
    ),
    (
        "betanet_bytes_received_total",
        "betanet/network",
        "By",
        Value::Int(500_000),
    ),
];
const GAUGES: Documented = &[
    (
        "betanet_connected_peers",
        "betanet/nodes",
        "",
        Value::Int(7),
    ),
    ("betanet_mixnode_active", "betanet/nodes", "", Value::Int(5)),
    (
        "betanet_mixnode_inactive",
        "betanet/nodes",
        "",
        Value::Int(2),
    ),
    (
        "betanet_message_latency_average_seconds",
        "betanet/network",
        "s",
        Value::Double(0.045),
    ),
    (
        "betanet_peak_throughput_bytes_per_second",
        "betanet/network",
        "By/s",
        Value::Int(10_000),
    ),
];

/// A test for each route. The ones through Rotel run if it is installed.
macro_rules! each_way {
    ($name:ident) => {
        mod $name {
            use super::Way;

            #[tokio::test]
            async fn directly() {
                super::$name(Way::Direct).await;
            }

            #[tokio::test]
            #[ignore = "needs prometheus and rotel: run tests/run"]
            async fn through_rotel_over_http() {
                super::$name(Way::RotelHttp).await;
            }

            #[tokio::test]
            #[ignore = "needs prometheus and rotel: run tests/run"]
            async fn through_rotel_over_grpc() {
                super::$name(Way::RotelGrpc).await;
            }
        }
    };
}

each_way!(points_are_what_the_node_says);
each_way!(integers_are_exact_as_far_as_otlp_has_them);
each_way!(each_poll_arrives_once_and_in_order);
each_way!(an_endpoint_that_fails_is_a_gap);
each_way!(a_total_that_falls_begins_anew_and_its_neighbor_goes_on);
each_way!(a_restart_begins_every_total_anew);
each_way!(a_mixnode_that_leaves_is_heard_of_no_more);

async fn points_are_what_the_node_says(way: Way) {
    let node = documented_node();
    let line = Line::start(way, &[("node", &node)]).await;
    line.stand.until_polls("node", 2.0).await;
    let points = line.end().await;
    let port = node.address().port().to_string();
    let resource = BTreeMap::from(
        [
            ("service.name", "betanet"),
            ("service.instance.id", "node"),
            ("server.address", "127.0.0.1"),
            ("server.port", &port),
            ("url.scheme", "http"),
            ("region", "eu"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned())),
    );
    for point in &points {
        assert_eq!(*point.resource, resource, "{}", point.name);
        assert!(!point.description.is_empty(), "{}", point.name);
        assert!(point.time > 0, "{}", point.name);
        let counts = point.kind == TOTAL || matches!(point.kind, Kind::Histogram { .. });
        assert_eq!(counts, point.start_time > 0, "{point:?}");
        assert!(point.start_time <= point.time, "{point:?}");
    }
    for (documented, kind) in [(TOTALS, TOTAL), (GAUGES, Kind::Gauge)] {
        for (name, scope, unit, value) in documented {
            let point = named(&points, name)[0];
            assert_eq!((point.scope.as_str(), point.unit.as_str()), (*scope, *unit));
            assert_eq!((point.kind, &point.value), (kind, value), "{name}");
            assert_eq!(point.attributes, BTreeMap::new(), "{name}");
            if kind == TOTAL {
                assert_eq!(point.start_time, point.time, "the start is unknown");
            }
        }
    }
    let ours = named(&points, "betanet.poll.missed_ticks")[0];
    assert!(ours.start_time < ours.time, "the start is known");
    assert_one_time_a_poll(&points);
    let observed = named(&points, "betanet_message_latency_seconds")[0];
    assert_eq!(observed.kind, Kind::Histogram { cumulative: true });
    assert_eq!(observed.unit, "s");
    let bounds = vec![
        0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
    ];
    let observed_once = Value::Histogram {
        count: 1,
        sum: Some(0.045),
        bounds,
        buckets: vec![0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0],
    };
    assert_eq!(observed.value, observed_once);
    let description = "Bytes that the node has transmitted since it started.";
    let transmitted = named(&points, "betanet_bytes_transmitted_total");
    assert_eq!(transmitted[0].description, description);
    let up = source_up(&points, METRICS);
    assert_eq!((up[0].kind, &up[0].value), (Kind::Gauge, &Value::Int(1)));
}

async fn integers_are_exact_as_far_as_otlp_has_them(way: Way) {
    let node = documented_node();
    node.update(|state| {
        state.packets_processed = i64::MAX.unsigned_abs();
        state.packets_dropped = (1 << 53) + 1;
        state.bytes_transmitted = 1 << 63;
        state.bytes_received = u64::MAX;
        state.total_nodes = u64::MAX;
    });
    let line = Line::start(way, &[("node", &node)]).await;
    line.stand.until_polls("node", 3.0).await;
    let points = line.end().await;
    for (name, value) in [
        ("betanet_messages_total", Value::Int(i64::MAX)),
        ("betanet_packets_dropped_total", Value::Int((1 << 53) + 1)),
        (
            "betanet_bytes_transmitted_total",
            Value::Double(9_223_372_036_854_775_808.0),
        ),
        (
            "betanet_bytes_received_total",
            Value::Double(18_446_744_073_709_551_615.0),
        ),
        (
            "betanet_connected_peers",
            Value::Double(18_446_744_073_709_551_615.0),
        ),
    ] {
        let points = named(&points, name);
        assert!(points.len() >= 3, "{name}");
        for point in points {
            assert_eq!(point.value, value, "{name} at every poll");
        }
    }
}

async fn each_poll_arrives_once_and_in_order(way: Way) {
    let node = documented_node();
    let line = Line::start(way, &[("node", &node)]).await;
    line.stand.until_polls("node", 10.0).await;
    let points = line.end().await;
    assert_each_poll_once(&node, &points);
}

fn assert_each_poll_once(node: &Node, points: &[Point]) {
    for (name, path) in [
        ("betanet_messages_total", METRICS),
        ("betanet_connected_peers", "/api/v1/nodes/status"),
        ("betanet_message_latency_seconds", "/api/v1/network/stats"),
    ] {
        let arrived = named(points, name);
        assert_times_grow(&arrived);
        let asked = node.requests_to(path);
        // The poll in progress at the end is dropped.
        let missing = asked - arrived.len() as u64;
        assert!(missing <= 1, "{name}: {asked} asked, {missing} missing");
    }
    let observed = named(points, "betanet_message_latency_seconds");
    for (before, point) in observed.iter().enumerate() {
        let Value::Histogram { count, .. } = point.value else {
            panic!("{point:?}");
        };
        assert_eq!(count, before as u64 + 1, "one observation for each poll");
    }
}

async fn an_endpoint_that_fails_is_a_gap(way: Way) {
    let node = documented_node();
    let line = Line::start(way, &[("node", &node)]).await;
    line.stand.until_polls("node", 2.0).await;
    node.set_fault(Some(METRICS), NodeFault::InvalidJson);
    line.stand.after_polls("node", 5).await;
    node.clear_faults();
    line.stand.after_polls("node", 3).await;
    let points = line.end().await;

    let up = source_up(&points, METRICS);
    let times_of = |value| {
        let points = up
            .iter()
            .filter(move |point| point.value == Value::Int(value));
        points.map(|point| point.time).collect::<Vec<_>>()
    };
    let (ups, downs) = (times_of(1), times_of(0));
    assert!(downs.len() >= 4, "{downs:?}");
    let (first, last) = (downs[0], downs[downs.len() - 1]);
    let fresh = named(&points, "betanet_messages_total");
    assert_eq!(fresh.len(), ups.len(), "exactly one value for each body");
    let within = fresh.iter().filter(|p| (first..=last).contains(&p.time));
    assert_eq!(within.count(), 0, "no old value with a new time");
    let others = named(&points, "betanet_connected_peers");
    assert_eq!(others.len(), up.len(), "the other endpoints continue");
    let ends = ends(&points, "betanet_messages_total");
    if way == Way::Direct {
        let times: Vec<_> = ends.iter().map(|end| end.time).collect();
        assert_eq!(times, [first], "its end is sent once");
    }
    let starts: Vec<_> = fresh.iter().map(|point| point.start_time).collect();
    assert!(
        starts.iter().all(|s| *s == starts[0]),
        "a gap is not a reset"
    );
}

async fn a_total_that_falls_begins_anew_and_its_neighbor_goes_on(way: Way) {
    let node = documented_node();
    let line = Line::start(way, &[("node", &node)]).await;
    line.stand.until_polls("node", 3.0).await;
    node.update(|state| {
        state.packets_processed = 3;
        state.packets_dropped += 1;
    });
    line.stand.after_polls("node", 3).await;
    let points = line.end().await;
    assert_begins_anew(&named(&points, "betanet_messages_total"), 5_000, 3);
    for name in [
        "betanet_packets_dropped_total",
        "betanet_bytes_received_total",
    ] {
        let starts: Vec<_> = named(&points, name).iter().map(|p| p.start_time).collect();
        assert!(starts.iter().all(|start| *start == starts[0]), "{name}");
    }
}

async fn a_restart_begins_every_total_anew(way: Way) {
    let node = documented_node();
    let line = Line::start(way, &[("node", &node)]).await;
    line.stand.until_polls("node", 3.0).await;
    node.restart();
    line.stand.after_polls("node", 3).await;
    let points = line.end().await;
    for (name, before) in [
        ("betanet_messages_total", 5_000),
        ("betanet_packets_dropped_total", 10),
        ("betanet_bytes_transmitted_total", 1_000_000),
        ("betanet_bytes_received_total", 500_000),
    ] {
        assert_begins_anew(&named(&points, name), before, 0);
    }
    let resets = named(&points, "betanet.counter.resets");
    assert_eq!(resets[resets.len() - 1].value, Value::Int(4));
}

/// One start time while the value is `before`, and a later one from the first `after` on.
fn assert_begins_anew(points: &[&Point], before: i64, after: i64) {
    assert_times_grow(points);
    let fall = points.iter().position(|p| p.value == Value::Int(after));
    let (old, new) = points.split_at(fall.unwrap());
    for (part, value) in [(old, before), (new, after)] {
        for point in part {
            assert_eq!(point.value, Value::Int(value));
            assert_eq!(point.start_time, part[0].start_time);
        }
    }
    assert!(
        old[old.len() - 1].time < new[0].start_time,
        "{old:?} {new:?}"
    );
    assert!(new[0].start_time <= new[0].time);
}

async fn a_mixnode_that_leaves_is_heard_of_no_more(way: Way) {
    let node = node(Dialect::Mixnode);
    node.update(|state| {
        for mixnode in &mut state.mixnodes {
            mixnode.packets_processed = 100;
        }
    });
    let line = Line::start(way, &[("node", &node)]).await;
    line.stand.until_polls("node", 3.0).await;
    let gone = node.update(|state| state.remove_mixnode()).unwrap();
    let stays = node.state().mixnodes[0].id.clone();
    line.stand.after_polls("node", 5).await;
    let points = line.end().await;

    let of = |id: &str| {
        let points = named(&points, "betanet_mixnode_packets_processed_total");
        let mine = |point: &&Point| point.attributes["betanet.mixnode.id"] == id;
        points.into_iter().filter(mine).collect::<Vec<_>>()
    };
    let left_id = gone.id;
    let (gone, stays) = (of(&left_id), of(&stays));
    assert!(
        stays.len() >= gone.len() + 3,
        "{} {}",
        stays.len(),
        gone.len()
    );
    assert!(stays.iter().all(|p| p.start_time == stays[0].start_time));
    let ends = ends(&points, "betanet_mixnode_packets_processed_total");
    if way == Way::Direct {
        assert_eq!(ends.len(), 1, "{ends:?}");
        assert_eq!(ends[0].attributes["betanet.mixnode.id"], left_id);
    }
    // The sum over the mixnodes fell too, and starts again.
    let left = i64::try_from(node.state().mixnodes.len()).unwrap() * 100;
    let sums = named(&points, "betanet_packets_processed_total");
    assert_begins_anew(&sums, left + 100, left);
}

#[tokio::test]
async fn a_destination_that_was_down_gets_everything_in_order() {
    let node = documented_node();
    let line = Line::start(Way::Direct, &[("node", &node)]).await;
    line.stand.until_polls("node", 3.0).await;
    line.sink.set_away(true);
    line.stand.after_polls("node", 20).await;
    let before = line.sink.points().len();
    line.sink.set_away(false);
    line.sink
        .wait("the waiting points", |points| points.len() > before)
        .await;
    line.stand.after_polls("node", 5).await;
    let points = line.end().await;
    assert_each_poll_once(&node, &points);
}

fn named<'a>(points: &'a [Point], name: &str) -> Vec<&'a Point> {
    let has_value = |point: &&Point| point.value != Value::Missing;
    let points = points.iter().filter(|point| point.name == name);
    points.filter(has_value).collect()
}

/// A poll has more than ten points.
fn assert_one_time_a_poll(points: &[Point]) {
    let times: BTreeSet<_> = points.iter().take(20).map(|point| point.time).collect();
    assert!(times.len() <= 2, "{times:?}");
}

/// The points that end a series of a metric.
fn ends<'a>(points: &'a [Point], name: &str) -> Vec<&'a Point> {
    let points = points.iter().filter(|point| point.name == name);
    points
        .filter(|point| point.value == Value::Missing)
        .collect()
}

fn source_up<'a>(points: &'a [Point], path: &str) -> Vec<&'a Point> {
    let mut up = named(points, "betanet.source.up");
    up.retain(|point| point.attributes["url.template"] == path);
    up
}

fn assert_times_grow(points: &[&Point]) {
    for pair in points.windows(2) {
        assert!(pair[0].time < pair[1].time, "{pair:?}");
    }
}
