//! Tests of discovery with the real program.

use std::sync::{Arc, Mutex};

use betanet_collector::simulator::{Dialect, Node};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use serde_json::json;
use tempfile::TempDir;

use crate::support::{
    PATIENCE,
    certificates::Authority,
    dns::DnsServer,
    eventually, get,
    scrape::Scrape,
    server::Server,
    stand::{Options, Stand, node},
    tls_sink::{Protocol, Shows, TlsSink},
};

fn address(node: &Node) -> String {
    node.address().to_string()
}

/// The names of the targets in a scrape, in order.
fn targets(scrape: &Scrape) -> Vec<String> {
    let up = scrape.select("betanet_up");
    let mut names: Vec<_> = up
        .iter()
        .map(|sample| sample.labels["target"].clone())
        .collect();
    names.sort();
    names
}

async fn until_targets(stand: &Stand, mut wanted: Vec<String>) -> Scrape {
    wanted.sort();
    let what = format!("the targets are {wanted:?}");
    stand.until(&what, |scrape| targets(scrape) == wanted).await
}

async fn readiness(stand: &Stand) -> (StatusCode, String) {
    let answer = get(format!("http://{}/readyz", stand.address))
        .await
        .unwrap();
    (answer.status(), answer.text().await.unwrap())
}

/// Replaces a file atomically, as deployments do.
fn replace(folder: &TempDir, name: &str, text: &str) {
    let (new, path) = (folder.path().join("new"), folder.path().join(name));
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, path).unwrap();
}

#[tokio::test]
async fn changed_files_are_used_and_an_invalid_one_changes_nothing() {
    let (a, b) = (node(Dialect::Betanet), node(Dialect::Betanet));
    let folder = TempDir::new().unwrap();
    replace(
        &folder,
        "a.json",
        &json!([{"targets": [address(&a)], "labels": {"env": "prod"}}, 7]).to_string(),
    );
    let files = format!("{}/*.*", folder.path().display()).replace("*.*", "*.json");
    let yml = format!("{}/b.yml", folder.path().display());
    let keys = format!(
        "file_sd_configs: [{{files: ['{files}', '{yml}']}}], relabel_configs: [\
         {{source_labels: [env], regex: test, action: drop}}, \
         {{source_labels: [__meta_filepath], regex: '.*/(.*)', target_label: file}}]"
    );
    let stand = Options::default().start_with(&keys).await;
    let scrape = until_targets(&stand, vec![address(&a)]).await;
    let labelled = "betanet_up{env=\"prod\",file=\"a.json\"}";
    assert_eq!(scrape.exact(labelled), Some("1"));
    eventually("it is ready", PATIENCE, async || {
        (readiness(&stand).await.0 == StatusCode::OK).then_some(())
    })
    .await;

    let of_b = address(&b);
    replace(
        &folder,
        "b.yml",
        &format!("- targets: ['{of_b}']\n- targets: ['x:1']\n  labels: {{env: test}}\n"),
    );
    until_targets(&stand, vec![address(&a), address(&b)]).await;
    let own = stand.own().await;
    let of = |result: &str| {
        own.value(&format!(
            "betanet_discovery_targets{{source=\"file_sd_configs/0\",result=\"{result}\"}}"
        ))
    };
    assert_eq!(
        (of("kept"), of("dropped"), of("invalid")),
        (Some(2.0), Some(1.0), Some(1.0)),
        "{}",
        own.text
    );

    replace(&folder, "a.json", "[{\"targets\": [");
    let failures = "betanet_discovery_failures{reason=\"syntax\"}";
    eventually("the failure is counted", PATIENCE, async || {
        stand
            .own()
            .await
            .value(failures)
            .filter(|count| *count >= 1.0)
    })
    .await;
    let health = stand.health().await;
    let source = &health["discovery"]["betanet"][0];
    assert!(
        source["last_error"].as_str().unwrap().contains("a.json"),
        "{health}"
    );
    assert_eq!(targets(&stand.scrape().await).len(), 2);

    std::fs::remove_file(folder.path().join("a.json")).unwrap();
    until_targets(&stand, vec![address(&b)]).await;
}

