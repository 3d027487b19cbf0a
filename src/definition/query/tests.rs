use serde_json::{Value, json};

use crate::definition::{Path, Steps, TooManySteps};

/// What a path finds, as one list.
fn found(path: &str, document: &Value, steps: u64) -> Result<Value, TooManySteps> {
    // Singular paths do not use the query engine.
    let path = Path::parse(path).unwrap();
    let found = path.elements(document, usize::MAX, &Steps::new(steps))?;
    Ok(found.hits.iter().map(|hit| hit.value.clone()).collect())
}

fn all(path: &str, document: &Value) -> Value {
    found(path, document, 1_000_000).unwrap()
}

#[test]
fn selectors() {
    let document = json!([10, 11, 12, 13, {"a": 1, "b": [2]}]);
    for (path, expected) in [
        ("$[0, -1]", json!([10, {"a": 1, "b": [2]}])),
        ("$[1:3]", json!([11, 12])),
        ("$[-4:-1:2]", json!([11, 13])),
        ("$[3:0:-2]", json!([13, 11])),
        ("$[::-1]", json!([{"a": 1, "b": [2]}, 13, 12, 11, 10])),
        ("$[1:3:0]", json!([])),
        ("$[7:, 9]", json!([])),
        ("$[4].*", json!([1, [2]])),
        ("$[4]['b', 'a', 'c']", json!([[2], 1])),
        ("$..a", json!([1])),
        ("$..[0]", json!([10, 2])),
        ("$[?@ > 11]", json!([12, 13])),
        ("$[4][?@ == 1]", json!([1])),
    ] {
        assert_eq!(all(path, &document), expected, "{path}");
    }
}

#[test]
fn conditions() {
    let document = json!({
        "allowed": ["x", "y"],
        "almost": u64::MAX - 1,
        "list": [
            {"id": 1, "s": "x", "n": 5, "tags": ["t", "u"]},
            {"id": 2, "s": "y.z", "n": 5.0, "deep": {"s": null}},
            {"id": 3, "s": null, "tags": []},
            {"id": 4, "n": u64::MAX, "re": "x.*", "s": "xyz"},
        ],
    });
    for (condition, expected) in [
        ("@.n", json!([1, 2, 4])),
        ("!@.n", json!([3])),
        ("@.s == null", json!([3])),
        ("@.s == @.missing", json!([])),
        ("@.n == 5", json!([1, 2])),
        ("@.n != 5", json!([3, 4])),
        ("@.n > $.almost", json!([4])),
        ("@.n == $.almost", json!([])),
        ("@.n < 6 && @.s == 'x'", json!([1])),
        ("@.id == 1 || (@.id > 2 && !(@.id == 3))", json!([1, 4])),
        ("@.s <= 'x'", json!([1])),
        ("@.missing <= @.gone", json!([1, 2, 3, 4])),
        ("@.missing < @.gone", json!([])),
        ("length(@.tags) == 2", json!([1])),
        ("length(@.s) == 3", json!([2, 4])),
        ("count(@.*) == 3", json!([3])),
        ("count(@.missing) == 0 && @.id == 3", json!([3])),
        ("value(@..s) == 'x'", json!([1])),
        ("match(@.s, 'x.')", json!([])),
        ("match(@.s, 'x..')", json!([4])),
        ("search(@.s, '[.]')", json!([2])),
        ("match(@.s, @.re)", json!([4])),
        ("match(@.s, '(')", json!([])),
        ("@.deep[?@ == null]", json!([2])),
        ("@.tags == $.list[0].tags", json!([1])),
        ("in(@.s, $.allowed)", json!([1])),
        ("nin(@.s, $.allowed)", json!([2, 3, 4])),
        ("any_of(@.tags, $.list[0].tags)", json!([1])),
        ("none_of(@.tags, $.allowed)", json!([1, 3])),
        ("subset_of(@.tags, $.allowed)", json!([3])),
    ] {
        let path = format!("$.list[?{condition}].id");
        assert_eq!(all(&path, &document), expected, "{condition}");
    }
}

/// Arrays nested `depth` levels deep.
fn nested(depth: usize) -> Value {
    (0..depth).fold(json!({"load": 1}), |inner, _| json!([inner]))
}

#[test]
fn what_would_take_long_is_refused() {
    let wide: Value = (0..3000).map(|n| json!([n])).collect();
    for (path, document) in [
        ("$..[?@..load]", nested(100)),
        ("$..*..*", wide.clone()),
        ("$[?count($..*) == 0]", wide.clone()),
        ("$[?@ == $]", json!([wide.clone(), [wide.clone(), wide]])),
        ("$[?search('a', @)]", json!(vec!["a{200}"; 3000])),
        ("$[?search(@, 'a')]", json!(["b".repeat(100_000)])),
    ] {
        assert_eq!(found(path, &document, 5000), Err(TooManySteps), "{path}");
    }
    assert_eq!(found("$..load", &nested(100), 5000), Ok(json!([1])));
}

#[test]
fn a_filter_looks_no_further_than_the_first() {
    let wide: Value = (0..3000).collect();
    assert_eq!(
        found("$[?@.*]", &json!([wide]), 100).map(|all| all[0][0].clone()),
        Ok(json!(0))
    );
}

#[test]
fn there_are_none_left_once_they_did_not_suffice() {
    let (path, steps) = (Path::parse("$..*").unwrap(), Steps::new(50));
    assert!(path.elements(&json!(vec![0; 100]), 1, &steps).is_err());
    assert!(path.elements(&json!([]), 1, &steps).is_err());
}
