//! The `file` exporter of the real program.

use std::path::Path;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;

use crate::support::{
    PATIENCE, eventually,
    sink::{Point, Value, flatten},
    stand::{Options, Stand, documented_node, polls},
};

/// The points of each line.
fn lines(path: &Path) -> Vec<Vec<Point>> {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.ends_with('\n'), "the last line is whole");
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
async fn each_poll_is_a_line_also_of_the_time_when_none_could_be_written() {
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
