//! Prometheus' target groups: `[{"targets": ["host:port"], "labels": {"name": "value"}}]`.
//!
//! The list as a whole must be well-formed; of its entries a bad one costs only itself. A list is
//! read entry by entry, and what is kept of an entry is little more than its text: a list takes a
//! small multiple of its size, however many groups it has.

mod json;
mod yaml;

use std::cell::Cell;

pub(super) use self::{json::parse_json, yaml::parse_yaml};
use super::Labels;
use crate::yaml::Diagnostics;

/// The most groups of one file or answer, and the most targets of all of them.
const GROUPS_MAX: usize = 500_000;
const TARGETS_MAX: usize = 1_000_000;

/// So many bad entries have their reasons kept, each with so many letters; all are counted.
const REFUSED_KEPT: usize = 5;
const REASON_LETTERS_MAX: usize = 200;

/// Targets that share labels.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Group {
    /// Addresses, `host:port`.
    pub(super) addresses: Box<[Box<str>]>,
    /// Labels of all of them, each name once.
    labels: Box<[(Box<str>, Box<str>)]>,
}

/// What a file or an answer holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Parsed {
    /// Those that name a target.
    pub(super) groups: Vec<Group>,
    /// A label of all targets: where they stand. Goes before a label of a group.
    pub(super) origin: Option<(&'static str, String)>,
    pub(super) refused: Refused,
}

/// Entries that are no groups.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) count: usize,
    /// Why the first ones are none, with their positions.
    pub(super) reasons: Vec<String>,
}

/// Why a text is no list of target groups.
#[derive(Debug, thiserror::Error)]
pub(super) enum ParseError {
    #[error("not a JSON list of target groups")]
    Json(#[from] serde_json::Error),
    #[error("not YAML: {0}")]
    Yaml(Diagnostics),
    #[error("expected a list of target groups, found {0}")]
    NoList(String),
    #[error("more than {GROUPS_MAX} target groups")]
    TooMany,
    #[error("more than {TARGETS_MAX} targets")]
    TooManyTargets,
}

impl Group {
    pub(super) fn new(addresses: Vec<Box<str>>, labels: Labels) -> Self {
        let labels = labels.into_iter();
        let labels = labels.map(|(name, value)| (name.into_boxed_str(), value.into_boxed_str()));
        Self {
            addresses: addresses.into(),
            labels: labels.collect(),
        }
    }

