use serde_json::json;

use super::*;

/// Of the stack of a test, which is small.
const STACK_BYTES: usize = 512 * 1024;

fn run(program: &str, document: &Value) -> Result<Value, TransformError> {
    let transform = Transform::new(program).unwrap_or_else(|wrong| panic!("{program}: {wrong}"));
    let run = transform.run(document, STACK_BYTES, 16 << 20);
    run.map(|transformed| transformed.value)
}

#[test]
fn programs_do_what_jq_does() {
    let stations = json!([{"name": "a", "load": "28 %", "mounts": [{"n": 7}, {"n": 3}]}]);
    for (program, document, expected) in [
        (
            ".",
            json!({"a": [1, null, "x", 0.5]}),
            json!({"a": [1, null, "x", 0.5]}),
        ),
        (".a", json!({"a": 7}), json!(7)),
        (".[] | . + 1", json!([1, 2]), json!([2, 3])),
        ("empty", json!(1), json!([])),
        (
            "[.[] as $s | $s.mounts[] | {station: $s.name, n, load: ($s.load | rtrimstr(\" %\") | tonumber)}]",
            stations,
            json!([{"station": "a", "n": 7, "load": 28}, {"station": "a", "n": 3, "load": 28}]),
        ),
        (
            "to_entries | map(.key)",
            json!({"b": 1, "a": 2}),
            json!(["a", "b"]),
        ),
        ("[paths]", json!({"a": [1]}), json!([["a"], ["a", 0]])),
        (
            ".a += 1 | .b |= . * 2 | .c = \"x\" + .c",
            json!({"a": 1, "b": 2, "c": "y"}),
            json!({"a": 2, "b": 4, "c": "xy"}),
        ),
        ("[(1, 2) + (10, 20)]", json!(null), json!([11, 21, 12, 22])),
        ("reduce .[] as $x (0; . + $x)", json!([1, 2, 3]), json!(6)),
        (
            ".text | fromjson | .a",
            json!({"text": "{\"a\": 18446744073709551615}"}),
            json!(u64::MAX),
        ),
        ("tojson", json!({"a": [1]}), json!("{\"a\":[1]}")),
        (
            "\"\\(.a)-\\(.b)\"",
            json!({"a": 1, "b": [2]}),
            json!("1-[2]"),
        ),
        (
            "capture(\"(?<d>[0-9]+)d(?<h>[0-9]+)h\") | (.d | tonumber) * 86400",
            json!("5d3h"),
            json!(432_000),
        ),
        (
            "group_by(.k) | map({k: .[0].k, n: length})",
            json!([{"k": 1}, {"k": 2}, {"k": 1}]),
            json!([{"k": 1, "n": 2}, {"k": 2, "n": 1}]),
        ),
    ] {
        assert_eq!(run(program, &document), Ok(expected), "{program}");
    }
}

#[test]
fn filters_of_every_kind_work_as_in_jq() {
    for (program, document, expected) in [
        ("[limit(3; repeat(1))]", json!(null), json!([1, 1, 1])),
        ("[range(0; 10; 4)]", json!(null), json!([0, 4, 8])),
        ("[range(3; 0; -1)]", json!(null), json!([3, 2, 1])),
        (
            "def f: if . > 2 then . else (. + 1 | f) end; f",
            json!(0),
            json!(3),
        ),
        (
            "walk(if type == \"number\" then . + 1 else . end)",
            json!([1, [2]]),
            json!([2, [3]]),
        ),
        ("[.[] | try error(\"x\") catch .]", json!([1]), json!(["x"])),
        ("fromdateiso8601", json!("1970-01-01T00:01:40Z"), json!(100)),
        ("\"a\" * 3", json!(null), json!("aaa")),
        ("nan", json!(null), Value::Null),
    ] {
        assert_eq!(run(program, &document), Ok(expected), "{program}");
    }
}

#[test]
fn every_number_stays_what_it_is() {
    let exact = json!([
        u64::MAX,
        i64::MIN,
        9_007_199_254_740_993_u64,
        0.1,
        1.175_494_350_822_287_5e-38,
        i64::MAX
    ]);
    assert_eq!(run("map(.)", &exact), Ok(exact.clone()));
    assert_eq!(run(".[0] - 1", &exact), Ok(json!(u64::MAX - 1)));
    assert_eq!(run("tojson | fromjson", &exact), Ok(exact));
}

