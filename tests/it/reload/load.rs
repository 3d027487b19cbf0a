//! A test with a hundred reloads under load.

use std::{collections::BTreeMap, time::Duration};

use super::stand::{FIRST, Reloading, STAYING, Variant, arrived};
use crate::support::{
    scrape::Scrape,
    sink::{Kind, Point, Value},
    stand::polls,
};

/// The number of reloads. Every second one has an invalid file.
const RELOADS: usize = 100;

/// Each one differs from the previous one in another section.
const VARIANTS: [Variant; 11] = [
    Variant {
        metric: "{name: one.more, instrument: counter, endpoint: network, value: $.bytes_received}",
        ..FIRST
    },
    Variant { nodes: 4, ..FIRST },
    Variant {
        receiver: "collection_interval: 600ms, timeout: 5s",
        ..FIRST
    },
    Variant {
        receiver: "collection_interval: 500ms, timeout: 4s, cache: {ttl: 1s}, \
            headers: {x-who: me}, max_idle_conns: 900",
        ..FIRST
    },
    Variant {
        otlp: ", timeout: 7s",
        ..FIRST
    },
    Variant {
        prometheus: ", max_stale: 6m",
        ..FIRST
    },
    Variant {
        processors: "filter, aggregate, attributes",
        ..FIRST
    },
    Variant {
        exporters: "prometheus, otlp_http, debug",
        ..FIRST
    },
    Variant {
        pipelines: "metrics/2: {receivers: [betanet], exporters: [debug]}",
        ..FIRST
    },
    Variant {
        health: ", path: /state",
        ..FIRST
    },
    Variant {
        telemetry: "logs: {level: warn, encoding: json}, ",
        ..FIRST
    },
];

/// The values of a scrape by series, of some targets or of the collector itself.
fn series(scrape: &Scrape, targets: &[&str]) -> BTreeMap<String, f64> {
    let samples = scrape.all().iter();
    let of = samples.filter(|sample| {
        let target = sample.labels.get("target");
        target.map_or(targets.is_empty(), |target| {
            targets.contains(&target.as_str())
        })
    });
    of.map(|sample| {
        let key = format!("{}{:?}", sample.name, sample.labels);
        (key, sample.value.parse().unwrap())
    })
    .collect()
}

/// Checks that no series disappeared, and no total fell.
fn assert_goes_on(before: &BTreeMap<String, f64>, after: &BTreeMap<String, f64>, round: usize) {
    for (key, old) in before {
        let new = after.get(key);
        let new = new.unwrap_or_else(|| panic!("{key} is gone in round {round}"));
        let name = key.split('{').next().unwrap();
        // The collector's own counters have no suffix.
        let is_total = name.ends_with("_total") || name.ends_with("_metric_points");
        assert!(!is_total || new >= old, "{key}: {new} after {old}, {round}");
    }
}

/// Checks that each total, also of the fleet, has one start time and never falls.
fn assert_totals_go_on(points: &[Point]) {
    let mut last = BTreeMap::new();
    let mut points: Vec<_> = points.iter().collect();
    points.sort_by_key(|point| point.time);
    for point in points {
        let node = point.resource.get("service.instance.id").unwrap();
        let is_total = matches!(point.kind, Kind::Sum { monotonic, .. } if monotonic);
        let is_staying = STAYING.contains(&node.as_str()) || node == "fleet";
        let is_known = is_staying && point.name != "one.more";
        if !is_total || !is_known {
            continue;
        }
        let value = match point.value {
            Value::Int(value) => value as f64,
            Value::Double(value) => value,
            _ => continue,
        };
        let key = (node, &point.scope, &point.name, &point.attributes);
        let (start, before) = last
            .insert(key, (point.start_time, value))
            .unwrap_or((point.start_time, value));
        assert_eq!(point.start_time, start, "{key:?} began anew");
        assert!(value >= before, "{key:?}: {value} after {before}");
    }
    assert!(last.len() > 30, "{} totals", last.len());
    let of_fleet = last.into_iter().filter(|((node, ..), _)| *node == "fleet");
    let of_fleet: Vec<_> = of_fleet.map(|(_, (_, value))| value).collect();
    assert!(of_fleet.len() == 1 && of_fleet[0] > 0.0, "{of_fleet:?}");
}

#[tokio::test]
async fn a_hundred_reloads_under_load_leave_no_gap_and_lose_no_point() {
    let stand = Reloading::start(FIRST, &[]).await;
    for node in STAYING {
        stand.until_polled(node, 2.0).await;
    }
    let files = stand.open_files();
    let (mut shown, mut own) = (BTreeMap::new(), BTreeMap::new());
    for round in 0..RELOADS {
        for node in &stand.world.nodes {
            node.advance(Duration::from_secs(1));
        }
        let good = stand.world.config(VARIANTS[round / 2 % VARIANTS.len()]);
        let is_broken = round % 2 == 1;
        let broken = good.replace("exporters: [", "exporters: [nowhere, ");
        let (status, text) = stand.reload(if is_broken { &broken } else { &good }).await;
        assert_eq!(status, if is_broken { 500 } else { 200 }, "{text}");
        let scrape = stand.scrape().await;
        let mut now = series(&scrape, &STAYING);
        now.retain(|key, _| !key.contains("one_more"));
        assert_goes_on(&shown, &now, round);
        shown = now;
        for node in STAYING {
            let up = scrape.value(&format!("betanet_up{{target=\"{node}\"}}"));
            assert_eq!(up, Some(1.0), "{node}, {round}");
        }
        let scrape = stand.own().await;
        let successful = scrape.value("betanet_config_last_reload_successful");
        assert_eq!(successful, Some(f64::from(u8::from(!is_broken))));
        let mut now = series(&scrape, &[]);
        now.retain(|key, _| key.contains("otlp_http") && !key.contains("_queue_"));
        now.retain(|key, _| key.contains("_metric_points") && !key.contains("_held_"));
        assert_goes_on(&own, &now, round);
        own = now;
    }
    let last = stand.scrape().await;
    let missed = last.sum("betanet_poll_missed_ticks_total");
    assert_eq!(missed, 0.0, "ticks were missed");
    let more = stand.open_files().saturating_sub(files);
    assert!(more <= 16, "{more} more open files");
    let (code, log) = stand.collector.stop().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(!log.contains("data points dropped"), "{log}");
    let points = stand.world.sink.points();
    assert_totals_go_on(&points);
    for node in STAYING {
        let (arrived, polled) = (arrived(&points, node).len() as f64, polls(&last, node));
        assert!(arrived >= polled, "{arrived} of at least {polled}");
    }
}