    pub(super) fn labels(&self) -> Labels {
        let pairs = self.labels.iter();
        let pairs = pairs.map(|(name, value)| (name.clone().into(), value.clone().into()));
        pairs.collect()
    }
}

impl Parsed {
    /// Gives groups and addresses an order of their own, for a list that comes in another order
    /// each time: the Target Allocator walks a Go map, the DNS mixes its records.
    pub(super) fn sort(&mut self) {
        for group in &mut self.groups {
            group.addresses.sort_unstable();
        }
        self.groups.sort_unstable();
    }
}

/// A list that is being read.
#[derive(Default)]
struct List {
    parsed: Parsed,
    entries: usize,
    targets: Cell<usize>,
    /// Why it is not read on.
    over: Option<ParseError>,
}

impl List {
    fn add(&mut self, entry: Result<Group, String>) {
        match entry.and_then(checked) {
            // It says nothing.
            Ok(group) if group.addresses.is_empty() => {}
            Ok(group) => self.parsed.groups.push(group),
            Err(reason) => self.parsed.refused.add(self.entries, &reason),
        }
        self.entries += 1;
    }
}

impl Refused {
    fn add(&mut self, position: usize, reason: &str) {
        self.count += 1;
        if self.reasons.len() < REFUSED_KEPT {
            let reason: String = reason.chars().take(REASON_LETTERS_MAX).collect();
            self.reasons.push(format!("entry {position}: {reason}"));
        }
    }
}

fn checked(group: Group) -> Result<Group, String> {
    match group.labels.iter().find(|(name, _)| name.is_empty()) {
        Some(_) => Err("a label without a name".to_owned()),
        None => Ok(group),
    }
}

/// What an entry may say.
enum Key {
    Targets,
    Labels,
}

impl Key {
    /// The key that is written so; else what is wrong with it.
    fn of(text: &str) -> Result<Self, String> {
        match text {
            _ if text.eq_ignore_ascii_case("targets") => Ok(Self::Targets),
            _ if text.eq_ignore_ascii_case("labels") => Ok(Self::Labels),
            other => Err(format!(
                "unknown field `{other}`, expected `targets` or `labels`"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn json(text: &str) -> Parsed {
        parse_json(text.as_bytes()).unwrap()
    }

    fn yaml(text: &str) -> Parsed {
        parse_yaml("f.yml", text).unwrap()
    }

    #[test]
    fn json_and_yaml_say_the_same() {
        let from_json = json(
            r#"[{"targets": ["a:1", "b:2"], "labels": {"env": "prod", "port": "8080"}},
                {"targets": ["c:3"]}, {"targets": null, "labels": null}, {}]"#,
        );
        let from_yaml = yaml(
            "- targets: ['a:1', b:2]\n  labels:\n    env: prod\n    port: 8080\n\
             - targets:\n  - c:3\n- {targets: , labels: }\n- {}\n",
        );
        assert_eq!(from_json, from_yaml);
        assert_eq!(from_json.refused, Refused::default());
        assert_eq!(from_json.groups.len(), 2, "those that name a target");
        let addresses = ["a:1", "b:2"].map(Box::from);
        assert_eq!(*from_json.groups[0].addresses, addresses);
        assert_eq!(from_json.groups[0].labels()["port"], "8080");
        assert_eq!(json("[]"), Parsed::default());
        assert_eq!(yaml(""), Parsed::default());
    }

    #[test]
    fn a_sorted_list_does_not_depend_on_the_order_of_the_answer() {
        let sorted = |text: &str| {
            let mut parsed = json(text);
            parsed.sort();
            parsed
        };
        let one = r#"[{"targets": ["b", "a"]}, {"targets": ["c"], "labels": {"x": "1"}}]"#;
        let other = r#"[{"targets": ["c"], "labels": {"x": "1"}}, {"targets": ["a", "b"]}]"#;
        assert_eq!(sorted(one), sorted(other));
        assert_ne!(json(one), json(other));
    }

    #[test]
    fn a_bad_entry_costs_only_itself() {
        let parsed = json(
            r#"[{"targets": ["a"]}, null, 7, {"target": ["b"]}, {"targets": "c"},
                {"targets": [1]}, {"targets": ["d"], "labels": {"x": 1}},
                {"labels": {"": "x"}}, {"targets": ["e"]}]"#,
        );
        let addresses: Vec<_> = parsed.groups.iter().flat_map(|g| &g.addresses).collect();
        assert_eq!(addresses, [&Box::from("a"), &Box::from("e")]);
        assert_eq!(parsed.refused.count, 7);
        let third = &parsed.refused.reasons[2];
        assert!(
            third.starts_with("entry 3: unknown field `target`"),
            "{third}"
        );

        let parsed = yaml(
            "- targets: [a]\n-\n- 7\n- target: [b]\n- targets: c\n- targets: [[1]]\n\
             - {targets: [d], labels: {x: []}}\n- labels: {'': x}\n- targets: [e]\n",
        );
        let addresses: Vec<_> = parsed.groups.iter().flat_map(|g| &g.addresses).collect();
        assert_eq!(addresses, [&Box::from("a"), &Box::from("e")]);
        assert_eq!(parsed.refused.count, 7);
        assert_eq!(
            parsed.refused.reasons,
            [
                "entry 1: expected a map, found nothing",
                "entry 2: expected a map, found the integer 7",
                "entry 3: unknown field `target`, expected `targets` or `labels`",
                "entry 4: targets: expected a list, found the string \"c\"",
                "entry 5: expected a text, found a list",
            ]
        );
    }

    #[test]
    fn what_is_no_list_is_refused_as_a_whole() {
        for text in [
            "",
            "{}",
            "null",
            "[{\"targets\": [\"a\"]}",
            "[]x",
            "\u{feff}[]",
        ] {
            assert!(parse_json(text.as_bytes()).is_err(), "{text}");
        }
        assert!(parse_json(b"[{\"targets\": [\"\xff\"]}]").is_err());
        for text in ["a: 1", "7", "[", "- targets: [a\n"] {
            assert!(parse_yaml("f.yml", text).is_err(), "{text}");
        }
        let many = format!("[{}{{}}]", "{},".repeat(GROUPS_MAX));
        let error = parse_json(many.as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), "more than 500000 target groups");
        let many = format!(r#"[{{"targets": ["a"{}]}}]"#, ",\"a\"".repeat(TARGETS_MAX));
        let error = parse_json(many.as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), "more than 1000000 targets");
    }

    #[test]
    fn keys_are_written_in_any_case_and_once() {
        let expected = json(r#"[{"targets": ["a"], "labels": {"Env": "x"}}]"#);
        assert_eq!(
            json(r#"[{"Targets": ["a"], "LABELS": {"Env": "x"}}]"#),
            expected
        );
        assert_eq!(yaml("- Targets: [a]\n  LABELS: {Env: x}\n"), expected);
        let twice = json(r#"[{"targets": ["a"], "Targets": ["b"]}]"#)
            .refused
            .reasons;
        assert_eq!(
            twice,
            ["entry 0: duplicate field `targets` at line 1 column 28"]
        );
        let twice = yaml("- targets: [a]\n  Targets: [b]\n").refused.reasons;
        assert_eq!(twice, ["entry 0: duplicate field `Targets`"]);
    }

    #[test]
    fn of_many_bad_entries_a_few_are_named_in_a_few_letters() {
        let bad = format!(
            r#"[{{"{}": 1}}{}]"#,
            "x".repeat(100_000),
            ",7".repeat(9_999)
        );
        let refused = json(&bad).refused;
        assert_eq!(
            (refused.count, refused.reasons.len()),
            (10_000, REFUSED_KEPT)
        );
        assert!(refused.reasons[0].starts_with("entry 0: unknown field `xxx"));
        assert!(refused.reasons[0].len() < 2 * REASON_LETTERS_MAX);
    }

    #[test]
    fn a_list_takes_a_small_multiple_of_its_text() {
        let empty = format!("[{}{{}}]", "{},".repeat(GROUPS_MAX - 1));
        let groups: Vec<_> = (0..50_000)
            .map(|n| format!(r#"{{"targets":["n{n}:1"],"labels":{{"a":"b"}}}}"#))
            .collect();
        let groups = format!("[{}]", groups.join(","));
        let addresses = format!(r#"[{{"targets":["a"{}]}}]"#, ",\"a\"".repeat(500_000));
        let refused = format!("[7{}]", ",7".repeat(GROUPS_MAX - 1));
        for text in [empty, groups, addresses, refused] {
            let mut parsed = None;
            let taken = allocation_counter::measure(|| parsed = Some(json(&text)));
            let most = text.len() as u64 * 16 + 4096;
            let start: String = text.chars().take(30).collect();
            assert!(
                taken.bytes_max < most,
                "{start}: {taken:?} for {}",
                text.len()
            );
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in r#"(\[|\]|\{|\}|"targets"|"labels"|:|,|"a:1"|- |\n|null|\PC){0,30}"#) {
            drop(parse_json(text.as_bytes()));
            drop(parse_yaml("f.yml", &text));
        }

        #[test]
        fn every_list_of_groups_is_read_back(
            groups in proptest::collection::vec(
                (proptest::collection::vec("\\PC{1,9}", 0..4),
                 proptest::collection::btree_map("\\PC{1,9}", "\\PC{0,9}", 0..4)), 0..6)
        ) {
            let value: Vec<_> = groups.iter()
                .map(|(targets, labels)| serde_json::json!({"targets": targets, "labels": labels}))
                .collect();
            let parsed = json(&serde_json::to_string(&value).unwrap());
            let read = parsed.groups.iter();
            let read = read.map(|g| (g.addresses.iter().map(ToString::to_string).collect::<Vec<_>>(), g.labels()));
            let read: Vec<_> = read.collect();
            let named: Vec<_> = groups.into_iter().filter(|(targets, _)| !targets.is_empty()).collect();
            prop_assert_eq!(read, named);
        }
    }
}
