//! Tests of the rows that are kept between polls, and of what targets share.

use std::{collections::BTreeSet, io::Read as _};

use opentelemetry::{KeyValue, metrics::MeterProvider as _};
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use proptest::prelude::*;

use super::{
    BOTH, Config, collect, export, exporter,
    fixture::{self, exporter_of, gauges, meter, samples, target},
};
use crate::{
    exporters::prometheus::lock,
    http::{ClientLimits, Listeners, ServerConfig},
    pipeline::{Components, Exporter as _},
    runtime::{Clock, Tasks},
};

#[test]
fn targets_with_the_same_series_share_everything_but_numbers() {
    let exporter = exporter();
    let layouts = || lock(&exporter.store).layouts();
    let ids = ["a", "b", "c", "d", "e"];
    let targets: Vec<_> = (0..5).map(|n| target(&format!("n{n}"), &[])).collect();
    for round in 0..3 {
        for (number, target) in (0..).zip(&targets) {
            // The SDK has the series of a metric in any order.
            let values = ids.map(|id| ("x", id, round * 10 + number));
            export(
                &exporter,
                target,
                BOTH,
                &[gauges("betanet/network", &values)],
            );
        }
        assert_eq!(layouts(), 1);
    }
    let expected = (0..5).flat_map(|n| {
        let line = move |id| format!("x{{target=\"n{n}\",id=\"{id}\"}} {}", 20 + n);
        ids.map(line)
    });
    assert_eq!(samples(&exporter), expected.collect::<Vec<_>>());

    export(
        &exporter,
        &targets[0],
        BOTH,
        &[gauges("betanet/network", &[("x", "a", 7)])],
    );
    assert_eq!(layouts(), 2);
    assert_eq!(samples(&exporter).len(), 21);
    targets.iter().for_each(|target| exporter.forget(target));
    assert_eq!(layouts(), 0);
}

#[test]
fn targets_are_in_the_order_of_their_labels() {
    let exporter = exporter();
    let show = |name: &str, label: &str, value| {
        let values = gauges("betanet/network", &[("x", "a", value)]);
        let target = target(name, &[("region", label)]);
        export(&exporter, &target, BOTH, &[values]);
        target
    };
    let line = |name: &str, label: &str, value: u64| {
        format!("x{{target=\"{name}\",region=\"{label}\",id=\"a\"}} {value}")
    };
    for name in ["n3", "n1", "n4", "n2"] {
        show(name, "eu", 1);
    }
    let all = ["n1", "n2", "n3", "n4"].map(|name| line(name, "eu", 1));
    assert_eq!(samples(&exporter), all);

    // Another description with the same labels, and one with others.
    let n1 = show("n1", "eu", 2);
    show("n3", "us", 3);
    let [_, n2, _, n4] = all;
    let n3 = line("n3", "us", 3);
    let others = [n2, n3, n4];
    let changed = [&[line("n1", "eu", 2)][..], &others].concat();
    assert_eq!(samples(&exporter), changed);
    exporter.forget(&n1);
    assert_eq!(samples(&exporter), others);
}

#[test]
fn a_poll_with_the_same_series_allocates_little_and_keeps_nothing() {
    let (exporter, target) = (exporter(), target("n", &[]));
    let names: Vec<_> = (0..20)
        .map(|n| format!("metric_{n}").leak() as &str)
        .collect();
    let poll = |value| {
        let ids = ["a", "b", "c"].into_iter();
        let series = ids.flat_map(|id| names.iter().map(move |name| (*name, id, value)));
        gauges("betanet/network", &series.collect::<Vec<_>>())
    };
    for value in 0..2 {
        export(&exporter, &target, BOTH, &[poll(value)]);
    }
    let metrics = [poll(2)];
    let spent = allocation_counter::measure(|| export(&exporter, &target, BOTH, &metrics));
    assert!(spent.count_total <= 2, "{spent:?}");
    assert_eq!(spent.bytes_current, 0);
    assert!(samples(&exporter).iter().all(|line| line.ends_with(" 2")));
}

proptest! {
    /// Numbers are replaced in place where the Resource is the one that is shown. With another one
    /// that is equal, all rows are written again. A scrape shows the same.
    #[test]
    fn numbers_that_are_replaced_in_place_are_those_of_rows_that_are_written(
        polls in prop::collection::vec(poll(), 1..8),
    ) {
        let (replacing, writing) = (exporter(), exporter());
        let targets = ["m", "n"].map(|name| target(name, &[]));
        for Polled { of, fresh, lost, scopes } in polls {
            let metrics = scopes.map(|(scope, values)| collected(scope, &values));
            let target = &targets[of];
            let shared = (&fixture::shared_resource(&metrics), metrics.as_slice());
            fixture::show_with(&replacing, target, [fresh, lost], false, shared);
            let other = (&fixture::resource(&metrics), metrics.as_slice());
            fixture::show_with(&writing, target, [fresh, lost], false, other);
            prop_assert_eq!(fixture::scrape(&replacing), fixture::scrape(&writing));
        }
    }
}

