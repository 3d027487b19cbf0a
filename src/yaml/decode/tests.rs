use super::*;
use crate::yaml::{Expansion, Place, Scalar, Value, parse};
use proptest::prelude::*;
use serde::Deserialize;
use std::{collections::BTreeMap, sync::Arc};

#[derive(Debug, Deserialize, PartialEq, Default)]
#[serde(default)]
struct Server {
    port: u16,
    name: String,
    ratio: f64,
    on: bool,
    #[serde(alias = "label")]
    tag: Option<String>,
    level: Level,
    words: Vec<String>,
    inner: Inner,
    more: BTreeMap<String, i64>,
    token: Secret,
}

#[derive(Debug, Deserialize, PartialEq, Default)]
#[serde(default)]
struct Inner {
    deep: u8,
    small: i8,
}

#[derive(Debug, Deserialize, PartialEq, Default)]
struct Secret(String);

#[derive(Debug, Deserialize, PartialEq, Default)]
#[serde(rename_all = "snake_case")]
enum Level {
    #[default]
    Normal,
    VeryDetailed,
    Custom(Inner),
    Fixed {
        at: u8,
    },
}

#[derive(Debug, Deserialize, PartialEq)]
struct Target {
    endpoint: String,
    count: u8,
    path: String,
    #[serde(default)]
    port: u16,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Targets {
    targets: Vec<Target>,
}

fn read<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    let mut diagnostics = Diagnostics::new();
    let node = parse("f", text, &mut diagnostics).expect("valid YAML");
    decode(&node, "", &mut diagnostics).ok_or_else(|| diagnostics.to_string())
}

fn expanded(text: &str) -> Node {
    let scalar = Scalar {
        text: text.to_owned(),
        plain: true,
    };
    let reference = "${env:X}".to_owned();
    let expansion = Expansion {
        reference,
        text: text.to_owned(),
    };
    Node {
        value: Value::Scalar(scalar),
        place: Place::whole("f"),
        expansion: Some(Arc::new(expansion)),
    }
}

fn read_expanded<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    let mut diagnostics = Diagnostics::new();
    decode(&expanded(text), "key", &mut diagnostics).ok_or_else(|| diagnostics.to_string())
}

#[test]
fn reads_everything() {
    let text = "port: 0x1F\nname: '0123'\nratio: 3\non: True\nlabel: x\nwords: a, b\ninner:\n\
                level: {custom: {deep: 7}}\nmore: {a: -1, b: 0o7}\ntoken: 0123\n";
    let server = Server {
        port: 31,
        name: "0123".to_owned(),
        ratio: 3.0,
        on: true,
        tag: Some("x".to_owned()),
        level: Level::Custom(Inner { deep: 7, small: 0 }),
        words: vec!["a".to_owned(), "b".to_owned()],
        inner: Inner::default(),
        more: BTreeMap::from([("a".to_owned(), -1), ("b".to_owned(), 7)]),
        token: Secret("0123".to_owned()),
    };
    assert_eq!(read(text), Ok(server));
    assert_eq!(
        read("level: {fixed: {at: 1}}").map(|s: Server| s.level),
        Ok(Level::Fixed { at: 1 })
    );
    assert_eq!(
        read("level: very_detailed").map(|s: Server| s.level),
        Ok(Level::VeryDetailed)
    );
    for empty in ["", "port:\nname: ~\ntag: null\nwords:\nmore:\ntoken:"] {
        assert_eq!(read(empty), Ok(Server::default()), "{empty}");
    }
}

/// Invalid texts with their messages.
const WRONG: &[(&str, &str)] = &[
    ("prot: 1", "1:1: prot: unknown key (did you mean `port`?)"),
    (
        "inner: {xyz: 1}",
        "1:9: inner::xyz: unknown key; expected one of `deep`, `small`",
    ),
    (
        "port: '80'",
        "1:7: port: expected an integer from 0 to 65535, found the string \"80\" (remove the quotes)",
    ),
    (
        "port: 70000",
        "1:7: port: expected an integer from 0 to 65535, found the integer 70000",
    ),
    (
        "port: 1.5",
        "1:7: port: expected an integer from 0 to 65535, found the number 1.5",
    ),
    (
        "name: 123",
        "1:7: name: expected a string, found the integer 123 (quote it: \"123\")",
    ),
    ("name: [a]", "1:7: name: expected a string, found a list"),
    (
        "on: yes",
        "1:5: on: expected true or false, found the string \"yes\"",
    ),
    (
        "ratio: x",
        "1:8: ratio: expected a number, found the string \"x\"",
    ),
    (
        "inner: 5",
        "1:8: inner: expected a map, found the integer 5",
    ),
    (
        "more: {a: x}",
        "1:11: more::a: expected an integer, found the string \"x\"",
    ),
    (
        "words: 5",
        "1:8: words: expected a list, found the integer 5",
    ),
    (
        "words: [a, 5]",
        "1:12: words::1: expected a string, found the integer 5 (quote it: \"5\")",
    ),
    (
        "tag: a\nlabel: b",
        "1:1: `tag` is set twice, under two names",
    ),
    (
        "level: norml",
        "1:8: level: expected one of `normal`, `very_detailed`, `custom`, `fixed`, \
             found the string \"norml\" (did you mean `normal`?)",
    ),
    (
        "level: {norml: 1}",
        "1:9: level::norml: unknown key (did you mean `normal`?)",
    ),
    (
        "level: {normal: 1}",
        "1:17: level::normal: expected nothing, found the integer 1",
    ),
    (
        "level: custom",
        "1:8: level: expected a map with the name and its settings, found the string \"custom\"",
    ),
    (
        "level: {custom: {deep: x}}",
        "1:24: level::custom::deep: expected an integer from 0 to 255, found the string \"x\"",
    ),
    ("- a", "1:1: expected a map, found a list"),
];

