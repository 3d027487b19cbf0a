//! Tests of the `file` exporter in the real program.

use std::{
    fs::File,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::Command,
};

use betanet_collector::simulator::Node;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;

use crate::support::{
    PATIENCE,
    command::PROGRAM,
    eventually,
    process::Process,
    sink::{Point, Value, flatten},
    stand::{Options, Stand, documented_node, polls},
};

/// The points of each line.
fn lines(path: &Path) -> Vec<Vec<Point>> {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.ends_with('\n'), "the last line is complete");
    let lines = text.lines().map(|line| {
        let message: ExportMetricsServiceRequest = serde_json::from_str(line).unwrap();
        flatten(message)
    });
    lines.collect()
}

async fn status_is(stand: &Stand, expected: &str) {
    eventually(&format!("the file is {expected}"), PATIENCE, async || {
        let health = stand.health().await;
        let status = &health["components"]["exporter:file"]["status"];
        (status == expected).then_some(())
    })
    .await;
}

#[tokio::test]
async fn each_poll_is_a_line_even_if_the_disk_failed_for_a_while() {
    let (node, folder) = (documented_node(), tempfile::TempDir::new().unwrap());
    let path = folder.path().join("later").join("metrics.json");
    let settings = format!("{{path: \"{}\", flush_interval: 50ms}}", path.display());
    let options = Options {
        exporters: vec![("file".to_owned(), settings)],
        ..Options::default()
    };
    let stand = options.start(&[("a", &node)]).await;
    stand.after_polls("a", 3).await;
    status_is(&stand, "StatusRecoverableError").await;
    std::fs::create_dir(folder.path().join("later")).unwrap();
    status_is(&stand, "StatusOK").await;

    let scrape = stand.after_polls("a", 1).await;
    let (code, log) = stand.collector.stop().await;
    assert_eq!(code, Some(0), "{log}");
    let lines = lines(&path);
    let polled = polls(&scrape, "a");
    assert!(lines.len() as f64 >= polled, "{} of {polled}", lines.len());
    let mut last = 0;
    for line in &lines {
        let named = |point: &&Point| point.name == "betanet_bytes_transmitted_total";
        let [total] = line.iter().filter(named).collect::<Vec<_>>()[..] else {
            panic!("{line:?}")
        };
        assert_eq!(total.value, Value::Int(1_000_000));
        assert_eq!(total.resource["service.instance.id"], "a");
        assert!(total.time > last, "in order");
        last = total.time;
    }
}

/// The files of a directory without the current one, oldest first.
fn backups(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut backups: Vec<_> = paths
        .filter(|path| !path.ends_with("metrics.json"))
        .collect();
    backups.sort();
    backups
}

#[tokio::test]
async fn full_files_are_rotated_and_the_newest_stay() {
    let (node, folder) = (documented_node(), tempfile::TempDir::new().unwrap());
    let path = folder.path().join("metrics.json");
    let settings = format!(
        "{{path: \"{}\", flush_interval: 10ms, rotation: {{max_megabytes: 1, max_backups: 2}}}}",
        path.display()
    );
    let options = Options {
        interval: "10ms",
        exporters: vec![("file".to_owned(), settings)],
        ..Options::default()
    };
    let names: Vec<_> = (0..8).map(|target| format!("n{target}")).collect();
    let targets: Vec<_> = names.iter().map(|name| (name.as_str(), &node)).collect();
    let stand = options.start(&targets).await;
    let first = eventually("a file is full", PATIENCE, async || {
        backups(folder.path()).into_iter().next()
    })
    .await;
    eventually("it was deleted", PATIENCE, async || {
        (!first.exists()).then_some(())
    })
    .await;
    let (code, log) = stand.collector.stop().await;
    assert_eq!(code, Some(0), "{log}");
    let backups = backups(folder.path());
    assert_eq!(backups.len(), 2, "{backups:?}");
    let mut last = 0;
    for path in backups.iter().chain([&path]) {
        assert!(std::fs::metadata(path).unwrap().len() <= 1 << 20);
        for line in lines(path) {
            let is_of = |point: &&Point| point.resource["service.instance.id"] == "n0";
            let Some(time) = line.iter().filter(is_of).map(|point| point.time).max() else {
                continue;
            };
            assert!(time > last, "in order, across files too");
            last = time;
        }
    }
    assert!(last > 0);
}

/// A program that polls a node fifty times a second and writes to `path`.
fn writing(node: &Node, path: &str, prepare: impl FnOnce(&mut Command)) -> Process {
    let config = format!(
        "receivers: {{betanet: {{definition: betanet, collection_interval: 20ms, \
         timeout: 5s, deadline: 5s, retry: {{max_retries: 0}}, \
         circuit_breaker: {{failure_threshold: 1000000}}, \
         targets: [{{endpoint: \"{}\", name: a}}]}}}}\n\
         exporters: {{file: {{path: \"{path}\", flush_interval: 10ms, \
         rotation: {{max_megabytes: 1, max_backups: 1}}}}}}\n\
         service:\n  shutdown_timeout: 1s\n  telemetry: {{metrics: {{level: none}}}}\n  \
         pipelines: {{metrics: {{receivers: [betanet], exporters: [file]}}}}\n",
        node.url()
    );
    Process::start(PROGRAM, |command, folder| {
        std::fs::write(folder.join("config.yaml"), config).unwrap();
        command
            .current_dir(folder)
            .args(["--config", "config.yaml", "run"]);
        prepare(command);
    })
}

/// The process' own output is not emptied or rotated, even if it is a file with content.
#[tokio::test]
async fn standard_output_is_neither_emptied_nor_rotated() {
    let (node, folder) = (documented_node(), tempfile::TempDir::new().unwrap());
    let output = folder.path().join("output");
    std::fs::write(&output, "before\n").unwrap();
    let file = File::options().append(true).open(&output).unwrap();
    let mut process = writing(&node, "/dev/stdout", |command| {
        command.stdout(file);
    });
    eventually("more than a file may have", PATIENCE, async || {
        (std::fs::metadata(&output).unwrap().len() > 3 << 19).then_some(())
    })
    .await;
    assert!(process.stop().await.success(), "{}", process.log());
    let text = std::fs::read_to_string(&output).unwrap();
    let rest = text.strip_prefix("before\n").unwrap();
    for line in rest.lines() {
        let message: ExportMetricsServiceRequest = serde_json::from_str(line).unwrap();
        assert!(!flatten(message).is_empty());
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

/// A named pipe without a reader blocks nothing, and does not delay the end.
#[tokio::test]
async fn a_named_pipe_is_written_while_it_has_a_reader() {
    let (node, folder) = (documented_node(), tempfile::TempDir::new().unwrap());
    let pipe = folder.path().join("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let mut process = writing(&node, pipe.to_str().unwrap(), |_| {});
    for _ in 0..2 {
        let path = pipe.clone();
        let read = tokio::task::spawn_blocking(move || {
            let mut lines = BufReader::new(File::open(path).unwrap()).lines();
            [lines.next(), lines.next()].map(|line| line.unwrap().unwrap())
        });
        let [_, line] = read.await.unwrap();
        serde_json::from_str::<ExportMetricsServiceRequest>(&line).unwrap();
    }
    // There is no reader any more: new data cannot be written, and the exporter waits.
    let asked = node.requests();
    eventually("more polls", PATIENCE, async || {
        (node.requests() > asked + 100).then_some(())
    })
    .await;
    process.stop().await;
    let log = process.log();
    assert!(
        log.contains("data points dropped"),
        "data without a reader: {log}"
    );
}
