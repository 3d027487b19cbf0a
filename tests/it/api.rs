//! Tests of `/api/v1/targets` of the real program: a read between polls gets the cached answer, or
//! causes one request.

use betanet_collector::simulator::{Dialect, Node, NodeFault};
use serde_json::{Value, json};

use crate::support::{
    PATIENCE, eventually, get,
    stand::{Options, Stand, documented_node, node},
};

const METRICS: &str = "/api/v1/metrics";

/// Polls are so rare that readers cause the requests.
fn seldom() -> Options {
    Options {
        interval: "10m",
        resilience: "retry: {max_retries: 0}, cache: {ttl: 5m, max_stale: 1h}",
        ..Options::default()
    }
}

/// Starts the collector, and waits until it knows its targets.
async fn start(nodes: &[(&str, &Node)]) -> Stand {
    let stand = seldom().start(nodes).await;
    eventually("all targets are known", PATIENCE, async || {
        let (_, list) = ask(&stand, "").await;
        (list["total"] == nodes.len()).then_some(())
    })
    .await;
    stand
}

async fn ask(stand: &Stand, path: &str) -> (u16, Value) {
    let url = format!("http://{}/api/v1/targets{path}", stand.address);
    let answer = get(&url).await.unwrap();
    let status = answer.status().as_u16();
    (
        status,
        serde_json::from_str(&answer.text().await.unwrap()).unwrap(),
    )
}

/// The outcome of the metrics endpoint.
fn outcome(target: &Value) -> &str {
    let endpoints = target["endpoints"].as_object().unwrap().values();
    let mut of_metrics = endpoints.filter(|endpoint| endpoint["path"] == METRICS);
    of_metrics.next().unwrap()["outcome"].as_str().unwrap()
}

fn value(target: &Value, metric: &str) -> Value {
    let metrics = target["metrics"].as_array().unwrap();
    let found = metrics.iter().find(|known| known["name"] == metric);
    found.map_or(Value::Null, |known| known["values"][0]["value"].clone())
}

fn requests(node: &Node) -> u64 {
    node.requests_to(METRICS)
}

#[tokio::test]
async fn there_is_one_request_within_the_ttl() {
    let node = documented_node();
    let stand = start(&[("one", &node)]).await;
    let (status, first) = ask(&stand, "/one").await;
    assert_eq!(status, 200);
    assert!(["fresh", "hit"].contains(&outcome(&first)), "{first}");
    assert_eq!(value(&first, "betanet_messages_total"), json!(5_000));
    assert_eq!(
        (&first["up"], &first["problems"]),
        (&json!(true), &json!([]))
    );
    let asked = requests(&node);
    node.update(|state| state.packets_processed = 6_000);
    for _ in 0..5 {
        let (_, again) = ask(&stand, "/one").await;
        assert_eq!(outcome(&again), "hit");
        assert_eq!(value(&again, "betanet_messages_total"), json!(5_000));
    }
    assert_eq!(requests(&node), asked);
}

#[tokio::test]
async fn a_failing_node_gets_one_request_and_the_answer_has_the_reason() {
    let node = documented_node();
    let code = 503;
    node.set_fault(
        Some(METRICS),
        NodeFault::Status {
            code,
            retry_after: None,
        },
    );
    let stand = start(&[("one", &node)]).await;
    let (status, target) = ask(&stand, "/one").await;
    assert_eq!((status, outcome(&target)), (200, "missing"));
    let endpoints = target["endpoints"].as_object().unwrap().values();
    let errors: Vec<_> = endpoints
        .filter_map(|e| e["error"]["type"].as_str())
        .collect();
    assert_eq!(errors, ["503"]);
    assert_eq!(target["up"], true, "the other endpoints answer");
    assert_eq!(value(&target, "betanet_messages_total"), Value::Null);
}

#[tokio::test]
async fn the_list_has_pages_and_causes_no_request() {
    let nodes = [(); 3].map(|()| node(Dialect::Betanet));
    let names = ["a", "b", "c d"];
    let targets: Vec<_> = names.into_iter().zip(&nodes).collect();
    let stand = start(&targets).await;
    let names = |page: &Value| {
        let targets = page["targets"].as_array().unwrap().iter();
        let names = targets.map(|target| target["name"].as_str().unwrap().to_owned());
        (
            names.collect::<Vec<_>>(),
            page["next"].clone(),
            page["total"].clone(),
        )
    };
    let (_, page) = ask(&stand, "?limit=2").await;
    let two = vec!["a".to_owned(), "b".to_owned()];
    assert_eq!(names(&page), (two, json!("b"), json!(3)));
    let (_, page) = ask(&stand, "?limit=2&after=b").await;
    assert_eq!(
        names(&page),
        (vec!["c d".to_owned()], Value::Null, json!(3))
    );
    let (status, target) = ask(&stand, "/c%20d").await;
    assert_eq!((status, &target["name"]), (200, &json!("c d")));
}