/// Gauges, each with its name, the value of its attribute `id` and its value, and a histogram.
#[derive(Debug)]
struct Values {
    gauges: Vec<(&'static str, &'static str, u64)>,
    /// How many bounds it has, and what it records.
    histogram: Option<(usize, f64)>,
}

fn collected(scope: &'static str, values: &Values) -> ResourceMetrics {
    collect(|provider| {
        let meter = provider.meter(scope);
        for (name, id, value) in &values.gauges {
            let gauge = meter.u64_gauge(*name).build();
            gauge.record(*value, &[KeyValue::new("id", *id)]);
        }
        if let Some((bounds, value)) = values.histogram {
            let bounds = (1..=bounds).map(|bound| bound as f64);
            let histogram = meter.f64_histogram("h").with_boundaries(bounds.collect());
            let histogram = histogram.build();
            histogram.record(value, &[]);
            histogram.record(2.5, &[KeyValue::new("id", "a")]);
        }
    })
}

/// A poll of a target, and what each scope has.
#[derive(Debug)]
struct Polled {
    of: usize,
    fresh: [bool; 2],
    lost: [bool; 2],
    scopes: [(&'static str, Values); 3],
}

fn poll() -> impl Strategy<Value = Polled> {
    let (names, ids) = (vec!["x", "y", "y_ratio"], vec!["a", "b"]);
    let value = (
        prop::sample::select(names),
        prop::sample::select(ids),
        0..3_u64,
    );
    let gauges = prop::collection::btree_set(value, 0..4);
    let values = (gauges, prop::option::of((1..4_usize, 0.0..4.0)));
    let scopes = [values.clone(), values.clone(), values];
    let flags = any::<([bool; 2], [bool; 2])>();
    (0..2_usize, flags, scopes).prop_map(|(of, (fresh, lost), [network, mixnodes, own])| {
        let values = |(gauges, histogram): (BTreeSet<_>, _)| Values {
            gauges: gauges.into_iter().collect(),
            histogram,
        };
        Polled {
            of,
            fresh,
            lost,
            scopes: [
                ("betanet/network", values(network)),
                ("betanet/mixnodes", values(mixnodes)),
                ("betanet-collector", values(own)),
            ],
        }
    })
}

#[test]
fn labels_that_only_one_target_has_are_not_shared() {
    let exporter = exporter_of(&Config {
        without_scope_info: false,
        ..Config::default()
    });
    for name in ["m", "n"] {
        let target = target(name, &[("name", name)]);
        export(
            &exporter,
            &target,
            BOTH,
            &[gauges("betanet/network", &[("x", "a", 1)])],
        );
    }
    assert_eq!(
        lock(&exporter.store).layouts(),
        1,
        "they are labels of the target"
    );
    let expected = ["m", "n"].map(|name| {
        format!(
            "x{{target=\"{name}\",name=\"{name}\",otel_scope_name=\"betanet/network\",id=\"a\"}} 1"
        )
    });
    assert_eq!(samples(&exporter), expected);
}

/// Scrapes with gzip.
async fn scrape(url: &str) -> String {
    let client = reqwest::Client::builder().no_gzip().build().unwrap();
    let request = client.get(url).header("accept-encoding", "gzip");
    let answer = request.send().await.unwrap();
    assert_eq!(answer.headers()["content-encoding"], "gzip");
    let (bytes, mut text) = (answer.bytes().await.unwrap(), String::new());
    let mut plain = flate2::read::GzDecoder::new(&bytes[..]);
    plain.read_to_string(&mut text).unwrap();
    text
}

#[tokio::test]
async fn a_compressed_scrape_is_shared_until_a_poll() {
    let mut listeners = Listeners::new(ClientLimits::default(), &meter());
    let exporter = std::sync::Arc::new(exporter());
    let server = ServerConfig::plain("127.0.0.1:0");
    listeners
        .route(&server, exporter.route("/metrics"))
        .unwrap();
    let (tasks, _failures) = Tasks::new();
    let bound = listeners.bind().await.unwrap();
    let url = format!(
        "http://{}/metrics",
        bound.local_addr("127.0.0.1:0").unwrap()
    );
    bound.serve(&tasks, &Components::new(&Clock::System, &tasks));
    let target = target("n", &[]);
    for value in [1, 2] {
        export(
            &exporter,
            &target,
            BOTH,
            &[gauges("betanet/network", &[("x", "a", value)])],
        );
        let (one, other) = tokio::join!(scrape(&url), scrape(&url));
        assert!(
            one.contains(&format!("x{{target=\"n\",id=\"a\"}} {value}\n")),
            "{one}"
        );
        assert_eq!(one, other);
    }
    exporter.forget(&target);
    assert_eq!(
        exporter
            .scrape(super::NameFilter::all(super::TextFormat::Text))
            .count(),
        0
    );
}
