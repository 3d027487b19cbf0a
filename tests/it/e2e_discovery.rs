//! Compares discovery, relabeling and sharding with a real Prometheus that has the same files.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{
    PATIENCE, eventually,
    prometheus::Prometheus,
    stand::{Options, Stand},
};

/// The labels of each target, by Prometheus' `instance`.
type Targets = BTreeMap<String, BTreeMap<String, String>>;

/// 300 targets in groups. Nothing listens there.
fn write_targets(folder: &TempDir) {
    let address = |n: u32| format!("127.0.{}.{}:1", n / 200, n % 200 + 1);
    let group = |n: u32| {
        let env = if n.is_multiple_of(7) { "test" } else { "Prod" };
        json!({
            "targets": [address(n), address(n + 150)],
            "labels": {"env": env, "zone": format!("eu-{}", n % 3), "__meta_owner": format!("team {n}"), "odd": "ä;b\"c"},
        })
    };
    let groups: Vec<Value> = (0..150).map(group).collect();
    std::fs::write(
        folder.path().join("targets.json"),
        Value::from(groups).to_string(),
    )
    .unwrap();
}

/// The targets that Prometheus would scrape.
async fn of_prometheus(folder: &TempDir, rules: &str) -> Targets {
    let files = folder.path().display();
    let prometheus = Prometheus::start(&format!(
        "scrape_configs: [{{job_name: x, file_sd_configs: [{{files: ['{files}/*.json']}}], relabel_configs: [{rules}]}}]"
    ))
    .await;
    eventually("Prometheus has its targets", PATIENCE, async || {
        let targets = prometheus.targets().await;
        let targets = targets.as_array().unwrap().iter();
        let targets: Targets = targets
            .map(|target| {
                let mut labels: BTreeMap<String, String> =
                    serde_json::from_value(target["labels"].clone()).unwrap();
                labels.remove("job");
                (labels.remove("instance").unwrap(), labels)
            })
            .collect();
        Some(targets).filter(|targets| !targets.is_empty())
    })
    .await
}

/// The targets that the collector polls.
async fn of_collector(folder: &TempDir, keys: &str, count: usize) -> Targets {
    let files = folder.path().display();
    let keys = format!("file_sd_configs: [{{files: ['{files}/*.json']}}], {keys}");
    let options = Options {
        interval: "1s",
        timeout: "500ms",
        ..Options::default()
    };
    let stand: Stand = options.start_with(&keys).await;
    let what = format!("{count} targets are polled");
    let scrape = stand
        .until(&what, |scrape| scrape.select("betanet_up").len() == count)
        .await;
    let targets = scrape.select("betanet_up").into_iter().map(|sample| {
        let mut labels = sample.labels.clone();
        (labels.remove("target").unwrap(), labels)
    });
    targets.collect()
}

#[tokio::test]
#[ignore = "needs prometheus: run tests/run"]
async fn targets_and_labels_are_those_of_prometheus() {
    let folder = TempDir::new().unwrap();
    write_targets(&folder);
    let rules = "{source_labels: [env], regex: test, action: drop}, \
         {source_labels: [env], target_label: stage, action: lowercase}, \
         {source_labels: [zone], target_label: ZONE, action: uppercase}, \
         {source_labels: [__meta_owner], regex: 'team (\\d+)', target_label: owner, replacement: 't-$1'}, \
         {source_labels: [env, zone], separator: /, target_label: place}, \
         {source_labels: [zone], regex: eu-(.+), target_label: 'zone_$1', replacement: $1$1}, \
         {regex: '__meta_(.+)', replacement: 'meta_$1', action: labelmap}, \
         {source_labels: [__address__], modulus: 17, target_label: slot, action: hashmod}, \
         {source_labels: [slot], regex: '[0-8]', action: keep}, \
         {source_labels: [owner], regex: 't-1.', target_label: instance, replacement: ''}, \
         {source_labels: [__meta_filepath], regex: '.*/([^/]+)\\.json', target_label: file}, \
         {source_labels: [odd], target_label: odd, action: keepequal}, \
         {regex: env|meta_filepath|odd, action: labeldrop}";
    // keepequal is newer than the Prometheus of Debian 12, and has no effect here.
    let known = rules.replace(
        "{source_labels: [odd], target_label: odd, action: keepequal}, ",
        "",
    );
    let expected = of_prometheus(&folder, &known).await;
    assert!(expected.len() > 50, "{}", expected.len());
    let found = of_collector(
        &folder,
        &format!("relabel_configs: [{rules}]"),
        expected.len(),
    )
    .await;
    assert_eq!(found, expected);
}

#[tokio::test]
#[ignore = "needs prometheus: run tests/run"]
async fn hashmod_shards_are_those_of_prometheus() {
    let folder = TempDir::new().unwrap();
    write_targets(&folder);
    let mut all = BTreeSet::new();
    for index in 0..3 {
        let rules = format!(
            "{{source_labels: [__address__], modulus: 3, target_label: __tmp_hash, action: hashmod}}, \
             {{source_labels: [__tmp_hash], regex: {index}, action: keep}}"
        );
        let expected = of_prometheus(&folder, &rules).await;
        let shard = format!("shard: {{index: {index}, count: 3, hash: hashmod}}");
        let found = of_collector(&folder, &shard, expected.len()).await;
        let names = |targets: &Targets| targets.keys().cloned().collect::<BTreeSet<_>>();
        assert_eq!(names(&found), names(&expected), "shard {index}");
        all.extend(names(&found));
    }
    assert_eq!(all.len(), 300);
}
