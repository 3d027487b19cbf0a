//! Rotel: a real OpenTelemetry agent that nobody here wrote.

use super::{free_port, process::Process};

/// A Rotel that takes OTLP and passes all of it on to a sink.
pub(crate) struct Rotel {
    /// Where it takes OTLP/gRPC.
    pub(crate) grpc: String,
    /// Where it takes OTLP/HTTP.
    pub(crate) http: String,
    process: Process,
}

impl Rotel {
    /// Starts it and waits until it is ready.
    pub(crate) async fn start(sink: &str) -> Self {
        let program = std::env::var("BETANET_E2E_ROTEL")
            .unwrap_or_else(|_| panic!("BETANET_E2E_ROTEL names no rotel-agent; run tests/run"));
        let (grpc, http) = (address(), address());
        let mut process = Process::start(&program, |command, folder| {
            command
                .current_dir(folder)
                .args(["start", "--log-format", "json"])
                .args(["--otlp-grpc-endpoint", &grpc])
                .args(["--otlp-http-endpoint", &http])
                .args(["--debug-log", "metrics", "--exporter", "otlp"])
                .args(["--otlp-exporter-endpoint", sink])
                .args(["--otlp-exporter-protocol", "http"]);
        });
        let (grpc, http) = (format!("http://{grpc}"), format!("http://{http}"));
        process.answers(&http).await;
        Self {
            grpc,
            http,
            process,
        }
    }

    /// Asks it to stop, which makes it hand on what it holds.
    pub(crate) async fn stop(mut self) {
        let status = self.process.stop().await;
        assert!(status.success(), "{status}");
    }
}

fn address() -> String {
    format!("127.0.0.1:{}", free_port())
}
