//! Tests of reloads of a running program under load.

mod every_change;
mod exporters;
mod load;
mod settings;
mod stand;
mod telemetry;
mod tls;

use tempfile::TempDir;

use self::stand::{FIRST, Reloading, STAYING, Variant};
use crate::support::{PATIENCE, eventually, get, scrape::Scrape, stand::polls};

#[tokio::test]
async fn sighup_reloads_and_what_needs_a_restart_is_refused() {
    let stand = Reloading::start(FIRST, &[]).await;
    let fewer = Variant { nodes: 2, ..FIRST };
    stand.collector.configure(&stand.world.config(fewer));
    stand.collector.signal("HUP");
    eventually("n2 is gone from a scrape", PATIENCE, async || {
        let scrape = stand.scrape().await;
        let gone = scrape.select("betanet_up{target=\"n2\"}").is_empty();
        (gone && polls(&scrape, "n0") >= 1.0).then_some(())
    })
    .await;
    let other = stand.world.config(FIRST);
    let other = other.replace("telemetry: {", "telemetry: {resource: {zone: a}, ");
    let (status, text) = stand.reload(&other).await;
    assert_eq!(status, 500);
    let expected = "the running configuration stays: \
        changes of service::telemetry::resource need a restart\n";
    assert_eq!(text, expected);
    let health: serde_json::Value = serde_json::from_str(&stand.text("/health").await).unwrap();
    let config = &health["components"]["service:config"];
    assert_eq!(config["status"], "StatusRecoverableError", "{health:#}");
    let get_it = get(format!("http://{}/-/reload", stand.world.address)).await;
    assert_eq!(get_it.unwrap().status(), 405);
    stand.go_over(FIRST).await;
}

#[tokio::test]
async fn a_port_that_is_taken_is_refused_and_nothing_has_changed() {
    let stand = Reloading::start(FIRST, &[]).await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let elsewhere = taken.local_addr().unwrap().to_string();
    let config = stand.world.config(Variant { nodes: 4, ..FIRST });
    let at = |address: &str| format!("prometheus: {{endpoint: \"{address}\"");
    let moved = config.replace(&at(&stand.world.address), &at(&elsewhere));
    let (status, text) = stand.reload(&moved).await;
    assert_eq!(status, 500);
    assert!(text.contains(&elsewhere), "{text}");
    assert!(
        stand
            .scrape()
            .await
            .select("betanet_up{target=\"n3\"}")
            .is_empty()
    );
    drop(taken);
    assert_eq!(stand.reload(&moved).await.0, 200);
    let scrape = get(format!("http://{elsewhere}/metrics")).await.unwrap();
    let scrape = Scrape::parse(scrape.text().await.unwrap());
    for node in STAYING {
        assert!(polls(&scrape, node) >= 1.0, "moved with all its series");
    }
    let gone = get(format!("http://{}/metrics", stand.world.address)).await;
    assert_eq!(gone.unwrap().status(), 404);
}

#[tokio::test]
async fn a_file_that_a_reference_names_is_watched_too() {
    let stand = Reloading::start(FIRST, &["--watch"]).await;
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("age");
    std::fs::write(&file, "1m\n").unwrap();
    let stale = format!(
        "prometheus: {{max_stale: \"${{file:{}}}\", ",
        file.display()
    );
    let config = stand
        .world
        .config(FIRST)
        .replacen("prometheus: {", &stale, 1);
    stand.collector.configure(&config);
    let reloaded = async |times: usize| {
        eventually("the configuration is loaded", PATIENCE, async || {
            let log = stand.collector.log();
            (log.matches("configuration reloaded").count() == times).then_some(())
        })
        .await;
    };
    reloaded(1).await;
    let new = folder.path().join("new");
    std::fs::write(&new, "2m\n").unwrap();
    std::fs::rename(new, &file).unwrap();
    reloaded(2).await;
}

#[tokio::test]
async fn watched_files_are_loaded_when_they_change_and_only_then() {
    let stand = Reloading::start(FIRST, &["--watch"]).await;
    let reloads = |log: &str| log.matches("configuration reloaded").count();
    // The layout of kubelet: the file is a link through `..data`, and only that link is replaced.
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    let version = |name: &str, text: &str| {
        std::fs::create_dir(path(name)).unwrap();
        std::fs::write(path(name).join("node.yaml"), text).unwrap();
        std::os::unix::fs::symlink(name, path("..data_tmp")).unwrap();
        std::fs::rename(path("..data_tmp"), path("..data")).unwrap();
    };
    let definition = include_str!("../../../pipelines/betanet.yaml");
    version("..2026_1", definition);
    std::os::unix::fs::symlink("..data/node.yaml", path("node.yaml")).unwrap();
    let config = stand.world.config(FIRST);
    let known = stand.world.definitions.path().join("betanet.yaml");
    let config = config.replace(known.to_str().unwrap(), path("node.yaml").to_str().unwrap());
    stand.collector.configure(&config);
    eventually("the configuration is loaded", PATIENCE, async || {
        (reloads(&stand.collector.log()) == 1).then_some(())
    })
    .await;
    stand.until_polled("n0", 2.0).await;
    stand.collector.configure(&config);
    stand.collector.write("beside.yaml", "what: ever");
    version(
        "..2026_2",
        &definition.replace("betanet_connected_peers", "betanet_renamed"),
    );
    let renamed = "the definition is loaded, and the series have its names";
    eventually(renamed, PATIENCE, async || {
        let text = stand.text("/metrics").await;
        text.contains("betanet_renamed").then_some(())
    })
    .await;
    let log = stand.collector.log();
    assert_eq!(reloads(&log), 2, "{log}");
    assert_eq!(stand.collector.stop().await.0, Some(0));
}
