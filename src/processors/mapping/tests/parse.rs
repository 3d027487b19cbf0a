//! How texts and numbers are read.

use super::*;

#[test]
fn numbers_are_read_as_people_write_them() {
    for (metric, found, expected) in [
        ("decimal: ','", "3,5", Ok(Double(3.5))),
        (
            "decimal: ',', thousands: '.'",
            "1.234.567,5",
            Ok(Double(1_234_567.5)),
        ),
        ("thousands: ','", "-18,446,744", Ok(Negative(-18_446_744))),
        (
            "thousands: ','",
            "18,446,744,073,709,551,615",
            Ok(Unsigned(u64::MAX)),
        ),
        ("thousands: ' '", "1\u{202f}000", Ok(Unsigned(1000))),
        ("thousands: \"'\"", "1’000", Ok(Unsigned(1000))),
        ("parse: {decimal: ','}", "0,25", Ok(Double(0.25))),
        (
            "decimal: ',', thousands: '.'",
            "1.5",
            Err(ProblemReason::Type),
        ),
        ("thousands: ','", "1,00", Err(ProblemReason::Type)),
        ("thousands: ','", "1234,567", Err(ProblemReason::Type)),
        ("thousands: ','", ",100", Err(ProblemReason::Type)),
        ("decimal: ','", "3.5", Err(ProblemReason::Type)),
        ("decimal: ','", "3,", Err(ProblemReason::Type)),
        ("pattern: '([0-9.]+) W'", "draws 12.5 W", Ok(Double(12.5))),
        ("pattern: '([0-9.]+) W'", "off", Err(ProblemReason::Type)),
        (
            "pattern: '^v([0-9]+)', values: {'2': 20}",
            "v2.1",
            Ok(Unsigned(20)),
        ),
    ] {
        let metric = format!("instrument: gauge, {metric}");
        assert_eq!(value(&metric, &json!(found)), expected, "{metric} {found}");
    }
}

#[test]
fn a_share_of_a_hundred_is_one_of_1() {
    for (found, expected) in [
        (json!("28 %"), Ok(Double(0.28))),
        (json!("28%"), Ok(Double(0.28))),
        (json!(28), Ok(Double(0.28))),
        (json!(28.5), Ok(Double(0.285))),
        (json!("n/a %"), Err(ProblemReason::Type)),
    ] {
        let metric = "instrument: gauge, parse: percent";
        assert_eq!(value(metric, &found), expected, "{found}");
    }
    let metric = "instrument: gauge, parse: percent, decimal: ','";
    assert_eq!(value(metric, &json!("28,5 %")), Ok(Double(0.285)));
}

#[test]
fn bytes_have_units() {
    for (found, expected) in [
        (json!("1.5 GiB"), Ok(Unsigned(1_610_612_736))),
        (json!("150G"), Ok(Unsigned(150_000_000_000))),
        (json!("12 kB"), Ok(Unsigned(12_000))),
        (json!("512"), Ok(Unsigned(512))),
        (json!("512 B"), Ok(Unsigned(512))),
        (json!("10 bytes"), Ok(Unsigned(10))),
        (json!("16Ei"), Ok(Double(18_446_744_073_709_551_616.0))),
        (json!("2Mi"), Ok(Unsigned(2_097_152))),
        (json!(7), Ok(Unsigned(7))),
        (json!("7 parsecs"), Err(ProblemReason::Type)),
        (json!("GiB"), Err(ProblemReason::Type)),
    ] {
        let metric = "instrument: gauge, parse: bytes";
        assert_eq!(value(metric, &found), expected, "{found}");
    }
    let metric = "instrument: gauge, parse: {as: bytes, base: 1024}";
    assert_eq!(value(metric, &json!("2kb")), Ok(Unsigned(2048)));
}

#[test]
fn lengths_of_time_are_seconds() {
    for (found, expected) in [
        (json!("5d3h2m"), Ok(Unsigned(442_920))),
        (json!("846:17:56"), Ok(Unsigned(3_046_676))),
        (json!("3:02:01:05"), Ok(Unsigned(266_465))),
        (json!("00:00:01.5"), Ok(Double(1.5))),
        (json!("P1DT2H"), Ok(Unsigned(93_600))),
        (json!("5 days, 3 hours"), Ok(Unsigned(442_800))),
        (json!("250ms"), Ok(Double(0.25))),
        (json!("90"), Ok(Unsigned(90))),
        (json!(90), Ok(Unsigned(90))),
        (json!("one year"), Err(ProblemReason::Type)),
        (json!("1 month"), Err(ProblemReason::Type)),
        (json!("1:2"), Err(ProblemReason::Type)),
    ] {
        let metric = "instrument: gauge, parse: duration";
        assert_eq!(value(metric, &found), expected, "{found}");
    }
    let metric = "instrument: gauge, parse: {as: duration, unit: ms}";
    assert_eq!(value(metric, &json!(90_500)), Ok(Double(90.5)));
    assert_eq!(value(metric, &json!("90000")), Ok(Unsigned(90)));
}

#[test]
fn moments_are_read_in_any_format_and_place() {
    for (metric, found, expected) in [
        (
            "formats: ['%Y-%m-%d %H:%M:%S'], timezone: Europe/Berlin",
            "2026-07-01 12:00:00",
            Ok(Unsigned(1_782_900_000)),
        ),
        (
            "formats: ['%Y-%m-%d %H:%M:%S']",
            "1970-01-02 00:00:00",
            Ok(Unsigned(86_400)),
        ),
        ("formats: ['%d.%m.%Y']", "02.01.1970", Ok(Unsigned(86_400))),
        ("formats: ['%Y%m%d']", "19700102", Ok(Unsigned(86_400))),
        (
            "formats: ['%a, %d %b %Y %H:%M:%S %z', '%F']",
            "Fri, 02 Jan 1970 01:00:00 +0100",
            Ok(Unsigned(86_400)),
        ),
        (
            "formats: ['%Y-%m-%d']",
            "1970-01-01T00:01:40Z",
            Ok(Unsigned(100)),
        ),
        ("timezone: UTC", "1970-01-01 00:01:40", Ok(Unsigned(100))),
        (
            "parse: timestamp",
            "1970-01-01 00:01:40",
            Err(ProblemReason::Type),
        ),
        (
            "formats: ['%Y-%m-%d']",
            "yesterday",
            Err(ProblemReason::Type),
        ),
    ] {
        let metric = format!("instrument: gauge, {metric}");
        assert_eq!(value(&metric, &json!(found)), expected, "{metric}");
    }
}

#[test]
fn what_means_no_value_is_no_problem() {
    let metric = "instrument: gauge, value: $.v, missing: ['', N/A, -1]";
    for found in [json!(""), json!("N/A"), json!(-1), json!("-1")] {
        let readings = mapped(metric, &json!({ "v": found }));
        assert_eq!(
            (series(&readings).len(), reasons(&readings)),
            (0, vec![]),
            "{found}"
        );
    }
    assert_eq!(series(&mapped(metric, &json!({"v": 0}))), [": 0"]);
    let other = mapped(metric, &json!({"v": "n/a"}));
    assert_eq!(reasons(&other), [(ProblemReason::Type, 1)]);
    let state = "instrument: stateset, value: $.v, states: [on], missing: [unknown]";
    assert_eq!(reasons(&mapped(state, &json!({"v": "unknown"}))), []);
    let part = "instrument: gauge, value: $.v, pattern: '^([^ ]*) W', missing: ['-']";
    assert_eq!(reasons(&mapped(part, &json!({"v": "- W"}))), []);
}