#[tokio::test]
async fn a_config_map_is_watched_through_its_links() {
    let (a, b) = (node(Dialect::Betanet), node(Dialect::Betanet));
    let folder = TempDir::new().unwrap();
    let version = |name: &str, node: &Node| {
        std::fs::create_dir(folder.path().join(name)).unwrap();
        let list = json!([{"targets": [address(node)]}]).to_string();
        std::fs::write(folder.path().join(name).join("targets.json"), list).unwrap();
        std::os::unix::fs::symlink(name, folder.path().join("..data_tmp")).unwrap();
        std::fs::rename(
            folder.path().join("..data_tmp"),
            folder.path().join("..data"),
        )
        .unwrap();
    };
    // The layout of kubelet: the file is a link through `..data`, and only that link is replaced.
    version("..2026_1", &a);
    let file = folder.path().join("targets.json");
    std::os::unix::fs::symlink("..data/targets.json", &file).unwrap();
    let keys = format!("file_sd_configs: [{{files: ['{}']}}]", file.display());
    let stand = Options::default().start_with(&keys).await;
    until_targets(&stand, vec![address(&a)]).await;
    version("..2026_2", &b);
    until_targets(&stand, vec![address(&b)]).await;
}

/// Answers like the Target Allocator of the OpenTelemetry Operator: `/jobs` lists the jobs with
/// links to their targets, which depend on the collector.
struct Allocator {
    /// The targets of the collector `betanet-collector-0`, and the status of the answer.
    assigned: Arc<Mutex<(StatusCode, String)>>,
    requests: Arc<Mutex<Vec<Request<Bytes>>>>,
    server: Server,
}

impl Allocator {
    async fn start() -> Self {
        let assigned = Arc::new(Mutex::new((StatusCode::OK, "[]".to_owned())));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (answers, log) = (Arc::clone(&assigned), Arc::clone(&requests));
        let server = Server::start(move |request| {
            log.lock().unwrap().push(request.clone());
            let (status, body) = match (request.uri().path(), request.uri().query()) {
                ("/jobs", _) => (
                    StatusCode::OK,
                    json!({"betanet": {"_link": "/jobs/betanet/targets"}}).to_string(),
                ),
                ("/jobs/betanet/targets", Some("collector_id=betanet-collector-0")) => {
                    answers.lock().unwrap().clone()
                }
                _ => (StatusCode::NOT_FOUND, String::new()),
            };
            let answer = Response::builder().status(status);
            let answer = answer.header("content-type", "application/json");
            answer.body(body.into()).unwrap()
        })
        .await;
        Self {
            assigned,
            requests,
            server,
        }
    }

    fn assign(&self, status: StatusCode, body: impl ToString) {
        *self.assigned.lock().unwrap() = (status, body.to_string());
    }
}

