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
use tokio::{net::TcpListener, time::Instant};

type Error = Box<dyn std::error::Error>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let node = Node::start(NodeOptions::new(Dialect::Betanet))?;
    let (listen, telemetry) = (free_port().await?, free_port().await?);
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
    let measured = measure(&collector, listen, started, &node).await;
    collector.kill()?;
    collector.wait()?;
    let (first_value, resident_kib) = measured?;
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

async fn measure(
    collector: &Child,
    port: u16,
    started: Instant,
    node: &Node,
) -> Result<(Duration, f64), Error> {
    let url = format!("http://127.0.0.1:{port}/metrics");
    while !scrape(&url)
        .await
        .is_some_and(|text| text.contains("betanet_connected_peers{"))
    {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let first_value = started.elapsed();
    node.wait_for_requests(30).await;
    let status = std::fs::read_to_string(format!("/proc/{}/status", collector.id()))?;
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS"))
        .ok_or("no VmRSS")?;
    let resident_kib = line.split_whitespace().nth(1).ok_or("no number")?.parse()?;
    Ok((first_value, resident_kib))
}

async fn scrape(url: &str) -> Option<String> {
    reqwest::get(url).await.ok()?.text().await.ok()
}

async fn free_port() -> Result<u16, Error> {
    Ok(TcpListener::bind("127.0.0.1:0").await?.local_addr()?.port())
}
