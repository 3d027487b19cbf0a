//! Tests of `/probe` on the Prometheus endpoint of the real program.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use betanet_collector::simulator::{Dialect, Node, NodeOptions};
use bytes::Bytes;
use http::Response;

use crate::support::{
    certificates::Authority,
    free_port,
    raw::RawServer,
    scrape::Scrape,
    server::Server,
    stand::{Options, Stand, documented_node, node},
    tls_sink::{Protocol, Shows, TlsSink},
};

/// Status and text of `/probe?query`.
async fn probe(stand: &Stand, query: &str, timeout: Option<&str>) -> (u16, String) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut request = client.get(format!("http://{}/probe?{query}", stand.address));
    if let Some(timeout) = timeout {
        request = request.header("X-Prometheus-Scrape-Timeout-Seconds", timeout);
    }
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    (status, answer.text().await.unwrap())
}

/// A server that accepts connections and never answers.
async fn silent() -> RawServer {
    let hold = |stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    };
    RawServer::start(hold).await
}

async fn probed(stand: &Stand, query: &str) -> Scrape {
    let (status, text) = probe(stand, query, None).await;
    assert_eq!(status, 200, "{text}");
    Scrape::parse(text)
}

#[tokio::test]
async fn a_polled_target_is_answered_from_its_cache_by_name_and_by_url() {
    let node = documented_node();
    let options = Options {
        interval: "1h",
        resilience: "cache: {ttl: 30m, max_stale: 2h}",
        ..Options::default()
    };
    let stand = options.start(&[("node-1", &node)]).await;
    stand.until_polls("node-1", 1.0).await;
    let requests = node.requests();
    let address = node.url().replace("http://", "");
    for target in ["node-1", &node.url(), &format!("{}/", node.url()), &address] {
        let query = format!("target={target}&definition=betanet");
        let answer = probed(&stand, &query).await;
        assert_eq!(answer.exact("probe_success"), Some("1"), "{target}");
        let packets = "betanet_messages_total{target=\"node-1\"}";
        assert_eq!(answer.exact(packets), Some("5000"), "{}", answer.text);
        assert!(!answer.select("probe_endpoint_age_seconds").is_empty());
    }
    assert_eq!(node.requests(), requests, "no request was sent");
    for query in [
        "target=node-1&definition=other",
        "target=node-2",
        "target=",
        "target=node-1&x=",
    ] {
        assert_eq!(probe(&stand, query, None).await.0, 400, "{query}");
    }
    let own = stand.own().await;
    let results = |result: &str| format!("betanet_exporter_probes{{result=\"{result}\"}}");
    assert_eq!(own.value(&results("success")), Some(4.0));
    assert_eq!(own.value(&results("refused")), Some(4.0));
}

#[tokio::test]
async fn any_other_target_is_polled_once_if_it_is_allowed() {
    let (polled, other) = (documented_node(), documented_node());
    other.update(|state| state.packets_processed = u64::MAX);
    let options = Options {
        prometheus: "probe: {allow: [127.0.0.0/8]}",
        ..Options::default()
    };
    let stand = options.start(&[("node-1", &polled)]).await;
    let address = other.url().replace("http://", "");
    let port = address.rsplit(':').next().unwrap();
    for target in [other.url(), address.clone(), format!("localhost:{port}")] {
        let answer = probed(&stand, &format!("target={target}&definition=betanet")).await;
        assert_eq!(answer.exact("probe_success"), Some("1"), "{}", answer.text);
        let packets = answer.exact("betanet_messages_total");
        assert_eq!(packets, Some("18446744073709551615"), "{}", answer.text);
    }
    assert!(
        !stand.scrape().await.text.contains(port),
        "nothing is stored"
    );
    let down = format!("target=127.0.0.1:{}", free_port());
    let answer = probed(&stand, &down).await;
    assert_eq!(answer.exact("probe_success"), Some("0"));
    assert!(answer.select("betanet_messages_total").is_empty());
    for query in [
        format!("target={}&definition=unknown", other.url()),
        format!("target={}&definition=/etc/passwd", other.url()),
        format!("target={}/admin", other.url()),
        format!("target={}?a=b", other.url()),
        format!("target=http://u:p@{address}"),
        format!("target=ftp://{address}"),
        "target=http://10.0.0.1:1".to_owned(),
    ] {
        let (status, text) = probe(&stand, &query, None).await;
        assert_eq!(status, 400, "{query}: {text}");
    }
}

