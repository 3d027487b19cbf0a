//! The cost of one target: `cargo bench --bench footprint`.
//!
//! It starts the release binary with `otel-config.yaml` and one simulated node. It prints the time
//! until a scrape shows the node, and the resident memory after ten polls.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::{
    process::{Child, Command, Stdio},
    time::Duration,
};

use betanet_collector::simulator::{Dialect, Node, NodeOptions};
use reqwest::Client;
use tokio::{
    net::TcpListener,
    time::{Instant, timeout},
};

type Error = Box<dyn std::error::Error>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let node = Node::start(NodeOptions::new(Dialect::Betanet))?;
    let (listen, telemetry) = (free_port().await?, free_port().await?);
    // It takes longer to make than the collector needs to start.
    let client = Client::builder().no_proxy().build()?;
    let started = Instant::now();
    let mut collector = Command::new(env!("CARGO_BIN_EXE_betanet-collector"))
        .args(["--config", concat!(env!("CARGO_MANIFEST_DIR"), "/otel-config.yaml")])
        .arg("--set=service.telemetry.logs.level=error")
        .arg(format!("--config=yaml:service::telemetry::metrics::readers: [{{pull: {{exporter: {{prometheus: {{port: {telemetry}}}}}}}}}]"))
        .env("BETANET_URL", node.url())
        .env("BETANET_LISTEN", format!("127.0.0.1:{listen}"))
        .env("BETANET_INTERVAL", "500ms")
        .stderr(Stdio::inherit())
        .spawn()?;
    let url = format!("http://127.0.0.1:{listen}/metrics");
    let first = async {
        while !shows_node(&client, &url).await {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        started.elapsed()
    };
    let first_value = timeout(Duration::from_secs(30), first).await;
    let measured = resident_kib(&collector, &node).await;
    collector.kill()?;
    collector.wait()?;
    let (first_value, resident_kib) = (first_value?, measured?);
    println!(
        "first value on a scrape after {:.0} ms",
        first_value.as_secs_f64() * 1000.0
    );
    println!(
        "resident memory after 10 polls {:.1} MiB",
        resident_kib / 1024.0
    );
    Ok(())
}

/// The resident memory after ten polls.
async fn resident_kib(collector: &Child, node: &Node) -> Result<f64, Error> {
    node.wait_for_requests(30).await;
    let status = std::fs::read_to_string(format!("/proc/{}/status", collector.id()))?;
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS"))
        .ok_or("no VmRSS")?;
    Ok(line.split_whitespace().nth(1).ok_or("no number")?.parse()?)
}

/// Whether a scrape has a value of the node.
async fn shows_node(client: &Client, url: &str) -> bool {
    let text = async { client.get(url).send().await?.text().await };
    text.await
        .is_ok_and(|text: String| text.contains("betanet_connected_peers{"))
}

async fn free_port() -> Result<u16, Error> {
    Ok(TcpListener::bind("127.0.0.1:0").await?.local_addr()?.port())
}
