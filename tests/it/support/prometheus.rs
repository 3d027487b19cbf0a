//! A real Prometheus, and promtool.

use std::{
    io::Write as _,
    process::{Command, Stdio},
    time::Duration,
};

use reqwest::Url;
use serde_json::Value;

use super::{PATIENCE, eventually, free_port, get, process::Process};

/// A Prometheus that scrapes once a second.
pub(crate) struct Prometheus {
    url: String,
    _process: Process,
}

impl Prometheus {
    /// Starts it with `config`, the part after `global:` in `prometheus.yml`, and waits until it is
    /// ready.
    pub(crate) async fn start(config: &str) -> Self {
        Self::start_with(config, &[]).await
    }

    /// One that scrapes nothing and accepts remote write, and its URL.
    pub(crate) async fn receiving() -> (Self, String) {
        let prometheus = Self::start_with("", &["--web.enable-remote-write-receiver"]).await;
        let url = format!("{}/api/v1/write", prometheus.url);
        (prometheus, url)
    }

    /// Starts it with more arguments.
    pub(crate) async fn start_with(config: &str, arguments: &[&str]) -> Self {
        let port = free_port();
        let url = format!("http://127.0.0.1:{port}");
        let config = format!(
            "global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}\n{config}\n"
        );
        // Debian's is older than some features.
        let program = std::env::var("BETANET_E2E_PROMETHEUS");
        let program = program.as_deref().unwrap_or("prometheus");
        let mut process = Process::start(program, |command, folder| {
            let file = folder.join("prometheus.yml");
            std::fs::write(&file, config).unwrap();
            command
                .args(arguments)
                .arg(format!("--config.file={}", file.display()))
                .arg(format!("--storage.tsdb.path={}", folder.display()))
                .arg(format!("--web.listen-address=127.0.0.1:{port}"));
        });
        process.answers(&url).await;
        let ready = format!("{url}/-/ready");
        eventually("Prometheus is ready", PATIENCE, async || {
            get(&ready).await.ok()?.error_for_status().ok()
        })
        .await;
        Self {
            url,
            _process: process,
        }
    }

    /// The current series of `promql`.
    pub(crate) async fn query(&self, promql: &str) -> Value {
        self.ask("query", &[("query", promql)]).await["result"].clone()
    }

    /// The current number of `promql`. `None` unless it is one series.
    pub(crate) async fn number(&self, promql: &str) -> Option<f64> {
        let result = self.query(promql).await;
        let [series] = result.as_array()?.as_slice() else {
            return None;
        };
        series.pointer("/value/1")?.as_str()?.parse().ok()
    }

    /// The series with this name and all their samples: their labels, and their values with times
    /// since 1970.
    pub(crate) async fn samples(&self, name: &str) -> Vec<(Value, Vec<(Duration, f64)>)> {
        let series = self.query(&format!("{name}[1d]")).await;
        let sample = |sample: &Value| {
            let at = Duration::from_secs_f64(sample[0].as_f64().unwrap());
            (at, sample[1].as_str().unwrap().parse().unwrap())
        };
        let series = series.as_array().unwrap().iter().map(|series| {
            let samples = series["values"].as_array().unwrap().iter();
            (series["metric"].clone(), samples.map(sample).collect())
        });
        series.collect()
    }

    /// The series of `promql` between two times (Unix seconds), one value per second.
    pub(crate) async fn range(&self, promql: &str, start: f64, end: f64) -> Value {
        let (start, end) = (start.to_string(), end.to_string());
        let parameters = [
            ("query", promql),
            ("start", &start),
            ("end", &end),
            ("step", "1"),
        ];
        self.ask("query_range", &parameters).await["result"].clone()
    }

    /// The stored exemplars of the series of `promql`.
    pub(crate) async fn exemplars(&self, promql: &str) -> Vec<Value> {
        let parameters = [("query", promql), ("start", "0"), ("end", "99999999999")];
        let series = self.ask("query_exemplars", &parameters).await;
        let series = series.as_array().unwrap().iter();
        series
            .flat_map(|series| series["exemplars"].as_array().unwrap().clone())
            .collect()
    }

    /// The targets that it scrapes, with their labels.
    pub(crate) async fn targets(&self) -> Value {
        let answer = get(format!("{}/api/v1/targets?state=active", self.url)).await;
        let body = answer.unwrap().bytes().await.unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        body["data"]["activeTargets"].clone()
    }

    async fn ask(&self, path: &str, parameters: &[(&str, &str)]) -> Value {
        let url = Url::parse_with_params(&format!("{}/api/v1/{path}", self.url), parameters);
        let answer = get(url.unwrap()).await.unwrap();
        let body: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
        assert_eq!(body["status"], "success", "{body}");
        body["data"].clone()
    }
}

/// The output of `promtool check metrics` for `text`; empty if it is fine. Panics if `text` is not
/// Prometheus text.
pub(crate) fn promtool_check_metrics(text: &str) -> String {
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot start promtool: {error}; run tests/run"));
    let mut stdin = promtool.stdin.take().unwrap();
    // A separate thread writes: promtool may answer before it has read everything.
    let text = text.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
    let output = promtool.wait_with_output().unwrap();
    let written = writer.join().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    match output.status.code() {
        Some(0 | 3) => written.map(|()| said).unwrap(),
        other => panic!("promtool cannot read it ({other:?}): {said}"),
    }
}