#[tokio::test]
async fn an_invalid_request_is_refused_with_the_valid_parameters() {
    let node = documented_node();
    let stand = start(&[("one", &node)]).await;
    for (path, status, error) in [
        ("/two", 404, "there is no target `two`"),
        ("?limit=0", 400, "limit: expected a number from 1 to 1000"),
        (
            "?limit=many",
            400,
            "limit: expected a number from 1 to 1000",
        ),
        (
            "?page=2",
            400,
            "unknown parameter `page`; there is: after, label, limit, q, receiver, sort, state",
        ),
        (
            "?state=dead",
            400,
            "state: there is no state `dead`; there is: open, probing, failing, partial, late, \
             pending, fresh",
        ),
    ] {
        assert_eq!(ask(&stand, path).await, (status, json!({ "error": error })));
    }
}

/// What the API says at a path.
async fn api(stand: &Stand, path: &str) -> Value {
    let url = format!("http://{}/api/v1/{path}", stand.address);
    let text = get(&url).await.unwrap().text().await.unwrap();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}\n{text}"))
}

/// A sound node and one that answers nothing but 503, polled often.
async fn one_of_two_fails(sound: &Node, failing: &Node) -> Stand {
    failing.set_fault(
        None,
        NodeFault::Status {
            code: 503,
            retry_after: None,
        },
    );
    let options = Options {
        resilience: "retry: {max_retries: 0}, circuit_breaker: {failure_threshold: 3, open_duration: 1h}",
        target: "labels: {region: eu}",
        ..Options::default()
    };
    let stand = options.start(&[("a", sound), ("<b>", failing)]).await;
    eventually("a breaker is open", PATIENCE, async || {
        let fleet = api(&stand, "fleet").await;
        (fleet["states"] == json!({"open": 1, "fresh": 1})).then_some(())
    })
    .await;
    stand
}