#[tokio::test]
async fn the_request_that_made_a_probed_node_hang_is_not_made_again() {
    let polled = node(Dialect::Mixnode);
    let public = Node::start(NodeOptions::public()).unwrap();
    let options = Options {
        timeout: "500ms",
        prometheus: "probe: {allow: [127.0.0.0/8]}",
        ..Options::default()
    };
    let stand = options.start(&[("polled", &polled)]).await;
    let query = format!("target={}&definition=betanet-mixnode-full", public.url());
    let deadly = || public.requests_to("/status") + public.requests_to("/metrics");
    probed(&stand, &query).await;
    assert_eq!(deadly(), 1);
    for _ in 0..3 {
        // Who operates it starts it again each time.
        public.restart();
        let answer = probed(&stand, &query).await;
        assert!(
            !answer.select("betanet_mixnode_state").is_empty(),
            "{}",
            answer.text
        );
    }
    // The other of the two may have been asked once: nobody knew.
    assert!(deadly() <= 2, "{}", deadly());
    let own = stand.own().await;
    let remembered = "betanet_receiver_probed_suspects{result=\"remembered\"}";
    assert_eq!(own.select(remembered).len(), 1, "{}", own.text);
}

#[tokio::test]
async fn a_target_that_is_not_allowed_gets_no_request() {
    let node = documented_node();
    let reached = RawServer::start(|_| async {}).await;
    let options = Options {
        prometheus: "probe: {allow: [10.0.0.0/8, '0.0.0.0/0', '::/0', localhost]}",
        ..Options::default()
    };
    let stand = options.start(&[("node-1", &node)]).await;
    let url = reached.url();
    let port = url.rsplit(':').next().unwrap();
    for host in [
        "127.0.0.1",
        "localhost",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "0",
        "0.0.0.0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "10.0.0.1@127.0.0.1",
        "127.0.0.1%23@10.0.0.1",
    ] {
        let (status, text) = probe(&stand, &format!("target=http://{host}:{port}"), None).await;
        assert_eq!(status, 400, "{host}: {text}");
    }
    assert_eq!(reached.requests(), 0);
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_no_credentials_are_shown() {
    let node = documented_node();
    let reached = RawServer::start(|_| async {}).await;
    let (to, shown) = (reached.url(), Arc::new(AtomicU64::new(0)));
    let (asked, counted) = (Arc::new(AtomicU64::new(0)), Arc::clone(&shown));
    let seen = Arc::clone(&asked);
    let server = Server::start(move |request| {
        seen.fetch_add(1, Ordering::Relaxed);
        let headers = request.headers();
        let is_shown = headers.contains_key("authorization") || headers.contains_key("token");
        counted.fetch_add(u64::from(is_shown), Ordering::Relaxed);
        let redirect = Response::builder().status(302).header("location", &to);
        redirect.body(Bytes::new()).unwrap()
    })
    .await;
    let options = Options {
        resilience: "max_redirects: 3, headers: {token: secret}, auth: {bearer: {token: secret}}",
        prometheus: "probe: {allow: [127.0.0.0/8]}",
        ..Options::default()
    };
    let stand = options.start(&[("node-1", &node)]).await;
    let answer = probed(&stand, &format!("target={}", server.url())).await;
    assert_eq!(answer.exact("probe_success"), Some("0"));
    assert!(asked.load(Ordering::Relaxed) > 0);
    assert_eq!(shown.load(Ordering::Relaxed), 0);
    assert_eq!(reached.requests(), 0);
}

#[tokio::test]
async fn a_probe_ends_before_the_scraper_gives_up() {
    let node = documented_node();
    let silent = silent().await;
    let options = Options {
        timeout: "30s",
        prometheus: "probe: {allow: [127.0.0.0/8]}",
        ..Options::default()
    };
    let stand = options.start(&[("node-1", &node)]).await;
    let query = format!("target={}", silent.url());
    let (status, text) = probe(&stand, &query, Some("0.7")).await;
    assert_eq!(status, 200, "{text}");
    let answer = Scrape::parse(text);
    assert_eq!(answer.exact("probe_success"), Some("0"));
    let took = answer.value("probe_duration_seconds").unwrap();
    assert!((0.19..5.0).contains(&took), "{took} s: {}", answer.text);
    assert_eq!(probe(&stand, &query, Some("x")).await.0, 400);
}

/// Why the endpoints of a target gave no body.
fn reasons(answer: &Scrape) -> BTreeSet<String> {
    let failures = answer.select("probe_endpoint_failure").into_iter();
    failures.map(|of| of.labels["error_type"].clone()).collect()
}

#[tokio::test]
async fn a_target_that_fails_is_an_answer_with_the_reason_and_no_warning() {
    let node = documented_node();
    let busy = Server::start(|_| {
        let answer = Response::builder().status(503);
        answer.body(Bytes::new()).unwrap()
    })
    .await;
    let options = Options {
        // The first failure of a polled target opens its breaker, which is a warning.
        resilience: "retry: {max_retries: 0}, circuit_breaker: {failure_threshold: 1}",
        prometheus: "probe: {allow: [127.0.0.0/8]}",
        ..Options::default()
    };
    let stand = options.start(&[("node-1", &node)]).await;
    let down = format!("http://127.0.0.1:{}", free_port());
    for (target, reason) in [(busy.url(), "503"), (down, "connect")] {
        let answer = probed(&stand, &format!("target={target}")).await;
        assert_eq!(answer.exact("probe_success"), Some("0"), "{target}");
        assert!(reasons(&answer).contains(reason), "{}", answer.text);
    }
    let (_, log) = stand.collector.stop().await;
    assert!(!log.contains("breaker opened"), "{log}");
}

#[tokio::test]
async fn a_target_behind_tls_is_probed_with_what_its_receiver_trusts() {
    let authority = Authority::new();
    let shows = Shows::identity(authority.issue("localhost"));
    let server = TlsSink::start(Protocol::Http, &shows).await;
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, authority.pem()).unwrap();
    let node = documented_node();
    let polled = format!("targets: [{{endpoint: \"{}\"}}]", node.url());
    let trusting = format!("{polled}, tls: {{ca_file: \"{}\"}}", ca.display());
    for (receiver, success, reason) in [(&polled, "0", Some("tls")), (&trusting, "1", None)] {
        let options = Options {
            prometheus: "probe: {allow: [127.0.0.0/8]}",
            ..Options::default()
        };
        let stand = options.start_with(receiver).await;
        let answer = probed(&stand, &format!("target={}", server.url())).await;
        assert_eq!(
            answer.exact("probe_success"),
            Some(success),
            "{}",
            answer.text
        );
        let reasons = reasons(&answer).into_iter().collect::<Vec<_>>();
        assert_eq!(reasons.first().map(String::as_str), reason);
    }
}