#[test]
fn each_invalid_text_has_its_message() {
    for (text, message) in WRONG {
        assert_eq!(
            read::<Server>(text).unwrap_err(),
            format!("f:{message}"),
            "{text}"
        );
    }
    assert_eq!(
        read::<Targets>("targets: x").unwrap_err(),
        "f:1:10: targets: expected a list, found the string \"x\""
    );
}

#[test]
fn finds_all_mistakes_at_once() {
    let text = "port: x\nnmae: y\nratio: z\nlevel: {custom: {deep: -1, small: 300}}\n\
                more: {a: 1, b: c, d: e}\non: 1";
    let errors = read::<Server>(text).unwrap_err();
    let places: Vec<&str> = errors
        .lines()
        .filter_map(|line| line.split(" expected").next())
        .collect();
    assert_eq!(
        places,
        [
            "f:1:7: port:",
            "f:2:1: nmae: unknown key (did you mean `name`?)",
            "f:3:8: ratio:",
            "f:4:24: level::custom::deep:",
            "f:4:35: level::custom::small:",
            "f:5:17: more::b:",
            "f:5:23: more::d:",
            "f:6:5: on:",
        ]
    );
}

#[test]
fn finds_all_missing_keys_without_consequences() {
    let text = "targets:\n  - port: 1\n  - {endpoint: 1, count: 2, path: x}\n  \
                - {endpont: a, count: 1, path: b}\n  - {endpoint: , count: 999, prot: 1}\n";
    assert_eq!(
        read::<Targets>(text).unwrap_err(),
        "f:2:5: targets::0: missing key `count`\n\
         f:2:5: targets::0: missing key `endpoint`\n\
         f:2:5: targets::0: missing key `path`\n\
         f:3:16: targets::1::endpoint: expected a string, found the integer 1 (quote it: \"1\")\n\
         f:4:6: targets::2::endpont: unknown key (did you mean `endpoint`?)\n\
         f:5:5: targets::3: missing key `endpoint`\n\
         f:5:5: targets::3: missing key `path`\n\
         f:5:25: targets::3::count: expected an integer from 0 to 255, found the integer 999\n\
         f:5:30: targets::3::prot: unknown key (did you mean `port`?)"
    );
}

#[test]
fn a_variable_can_be_a_string_or_a_number() {
    assert_eq!(read_expanded::<u16>("0123"), Ok(123));
    assert_eq!(read_expanded::<String>("0123"), Ok("0123".to_owned()));
    assert_eq!(
        read_expanded::<Secret>("true"),
        Ok(Secret("true".to_owned()))
    );
    assert_eq!(read_expanded::<Option<u16>>(""), Ok(None));
    assert_eq!(read_expanded::<Level>("normal"), Ok(Level::Normal));
    assert_eq!(
        read_expanded::<Vec<String>>("a,b"),
        Ok(vec!["a".to_owned(), "b".to_owned()])
    );
}

#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct Picky;

impl TryFrom<String> for Picky {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        Err(match text.strip_prefix("plain ") {
            Some(_) => "this is never right".to_owned(),
            None => format!("cannot read {text:?}"),
        })
    }
}

#[test]
fn messages_never_show_the_value_of_a_variable() {
    for (message, secret) in [
        (read_expanded::<u16>("hunter2").unwrap_err(), "hunter2"),
        (read_expanded::<Level>("hunter2").unwrap_err(), "hunter2"),
        (read_expanded::<Inner>("hunter2").unwrap_err(), "hunter2"),
        (
            read_expanded::<Vec<Inner>>("hunter2").unwrap_err(),
            "hunter2",
        ),
        (
            read_expanded::<Picky>("hunter2").map(drop).unwrap_err(),
            "hunter2",
        ),
        (read_expanded::<Picky>("zq").map(drop).unwrap_err(), "zq"),
    ] {
        assert!(message.contains("the value of ${env:X}"), "{message}");
        assert!(!message.contains(secret), "{message}");
    }
    let open = |text| read_expanded::<Picky>(text).map(drop).unwrap_err();
    assert_eq!(open("plain abc"), "f: key: this is never right");
    assert_eq!(
        read::<Picky>("abc").map(drop).unwrap_err(),
        "f:1:1: cannot read \"abc\""
    );
    assert_eq!(format!("{:?}", expanded("hunter2")), "${env:X}");
}

proptest! {
    #[test]
    fn never_panics(
        text in r"(port|level|custom|words|inner|more|deep|x|1|'|: |\n|  |- |[\[\]{},]){0,30}"
    ) {
        let mut diagnostics = Diagnostics::new();
        if let Some(node) = parse("f", &text, &mut diagnostics) {
            let server: Option<Server> = decode(&node, "", &mut diagnostics);
            prop_assert_eq!(server.is_none(), !diagnostics.is_empty());
        }
    }
}
