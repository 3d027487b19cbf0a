//! The status page in a real browser, before a simulated fleet.

use std::fmt::Write as _;

use betanet_collector::simulator::{Dialect, Node, NodeFault, NodeOptions};
use serde_json::{Value, json};

use crate::support::{
    PATIENCE,
    browser::Browser,
    collector::Collector,
    eventually, free_port, get,
    stand::{Options, Stand, documented_node, node},
};

/// A name that would be a script if it were not text.
const HOSTILE: &str = "<script>alert(1)</script>&\"'";

/// A collector whose targets are in every state there is.
struct EveryState {
    collector: Collector,
    address: String,
    _nodes: Vec<Node>,
}

fn unwell(fault: NodeFault) -> Node {
    let node = documented_node();
    node.set_fault(None, fault);
    node
}

fn status(code: u16) -> NodeFault {
    NodeFault::Status {
        code,
        retry_after: None,
    }
}

/// How a target is polled decides for how long it stays in its state.
const POLLED: [(&str, &str, &str); 8] = [
    ("sound", "node-sound", "collection_interval: 100ms"),
    ("hostile", HOSTILE, "collection_interval: 100ms"),
    (
        "open",
        "node-open",
        "collection_interval: 200ms, circuit_breaker: {failure_threshold: 2, open_duration: 1h}",
    ),
    ("partial", "node-partial", "collection_interval: 200ms"),
    (
        "failing",
        "node-failing",
        "collection_interval: 200ms, circuit_breaker: {failure_threshold: 1000000}",
    ),
    (
        "late",
        "node-late",
        "collection_interval: 100ms, timeout: 10m, deadline: 10m",
    ),
    (
        "pending",
        "node-pending",
        "collection_interval: 20m, timeout: 10m, deadline: 10m",
    ),
    (
        "probed",
        "node-probed",
        "collection_interval: 200ms, timeout: 10m, deadline: 10m, \
         circuit_breaker: {failure_threshold: 2, open_duration: 1s}",
    ),
];

/// The configuration of [`EveryState`]; `urls` are those of the nodes, in the order of [`POLLED`].
fn every_state(address: &str, urls: &[String]) -> String {
    let mut text = String::from("receivers:\n");
    for ((id, name, keys), url) in POLLED.iter().zip(urls) {
        let target = json!({"endpoint": url, "name": name, "labels": {"region": "eu"}});
        writeln!(
            text,
            "  betanet/{id}: {{definition: betanet, retry: {{max_retries: 0}}, {keys}, \
             targets: [{target}]}}"
        )
        .unwrap();
    }
    let ids = POLLED.map(|(id, ..)| format!("betanet/{id}")).join(", ");
    let nobody = free_port();
    write!(
        text,
        "exporters:\n  prometheus: {{endpoint: \"{address}\"}}\n  \
         otlp_http: {{endpoint: \"http://127.0.0.1:{nobody}\"}}\n\
         processors:\n  attributes/marked: {{actions: [{{key: a, value: b, action: insert}}]}}\n\
         extensions:\n  health_check: {{endpoint: \"{address}\"}}\n  \
         status_page: {{endpoint: \"{address}\", expose_bodies: true}}\n\
         service:\n  extensions: [health_check, status_page]\n  \
         telemetry: {{metrics: {{readers: []}}}}\n  \
         pipelines: {{metrics: {{receivers: [{ids}], processors: [attributes/marked], \
         exporters: [prometheus, otlp_http]}}}}\n"
    )
    .unwrap();
    text
}

