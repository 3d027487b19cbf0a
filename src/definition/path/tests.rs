use serde_json::json;

use super::*;
use crate::definition::ElementKey;

fn path(text: &str) -> Path {
    Path::parse(text).unwrap()
}

fn steps() -> Steps {
    Steps::for_document(0)
}

fn first(text: &str, document: &Value) -> Option<Value> {
    path(text).first(document, &steps()).unwrap().cloned()
}

fn keys(text: &str, document: &Value) -> Vec<String> {
    let path = path(text);
    let found = path.elements(document, 100, &steps()).unwrap();
    let hits = found.hits.into_iter();
    hits.map(|hit| hit.key.unwrap().to_string()).collect()
}

#[test]
fn a_singular_path_walks_names_and_indexes() {
    let document = json!({"a": {"b": [1, 2, {"it's": 3}]}});
    for (text, expected) in [
        ("$.a.b[0]", json!(1)),
        ("$['a']['b'][-2]", json!(2)),
        ("$.a.b[2][\"it's\"]", json!(3)),
    ] {
        assert!(path(text).keys().is_some(), "{text} is singular");
        assert_eq!(first(text, &document), Some(expected), "{text}");
    }
    let escaped = first("$['a'].b[2]['it\\'s']", &document);
    assert_eq!(escaped, Some(json!(3)));
    assert_eq!(first("$.a.c", &document), None);
    assert_eq!(first("$.a.b[3]", &document), None);
    assert_eq!(first("$.a.b[-4]", &document), None);
}

#[test]
fn elements_carry_their_key() {
    let document =
        json!({"nodes": {"x": {"up": true}, "y'z": {"up": false}}, "list": [{"up": true, "n": 1}]});
    let of = |text| keys(text, &document);
    assert_eq!(of("$.nodes"), ["x", "y'z"]);
    assert_eq!(of("$.nodes.*"), ["x", "y'z"]);
    assert_eq!(of("$.nodes[?@.up == true]"), ["x"]);
    assert_eq!(of("$.list[?@.n > 0]"), ["0"]);
    assert_eq!(of("$.missing"), Vec::<String>::new());
    let odd = json!({"a\u{1}": {"n": 1}});
    for text in ["$", "$.*", "$..[?@.n]"] {
        assert_eq!(keys(text, &odd), ["a\u{1}"], "{text}");
    }
}

#[test]
fn of_many_elements_the_first_are_given_and_all_are_counted() {
    let document = json!([5, 6, 7]);
    for text in ["$", "$[*]"] {
        let path = path(text);
        let found = path.elements(&document, 2, &steps()).unwrap();
        assert_eq!((found.hits.len(), found.total), (2, 3), "{text}");
    }
}

#[test]
fn integers_stay_exact_in_every_kind_of_path() {
    let document = json!({"n": [u64::MAX], "almost": u64::MAX - 1});
    let found = |text| first(text, &document).and_then(|value| value.as_u64());
    assert_eq!(found("$.n[0]"), Some(u64::MAX));
    assert_eq!(found("$.n[*]"), Some(u64::MAX));
    assert_eq!(found("$.n[?@ == $.almost]"), None);
}

#[test]
fn what_stands_directly_below_the_document_is_known() {
    for (text, expected) in [
        ("$.a.b", Some(&["a"][..])),
        ("$['a'][?@.x]", Some(&["a"])),
        ("$['a', 'b'].c", Some(&["a", "b"])),
        (
            "$.a[?@.x == $.b.x && count($.c[?@ == $.d]) > 1]",
            Some(&["a", "b", "c", "d"]),
        ),
        (
            "$.a[?search(@.x, $.b) || !in(@.y, $.c[0])]",
            Some(&["a", "b", "c"]),
        ),
        (
            "$.a[?length(value($.b..x)) == 1].b[?$.c]",
            Some(&["a", "b", "c"]),
        ),
        ("$.a[?@.x == $[0]]", None),
        ("$.a[?@..x[?$..y]]", None),
        ("$[0]", None),
        ("$[?@.a]", None),
        ("$", None),
        ("$..a", None),
    ] {
        assert_eq!(path(text).root_keys().as_deref(), expected, "{text}");
    }
}

#[test]
fn what_is_no_path_is_refused() {
    for text in [
        "bytes_transmitted",
        "$.[",
        "$.a[?",
        "",
        "$[?count(@.a, @.b) > 1]",
    ] {
        let error = Path::parse(text).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("`{text}` is not a JSONPath")),
            "{error}"
        );
    }
}

