//! Cases with the answers of Prometheus.

use super::*;
use crate::yaml::{Cursor, Diagnostics, decode, parse};

fn rule(yaml: &str) -> RelabelRule {
    let mut diagnostics = Diagnostics::new();
    let node = parse("f", yaml, &mut diagnostics).unwrap();
    let config: Option<RelabelConfig> = decode(&node, "", &mut diagnostics);
    let config = config.unwrap_or_else(|| panic!("{yaml}: {diagnostics}"));
    config.check(&Cursor::new(&node, ""), &mut diagnostics);
    assert!(diagnostics.is_empty(), "{yaml}: {diagnostics}");
    RelabelRule::new(&config).unwrap()
}

fn labels(text: &str) -> Labels {
    let pairs = text.split(',').filter_map(|pair| pair.split_once('='));
    pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
}

/// What becomes of a target with the labels `a=foo,b=bar,c=baz`.
fn relabelled(yaml: &str) -> String {
    let mut labels = labels("a=foo,b=bar,c=baz");
    if !rule(yaml).apply(&mut labels) {
        return "dropped".to_owned();
    }
    let pairs = labels.iter().map(|(name, value)| format!("{name}={value}"));
    pairs.collect::<Vec<_>>().join(",")
}

/// A step, and what becomes of `a=foo,b=bar,c=baz`.
const CASES: &[(&str, &str)] = &[
    (
        "{source_labels: [a], regex: f(.*), target_label: d, replacement: ch$1-ch$1}",
        "a=foo,b=bar,c=baz,d=choo-choo",
    ),
    (
        "{source_labels: [a, b], regex: f(.*);(.*)r, target_label: a, replacement: 'b${1}${2}m'}",
        "a=boobam,b=bar,c=baz",
    ),
    (
        "{source_labels: [a], regex: .*o.*, action: drop}",
        "dropped",
    ),
    (
        "{source_labels: [a], regex: o, action: drop}",
        "a=foo,b=bar,c=baz",
    ),
    ("{source_labels: [a], regex: fo, action: keep}", "dropped"),
    (
        "{source_labels: [a], regex: f.*, action: keep}",
        "a=foo,b=bar,c=baz",
    ),
    (
        "{source_labels: [none], regex: '', action: keep}",
        "a=foo,b=bar,c=baz",
    ),
    // No match, no change.
    (
        "{source_labels: [a], regex: x(.*), target_label: b, replacement: y}",
        "a=foo,b=bar,c=baz",
    ),
    // An empty value removes the label.
    ("{target_label: a, replacement: ''}", "b=bar,c=baz"),
    ("{source_labels: [none], target_label: a}", "b=bar,c=baz"),
    ("{target_label: d, replacement: 7}", "a=foo,b=bar,c=baz,d=7"),
    // The name of the target can be matched, too.
    (
        "{source_labels: [a, b], regex: (.+);(.+), target_label: '${1}', replacement: $2}",
        "a=foo,b=bar,c=baz,foo=bar",
    ),
    (
        "{source_labels: [a], regex: '(?P<all>.*)', target_label: d, replacement: '${all}s'}",
        "a=foo,b=bar,c=baz,d=foos",
    ),
    // The longest name is taken, as in Go: there is no group `1x`.
    (
        "{source_labels: [a], target_label: d, replacement: '$1x.$$.${1}x'}",
        "a=foo,b=bar,c=baz,d=.$.foox",
    ),
    ("{regex: '(b|c)', action: labeldrop}", "a=foo"),
    ("{regex: '(b|c)', action: labelkeep}", "b=bar,c=baz"),
    (
        "{regex: '(a|b)', replacement: 'n_$1', action: labelmap}",
        "a=foo,b=bar,c=baz,n_a=foo,n_b=bar",
    ),
    (
        "{source_labels: [a], target_label: A, action: uppercase}",
        "A=FOO,a=foo,b=bar,c=baz",
    ),
    (
        "{source_labels: [a, b], separator: Ä, target_label: a, action: lowercase}",
        "a=fooäbar,b=bar,c=baz",
    ),
    (
        "{source_labels: [a], target_label: b, action: keepequal}",
        "dropped",
    ),
    (
        "{source_labels: [a], target_label: a, action: keepequal}",
        "a=foo,b=bar,c=baz",
    ),
    (
        "{source_labels: [a], target_label: a, action: dropequal}",
        "dropped",
    ),
    (
        "{source_labels: [a], target_label: b, action: dropequal}",
        "a=foo,b=bar,c=baz",
    ),
    (
        "{source_labels: [c], modulus: 1000, target_label: d, action: hashmod}",
        "a=foo,b=bar,c=baz,d=976",
    ),
];

#[test]
fn does_what_prometheus_does() {
    for (yaml, expected) in CASES {
        assert_eq!(relabelled(yaml), *expected, "{yaml}");
    }
}

#[test]
fn hashes_as_prometheus_does() {
    // From its own tests of hashmod.
    assert_eq!(low_half_of_md5("baz") % 1000, 976);
    assert_eq!(low_half_of_md5("foo\nbar") % 1000, 734);
}
