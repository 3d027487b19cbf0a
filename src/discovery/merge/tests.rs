use super::*;
use crate::discovery::{Address, ShardHash, group::parse_json};

fn known(json: &str) -> SourceSnapshot {
    let parsed = parse_json(json.as_bytes()).unwrap();
    SourceSnapshot {
        parts: vec![parsed.into()],
    }
}

fn merge() -> Merge {
    Merge {
        scheme: Scheme::Http,
        rules: Vec::new(),
        limit: 100,
        shard: None,
        taken: BTreeSet::new(),
    }
}

fn names(merged: &Merged) -> Vec<&str> {
    merged
        .targets
        .iter()
        .map(|target| target.name.as_str())
        .collect()
}

fn located(merged: &Merged) -> Vec<&Address> {
    let targets = merged.targets.iter();
    targets.map(|target| &target.located).collect()
}

fn at(url: &str) -> Address {
    Address::Single(url.parse().unwrap())
}

#[test]
fn each_target_has_one_fate_and_all_are_counted() {
    let rule = serde_json::json!({"source_labels": ["env"], "regex": "test", "action": "drop"});
    let rule = RelabelRule::new(&serde_json::from_value(rule).unwrap()).unwrap();
    let merge = Merge {
        rules: vec![rule],
        limit: 3,
        taken: BTreeSet::from(["taken:1".to_owned()]),
        ..merge()
    };
    let sources = [
        known(r#"[{"targets": ["a:1", "b:1", "a:1", "taken:1"]}, 7]"#),
        known(
            r#"[{"targets": ["t:1"], "labels": {"env": "test"}},
                {"targets": ["b:1", "c:1", "d:1", "x/y", ""]}]"#,
        ),
    ];
    let merged = merge.merge(sources.iter(), &[]);
    assert_eq!(names(&merged), ["a:1", "b:1", "c:1"]);
    assert_eq!(merged.counts, [[2, 0, 0, 2, 0, 1], [1, 1, 0, 1, 1, 2]]);
    let complaints: Vec<_> = merged.complaints.into_iter().collect();
    assert_eq!(
        complaints,
        [
            ("`__address__` is neither a host and port nor a socket such as unix:///run/api.sock", "x/y"),
            ("no `__address__`", ""),
            ("there are `target_limit` targets already", "d:1"),
        ]
        .map(|(error, address)| (error.to_owned(), address.to_owned()))
    );
}

#[test]
fn a_source_cannot_take_tls_away() {
    let merge = Merge {
        scheme: Scheme::Https,
        ..merge()
    };
    let source =
        known(r#"[{"targets": ["a:1"]}, {"targets": ["b:1"], "labels": {"__scheme__": "http"}}]"#);
    let merged = merge.merge([&source].into_iter(), &[]);
    assert_eq!(located(&merged), [&at("https://a:1")]);
    let source = known(r#"[{"targets": ["b:1"], "labels": {"__scheme__": "https"}}]"#);
    let merged = self::merge().merge([&source].into_iter(), &[]);
    assert_eq!(located(&merged), [&at("https://b:1")]);
}

fn in_pool(urls: &[&str]) -> Address {
    Address::Replicas(urls.iter().map(|url| url.parse().unwrap()).collect())
}

#[test]
fn addresses_of_one_pool_are_one_target_where_the_first_of_them_stands() {
    let sources = [
        known(
            r#"[{"targets": ["b:1"], "labels": {"__pool__": "p", "env": "x", "rack": "1"}},
                {"targets": ["alone:1"]},
                {"targets": ["q:1", "q:1"], "labels": {"__pool__": "q", "rack": "1"}}]"#,
        ),
        known(
            r#"[{"targets": ["c:1", "b:1", "a/x", "a:1"], "labels":
                 {"__pool__": "p", "env": "x", "rack": "2", "more": "y"}}]"#,
        ),
    ];
    let merged = merge().merge(sources.iter(), &[]);
    assert_eq!(names(&merged), ["p", "alone:1", "q"]);
    let p = in_pool(&["http://a:1", "http://b:1", "http://c:1"]);
    let expected = [&p, &at("http://alone:1"), &in_pool(&["http://q:1"])];
    assert_eq!(located(&merged), expected);
    let labels: Vec<_> = merged
        .targets
        .iter()
        .map(|target| &*target.labels)
        .collect();
    let one = |name: &str, value: &str| Labels::from([(name.to_owned(), value.to_owned())]);
    let expected = [&one("env", "x"), &Labels::new(), &one("rack", "1")];
    assert_eq!(labels, expected, "those that all of them agree on");
    // A bad one costs only itself.
    assert_eq!(merged.counts, [[3, 0, 0, 1, 0, 0], [2, 0, 0, 1, 0, 1]]);
}

