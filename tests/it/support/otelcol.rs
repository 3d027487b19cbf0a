//! The OpenTelemetry Collector itself, with its processor `cumulativetodelta`.

use super::{free_port, process::Process};

/// One that takes OTLP, makes deltas of totals and passes them on to a sink.
pub(crate) struct OtelCollector {
    /// Where it takes OTLP/HTTP.
    pub(crate) url: String,
    _process: Process,
}

impl OtelCollector {
    /// Starts it and waits until it is ready.
    pub(crate) async fn start(sink: &str) -> Self {
        let program = std::env::var("BETANET_E2E_OTELCOL").unwrap_or_else(|_| {
            panic!("BETANET_E2E_OTELCOL names no otelcol; run tests/collector/run")
        });
        let address = format!("127.0.0.1:{}", free_port());
        let config = format!(
            "receivers: {{otlp: {{protocols: {{http: {{endpoint: \"{address}\"}}}}}}}}\n\
             processors: {{cumulativetodelta: {{}}}}\n\
             exporters: {{otlphttp: {{endpoint: \"{sink}\", sending_queue: {{enabled: false}}}}}}\n\
             service:\n  telemetry: {{metrics: {{level: none}}}}\n  pipelines:\n    \
             metrics: {{receivers: [otlp], processors: [cumulativetodelta], exporters: [otlphttp]}}\n"
        );
        let mut process = Process::start(&program, |command, folder| {
            let file = folder.join("otelcol.yaml");
            std::fs::write(&file, config).unwrap();
            command.arg(format!("--config=file:{}", file.display()));
        });
        let url = format!("http://{address}");
        process.answers(&url).await;
        Self {
            url,
            _process: process,
        }
    }
}
