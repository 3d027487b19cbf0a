use super::*;
use proptest::prelude::*;

fn tree(text: &str) -> String {
    let mut diagnostics = Diagnostics::new();
    match parse("f.yaml", text, &mut diagnostics) {
        Some(node) => format!("{node:?}"),
        None => diagnostics.to_string(),
    }
}

#[test]
fn keeps_the_text_and_the_order() {
    let text = "b: 0123\na: 'x'\nc: [1, ~, {}]\n";
    assert_eq!(tree(text), r#"{"b": 0123, "a": "x", "c": [1, null, {}]}"#);
    assert_eq!(tree(""), "null");
    assert_eq!(tree("# only a comment\n---\n"), "null");
    assert_eq!(tree("a: !!str 1\nb: |\n  x\n"), r#"{"a": "1", "b": "x\n"}"#);
}

#[test]
fn replaces_aliases_and_merge_keys() {
    assert_eq!(
        tree("a: &a {x: 1}\nb: *a\n"),
        r#"{"a": {"x": 1}, "b": {"x": 1}}"#
    );
    let text = "a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\nc: {x: 0, <<: [*a, *b]}\n";
    assert!(
        tree(text).ends_with(r#""c": {"x": 0, "y": 1, "z": 2}}"#),
        "{}",
        tree(text)
    );
}

#[test]
fn each_syntax_error_has_its_place() {
    for (text, message) in [
        (
            "a: 1\na: 2\n",
            "f.yaml:2:1: the key `a` is already set at f.yaml:1:1",
        ),
        ("a:\n\t- b\n", "f.yaml:2:"),
        ("a: [1, 2\nb: 3\n", "f.yaml:2:"),
        (
            "a: 1\n---\nb: 2\n",
            "f.yaml:2:1: a second document; one is expected",
        ),
        ("1: a\n", "f.yaml:1:1: a key must be a string; write \"1\""),
        (
            "? [a]\n: b\n",
            "f.yaml:1:3: a key must be a string, found a list",
        ),
        ("a: *b\n", "f.yaml:1:4: not valid YAML"),
        (
            "a: &a [*a]\n",
            "f.yaml:1:8: the alias stands inside of what it repeats",
        ),
        (
            "a: !secret x\n",
            "f.yaml:1:4: the tag `secret` is not supported here",
        ),
        (
            "<<: 1\n",
            "f.yaml:1:1: the merge key `<<` needs a map or a list of maps",
        ),
    ] {
        assert!(tree(text).starts_with(message), "{text:?}: {}", tree(text));
    }
}

#[test]
fn every_value_has_its_place() {
    let node = parse("f", "a:\n  - b: ü\n  - c:\nd: 1\n", &mut Diagnostics::new()).unwrap();
    let place = |path: &[&str]| node.at(path).unwrap().place.to_string();
    assert_eq!(place(&["a"]), "f:2:3");
    assert_eq!(place(&["a", "0", "b"]), "f:2:8");
    assert_eq!(
        place(&["a", "1", "c"]),
        "f:3:5",
        "an absent value has the place of its key"
    );
    assert_eq!(place(&["d"]), "f:4:4");
}

#[test]
fn refuses_expanding_documents_at_once() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..10 {
        let before = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb += &format!("a{level}: &a{level} [{before}]\n");
    }
    assert!(tree(&bomb).contains("more than 100000 values"));
    assert!(tree(&"- ".repeat(100_000)).contains("nested more than 64 levels deep"));
    assert!(tree(&"[".repeat(100_000)).starts_with("f.yaml:1:"));
    let mut deep = "a0: &a0 [x]\n".to_owned();
    for level in 1..100 {
        deep += &format!("a{level}: &a{level} [*a{}]\n", level - 1);
    }
    assert!(tree(&deep).contains("nested more than 64 levels deep"));
    let long = format!(
        "a: &a {}\nb: [{}]\n",
        "x".repeat(1 << 20),
        vec!["*a"; 50].join(", ")
    );
    assert!(tree(&long).contains("bytes of text"));
}

proptest! {
    #[test]
    fn never_panics(text in r"([a-c:\-\[\]{}&*!|>'\x22#%@ \t\n,?<]|\PC){0,60}") {
        tree(&text);
    }
}