#[tokio::test]
async fn a_target_allocator_assigns_the_targets() {
    let (a, b) = (node(Dialect::Betanet), node(Dialect::Betanet));
    let allocator = Allocator::start().await;
    allocator.assign(StatusCode::SERVICE_UNAVAILABLE, "");
    let jobs = get(format!("{}/jobs", allocator.server.url()))
        .await
        .unwrap();
    let jobs: serde_json::Value = serde_json::from_str(&jobs.text().await.unwrap()).unwrap();
    let link = jobs["betanet"]["_link"].as_str().unwrap();
    let url = format!(
        "{}{link}?collector_id=betanet-collector-0",
        allocator.server.url()
    );
    let keys = format!(
        "http_sd_configs: [{{url: '{url}', refresh_interval: 500ms, keep_on_empty: 1s, \
         authorization: {{credentials: s3cr3t}}}}]"
    );
    let stand = Options::default().start_with(&keys).await;
    let (status, text) = readiness(&stand).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{text}");
    assert!(text.contains("`betanet` has not answered"), "{text}");

    let list = |node: &Node| {
        let labels = json!({"__meta_kubernetes_pod_name": "x", "region": "eu"});
        json!([{"targets": [address(node)], "labels": labels}])
    };
    allocator.assign(StatusCode::OK, list(&a));
    let scrape = until_targets(&stand, vec![address(&a)]).await;
    assert_eq!(scrape.exact("betanet_up{region=\"eu\"}"), Some("1"));

    for (status, body) in [
        (StatusCode::INTERNAL_SERVER_ERROR, "[]"),
        (StatusCode::OK, "<html>"),
        (StatusCode::MOVED_PERMANENTLY, "[]"),
    ] {
        allocator.assign(status, body);
        let before = allocator.requests.lock().unwrap().len();
        eventually("there are two more requests", PATIENCE, async || {
            (allocator.requests.lock().unwrap().len() >= before + 2).then_some(())
        })
        .await;
        assert_eq!(targets(&stand.scrape().await), [address(&a)]);
    }
    allocator.assign(StatusCode::OK, list(&b));
    until_targets(&stand, vec![address(&b)]).await;
    allocator.assign(StatusCode::OK, "[]");
    until_targets(&stand, Vec::new()).await;

    let last = allocator.requests.lock().unwrap().last().cloned();
    let last = last.unwrap();
    let headers = last.headers();
    assert_eq!(headers["x-prometheus-refresh-interval-seconds"], "0.5");
    assert_eq!(headers["authorization"], "Bearer s3cr3t");
    assert_eq!(headers["accept"], "application/json");
    let (_, log) = stand.collector.stop().await;
    assert!(!log.contains("s3cr3t"));
}

impl Allocator {
    /// The receiver's keys to ask it each `refresh` seconds.
    fn keys(&self, refresh: u32, more: &str) -> String {
        let url = format!(
            "{}/jobs/betanet/targets?collector_id=betanet-collector-0",
            self.server.url()
        );
        format!("http_sd_configs: [{{url: '{url}', refresh_interval: {refresh}s, {more}}}]")
    }

    async fn asked_again(&self, times: usize) {
        let before = self.requests.lock().unwrap().len();
        eventually("it is asked again", PATIENCE, async || {
            (self.requests.lock().unwrap().len() >= before + times).then_some(())
        })
        .await;
    }
}

/// A real Target Allocator answers `200 []` for some seconds after its start.
#[tokio::test]
async fn an_allocator_that_restarts_costs_no_target() {
    let a = node(Dialect::Betanet);
    let allocator = Allocator::start().await;
    let list = json!([{"targets": [address(&a)]}]);
    allocator.assign(StatusCode::OK, &list);
    let stand = Options::default().start_with(&allocator.keys(1, "")).await;
    until_targets(&stand, vec![address(&a)]).await;
    allocator.assign(StatusCode::OK, "[]");
    allocator.asked_again(3).await;
    let scrape = stand.scrape().await;
    assert_eq!(targets(&scrape), [address(&a)], "{}", scrape.text);
    assert_eq!(readiness(&stand).await.0, StatusCode::OK);
    let own = stand.own().await;
    let empty = own.value("betanet_discovery_failures{reason=\"empty\"}");
    assert!(empty >= Some(2.0), "{}", own.text);
    let log = stand.collector.log();
    assert_eq!(log.matches("the target list is empty").count(), 1, "{log}");
    allocator.assign(StatusCode::OK, &list);
    allocator.asked_again(2).await;
    assert_eq!(targets(&stand.scrape().await), [address(&a)]);
}

