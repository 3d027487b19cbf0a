//! Tests of what stays known of a target's instruments when its definition changes.

use super::*;

/// Switches to another text of the definition, as a pipeline does.
pub(super) fn reload(both: &mut Both, text: &str) {
    let definition = definition::from_text("test", "test.yaml", text).unwrap();
    let target = Arc::new(Target::polled_by("betanet", "node", &definition));
    let schema = Arc::new(ReportMetrics::schema(&target));
    both.instruments.apply(&schema, &resource(&target));
    both.own.apply(&target);
    both.definition = definition;
}

/// The definition with one more metric, before all others.
pub(super) fn with_one_more() -> String {
    let more = "metrics:\n  - {name: more, instrument: counter, endpoint: a, value: $.more}";
    DEFINITION.replace("metrics:", more)
}

/// A reading of an instrument whose index is one higher.
fn moved(reading: Reading) -> Reading {
    Reading {
        instrument: reading.instrument + 1,
        ..reading
    }
}

fn start(points: &[Point], name: &str) -> point_times::Nanos {
    one(points, name).start.unwrap()
}

#[test]
fn unchanged_instruments_keep_their_start_time_and_their_state() {
    let mut both = instruments();
    let seconds = |value| reading(SECONDS, Number::Double(value));
    let other = |value| reading(OTHER, Number::Unsigned(value));
    collect(&mut both, [total(10), other(9), seconds(0.5)]);
    let before = collect(&mut both, [total(11), other(1), seconds(0.25)]);
    reload(&mut both, &with_one_more());
    let more = |value| reading(0, Number::Unsigned(value));
    let values = [total(12), other(2), seconds(0.25)].map(moved);
    let after = collect(
        &mut both,
        [
            more(5),
            values[0].clone(),
            values[1].clone(),
            values[2].clone(),
        ],
    );
    assert!(start(&before, "other") > start(&before, "total"), "it fell");
    for name in ["total", "other", "seconds", "betanet.counter.resets"] {
        assert_eq!(start(&after, name), start(&before, name), "{name}");
    }
    assert!(start(&after, "more") > start(&after, "other"), "it is new");
    assert_eq!(one(&after, "seconds").value, Value::Histogram(3, 1.0));
    let resets = one(&after, "betanet.counter.resets").value;
    assert_eq!(resets, Value::Unsigned(1));
    // A total that falls later gets its new start time alone.
    let later = collect(&mut both, [more(1), moved(total(13))]);
    assert_eq!(start(&later, "total"), start(&before, "total"));
    assert!(start(&later, "more") >= start(&after, "more"), "it fell");
}

#[test]
fn a_changed_instrument_starts_again_and_the_old_one_is_not_shown() {
    let mut both = instruments();
    let seconds = reading(SECONDS, Number::Double(0.5));
    let before = collect(&mut both, [total(1), seconds.clone()]);
    let changed = DEFINITION.replace("name: total,", "name: total, description: Other.,");
    reload(
        &mut both,
        &changed.replace("buckets: [0.1, 1]", "buckets: [0.2, 1]"),
    );
    let after = collect(&mut both, [total(2), seconds]);
    assert!(start(&after, "total") > start(&before, "total"));
    assert_eq!(one(&after, "total").value, Value::Unsigned(2));
    assert_eq!(one(&after, "seconds").value, Value::Histogram(1, 0.5));
}

#[test]
fn a_thousand_changes_do_not_accumulate_series() {
    let mut both = instruments();
    let before = collect(&mut both, [total(1)]);
    for _ in 0..500 {
        reload(&mut both, &with_one_more());
        let readings = [reading(0, Number::Unsigned(1)), moved(total(1))];
        collect(&mut both, readings);
        reload(&mut both, DEFINITION);
        collect(&mut both, [total(1)]);
    }
    let after = collect(&mut both, [total(1)]);
    assert_eq!(start(&after, "total"), start(&before, "total"));
}

#[test]
fn another_resource_starts_again() {
    let mut both = instruments();
    let before = collect(&mut both, [total(1)]);
    let named = format!("resource: {{service.name: other}}\n{DEFINITION}");
    reload(&mut both, &named);
    let after = collect(&mut both, [total(1)]);
    assert!(start(&after, "total") > start(&before, "total"));
}

#[test]
fn the_number_type_of_an_instrument_never_becomes_narrower() {
    let mut both = instruments();
    collect(&mut both, [reading(OTHER, Number::Double(0.5))]);
    reload(&mut both, &with_one_more());
    let after = collect(&mut both, [moved(reading(OTHER, Number::Unsigned(1)))]);
    assert_eq!(one(&after, "other").value, Value::Double(1.0));
}