/// The parser needs hours for some of these texts.
#[test]
fn what_is_too_deep_or_too_long_is_refused_before_it_is_parsed() {
    for (open, close) in [
        ("in(", ""),
        ("in(@['a'],", ""),
        ("(", ")"),
        ("!(", ")"),
        ("count(", ")"),
        ("@[?", "]"),
    ] {
        let text = format!("$[?{}@{}", open.repeat(12), close.repeat(12));
        let error = Path::parse(&text).unwrap_err().to_string();
        assert!(error.contains("deep in one another"), "{error}");
    }
    let long = format!("${}", ".a".repeat(TEXT_BYTES_MAX));
    let error = Path::parse(&long).unwrap_err().to_string();
    assert!(error.contains("longer than 1024 bytes"), "{error}");
    assert!(error.len() < 300, "{error}");
    assert!(Path::parse("$[?((@.a == '((((((' || !(@['b'])) && (@.c)), ?@.d]").is_ok());
}

#[test]
fn no_evaluation_goes_on_without_steps() {
    let document = json!({"a": vec![1; 100]});
    let path = path("$..[?@ == 2]");
    let few = || Steps::new(50);
    assert_eq!(path.first(&document, &few()), Err(TooManySteps));
    assert_eq!(path.one(&document, &few()), Err(TooManySteps.into()));
    assert_eq!(path.nodes(&document, 1, &few()), Err(TooManySteps));
    assert_eq!(path.elements(&document, 1, &few()), Err(TooManySteps));
    assert_eq!(path.misses(&document, &few()), Err(TooManySteps));
}

#[test]
fn a_key_is_the_same_however_the_path_is_written() {
    let keys = [
        "a\nb",
        "\u{1}\u{8}\u{c}\r\t",
        "it's",
        "b\\",
        "['x']",
        "'q'",
        "",
        "ü",
    ];
    for key in keys {
        let document = json!({ "o": { key: 1 } });
        let all = ["$.o", "$.o[*]", "$.o.*", "$['o'][?@ == 1]", "$..o[*]"];
        for text in all {
            let hits = path(text).elements(&document, 9, &steps()).unwrap().hits;
            let found: Vec<_> = hits.iter().map(|hit| hit.key).collect();
            assert_eq!(found, [Some(ElementKey::Name(key))], "{text}");
        }
    }
    let document = json!({"'q'": 1, "q": 2, "a\\b": 3, "a\tb": 4});
    for (text, expected) in [
        ("$[\"'q'\"]", 1),
        ("$['q']", 2),
        ("$['a\\\\b']", 3),
        ("$['a\\tb']", 4),
    ] {
        assert_eq!(first(text, &document), Some(json!(expected)), "{text}");
    }
}

#[test]
fn only_a_path_of_names_alone_is_short_for_its_elements() {
    let document = json!({"values": [{"x": [1, 2]}, {"x": [3]}]});
    let found = |text| {
        let hits = path(text).elements(&document, 9, &steps()).unwrap().hits;
        let shown = hits.iter().map(|hit| {
            let key = hit.key.map(ElementKey::text).unwrap_or_default();
            format!("{key}={}", hit.value)
        });
        shown.collect::<Vec<_>>()
    };
    assert_eq!(found("$.values"), found("$.values[*]"));
    assert_eq!(found("$.values[0]"), ["0={\"x\":[1,2]}"]);
    assert_eq!(found("$.values[-1]"), ["1={\"x\":[3]}"]);
    assert_eq!(found("$.values[0:1]"), ["0={\"x\":[1,2]}"]);
    assert_eq!(found("$.values[*].x"), ["x=[1,2]", "x=[3]"]);
    assert_eq!(found("$.values[1].x"), ["x=[3]"]);
    assert_eq!(found("$.values[*].x[*]"), ["0=1", "1=2", "0=3"]);
}

#[test]
fn several_values_are_not_one() {
    let document = json!({"a": [1, 2, null], "b": [null, 3]});
    let one = |text| {
        let path = path(text);
        path.one(&document, &steps()).map(Option::<&Value>::cloned)
    };
    assert_eq!(one("$.a[*]"), Err(NotOne::Several(2)));
    assert_eq!(one("$.b[*]"), Ok(Some(json!(3))));
    assert_eq!(one("$.a[0]"), Ok(Some(json!(1))));
    assert_eq!(one("$.a[2]"), Ok(None));
    assert_eq!(one("$.c[*]"), Ok(None));
}

#[test]
fn what_is_there_and_empty_is_no_gap() {
    let document = json!({"none": [], "nil": null, "n": 1, "jobs": [{"tags": []}, {"tags": {}}]});
    for (text, expected) in [
        ("$.none", false),
        ("$.none[*]", false),
        ("$.none[?@.x == 1]", false),
        ("$.jobs[*].tags[*]", false),
        ("$..nothing", true),
        ("$.nil", true),
        ("$.nil[*]", true),
        ("$.missing", true),
        ("$.missing[*]", true),
        ("$.n[*]", true),
        ("$.none[0]", true),
        ("$.none[*].x", false),
        ("$.jobs[?@.state == 'on']", true),
        ("$.jobs[*].tag[*]", true),
    ] {
        let (path, none) = (path(text), Ok(Elements::default()));
        assert_eq!(path.elements(&document, 9, &steps()), none, "{text}");
        assert_eq!(path.misses(&document, &steps()), Ok(expected), "{text}");
    }
}
