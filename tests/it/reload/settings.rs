//! Tests of settings that affect more than one target: the list of targets, shards, ports.

use std::{collections::BTreeSet, net::SocketAddr};

use betanet_collector::discovery::{ShardConfig, ShardHash};
use tempfile::TempDir;

use super::stand::{FIRST, Reloading, STAYING, Variant};
use crate::support::{
    PATIENCE, certificates::Authority, eventually, get, scrape::Scrape, stand::polls,
};

/// The targets that are up.
fn shown(scrape: &Scrape) -> BTreeSet<String> {
    let samples = scrape.all().iter();
    let up = samples.filter(|sample| sample.name == "betanet_up");
    up.filter_map(|sample| sample.labels.get("target").cloned())
        .collect()
}

/// The nodes of one of two shards.
fn nodes_of(stand: &Reloading, index: &str) -> BTreeSet<String> {
    let shard = ShardConfig {
        index: index.parse().unwrap(),
        count: 2,
        hash: ShardHash::default(),
    };
    let nodes = STAYING.iter().zip(&stand.world.nodes);
    let own = nodes.filter(|(_, node)| shard.owns(&node.address().to_string()));
    own.map(|(name, _)| (*name).to_owned()).collect()
}

#[tokio::test]
async fn a_shard_that_changes_gives_up_its_targets_and_takes_others() {
    let stand = Reloading::start(FIRST, &[]).await;
    for node in STAYING {
        stand.until_polled(node, 1.0).await;
    }
    let are_shown = async |expected: &BTreeSet<String>| {
        let what = format!("{expected:?} are shown");
        eventually(&what, PATIENCE, async || {
            Some(stand.scrape().await).filter(|scrape| shown(scrape) == *expected)
        })
        .await
    };
    let before = stand.scrape().await;
    for (index, receiver) in [
        (
            "0",
            "collection_interval: 500ms, timeout: 5s, shard: {index: 0, count: 2}",
        ),
        (
            "1",
            "collection_interval: 500ms, timeout: 5s, shard: {index: 1, count: 2}",
        ),
    ] {
        stand.go_over(Variant { receiver, ..FIRST }).await;
        let own = nodes_of(&stand, index);
        let after = are_shown(&own).await;
        for node in own.iter().filter(|_| index == "0") {
            let goes_on = polls(&after, node) >= polls(&before, node);
            assert!(goes_on, "{node} did not notice");
        }
        let shard = stand.own().await;
        assert_eq!(shard.sum("betanet_shard_index").to_string(), index);
        assert_eq!(shard.sum("betanet_shard_count"), 2.0);
    }
    stand.go_over(FIRST).await;
    are_shown(&STAYING.map(str::to_owned).into()).await;
    assert!(!stand.own().await.text.contains("betanet_shard_count{"));
}

#[tokio::test]
async fn a_target_that_is_removed_is_gone_when_the_reload_has_answered() {
    let stand = Reloading::start(FIRST, &[]).await;
    for _ in 0..5 {
        stand.go_over(Variant { nodes: 2, ..FIRST }).await;
        assert!(!shown(&stand.scrape().await).contains("n2"));
        stand.go_over(FIRST).await;
        stand.until_polled("n2", 1.0).await;
    }
}

#[tokio::test]
async fn a_port_goes_over_to_tls_and_back_and_its_series_go_on() {
    let stand = Reloading::start(FIRST, &[]).await;
    let (authority, folder) = (Authority::new(), TempDir::new().unwrap());
    let (certificate, key) = authority.issue("localhost").write(folder.path());
    let plain = stand.world.config(FIRST);
    let endpoint = format!("endpoint: \"{}\"", stand.world.address);
    let (certificate, key) = (certificate.display(), key.display());
    let with_tls =
        format!("{endpoint}, tls: {{cert_file: \"{certificate}\", key_file: \"{key}\"}}");
    let before = polls(&stand.scrape().await, "n2");
    let (status, text) = stand.reload(&plain.replace(&endpoint, &with_tls)).await;
    assert_eq!(status, 200, "{text}");
    let clear = format!("http://{}/metrics", stand.world.address);
    assert!(get(clear).await.is_err(), "clear text is not understood");
    let address: SocketAddr = stand.world.address.parse().unwrap();
    let root = reqwest::Certificate::from_pem(authority.pem().as_bytes()).unwrap();
    let client = reqwest::Client::builder()
        .no_proxy()
        .resolve("localhost", address)
        .tls_certs_only([root]);
    let client = client.build().unwrap();
    let url = |path: &str| format!("https://localhost:{}{path}", address.port());
    let answer = client.get(url("/metrics")).send().await.unwrap();
    let scrape = Scrape::parse(answer.text().await.unwrap());
    assert!(polls(&scrape, "n2") >= before, "the series go on");
    stand.collector.configure(&plain);
    let answer = client.post(url("/-/reload")).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(polls(&stand.scrape().await, "n2") >= before);
}