#[test]
fn the_order_of_a_pool_does_not_depend_on_that_of_the_answer() {
    let merged = |targets: &str| {
        let group = format!(r#"[{{"targets": {targets}, "labels": {{"__pool__": "p"}}}}]"#);
        merge().merge([&known(&group)].into_iter(), &[])
    };
    let one = merged(r#"["10.0.0.2:1", "10.0.0.1:1", "10.0.0.3:1"]"#);
    assert_eq!(one, merged(r#"["10.0.0.3:1", "10.0.0.2:1", "10.0.0.1:1"]"#));
}

#[test]
fn a_pool_is_one_of_the_targets_that_are_limited_and_named() {
    let merge = Merge {
        limit: 2,
        taken: BTreeSet::from(["taken".to_owned()]),
        ..merge()
    };
    let pool = |name: &str, count: usize| {
        let targets: Vec<_> = (0..count).map(|n| format!("{name}-{n:02}:1")).collect();
        serde_json::json!({"targets": targets, "labels": {"__pool__": name}})
    };
    let groups = serde_json::json!([
        pool("taken", 2),
        pool("big", INSTANCES_MAX + 1),
        {"targets": ["big:1"], "labels": {"target": "big"}},
        {"targets": ["last:1"]},
        {"targets": ["x:1"], "labels": {"__pool__": "last:1"}},
        pool("late", 3),
    ]);
    let merged = merge.merge([&known(&groups.to_string())].into_iter(), &[]);
    assert_eq!(names(&merged), ["big", "last:1"]);
    let big = merged.targets[0].located.clone();
    assert_eq!(big.into_urls().count(), INSTANCES_MAX);
    let kept = INSTANCES_MAX as u64 + 1;
    assert_eq!(merged.counts, [[kept, 0, 0, 4, 4, 0]]);
    let complaints: Vec<_> = merged.complaints.values().map(String::as_str).collect();
    assert_eq!(complaints, ["big-64:1", "late-00:1"]);
}

#[test]
fn a_pool_has_one_shard() {
    let members: Vec<_> = (0..40).map(|n| format!("node-{n}:1")).collect();
    let pools = (0..30)
        .map(|n| serde_json::json!({"targets": members, "labels": {"__pool__": format!("p{n}")}}));
    let source = known(&serde_json::Value::from_iter(pools).to_string());
    for hash in [ShardHash::Rendezvous, ShardHash::HashMod] {
        let of = |index: &str| {
            let index = index.parse().unwrap();
            let shard = ShardConfig {
                index,
                count: 3,
                hash,
            };
            let merge = Merge {
                shard: Some(shard),
                ..merge()
            };
            merge.merge([&source].into_iter(), &[])
        };
        let all = [of("0"), of("1"), of("2")];
        let shares = all.each_ref().map(|merged| merged.targets.len());
        assert!(shares.iter().all(|share| *share > 3), "{shares:?}");
        assert_eq!(shares.iter().sum::<usize>(), 30);
        for merged in all {
            let whole = |located: &&Address| {
                let urls = Address::into_urls(Address::clone(located));
                urls.count() == 40
            };
            assert!(located(&merged).iter().all(whole));
        }
    }
}

#[test]
fn the_shards_of_a_list_are_the_list() {
    let addresses: Vec<String> = (0..200).map(|n| format!("node-{n}:80")).collect();
    let source = known(&serde_json::json!([{"targets": addresses}]).to_string());
    let mut found: Vec<String> = Vec::new();
    for index in ["0", "1", "2"] {
        let merge = Merge {
            limit: 200,
            shard: Some(ShardConfig {
                index: index.parse().unwrap(),
                count: 3,
                hash: Default::default(),
            }),
            ..merge()
        };
        let merged = merge.merge([&source].into_iter(), &[]);
        assert_eq!(merged.counts[0].iter().sum::<u64>(), 200);
        found.extend(merged.targets.into_iter().map(|target| target.name));
    }
    found.sort();
    let mut addresses = addresses;
    addresses.sort();
    assert_eq!(found, addresses);
}

#[test]
fn what_is_polled_keeps_its_place_under_the_limit() {
    let merge = Merge {
        limit: 2,
        ..merge()
    };
    let first = merge.merge(
        [&known(r#"[{"targets": ["b:1", "c:1", "d:1"]}]"#)].into_iter(),
        &[],
    );
    assert_eq!(names(&first), ["b:1", "c:1"]);
    let more = known(r#"[{"targets": ["a:1", "b:1", "c:1", "d:1"]}]"#);
    let second = merge.merge([&more].into_iter(), &first.targets);
    assert_eq!(
        names(&second),
        ["b:1", "c:1"],
        "one that sorts before them changes nothing"
    );
    assert_eq!(second.counts, [[2, 0, 0, 0, 2, 0]]);
    let less = known(r#"[{"targets": ["a:1", "c:1", "d:1"]}]"#);
    let third = merge.merge([&less].into_iter(), &second.targets);
    assert_eq!(
        names(&third),
        ["a:1", "c:1"],
        "a place that is free is given to a new one"
    );
}

#[test]
fn of_two_addresses_of_one_name_the_polled_one_stays() {
    let named = |addresses: &str| {
        let group = format!(r#"[{{"targets": {addresses}, "labels": {{"target": "n"}}}}]"#);
        known(&group)
    };
    let first = merge().merge([&named(r#"["b:1"]"#)].into_iter(), &[]);
    let both = named(r#"["a:1", "b:1"]"#);
    let second = merge().merge([&both].into_iter(), &first.targets);
    assert_eq!(located(&second), [&at("http://b:1")]);
    assert_eq!(second.counts, [[1, 0, 0, 1, 0, 0]]);
    let gone = merge().merge([&named(r#"["a:1", "c:1"]"#)].into_iter(), &second.targets);
    assert_eq!(located(&gone), [&at("http://a:1")]);
}
