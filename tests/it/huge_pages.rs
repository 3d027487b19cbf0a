//! Huge pages are for large fleets: in a small process most of them would be empty.

use std::{fmt::Write as _, path::Path};

use crate::support::{PATIENCE, collector::Collector, eventually, free_port, get};

const DEFINITION: &str = "endpoints: {a: {path: /a}}\n\
     metrics: [{name: a, instrument: gauge, value: $.value}]\n";

/// So many targets, at which nothing listens.
fn config(definition: &Path, targets: usize, port: u16) -> String {
    let nobody = free_port();
    let mut config = format!(
        "receivers:\n  http_json:\n    definition: {}\n    collection_interval: 10s\n    \
         targets:\n",
        definition.display()
    );
    for target in 0..targets {
        let (high, low) = (target / 250, 1 + target % 250);
        writeln!(config, "    - endpoint: http://127.7.{high}.{low}:{nobody}").unwrap();
    }
    config
        + &format!(
            "exporters: {{prometheus: {{endpoint: '127.0.0.1:{port}'}}}}\n\
             service:\n  telemetry: {{metrics: {{level: none}}}}\n  \
             pipelines: {{metrics: {{receivers: [http_json], exporters: [prometheus]}}}}\n"
        )
}

/// Whether the system may give huge pages to a process.
fn may_have_huge_pages(process: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("THP_enabled:"));
    line.unwrap().trim() == "1"
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_large_fleet_has_huge_pages() {
    let has_any = Path::new("/sys/kernel/mm/transparent_hugepage").exists();
    for (targets, environment, expected) in [
        (1, &[][..], false),
        (300, &[], has_any),
        (300, &[("MIMALLOC_ALLOW_THP", "0")], false),
    ] {
        let port = free_port();
        let page = format!("http://127.0.0.1:{port}/metrics");
        let folder = tempfile::TempDir::new().unwrap();
        let definition = folder.path().join("definition.yaml");
        std::fs::write(&definition, DEFINITION).unwrap();
        let config = config(&definition, targets, port);
        let collector = Collector::start(&config, environment, &page).await;
        eventually("a target was polled", PATIENCE, async || {
            let text = get(&page).await.ok()?.text().await.ok()?;
            text.contains("http_json_up{").then_some(())
        })
        .await;
        let of = format!("{targets} targets, {environment:?}");
        assert_eq!(may_have_huge_pages(collector.id()), expected, "{of}");
    }
}
