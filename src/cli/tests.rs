//! The whole program with a public server, which hangs forever after a request for `/status` or
//! `/metrics`. The server is in memory and the time is virtual.

use std::{net::TcpListener, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::sleep,
};

use super::demo::DEFAULT_CONFIG;
use crate::{
    config::{self, Config},
    delivery::testing::{CapturedLog, logged},
    receivers::Network,
    runtime::Clock,
    service::{Environment, Service},
    simulator::{NodeFault, NodeOptions, Offline},
    telemetry::InternalTelemetry,
    yaml::Diagnostics,
};

const MINUTE: Duration = Duration::from_secs(60);

/// The simulated server, and the address of the collector that polls it.
struct Stand {
    node: Offline,
    address: String,
    log: CapturedLog,
}

/// Runs the default configuration, with `definition` if it is not empty, for the duration of
/// `life`.
async fn run(definition: &str, life: impl AsyncFnOnce(&Stand)) {
    let (log, _guard) = logged();
    let port = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = port.local_addr().unwrap().to_string();
    drop(port);
    let node = Offline::new(&NodeOptions::public());
    let server = node.clone();
    let network = Network::in_memory(Arc::new(move |url| {
        let server = server.clone();
        async move { server.get(url.path()).await }.boxed()
    }));
    let world = Environment {
        clock: Clock::starting_at(std::time::UNIX_EPOCH + Duration::from_secs(1_800_000_000)),
        seed: 1,
        listening: None,
        sending: None,
        network,
    };
    let telemetry = InternalTelemetry::new(&<_>::default()).unwrap();
    let config = config(&address, definition);
    let service = Service::start(&config, telemetry, &world).await.unwrap();
    let stand = Stand { node, address, log };
    let ended = service.run(life(&stand), async || Err("no reload".to_owned()));
    ended.await.unwrap();
}

fn config(address: &str, definition: &str) -> Config {
    let overlay = format!(
        "receivers: {{betanet: {{{definition} targets: [{{endpoint: 'http://node:9000', name: node}}]}}}}\n\
         exporters: {{prometheus: {{endpoint: '{address}'}}}}\n\
         extensions: {{health_check: {{endpoint: '{address}'}}, status_page: {{endpoint: '{address}'}}}}\n\
         service: {{telemetry: {{metrics: {{readers: []}}}}, pipelines: {{metrics: {{exporters: [prometheus]}}}}}}\n"
    );
    let texts = [DEFAULT_CONFIG, &overlay].map(|text| format!("yaml:{text}"));
    let sources = config::sources(&texts, &[]).unwrap();
    let mut diagnostics = Diagnostics::new();
    let config = Config::load(&sources, &|_: &str| None, &mut diagnostics);
    config.unwrap_or_else(|| panic!("{diagnostics}"))
}

impl Stand {
    /// Advances the time of the program and of the server.
    async fn pass(&self, time: Duration, step: Duration) {
        let mut left = time;
        while !left.is_zero() {
            sleep(step.min(left)).await;
            self.node.advance(step.min(left));
            left = left.saturating_sub(step);
        }
    }

    /// Requests a path of the program. Sockets use real time, so the clock advances at the same
    /// time.
    async fn get(&self, path: &str) -> String {
        tokio::time::resume();
        let mut stream = TcpStream::connect(&self.address).await.unwrap();
        let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        tokio::time::pause();
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    /// Checks that every mixnode has its series, and that the target is up.
    async fn assert_shows_every_mixnode(&self) {
        let scrape = self.get("/metrics").await;
        let mixnodes = self.node.state().mixnodes;
        assert!(mixnodes.len() >= 2);
        for mixnode in mixnodes {
            let id = format!("betanet_mixnode_id=\"{}\"", mixnode.id);
            let lines: Vec<_> = scrape.lines().filter(|line| line.contains(&id)).collect();
            // Three states, three totals, uptime and latency.
            assert_eq!(lines.len(), 8, "{id}\n{scrape}");
        }
        assert!(
            scrape.contains("betanet_up{target=\"node\"} 1\n"),
            "{scrape}"
        );
    }

    async fn suspects(&self) -> Vec<String> {
        let health: Value = serde_json::from_str(&self.get("/health").await).unwrap();
        let endpoints = health["targets"]["node"]["endpoints"].as_object().unwrap();
        let suspect = endpoints.iter().filter(|(_, it)| it["suspect"].is_object());
        suspect.map(|(name, _)| name.clone()).collect()
    }

    fn asked(&self) -> [u64; 2] {
        ["/status", "/metrics"].map(|path| self.node.requests_to(path))
    }

    /// The log lines so far.
    fn lines(&self) -> Vec<String> {
        self.log.text().lines().map(str::to_owned).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn the_default_configuration_shows_every_mixnode_of_a_public_server() {
    run("", async |stand| {
        stand.pass(MINUTE * 10, Duration::from_secs(1)).await;
        stand.assert_shows_every_mixnode().await;
        assert_eq!(
            stand.asked(),
            [0, 0],
            "no request for the paths that make it hang"
        );
        assert!(stand.node.requests_to("/mixnodes") >= 39);
        assert_eq!(stand.suspects().await, Vec::<String>::new());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_full_definition_finds_what_makes_a_public_server_hang_and_stops_polling_it() {
    run("definition: betanet-mixnode-full,", async |stand| {
        stand.pass(MINUTE * 10, Duration::from_secs(1)).await;
        assert_eq!(stand.asked(), [1, 0]);
        assert_eq!(stand.suspects().await, ["status"]);
        let named = |name: &str| {
            let endpoint = format!("endpoint=\"{name}\"");
            let lines = stand.lines().into_iter();
            let lines = lines.filter(|line| line.contains("suspect") && line.contains(&endpoint));
            lines.count()
        };
        assert_eq!((named("status"), named("metrics")), (1, 0));

        stand.node.restart();
        stand.pass(MINUTE * 10, Duration::from_secs(1)).await;
        assert_eq!(
            stand.asked(),
            [1, 1],
            "the other path makes it hang as well"
        );
        assert_eq!(stand.suspects().await, ["metrics", "status"]);
        stand.node.restart();
        stand.pass(MINUTE * 60, Duration::from_secs(1)).await;
        stand.assert_shows_every_mixnode().await;
        assert_eq!(
            stand.asked(),
            [1, 1],
            "no request for them after a recovery"
        );
        assert_eq!((named("status"), named("metrics")), (1, 1));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_hours_is_two_log_lines_at_its_start_and_two_at_its_end() {
    run("", async |stand| {
        let step = MINUTE;
        stand.pass(MINUTE * 2, step).await;
        let before = stand.lines().len();
        stand.node.set_fault(None, NodeFault::HangBeforeHeaders);
        stand.pass(MINUTE * 60 * 3, step).await;
        let begins = stand.lines().split_off(before);
        assert_eq!(begins.len(), 2, "{begins:#?}");
        assert!(begins[0].contains("target is down"), "{begins:#?}");
        assert!(begins[1].contains("breaker opened"), "{begins:#?}");
        stand.node.clear_faults();
        stand.node.restart();
        stand.pass(MINUTE * 5, step).await;
        let ends = stand.lines().split_off(before + 2);
        assert_eq!(ends.len(), 2, "{ends:#?}");
        assert!(ends[0].contains("breaker closed"), "{ends:#?}");
        assert!(ends[1].contains("target is up again"), "{ends:#?}");
    })
    .await;
}