/// The allocator learns of a new collector some seconds after its start.
#[tokio::test]
async fn a_collector_that_begins_with_an_empty_list_asks_again_soon() {
    let a = node(Dialect::Betanet);
    let allocator = Allocator::start().await;
    let stand = Options::default()
        .start_with(&allocator.keys(3600, ""))
        .await;
    allocator.asked_again(1).await;
    let (status, text) = readiness(&stand).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{text}");
    assert_eq!(stand.health().await["status"], "starting");
    allocator.assign(StatusCode::OK, json!([{"targets": [address(&a)]}]));
    until_targets(&stand, vec![address(&a)]).await;
    eventually("it is ready", PATIENCE, async || {
        (readiness(&stand).await == (StatusCode::OK, "ok\n".to_owned())).then_some(())
    })
    .await;
}

/// An unset `POD_NAME` or an unknown job looks like this.
#[tokio::test]
async fn a_collector_that_never_had_a_target_says_so() {
    let allocator = Allocator::start().await;
    let keys = allocator.keys(1, "keep_on_empty: 1s");
    let stand = Options::default().start_with(&keys).await;
    let notice = "its sources have named no target since the start";
    let (_, text) = eventually("it is ready", PATIENCE, async || {
        Some(readiness(&stand).await).filter(|(status, _)| *status == StatusCode::OK)
    })
    .await;
    assert_eq!(text, format!("ok\nbetanet: {notice}\n"));
    let health = stand.health().await;
    assert_eq!(health["status"], "ok", "as /readyz says");
    assert_eq!(health["discovery_notices"]["betanet"], notice);
    let log = stand.collector.log();
    assert!(log.contains(notice), "{log}");
}

/// The Prometheus Operator writes this rule, and puts a number in place of the variable.
#[tokio::test]
async fn a_receiver_whose_targets_are_all_dropped_warns() {
    let a = node(Dialect::Betanet);
    let of_a = address(&a);
    let keys = format!(
        "static_configs: [{{targets: ['{of_a}', 'x:1']}}], relabel_configs: [\
         {{source_labels: [__address__], modulus: 1, target_label: __tmp_hash, action: hashmod}}, \
         {{source_labels: [__tmp_hash], regex: '$$(SHARD)', action: keep}}]"
    );
    let stand = Options::default().start_with(&keys).await;
    let notice = "none of the 2 targets that its sources name is polled: 2 dropped";
    eventually("it warns", PATIENCE, async || {
        stand.collector.log().contains(notice).then_some(())
    })
    .await;
    let (_, text) = readiness(&stand).await;
    assert_eq!(text, format!("ok\nbetanet: {notice}\n"));
}

#[tokio::test]
async fn certificates_of_a_source_are_read_again_and_may_have_another_name() {
    let (authority, next) = (Authority::new(), Authority::new());
    let folder = TempDir::new().unwrap();
    replace(&folder, "ca.pem", authority.pem());
    let sink = TlsSink::start(
        Protocol::Http,
        &Shows::identity(authority.issue("allocator.example")),
    )
    .await;
    let keys = format!(
        "http_sd_configs: [{{url: '{}/', refresh_interval: 300ms, \
         tls_config: {{ca_file: '{}/ca.pem', server_name: allocator.example}}}}]",
        sink.url(),
        folder.path().display(),
    );
    let stand = Options::default().start_with(&keys).await;
    // The sink speaks no JSON: this is what comes behind a handshake.
    let answered = async || {
        let own = stand.own().await;
        own.value("betanet_discovery_failures{reason=\"content_type\"}")
    };
    let first = eventually("it is trusted", PATIENCE, answered).await;
    replace(&folder, "ca.pem", next.pem());
    sink.show(&Shows::identity(next.issue("allocator.example")));
    let refused = async || {
        let own = stand.own().await;
        own.value("betanet_discovery_failures{reason=\"request\"}")
    };
    eventually("the new one is not trusted yet", PATIENCE, refused).await;
    let before = answered().await.unwrap_or(first);
    eventually("the new one is trusted", PATIENCE, async || {
        answered().await.filter(|count| *count > before)
    })
    .await;
}