#[tokio::test]
async fn the_fleet_is_told_in_sentences_and_the_worst_target_comes_first() {
    let (sound, failing) = (documented_node(), documented_node());
    let stand = one_of_two_fails(&sound, &failing).await;
    let fleet = api(&stand, "fleet").await;
    assert_eq!(
        fleet["headline"],
        json!(["1 of 2 targets is fresh: 1 has an open breaker."])
    );
    let names = async |query: &str| {
        let page = api(&stand, &format!("targets?{query}")).await;
        let rows = page["targets"].as_array().unwrap().iter();
        rows.map(|row| row["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    for (query, expected) in [
        ("sort=worst", vec!["<b>", "a"]),
        ("state=open", vec!["<b>"]),
        ("state=failing,late", vec![]),
        ("q=503", vec!["<b>"]),
        ("q=REGION%3DEU&sort=name", vec!["<b>", "a"]),
        ("label=region=us", vec![]),
        ("sort=worst&after=%3Cb%3E", vec!["a"]),
        ("receiver=nobody", vec![]),
    ] {
        assert_eq!(names(query).await, expected, "{query}");
    }
    let row = &api(&stand, "targets?state=open").await["targets"][0];
    assert_eq!(row["cause"]["type"], "503");
    assert!(row["retry_in_seconds"].as_f64().unwrap() > 3000.0, "{row}");
}

#[tokio::test]
async fn why_a_target_is_as_it_is_stands_in_its_decisions_and_nobody_is_asked() {
    let (sound, failing) = (documented_node(), documented_node());
    let stand = one_of_two_fails(&sound, &failing).await;
    let asked = failing.requests();
    let decisions = api(&stand, "targets/%3Cb%3E/decisions").await;
    let words: Vec<_> = decisions["decisions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|decision| decision["words"].as_str().unwrap())
        .collect();
    let opened = "the breaker of the host opened after 3 failures in a row";
    let of_endpoint = "the breaker of the endpoint opened after 3 failures in a row";
    assert!(
        words
            .iter()
            .any(|words| [opened, of_endpoint].contains(words)),
        "{words:#?}"
    );
    let detail = api(&stand, "targets/%3Cb%3E?read=kept").await;
    assert_eq!(detail["state"], "open");
    assert_eq!(detail["metrics"], json!([]));
    assert_eq!(failing.requests(), asked);
    let detail = api(&stand, "targets/a?read=kept").await;
    assert_eq!(value(&detail, "betanet_messages_total"), json!(5_000));
    assert!(
        !detail["endpoints"][0]["response_times_seconds"]
            .as_array()
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn pipelines_discovery_and_configuration_are_told_without_secrets() {
    let node = documented_node();
    let options = Options {
        resilience: "retry: {max_retries: 0}, headers: {X-Key: s3cret}, cache: {ttl: 1s}",
        processors: vec![(
            "attributes/marked",
            "{actions: [{key: a, value: b, action: insert}]}",
        )],
        interval: "2s",
        ..Options::default()
    };
    let stand = options.start(&[("one", &node)]).await;
    let graph = eventually("points reach the exporter", PATIENCE, async || {
        let graph = api(&stand, "pipelines").await;
        let points = graph["processors"][0]["points_out"].as_u64();
        let series = graph["exporters"][0]["series"].as_u64();
        (points > Some(0) && series > Some(0)).then_some(graph)
    })
    .await;
    let shape = &graph["pipelines"][0];
    assert_eq!(shape["processors"], json!(["attributes/marked"]));
    assert_eq!(shape["exporters"], json!(["prometheus"]));
    assert_eq!(api(&stand, "discovery").await, json!({"receivers": {}}));
    let config = api(&stand, "config").await;
    let lines = config["lines"].as_array().unwrap();
    let is_default = |text: &str| {
        let mut found = lines.iter();
        let line = found.find(|line| line["text"].as_str().unwrap().contains(text));
        line.unwrap_or_else(|| panic!("no {text}"))["is_default"] == true
    };
    assert!(!is_default("collection_interval"));
    assert!(is_default("failure_threshold"));
    assert!(!config.to_string().contains("s3cret"));
    assert_eq!(config["last_load"]["is_failing"], false);
    let mut notes = config["notes"].as_array().unwrap().iter();
    let note = notes.find(|note| note["key"] == "receivers::betanet::cache::ttl");
    assert_eq!(note.unwrap()["is_warning"], false);
}

#[tokio::test]
async fn addresses_are_told_with_their_labels_and_come_in_pages() {
    let node = documented_node();
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("a.json");
    let groups = json!([
        {"targets": ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"], "labels": {"env": "test"}},
        {"targets": [node.address().to_string()], "labels": {"env": "prod", "instance": "n1"}},
    ]);
    std::fs::write(&file, groups.to_string()).unwrap();
    let keys = format!(
        "file_sd_configs: [{{files: ['{}']}}], relabel_configs: [\
         {{source_labels: [env], regex: test, action: drop}}, {{regex: env, action: labeldrop}}]",
        file.display()
    );
    let stand = Options::default().start_with(&keys).await;
    let all = eventually("the file is read", PATIENCE, async || {
        let all = api(&stand, "discovery/addresses").await;
        (all["total"] == 4).then_some(all)
    })
    .await;
    assert_eq!((&all["matched"], &all["next"]), (&json!(4), &Value::Null));
    let path = "discovery/addresses?result=dropped&limit=2";
    let first = api(&stand, path).await;
    assert_eq!((&first["matched"], &first["next"]), (&json!(3), &json!(2)));
    let dropped = &first["addresses"][0];
    assert_eq!(dropped["address"], "127.0.0.1:1");
    assert_eq!(
        dropped["why"],
        "relabel_configs/0 drops what has `env` that matches `test`"
    );
    assert_eq!(dropped["after"], json!({}));
    let second = api(&stand, &format!("{path}&offset=2")).await;
    assert_eq!(second["addresses"].as_array().unwrap().len(), 1);
    assert_eq!(second["next"], Value::Null);
    let kept = api(&stand, "discovery/addresses?q=n1&receiver=betanet").await;
    let kept = &kept["addresses"][0];
    assert_eq!(
        (&kept["result"], &kept["target"]),
        (&json!("kept"), &json!("n1"))
    );
    assert_eq!(kept["before"]["env"], "prod");
    assert_eq!(kept["after"]["env"], Value::Null);
    assert_eq!(kept["after"]["instance"], "n1");
    let mistake = api(&stand, "discovery/addresses?result=lost").await;
    let error = mistake["error"].as_str().unwrap();
    assert!(error.contains("there is: kept, dropped"), "{error}");
}

#[tokio::test]
async fn totals_of_a_target_that_somebody_looks_at_have_a_rate_and_a_start() {
    let node = documented_node();
    let stand = Options::default().start(&[("one", &node)]).await;
    let total = async || {
        let detail = api(&stand, "targets/one?read=kept").await;
        let metrics = detail["metrics"].as_array()?.iter();
        let mut metrics = metrics.filter(|it| it["name"] == "betanet_messages_total");
        Some(metrics.next()?["values"][0].clone())
    };
    let first = eventually("its first poll is known", PATIENCE, async || {
        total()
            .await
            .filter(|value| value["first_seen"].is_string())
    })
    .await;
    assert_eq!(first["start_time"], Value::Null, "nobody knows it");
    eventually("it grows", PATIENCE, async || {
        node.update(|state| state.packets_processed += 100);
        let rate = total().await?["per_second"].as_f64()?;
        (rate > 0.0).then_some(())
    })
    .await;
    node.restart();
    let begun = eventually("it began again", PATIENCE, async || {
        total()
            .await
            .filter(|value| value["start_time"].is_string())
    })
    .await;
    assert_eq!(begun["first_seen"], Value::Null);
    // What has no total has none of this.
    let detail = api(&stand, "targets/one?read=kept").await;
    let metrics = detail["metrics"].as_array().unwrap();
    let peers = metrics
        .iter()
        .find(|it| it["name"] == "betanet_connected_peers");
    let peers = &peers.unwrap()["values"][0];
    assert_eq!(
        (&peers["start_time"], &peers["per_second"]),
        (&Value::Null, &Value::Null)
    );
}

#[tokio::test]
async fn names_come_in_natural_order() {
    let nodes = [(); 3].map(|()| documented_node());
    let names = ["node-10", "node-2", "node-1"];
    let stand = start(&[
        (names[0], &nodes[0]),
        (names[1], &nodes[1]),
        (names[2], &nodes[2]),
    ])
    .await;
    let listed = async |query: &str| {
        let page = api(&stand, &format!("targets?{query}")).await;
        let targets = page["targets"].as_array().unwrap().iter();
        let names = targets.map(|it| it["name"].as_str().unwrap().to_owned());
        (names.collect::<Vec<_>>(), page["next"].clone())
    };
    let (first, next) = listed("sort=name&limit=2").await;
    assert_eq!(first, ["node-1", "node-2"]);
    let next = next.as_str().unwrap();
    assert_eq!(
        listed(&format!("sort=name&after={next}")).await.0,
        ["node-10"]
    );
    // A target that has gone has its place as well.
    assert_eq!(listed("sort=name&after=node-3").await.0, ["node-10"]);
    // Where all have one state, the worst first are in this order as well.
    let worst = eventually("all are fresh", PATIENCE, async || {
        let (fresh, _) = listed("sort=worst&state=fresh").await;
        (fresh.len() == nodes.len()).then_some(fresh)
    })
    .await;
    assert_eq!(worst, ["node-1", "node-2", "node-10"]);
}

#[tokio::test]
async fn events_tell_what_changes_and_only_so_many_clients_listen() {
    let node = documented_node();
    let options = Options {
        resilience: "retry: {max_retries: 0}, circuit_breaker: {failure_threshold: 2, open_duration: 1h}",
        ..Options::default()
    };
    let stand = options.start(&[("one", &node)]).await;
    let url = format!("http://{}/api/v1/events", stand.address);
    let mut answer = get(&url).await.unwrap();
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let mut told = String::new();
    node.stop().await;
    while !told.contains("\"to\":\"open\"") {
        let piece = tokio::time::timeout(PATIENCE, answer.chunk()).await;
        let piece = piece.unwrap_or_else(|_| panic!("no such event in\n{told}"));
        let piece = piece.unwrap().expect("the stream goes on");
        told.push_str(std::str::from_utf8(&piece).unwrap());
    }
    assert!(told.starts_with("event: fleet\ndata: {"), "{told}");
    // A client gets half of the places of a listener, and there are 50 for all of them.
    let mut open = Vec::new();
    let refused = loop {
        let answer = get(&url).await.unwrap();
        match answer.status().as_u16() {
            200 => open.push(answer),
            status => break status,
        }
        assert!(open.len() < 60, "nobody is refused");
    };
    assert_eq!((refused, open.len()), (503, 49));
}