impl EveryState {
    async fn start() -> Self {
        let probed = unwell(status(503));
        let partial = documented_node();
        partial.set_fault(Some("/api/v1/metrics"), status(500));
        let silent = unwell(NodeFault::HangBeforeHeaders);
        let (open, failing) = (unwell(status(503)), unwell(status(500)));
        let (sound, slow) = (documented_node(), documented_node());
        let address = format!("127.0.0.1:{}", free_port());
        let nodes = [
            &sound, &sound, &open, &partial, &failing, &slow, &silent, &probed,
        ];
        let text = every_state(&address, &nodes.map(Node::url));
        let collector = Collector::start(&text, &[], &format!("http://{address}/livez")).await;
        // The probe begins and does not end.
        eventually("its breaker is open", PATIENCE, async || {
            let state = state(&address, "node-probed").await;
            (state == "open" || state == "probing").then_some(())
        })
        .await;
        probed.set_fault(None, NodeFault::HangBeforeHeaders);
        // What is slow has answered once, or it would not be late but new.
        eventually("it has answered", PATIENCE, async || {
            (state(&address, "node-late").await == "fresh").then_some(())
        })
        .await;
        slow.set_fault(None, NodeFault::HangBeforeHeaders);
        let expected = json!({"open": 1, "probing": 1, "failing": 1, "partial": 1, "late": 1,
                              "pending": 1, "fresh": 2});
        eventually("there is every state", PATIENCE, async || {
            let fleet = get(format!("http://{address}/api/v1/fleet")).await.ok()?;
            let fleet: Value = serde_json::from_str(&fleet.text().await.ok()?).ok()?;
            (fleet["states"] == expected).then_some(())
        })
        .await;
        Self {
            collector,
            address,
            _nodes: vec![probed, partial, silent, slow, open, failing, sound],
        }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

/// The state of a target, as the API says it.
async fn state(address: &str, name: &str) -> String {
    let url = format!("http://{address}/api/v1/targets/{name}?read=kept");
    let text = get(&url).await.unwrap().text().await.unwrap();
    let detail: Value = serde_json::from_str(&text).unwrap();
    detail["state"].as_str().unwrap_or_default().to_owned()
}

/// Starts a collector with a status page before nodes.
async fn with_page(options: Options, nodes: &[(&str, &Node)]) -> Stand {
    // The listener is that of the other components, whose address is not known before.
    let address = format!("127.0.0.1:{}", free_port());
    let options = Options {
        extensions: vec![(
            "status_page".to_owned(),
            format!("{{endpoint: \"{address}\"}}"),
        )],
        ..options
    };
    let mut stand = options.start(nodes).await;
    stand.address = address;
    stand
}

/// What axe finds that keeps somebody from using the page.
async fn barriers(browser: &Browser) -> Vec<String> {
    let axe = std::env::var("BETANET_E2E_AXE").unwrap_or_else(|_| panic!("run tests/run"));
    let axe = std::fs::read_to_string(&axe).unwrap_or_else(|error| panic!("{axe}: {error}"));
    browser.run(&format!("{axe}; window.axe = axe;")).await;
    let found = browser
        .run_async(
            "axe.run().then((found) => done(found.violations), (error) => done(String(error)))",
        )
        .await;
    let found = found.as_array().unwrap_or_else(|| panic!("{found}")).iter();
    let serious =
        found.filter(|it| ["serious", "critical"].contains(&it["impact"].as_str().unwrap()));
    serious
        .map(|it| format!("{}: {} at {}", it["id"], it["help"], it["nodes"][0]["html"]))
        .collect()
}

/// Nothing went wrong, and nothing was asked of anybody else.
async fn assert_sound(browser: &Browser, address: &str, what: &str) {
    assert_eq!(browser.complaints().await, Vec::<String>::new(), "{what}");
    let home = format!("http://{address}/");
    let asked = browser.requests().await;
    let foreign: Vec<_> = asked
        .iter()
        .filter(|url| {
            !url.starts_with(&home) && !url.starts_with("data:") && !url.starts_with("chrome")
        })
        .collect();
    assert!(foreign.is_empty(), "{what}: {foreign:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium: run tests/run"]
async fn each_page_is_sound_in_every_size_and_scheme() {
    let fleet = EveryState::start().await;
    for (size, width, height, is_dark) in [
        ("desk", 1280, 900, false),
        ("dark", 1280, 900, true),
        ("phone", 360, 740, false),
        ("wall", 3840, 2160, true),
    ] {
        let browser = Browser::open(width, height, is_dark).await;
        for (name, path) in [
            ("fleet", "/"),
            ("target", "/targets/node-sound"),
            ("target-open", "/targets/node-open"),
            ("target-partial", "/targets/node-partial"),
            ("pipelines", "/pipelines"),
            ("discovery", "/discovery"),
            ("config", "/config"),
        ] {
            browser.go(&fleet.url(path)).await;
            browser
                .until(
                    "the page is live",
                    "return document.getElementById('live').textContent === 'live'",
                )
                .await;
            let what = format!("{name}-{size}");
            browser.picture(&what).await;
            assert_eq!(barriers(&browser).await, Vec::<String>::new(), "{what}");
            let overflow = "return document.documentElement.scrollWidth - window.innerWidth";
            assert!(
                browser.run(overflow).await.as_f64().unwrap() <= 0.0,
                "{what} is too wide"
            );
            assert_sound(&browser, &fleet.address, &what).await;
        }
    }
    drop(fleet.collector);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium: run tests/run"]
async fn every_state_has_its_sign_and_bad_ones_come_first() {
    let fleet = EveryState::start().await;
    let browser = Browser::open(1280, 900, false).await;
    browser.go(&fleet.url("/")).await;
    let marks = json!([
        "✕ open",
        "? probing",
        "! failing",
        "◐ partial",
        "↓ late",
        "· pending",
        "✓ fresh",
        "✓ fresh"
    ]);
    // On a slow machine a sound node may be late for once.
    let shows_marks = format!(
        "const marks = [...document.querySelectorAll('table.targets .mark')]
            .map((mark) => mark.innerText.trim());
        const headline = document.querySelector('h1').innerText;
        return JSON.stringify(marks) === JSON.stringify({marks})
            && headline.startsWith('2 of 8 targets are fresh: 1 has an open breaker')"
    );
    browser.until("each state has its sign", &shows_marks).await;
    let sentences = browser.text(".sentences").await;
    assert!(
        sentences.contains("otlp_http cannot deliver"),
        "{sentences}"
    );
    // What is written into the page is text, and a link leads to the page of such a target.
    let hostile = "return [...document.querySelectorAll('tbody a')].find((a) => a.innerText.includes('alert(1)'))";
    let text = browser.run(&format!("{hostile}.innerText")).await;
    assert_eq!(text, HOSTILE);
    browser
        .run(&format!("{}.click()", hostile.replace("return ", "")))
        .await;
    browser
        .until(
            "its page is there",
            "return document.querySelector('h1').innerText.includes('alert(1)')",
        )
        .await;
    let scripts = browser.run("return document.scripts.length").await;
    assert_eq!(scripts, 1, "the page's own");
    browser
        .go(&fleet.url("/targets/%3Cscript%3Ealert(2)%3C%2Fscript%3E"))
        .await;
    assert_eq!(browser.text("main b").await, "<script>alert(2)</script>");
    let complaints = browser.complaints().await;
    let expected = |line: &String| line.contains("404");
    assert!(complaints.iter().all(expected), "{complaints:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium: run tests/run"]
async fn a_breaker_opens_and_closes_before_ones_eyes() {
    let node = documented_node();
    let options = Options {
        interval: "1s",
        resilience: "retry: {max_retries: 0}, circuit_breaker: {failure_threshold: 3, open_duration: 2s}",
        ..Options::default()
    };
    let stand = with_page(options, &[("node-1", &node)]).await;
    let browser = Browser::open(1280, 900, false).await;
    browser.go(&format!("http://{}/", stand.address)).await;
    let shows = |state: &str| {
        format!("return document.querySelector('tr[data-key=node-1]')?.dataset.state === '{state}'")
    };
    browser.until("it is fresh", &shows("fresh")).await;
    browser.run("window.isSame = true").await;
    node.stop().await;
    browser.until("its breaker opens", &shows("open")).await;
    browser.picture("breaker-open").await;
    assert_eq!(
        browser.text("h1").await,
        "No target is fresh: 1 has an open breaker."
    );
    node.start_again().await.unwrap();
    browser.until("its breaker closes", &shows("fresh")).await;
    assert_eq!(
        browser.run("return window.isSame").await,
        true,
        "the page was not loaded again"
    );
    browser
        .go(&format!("http://{}/targets/node-1", stand.address))
        .await;
    let decisions = browser.text("main").await;
    assert!(
        decisions.contains("the trial request succeeded"),
        "{decisions}"
    );
    assert!(
        decisions.contains("opened after 3 failures in a row"),
        "{decisions}"
    );
    browser.picture("breaker-closed").await;
    assert_sound(&browser, &stand.address, "breaker").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium: run tests/run"]
async fn all_of_it_can_be_reached_by_the_keyboard() {
    const TAB: &str = "\u{e004}";
    const ENTER: &str = "\u{e007}";
    let nodes = [(); 3].map(|()| documented_node());
    let names = ["alpha", "beta", "gamma"];
    let named: Vec<_> = names.into_iter().zip(&nodes).collect();
    let stand = with_page(Options::default(), &named).await;
    let browser = Browser::open(1280, 900, false).await;
    browser.go(&format!("http://{}/", stand.address)).await;
    browser
        .until(
            "all are listed",
            "return document.querySelectorAll('tbody tr[data-state=fresh]').length >= 3",
        )
        .await;
    browser.press(TAB).await;
    assert_eq!(
        browser.run("return document.activeElement.innerText").await,
        "Skip to the content"
    );
    browser.press("/").await;
    assert_eq!(
        browser.run("return document.activeElement.id").await,
        "find"
    );
    browser.press("bet").await;
    browser
        .until(
            "the list follows",
            "return document.querySelectorAll('.targets tbody tr').length === 1",
        )
        .await;
    // What was written stays while the page goes on.
    browser
        .until(
            "it is still live",
            "return document.getElementById('live').textContent === 'live'",
        )
        .await;
    assert_eq!(
        browser
            .run("return document.getElementById('find').value")
            .await,
        "bet"
    );
    for _ in 0..20 {
        if browser.run("return document.activeElement.innerText").await == "beta" {
            break;
        }
        browser.press(TAB).await;
    }
    browser.press(ENTER).await;
    browser
        .until(
            "its page is there",
            "return document.querySelector('h1').innerText.startsWith('beta')",
        )
        .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium: run tests/run"]
async fn ten_thousand_targets_are_paged_and_painted_soon() {
    const TARGETS: usize = 10_000;
    let nodes: Vec<_> = (0..4)
        .map(|_| Node::start(NodeOptions::new(Dialect::Betanet)).unwrap())
        .collect();
    let urls: Vec<_> = nodes.iter().map(Node::url).collect();
    let targets: Vec<_> = (0..TARGETS)
        .map(|n| format!("{{endpoint: '{}', name: node-{n}}}", urls[n % urls.len()]))
        .collect();
    let options = Options {
        interval: "5m",
        timeout: "30s",
        extensions: Vec::new(),
        ..Options::default()
    };
    let address = format!("127.0.0.1:{}", free_port());
    let page = format!("{{endpoint: \"{address}\"}}");
    let options = Options {
        extensions: vec![("status_page".to_owned(), page)],
        ..options
    };
    let stand = options
        .start_with(&format!("targets: [{}]", targets.join(", ")))
        .await;
    let browser = Browser::open(1280, 900, false).await;
    let url = format!("http://{address}/");
    eventually("all targets are known", PATIENCE * 6, async || {
        let page = get(&url).await.ok()?.text().await.ok()?;
        page.contains("10\u{2009}000").then_some(())
    })
    .await;
    browser.go(&url).await;
    let rows = browser
        .run("return document.querySelectorAll('.targets tbody tr').length")
        .await;
    assert_eq!(rows, 50, "a page of them");
    let cells = browser
        .run("return document.querySelectorAll('.cell').length")
        .await;
    assert!(cells.as_u64().unwrap() <= 481, "{cells}");
    // The browser lists the paint a moment after it.
    let first_paint = "return performance.getEntriesByName('first-contentful-paint')[0]?.startTime";
    let painted = eventually("the first paint is listed", PATIENCE, async || {
        browser.run(first_paint).await.as_f64()
    })
    .await;
    println!("first paint after {painted} ms");
    assert!(painted < 1000.0, "{painted} ms");
    browser.picture("ten-thousand").await;
    let before = browser.text(".targets tbody th").await;
    browser
        .run("document.querySelector('a[rel=next]').click()")
        .await;
    browser
        .until(
            "the next page is there",
            "return location.search.includes('after=')",
        )
        .await;
    assert_ne!(browser.text(".targets tbody th").await, before);
    drop(stand);
}

#[tokio::test]
async fn all_that_a_page_loads_is_small_and_forbids_what_is_not_its_own() {
    let node = node(Dialect::Betanet);
    let stand = with_page(Options::default(), &[("one", &node)]).await;
    let mut bytes = 0;
    for path in [
        "/",
        "/status/style.css",
        "/status/script.js",
        "/status/icon.svg",
    ] {
        let answer = get(format!("http://{}{path}", stand.address))
            .await
            .unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        if path == "/" {
            let policy = answer.headers()["content-security-policy"]
                .to_str()
                .unwrap();
            assert!(policy.starts_with("default-src 'none'"), "{policy}");
            assert!(!policy.contains("unsafe"), "{policy}");
        }
        bytes += answer.text().await.unwrap().len();
    }
    assert!(bytes < 200_000, "{bytes} bytes");
    let page = get(format!("http://{}/targets/two", stand.address))
        .await
        .unwrap();
    assert_eq!(page.status(), 404);
}

/// A discovery of 10,000 addresses: one is polled, one is no address, and a rule drops the others.
async fn with_addresses(folder: &tempfile::TempDir, node: &Node) -> Stand {
    let dropped: Vec<_> = (0..9_998)
        .map(|n| format!("127.0.{}.{}:1", n / 250, n % 250 + 1))
        .collect();
    let groups = json!([
        {"targets": dropped, "labels": {"env": "test", "__meta_note": HOSTILE}},
        {"targets": [node.address().to_string(), "x/y"],
         "labels": {"env": "prod", "instance": "node-1"}},
    ]);
    std::fs::write(folder.path().join("targets.json"), groups.to_string()).unwrap();
    let address = format!("127.0.0.1:{}", free_port());
    let options = Options {
        extensions: vec![(
            "status_page".to_owned(),
            format!("{{endpoint: \"{address}\"}}"),
        )],
        ..Options::default()
    };
    let keys = format!(
        "file_sd_configs: [{{files: ['{}/*.json']}}], relabel_configs: [\
         {{source_labels: [env], target_label: stage, action: uppercase}}, \
         {{source_labels: [env], regex: test, action: drop}}]",
        folder.path().display()
    );
    let mut stand = options.start_with(&keys).await;
    stand.address = address;
    stand
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium: run tests/run"]
async fn the_discovery_shows_each_of_ten_thousand_addresses_and_why_it_was_dropped() {
    let (node, folder) = (documented_node(), tempfile::TempDir::new().unwrap());
    let stand = with_addresses(&folder, &node).await;
    let url = format!("http://{}/discovery", stand.address);
    eventually("all addresses are known", PATIENCE, async || {
        let page = get(&url).await.ok()?.text().await.ok()?;
        page.contains("10\u{2009}000 addresses").then_some(())
    })
    .await;
    for (size, width, height, is_dark) in [
        ("desk", 1280, 900, false),
        ("phone", 360, 740, true),
        ("wall", 3840, 2160, true),
    ] {
        let browser = Browser::open(width, height, is_dark).await;
        browser.go(&url).await;
        let rows = "return document.querySelectorAll('.addresses tbody tr').length";
        assert_eq!(browser.run(rows).await, 50, "a page of them");
        let first = browser.text(".addresses tbody tr").await;
        assert!(first.contains(HOSTILE), "{first}");
        let rule = "relabel_configs/1 drops what has `env` that matches `test`";
        assert!(first.contains(rule), "{first}");
        browser.picture(&format!("addresses-{size}")).await;
        assert_eq!(barriers(&browser).await, Vec::<String>::new(), "{size}");
        let overflow = "return document.documentElement.scrollWidth - window.innerWidth";
        assert!(
            browser.run(overflow).await.as_f64().unwrap() <= 0.0,
            "{size} is too wide"
        );
        // The reader asks for what is polled, and for what was refused.
        for (result, expected) in [
            ("kept", "STAGE=PROD"),
            ("invalid", "neither a host and port"),
        ] {
            let link = format!("document.querySelector('nav.legend a[href*={result}]').click()");
            browser.run(&link).await;
            browser
                .until(
                    "one is left",
                    &format!("return location.search.includes('{result}') && document.querySelectorAll('.addresses tbody tr').length === 1"),
                )
                .await;
            let row = browser.text(".addresses tbody tr").await;
            let has = row.to_uppercase().contains(&expected.to_uppercase());
            assert!(has, "{row}");
        }
        assert_sound(&browser, &stand.address, size).await;
    }
}
