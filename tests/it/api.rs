//! `/api/v1/targets` of the real program: who asks between polls gets what is kept, or one request.

use betanet_collector::simulator::{Dialect, Node, NodeFault};
use serde_json::{Value, json};

use crate::support::{
    PATIENCE, eventually, get,
    stand::{Options, Stand, documented_node, node},
};

const METRICS: &str = "/api/v1/metrics";

/// Asked for so seldom by polls that readers do it.
fn seldom() -> Options {
    Options {
        interval: "10m",
        resilience: "retry: {max_retries: 0}, cache: {ttl: 5m, max_stale: 1h}",
        ..Options::default()
    }
}

/// Starts the collector; its targets are known a moment after it says that it lives.
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

/// What the endpoint of the metrics came to.
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
async fn the_node_is_asked_once_within_the_ttl() {
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
async fn a_node_that_fails_is_asked_once_and_says_why() {
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
async fn the_list_comes_in_pages_and_asks_nobody() {
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
async fn a_question_that_makes_no_sense_is_refused_with_what_does() {
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
            "unknown parameter `page`; there is: after, limit",
        ),
    ] {
        assert_eq!(ask(&stand, path).await, (status, json!({ "error": error })));
    }
}