#[tokio::test]
async fn dns_records_become_targets() {
    let (a, b) = (node(Dialect::Betanet), node(Dialect::Betanet));
    let dns = DnsServer::start().await;
    dns.srv(
        "_betanet._tcp.example.",
        &[("localhost.", a.address().port())],
    );
    dns.a("nodes.example.", &["127.0.0.1"]);
    let (server, port) = (dns.address(), b.address().port());
    let keys = format!(
        "dns_sd_configs: [\
         {{names: [_betanet._tcp.example], refresh_interval: 300ms, nameservers: ['{server}']}}, \
         {{names: [nodes.example, none.example], type: A, port: {port}, refresh_interval: 300ms, keep_on_empty: 0s, nameservers: ['{server}']}}], \
         relabel_configs: [{{source_labels: [__meta_dns_srv_record_target, __meta_dns_srv_record_port], target_label: record}}]"
    );
    let stand = Options::default().start_with(&keys).await;
    let of_a = format!("localhost:{}", a.address().port());
    let scrape = until_targets(&stand, vec![of_a.clone(), address(&b)]).await;
    let record = format!("betanet_up{{record=\"localhost.;{}\"}}", a.address().port());
    assert_eq!(scrape.exact(&record), Some("1"));

    dns.fail("_betanet._tcp.example.");
    dns.a("nodes.example.", &["127.0.0.1", "127.0.0.2"]);
    let second = format!("127.0.0.2:{port}");
    until_targets(&stand, vec![of_a.clone(), address(&b), second]).await;
    // An empty answer is an answer; a failure of the server is not.
    dns.a("nodes.example.", &[]);
    until_targets(&stand, vec![of_a]).await;
    let own = stand.own().await;
    assert!(
        own.sum("betanet_discovery_failures{reason=\"lookup\"}") >= 1.0,
        "{}",
        own.text
    );
}

#[tokio::test]
async fn the_addresses_of_a_name_can_be_a_pool() {
    let a = node(Dialect::Betanet);
    let dns = DnsServer::start().await;
    // Nothing answers at the second address, and the DNS changes their order.
    dns.a("nodes.example.", &["127.0.0.2", "127.0.0.1"]);
    let (server, port) = (dns.address(), a.address().port());
    let keys = format!(
        "dns_sd_configs: [\
         {{names: [nodes.example], type: A, port: {port}, refresh_interval: 300ms, nameservers: ['{server}']}}], \
         relabel_configs: [{{source_labels: [__meta_dns_name], target_label: __pool__}}]"
    );
    let stand = Options::default().start_with(&keys).await;
    until_targets(&stand, vec!["nodes.example".to_owned()]).await;
    let asked = |scrape: &Scrape, host: &str, result: &str| {
        let instance = format!("betanet_instance=\"{host}:{port}\",result=\"{result}\"");
        scrape.sum(&format!("betanet_balancer_requests_total{{{instance}}}"))
    };
    let both = |scrape: &Scrape| {
        asked(scrape, "127.0.0.1", "ok") > 0.0 && asked(scrape, "127.0.0.2", "fail") > 0.0
    };
    let scrape = stand.until("both get requests", both).await;
    assert_eq!(
        scrape.value("betanet_up{target=\"nodes.example\"}"),
        Some(1.0)
    );

    dns.a("nodes.example.", &["127.0.0.1"]);
    let left = |scrape: &Scrape| {
        let all = scrape.select("betanet_balancer_ejected");
        !all.is_empty()
            && all
                .iter()
                .all(|of| of.labels["betanet_instance"].starts_with("127.0.0.1:"))
    };
    let scrape = stand.until("one is left", left).await;
    assert!(
        asked(&scrape, "127.0.0.1", "ok") > 0.0,
        "its count continues"
    );
}