#[tokio::test]
async fn a_pool_is_found_by_each_of_its_addresses() {
    let (a, b) = (documented_node(), documented_node());
    let target = format!(
        "{{name: pool, mode: replicas, endpoints: [{}, {}]}}",
        a.url(),
        b.url()
    );
    let options = Options::default();
    let stand = options.start_with(&format!("targets: [{target}]")).await;
    stand.until_polls("pool", 1.0).await;
    for node in [&a, &b] {
        for target in [node.url(), node.address().to_string()] {
            let answer = probed(&stand, &format!("target={target}")).await;
            let packets = answer.exact("betanet_messages_total{target=\"pool\"}");
            assert_eq!(packets, Some("5000"), "{target}: {}", answer.text);
        }
    }
}

#[tokio::test]
async fn a_scraper_with_a_long_timeout_gets_an_answer() {
    let node = documented_node();
    let silent = silent().await;
    let options = Options {
        timeout: "60s",
        prometheus: "write_timeout: 2s, probe: {allow: [127.0.0.0/8]}",
        ..Options::default()
    };
    let stand = options.start(&[("node-1", &node)]).await;
    let query = format!("target={}", silent.url());
    for timeout in [Some("50"), None] {
        let (status, text) = probe(&stand, &query, timeout).await;
        assert_eq!(status, 200, "{text}");
        let answer = Scrape::parse(text);
        assert_eq!(answer.exact("probe_success"), Some("0"));
        // The other endpoints are not requested from a silent host.
        let expected = ["timeout", "waiting"].map(str::to_owned);
        assert_eq!(reasons(&answer), BTreeSet::from(expected));
    }
}
