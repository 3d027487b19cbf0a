//! Which numbers of a document become which values.

use super::*;

#[test]
fn every_kind_of_number_is_read_exactly() {
    for (found, expected) in [
        (json!(0), Unsigned(0)),
        (json!(u64::MAX), Unsigned(u64::MAX)),
        (json!((1_u64 << 53) + 1), Unsigned((1 << 53) + 1)),
        (json!(i64::MIN), Negative(i64::MIN)),
        (json!(0.5), Double(0.5)),
        (json!(1e300), Double(1e300)),
        (json!(true), Unsigned(1)),
        (json!(false), Unsigned(0)),
        (json!("18446744073709551615"), Unsigned(u64::MAX)),
        (json!("-7"), Negative(-7)),
        (json!(" 2.5 "), Double(2.5)),
    ] {
        assert_eq!(value("instrument: gauge", &found), Ok(expected), "{found}");
    }
}

#[test]
fn what_is_no_number_is_refused() {
    for (found, expected) in [
        (json!(null), ProblemReason::Missing),
        (json!("n/a"), ProblemReason::Type),
        (json!(""), ProblemReason::Type),
        (json!("NaN"), ProblemReason::Type),
        (json!("inf"), ProblemReason::Type),
        (json!("1e999"), ProblemReason::Range),
        (json!("-1e400"), ProblemReason::Range),
        (json!("0x10"), ProblemReason::Type),
        (json!([1]), ProblemReason::Type),
        (json!({"a": 1}), ProblemReason::Type),
    ] {
        assert_eq!(value("instrument: gauge", &found), Err(expected), "{found}");
    }
}

#[test]
fn a_counter_takes_what_a_running_total_can_be() {
    let counter = |found| value("instrument: counter", &found);
    assert_eq!(counter(json!(5)), Ok(Unsigned(5)));
    assert_eq!(counter(json!(u64::MAX)), Ok(Unsigned(u64::MAX)));
    assert_eq!(counter(json!(8635.9)), Ok(Double(8635.9)));
    assert_eq!(counter(json!("0.5")), Ok(Double(0.5)));
    assert_eq!(counter(json!(-1)), Err(ProblemReason::Range));
    assert_eq!(counter(json!(-0.5)), Err(ProblemReason::Range));
    let int = "instrument: counter, value_type: int";
    assert_eq!(value(int, &json!(5.0)), Ok(Unsigned(5)));
    assert_eq!(value(int, &json!(1e6)), Ok(Unsigned(1_000_000)));
    assert_eq!(value(int, &json!(0.5)), Err(ProblemReason::Range));
    let kilowatt_hours = "instrument: counter, scale: 3600000";
    let joules = Double(31_089_240_000.0);
    assert_eq!(value(kilowatt_hours, &json!(8635.9)), Ok(joules));
}

#[test]
fn what_is_29_on_paper_is_29() {
    for (value_type, expected) in [("auto", Double(29.0)), ("int", Unsigned(29))] {
        for kind in ["gauge", "counter", "updowncounter"] {
            let metric = format!("instrument: {kind}, value_type: {value_type}, scale: 100");
            assert_eq!(value(&metric, &json!(0.29)), Ok(expected), "{metric}");
        }
    }
}

#[test]
fn an_integer_instrument_refuses_a_fraction() {
    let int = "instrument: gauge, value_type: int";
    assert_eq!(value(int, &json!(-3.0)), Ok(Negative(-3)));
    assert_eq!(value(int, &json!(0.5)), Err(ProblemReason::Range));
    assert_eq!(value(int, &json!(1e300)), Err(ProblemReason::Range));
}

#[test]
fn a_scale_gives_the_number_that_a_person_expects() {
    for (scale, found, expected) in [
        ("0.001", json!(45.0), 0.045),
        ("0.001", json!(45), 0.045),
        ("0.001", json!("45"), 0.045),
        ("0.01", json!(7), 0.07),
        ("1000", json!(0.5), 500.0),
        ("-0.001", json!(45), -0.045),
        ("0.3", json!(2), 0.6),
    ] {
        let metric = format!("instrument: gauge, scale: {scale}");
        assert_eq!(
            value(&metric, &found),
            Ok(Double(expected)),
            "{scale} {found}"
        );
    }
}

#[test]
fn a_scale_that_overflows_is_refused() {
    let metric = "instrument: gauge, scale: 1e10";
    assert_eq!(value(metric, &json!(1e300)), Err(ProblemReason::Range));
}