#[test]
fn a_program_that_runs_away_is_stopped() {
    for program in [
        "def f: f; f",
        "def f: 1 + f; f",
        "def f: f | . + 1; f",
        "def f: [f]; f",
        "[repeat(1)]",
        "last(repeat(1))",
        "[range(1e12)]",
        "last(range(1e12))",
        "range(1e12)",
        "[range(0; 1; 0)]",
        "until(false; .)",
        "[while(true; .)]",
        "\"x\" * 1e10",
        "\"x\" * 10000000000",
        "reduce range(100) as $i (\"x\"; . + .)",
        "reduce range(100) as $i ([1]; . + .)",
        "reduce range(100) as $i (3; . * .)",
        "reduce range(1e6) as $i (null; [.])",
        "reduce range(1e6) as $i (null; {a: .})",
        "reduce range(1e6) as $i (null; . as $x | {} | .a = $x)",
        "reduce range(60) as $i (0; [., .]) | [..] | length",
        "reduce range(60) as $i (0; [., .]) | tojson",
        "reduce range(60) as $i (0; [., .]) | \"\\(.)\"",
        "reduce range(60) as $i (0; [., .])",
        "[recurse(.)]",
        "def f: try error catch f; f",
        "def f: (try f catch .), f; f",
        "[repeat(try error catch .)]",
        "first(repeat(1) | select(false))",
        "isempty(repeat(1) | select(false))",
        "label $out | repeat(1) | select(. > 1) | break $out",
        "reduce range(1e9) as $i ([]; . + [\"a\"]) as $p | null | setpath($p; 1)",
        "reduce range(100000) as $i ([]; . + [\"a\"]) as $p | null | setpath($p; 1)",
        "\"[\" * 1000000 | [limit(1000; repeat(fromjson?))]",
        "[combinations(30)]",
    ] {
        let transform = Transform::new(program).unwrap();
        let budget = Budget::new(512 * 1024, STACK_BYTES);
        let run = transform.run_within(&budget, &json!([0, 1]), 1 << 20);
        assert!(
            matches!(run, Err(TransformError::RunsAway(_))),
            "{program}: {run:?}"
        );
    }
}

#[test]
fn what_fails_says_why() {
    let failed = |program: &str, document: &Value| match run(program, document) {
        Err(TransformError::Failed(why)) => why,
        other => panic!("{program}: {other:?}"),
    };
    assert_eq!(failed(".a", &json!([1])), "cannot index [1] with \"a\"");
    assert_eq!(failed("error(\"no data\")", &json!(1)), "no data");
    let long = failed(".[0] | tonumber", &json!(["x".repeat(5000)]));
    assert!(long.chars().count() <= 201, "{long}");
    assert!(run("\"[\" * 100000 | fromjson", &json!(1)).is_err());
}

#[test]
fn mistakes_have_a_place() {
    for (program, line, column, why) in [
        (
            ".a | nosuch(1)",
            1,
            6,
            "there is no filter `nosuch` with 1 arguments",
        ),
        (".a\n| $x", 2, 3, "there is no variable `$x`"),
        ("{a: .b", 1, 7, "`{` is not closed"),
        (".a | ", 1, 6, "expected a term"),
        ("env.HOME", 1, 1, "there is no filter `env`"),
        ("now", 1, 1, "there is no filter `now`"),
        ("halt", 1, 1, "there is no filter `halt`"),
        ("input", 1, 1, "there is no filter `input`"),
        ("__main", 1, 1, "there is no filter `__main`"),
        ("import \"x\" as x; .", 1, 9, "a program imports nothing"),
        (".a b", 1, 4, "nothing of this is expected here"),
    ] {
        let wrong = Transform::new(program).unwrap_err();
        assert_eq!(wrong.to_string(), why, "{program}");
        assert_eq!(wrong.place(program), Some((line, column)), "{program}");
    }
    assert!(Transform::new(&" ".repeat(PROGRAM_BYTES_MAX + 1)).is_err());
}

#[test]
fn a_program_is_shared_by_threads() {
    fn is<T: Send + Sync>() {}
    is::<Transform>();
}

#[test]
fn a_run_that_nobody_waits_for_is_remembered_until_it_ends() {
    let transform = Transform::new(".").unwrap();
    let (running, awaited) = transform.begin();
    assert!(!transform.is_running_away());
    awaited.abandon();
    assert!(transform.is_running_away());
    drop(running);
    assert!(!transform.is_running_away());
    let (running, awaited) = transform.begin();
    drop(running);
    awaited.abandon();
    assert!(!transform.is_running_away(), "it ended in time");
}
