//! Tests of `kubernetes_sd_configs` with the real program and an API server that follows a script.
//!
//! `tests/kubernetes/run` does the same with a real API server.

use std::time::Duration;

use betanet_collector::simulator::{Dialect, Node};
use http::StatusCode;
use tokio::time::Instant;

use crate::support::{
    PATIENCE,
    api_server::{ApiServer, pod},
    eventually, get,
    scrape::Scrape,
    stand::{Options, Stand, node},
};

/// A target follows its Pod within this time.
const FOLLOWS: Duration = Duration::from_secs(5);

fn keys(server: &ApiServer) -> String {
    format!(
        "kubernetes_sd_configs: [{{role: pod, api_server: '{}', namespaces: {{names: [nodes]}}, \
         selectors: [{{role: pod, label: app=node}}], \
         authorization: {{credentials: s3cr3t}}}}], \
         relabel_configs: [\
         {{source_labels: [__meta_kubernetes_pod_name], target_label: instance}}, \
         {{source_labels: [__meta_kubernetes_pod_label_app], target_label: app}}]",
        server.url()
    )
}

fn targets(scrape: &Scrape) -> Vec<String> {
    let up = scrape.select("betanet_up{app=\"node\"}");
    let mut names: Vec<_> = up.iter().map(|of| of.labels["target"].clone()).collect();
    names.sort();
    names
}

async fn until_targets(stand: &Stand, wanted: &[&str]) {
    let what = format!("the targets are {wanted:?}");
    stand.until(&what, |scrape| targets(scrape) == wanted).await;
}

fn put(server: &ApiServer, name: &str, node: &Node) {
    server.put(pod(name, node.address()));
}

async fn last_error(stand: &Stand) -> Option<String> {
    let health = stand.health().await;
    let error = &health["discovery"]["betanet"][0]["last_error"];
    error.as_str().map(str::to_owned)
}

#[tokio::test]
async fn targets_follow_their_pods_and_stay_while_the_api_server_is_away() {
    let nodes = [(); 3].map(|()| node(Dialect::Betanet));
    let [a, b, c] = &nodes;
    let mut server = ApiServer::start().await;
    put(&server, "a", a);
    let stand = Options::default().start_with(&keys(&server)).await;
    until_targets(&stand, &["a"]).await;
    let begin = Instant::now();
    put(&server, "b", b);
    until_targets(&stand, &["a", "b"]).await;
    server.delete("a");
    until_targets(&stand, &["b"]).await;
    assert!(begin.elapsed() < 2 * FOLLOWS, "{:?}", begin.elapsed());

    server.away().await;
    let error = eventually("the failure is shown", PATIENCE, async || {
        last_error(&stand).await
    });
    let error = error.await;
    assert!(error.contains("cannot list or watch pods"), "{error}");
    assert_eq!(targets(&stand.scrape().await), ["b"]);
    let own = stand.own().await;
    let failures =
        "betanet_discovery_failures{source=\"kubernetes_sd_configs/0\",reason=\"request\"}";
    assert!(own.value(failures) >= Some(1.0), "{}", own.text);

    // What happened meanwhile is not known any more: the watch gets 410 Gone, and lists again.
    put(&server, "c", c);
    server.delete("b");
    server.forget();
    server.back().await;
    until_targets(&stand, &["c"]).await;
    let fine = eventually("no failure is shown", PATIENCE, async || {
        last_error(&stand).await.is_none().then_some(())
    });
    fine.await;

    let requests = server.requests();
    let listed = |request: &http::Request<()>| {
        request
            .uri()
            .query()
            .unwrap()
            .contains("labelSelector=app%3Dnode")
    };
    assert!(requests.iter().all(listed), "{requests:?}");
    assert!(
        requests
            .iter()
            .all(|of| of.headers()["authorization"] == "Bearer s3cr3t")
    );
    let (_, log) = stand.collector.stop().await;
    assert!(!log.contains("s3cr3t"));
    assert_eq!(
        log.matches("target discovery works again").count(),
        1,
        "{log}"
    );
}

/// A watch that goes on where it ended brings no event: only its answer says that all is well.
#[tokio::test]
async fn a_watch_that_goes_on_ends_the_failure_without_a_change() {
    let a = node(Dialect::Betanet);
    let mut server = ApiServer::start().await;
    put(&server, "a", &a);
    let stand = Options::default().start_with(&keys(&server)).await;
    until_targets(&stand, &["a"]).await;
    server.away().await;
    eventually("the failure is shown", PATIENCE, async || {
        last_error(&stand).await
    })
    .await;
    server.back().await;
    eventually("no failure is shown", PATIENCE, async || {
        last_error(&stand).await.is_none().then_some(())
    })
    .await;
    let lists = server.requests();
    let lists = lists
        .iter()
        .filter(|of| !of.uri().query().unwrap().contains("watch"));
    assert_eq!(lists.count(), 1, "the list is not asked for again");
}

#[tokio::test]
async fn an_account_without_the_right_is_told_once_and_tried_again() {
    let a = node(Dialect::Betanet);
    let server = ApiServer::start().await;
    put(&server, "a", &a);
    server.refuse(Some(StatusCode::FORBIDDEN));
    let stand = Options::default().start_with(&keys(&server)).await;
    let error = eventually("the failure is shown", PATIENCE, async || {
        last_error(&stand).await
    });
    let error = error.await;
    let expected = "the API server refuses to list or watch pods with 403: pods is forbidden";
    assert!(error.contains(expected), "{error}");
    let ready = get(format!("http://{}/readyz", stand.address))
        .await
        .unwrap();
    assert_eq!(ready.status(), StatusCode::SERVICE_UNAVAILABLE);
    eventually("it is tried again", PATIENCE, async || {
        (server.requests().len() >= 3).then_some(())
    })
    .await;
    server.refuse(None);
    until_targets(&stand, &["a"]).await;
    let log = stand.collector.log();
    assert_eq!(log.matches("target discovery failed").count(), 1, "{log}");
}
