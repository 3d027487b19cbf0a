use std::time::Duration;

use proptest::prelude::*;
use tokio::time::advance;

use crate::{
    definition::{InstrumentKind, ValueType},
    processors::testing::{ProcessorBench, build},
};

/// A bench with one transform.
fn lab(transform: &str) -> ProcessorBench {
    ProcessorBench::new("metricstransform", &format!("transforms: [{transform}]"))
}

fn instrument(lab: &ProcessorBench, name: &str) -> (InstrumentKind, ValueType) {
    let instruments = lab.after().schema.instruments();
    let found = instruments.iter().find(|known| known.name == name).unwrap();
    (found.kind, found.value_type)
}

#[tokio::test(start_paused = true)]
async fn metrics_are_renamed_copied_and_combined() {
    for (transform, expected) in [
        (
            "{include: gauge, action: update, new_name: level}",
            "level{id=a} 1;level{id=b} 2;other 3;packets 5;total 4",
        ),
        (
            "{include: gauge, action: insert, new_name: level}",
            "gauge{id=a} 1;gauge{id=b} 2;level{id=a} 1;level{id=b} 2;other 3;packets 5;total 4",
        ),
        (
            "{include: '^(?P<first>.)(.*)$', match_type: regexp, action: update, new_name: '${2}.$first'}",
            "ackets.p 5;auge.g{id=a} 1;auge.g{id=b} 2;otal.t 4;ther.o 3",
        ),
        (
            "{include: '^(?P<of>total|packets)$', match_type: regexp, action: combine, new_name: sum, submatch_case: upper}",
            "gauge{id=a} 1;gauge{id=b} 2;other 3;sum{of=PACKETS} 5;sum{of=TOTAL} 4",
        ),
        (
            "{include: '^(total|packets)$', match_type: regexp, action: combine, new_name: sum}",
            "gauge{id=a} 1;gauge{id=b} 2;other 3;sum 9",
        ),
        (
            "{include: gauge, experimental_match_labels: {id: a}, action: update, new_name: level}",
            "gauge{id=a} 1;gauge{id=b} 2;other 3;packets 5;total 4",
        ),
        (
            "{include: 'e', match_type: regexp, experimental_match_labels: {id: '^$'}, action: update, new_name: e}",
            "e 3;e 5;gauge{id=a} 1;gauge{id=b} 2;total 4",
        ),
    ] {
        let readings = [
            "gauge{id=a} 1",
            "gauge{id=b} 2",
            "other 3",
            "total 4",
            "packets 5",
        ];
        assert_eq!(
            lab(transform).run(&readings).join(";"),
            expected,
            "{transform}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn only_metrics_of_one_type_and_scope_are_combined() {
    let mut lab = lab(
        "{include: '^(gauge|total|other)$', match_type: regexp, action: combine, new_name: all}",
    );
    let out = lab.run(&["gauge 1", "other 2", "total 3"]);
    assert_eq!(out, ["all 1", "all 2", "total 3"]);
    let scopes = lab.after().schema.instruments().iter();
    let scopes = scopes.filter(|known| known.name == "all");
    assert_eq!(scopes.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn labels_are_added_renamed_and_changed_and_points_dropped() {
    let mut lab = lab("{include: gauge, action: update, operations: [
        {action: add_label, new_label: zone, new_value: eu},
        {action: update_label, label: id, new_label: name, value_actions: [{value: a, new_value: A}]},
        {action: update_label, label: none, new_label: name},
        {action: delete_label_value, label: name, label_value: c}]}");
    let out = lab.run(&[
        "gauge{id=a} 1",
        "gauge{id=b} 2",
        "gauge{id=c} 3",
        "other{id=c} 4",
    ]);
    assert_eq!(
        out,
        [
            "gauge{name=A,zone=eu} 1",
            "gauge{name=b,zone=eu} 2",
            "other{id=c} 4"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn integers_stay_exact_with_an_integer_factor() {
    let scaled = |factor: &str| {
        format!(
            "{{include: total, action: update, operations: [{{action: experimental_scale_value, experimental_scale: {factor}}}]}}"
        )
    };
    let mut lab1000 = lab(&scaled("1000"));
    assert_eq!(
        lab1000.run(&["total 9007199254740993"]),
        ["total 9007199254740993000"]
    );
    assert_eq!(
        instrument(&lab1000, "total"),
        (InstrumentKind::Counter, ValueType::Auto)
    );
    let mut fraction = lab(&scaled("0.001"));
    assert_eq!(fraction.run(&["total 45"]), ["total 0.045"]);
    assert_eq!(
        instrument(&fraction, "total"),
        (InstrumentKind::Counter, ValueType::Double)
    );
}

#[tokio::test(start_paused = true)]
async fn the_buckets_of_a_histogram_are_scaled_too() {
    let mut lab = lab(
        "{include: seconds, action: update, new_name: milliseconds, operations: [{action: experimental_scale_value, experimental_scale: 1000}]}",
    );
    assert_eq!(lab.run(&["seconds 0.25"]), ["milliseconds 250"]);
    let instruments = lab.after().schema.instruments();
    let found = instruments.iter().find(|i| i.name == "milliseconds");
    assert_eq!(found.unwrap().buckets, [500.0, 1000.0]);
}

/// This is what the Collector 0.145 does with the same points.
#[tokio::test(start_paused = true)]
async fn numbers_change_their_type_and_back() {
    let toggle =
        "{include: gauge, action: update, operations: [{action: toggle_scalar_data_type}]}";
    let mut once = lab(toggle);
    assert_eq!(
        once.run(&["gauge{id=a} 1", "gauge{id=b} 21.5"]),
        ["gauge{id=a} 1", "gauge{id=b} 21"]
    );
    assert_eq!(
        instrument(&once, "gauge"),
        (InstrumentKind::Gauge, ValueType::Auto)
    );
    let mut twice = lab(&format!("{toggle}, {toggle}"));
    assert_eq!(twice.run(&["gauge -2.7"]), ["gauge -2"]);
    let total = "{include: total, action: update, operations: [{action: toggle_scalar_data_type}]}";
    assert_eq!(
        instrument(&lab(total), "total").1,
        ValueType::Auto,
        "each number has its type"
    );
}

/// This is what the Collector 0.145 does: if the labels do not match a point, the metric keeps its
/// name, and only the operations on single points apply.
#[tokio::test(start_paused = true)]
async fn labels_that_do_not_match_all_points_change_no_name() {
    let transform = "{include: gauge, experimental_match_labels: {id: a}, action: update, new_name: level, operations: [
        {action: experimental_scale_value, experimental_scale: 0.5},
        {action: update_label, label: id, new_label: name},
        {action: add_label, new_label: zone, new_value: eu}]}";
    let mut lab = lab(transform);
    for (readings, expected) in [
        (
            &["gauge{id=a,n=1} 3", "gauge{id=a,n=2} 4"][..],
            "level{n=1,name=a,zone=eu} 1.5;level{n=2,name=a,zone=eu} 2",
        ),
        (
            &["gauge{id=a} 3", "gauge{id=b} 4", "other 1"],
            "gauge{id=b} 4;gauge{name=a} 1.5;other 1",
        ),
        (&["gauge{id=b} 4"], "gauge{id=b} 4"),
        (&["gauge{id=a} 3"], "level{name=a,zone=eu} 1.5"),
    ] {
        assert_eq!(lab.run(readings).join(";"), expected);
    }
    let instruments = lab.after().schema.instruments().iter();
    let gauges = instruments.filter(|known| known.name == "gauge").count();
    assert_eq!(gauges, 1, "one metric, whatever its points are");
}

#[tokio::test(start_paused = true)]
async fn points_are_aggregated_by_labels() {
    for (how, expected) in [
        ("sum", "gauge{zone=eu} 10"),
        ("mean", "gauge{zone=eu} 2.5"),
        ("min", "gauge{zone=eu} 1"),
        ("max", "gauge{zone=eu} 4"),
        ("count", "gauge{zone=eu} 4"),
        ("median", "gauge{zone=eu} 2.5"),
    ] {
        let mut lab = lab(&format!(
            "{{include: gauge, action: update, operations: [{{action: aggregate_labels, label_set: [zone], aggregation_type: {how}}}]}}"
        ));
        let out = lab.run(&[
            "gauge{id=a,zone=eu} 1",
            "gauge{id=b,zone=eu} 2",
            "gauge{id=c,zone=eu} 3",
            "gauge{id=d,zone=eu} 4",
            "gauge{id=a,zone=us} 7",
        ]);
        assert_eq!(out[0], expected);
        assert_eq!(out.len(), 2, "{out:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn some_values_of_a_label_are_aggregated() {
    let mut lab = lab("{include: gauge, action: update, operations: [
        {action: aggregate_label_values, label: id, aggregated_values: [a, b], new_value: ab, aggregation_type: max}]}");
    let out = lab.run(&["gauge{id=a} 1", "gauge{id=b} 2", "gauge{id=c} 3", "gauge 4"]);
    assert_eq!(out, ["gauge 4", "gauge{id=ab} 2", "gauge{id=c} 3"]);
}

#[tokio::test(start_paused = true)]
async fn only_the_sum_of_totals_is_a_total() {
    let aggregated = |how: &str| {
        lab(&format!(
            "{{include: total, action: update, operations: [{{action: aggregate_labels, label_set: [], aggregation_type: {how}}}]}}"
        ))
    };
    assert_eq!(
        instrument(&aggregated("sum"), "total"),
        (InstrumentKind::Counter, ValueType::Auto)
    );
    assert_eq!(
        instrument(&aggregated("mean"), "total"),
        (InstrumentKind::Gauge, ValueType::Double)
    );
    let mut max = aggregated("max");
    assert_eq!(max.run(&["total{id=a} 5", "total{id=b} 7"]), ["total 7"]);
    assert_eq!(max.run(&["total{id=a} 6"]), ["total 6"]);
}

#[tokio::test(start_paused = true)]
async fn histograms_are_added_up_in_any_case() {
    let mut lab = lab(
        "{include: seconds, action: update, operations: [{action: aggregate_labels, label_set: [], aggregation_type: sum}]}",
    );
    let out = lab.run(&["seconds{id=a} 0.5", "seconds{id=b} 0.5"]);
    assert_eq!(out, ["seconds 0.5", "seconds 0.5"]);
}

/// A bench that sums `total` over all labels.
fn summing() -> ProcessorBench {
    lab(
        "{include: total, action: update, operations: [{action: aggregate_labels, label_set: [], aggregation_type: sum}]}",
    )
}

#[tokio::test(start_paused = true)]
async fn a_sum_of_totals_never_falls_when_members_change() {
    let mut lab = summing();
    for (readings, expected) in [
        (&["total{id=a} 100", "total{id=b} 1000"][..], "total 1100"),
        (&["total{id=a} 101", "total{id=b} 1002"], "total 1103"),
        (&["total{id=a} 102"], "total 1104"), // b disappeared
        (&["total{id=a} 103", "total{id=c} 5000"], "total 1105"), // c is new
        (&["total{id=a} 3", "total{id=c} 5001"], "total 1109"), // a started again
        (&["total{id=a} 3", "total{id=b} 1010"], "total 1117"), // b is back
    ] {
        advance(Duration::from_secs(15)).await;
        assert_eq!(lab.run(readings), [expected], "{readings:?}");
    }
    assert_eq!(lab.run(&[]), [""; 0], "nothing read is a gap");
}

#[tokio::test(start_paused = true)]
async fn a_total_that_is_missing_for_long_is_forgotten() {
    let mut lab = summing();
    lab.run(&["total{id=a} 1", "total{id=b} 10"]);
    for _ in 0..3 {
        advance(Duration::from_secs(150)).await;
        lab.run(&["total{id=a} 1"]);
    }
    assert_eq!(lab.run(&["total{id=a} 1", "total{id=b} 20"]), ["total 11"]);
}

#[test]
fn a_group_is_a_separate_resource() {
    let mut lab = lab(
        "{include: '^g', match_type: regexp, experimental_match_labels: {id: a}, action: group, group_resource_labels: {kind: g/1, zone: us}}, {include: gauge, action: update, new_name: level}",
    );
    assert_eq!(
        lab.run_with_resources(&["gauge{id=a} 1", "gauge{id=b} 2", "other 3"]),
        [
            "[kind=g/1,service.instance.id=node/g%2F1/us,zone=us] level{id=a} 1",
            "[zone=eu] level{id=b} 2",
            "[zone=eu] other 3",
        ]
    );
}

#[test]
fn an_invalid_new_name_changes_nothing() {
    let mut lab = lab("{include: '^g(.*)$', match_type: regexp, action: update, new_name: '$2'}");
    assert_eq!(lab.run(&["gauge 1"]), ["gauge 1"]);
}

#[test]
fn errors_name_the_invalid_key() {
    for (transform, expected) in [
        (
            "{include: '', action: update}",
            "0::include: cannot be empty",
        ),
        (
            "{include: 'a(', match_type: regexp, action: update}",
            "0::include: not a regular",
        ),
        (
            "{include: a, action: insert}",
            "0::action: insert and combine need",
        ),
        (
            "{include: a, action: combine, new_name: b}",
            "0::action: combine needs `match_type",
        ),
        (
            "{include: a, action: group}",
            "0::action: group needs `group_resource_labels`",
        ),
        (
            "{include: a, action: group, group_resource_labels: {a: b}, new_name: c}",
            "0::new_name: is not for `group`",
        ),
        (
            "{include: a, action: update, operations: [{action: add_label}]}",
            "operations::0::action: add_label needs",
        ),
    ] {
        let error = build("metricstransform", &format!("transforms: [{transform}]")).err();
        let error = error.unwrap();
        assert!(error.contains(expected), "{transform}: {error}");
    }
}

proptest! {
    // The sum never falls, whatever the totals do, and it grows by no more than they can have
    // grown.
    #[test]
    fn a_sum_of_totals_never_falls(
        polls in proptest::collection::vec(proptest::collection::vec(0_u64..50, 1..4), 1..20),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let result = runtime.block_on(async {
            let (mut lab, mut last) = (summing(), None);
            for values in polls {
                let readings = values.iter().enumerate();
                let readings: Vec<_> = readings.map(|(id, v)| format!("total{{id={id}}} {v}")).collect();
                let readings: Vec<_> = readings.iter().map(String::as_str).collect();
                let out = lab.run(&readings);
                let sum: u64 = out[0].strip_prefix("total ").unwrap().parse().unwrap();
                let most = values.iter().sum::<u64>();
                let last = last.replace(sum).unwrap_or_else(|| sum - most);
                prop_assert!(sum >= last && sum <= last + most, "{last} {sum}");
            }
            Ok(())
        });
        result?;
    }
}
