//! Rotel: an independent OpenTelemetry agent.

use super::{free_port, process::Process};

/// A Rotel that receives OTLP and passes all of it to a receiver.
pub(crate) struct Rotel {
    /// The address of OTLP/gRPC.
    pub(crate) grpc: String,
    /// The address of OTLP/HTTP.
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

    /// Stops it, which makes it send what it holds.
    pub(crate) async fn stop(mut self) {
        let status = self.process.stop().await;
        assert!(status.success(), "{status}");
    }
}

fn address() -> String {
    format!("127.0.0.1:{}", free_port())
}
