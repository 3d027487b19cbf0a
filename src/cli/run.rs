//! `run`: the collector.

use std::{future::Future, process::ExitCode};

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{CommandError, args::SourceArgs, load::load};
use crate::{
    config::Config,
    runtime::Clock,
    service::{Service, World},
    telemetry::{self, OwnTelemetry},
};

/// Runs until a signal. A component that dies makes the exit code non-zero.
pub(super) async fn run(args: &SourceArgs) -> Result<ExitCode, CommandError> {
    let config = load(args)?;
    serve(&config, interrupted()).await
}

/// Runs `config` until `shutdown`; a signal after that ends the process at once.
pub(super) async fn serve(
    config: &Config,
    shutdown: impl Future<Output = ()>,
) -> Result<ExitCode, CommandError> {
    let own = OwnTelemetry::new(&config.service.telemetry)?;
    telemetry::init_logs(&config.service.telemetry.logs, own.tracer_provider());
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "starting");
    let clock = Clock::System;
    let seed = u64::try_from(clock.since_epoch().as_nanos()).unwrap_or_default();
    let service = Service::start(config, own, &World { clock, seed }).await?;
    let stopping = CancellationToken::new();
    let asked = stopping.clone();
    let shutdown = async move {
        shutdown.await;
        asked.cancel();
    };
    let impatient = async move {
        stopping.cancelled().await;
        interrupted().await;
    };
    tokio::select! {
        ended = service.run(shutdown) => ended?,
        () = impatient => return Ok(ExitCode::FAILURE),
    }
    Ok(ExitCode::SUCCESS)
}

/// Resolves at the next SIGINT or SIGTERM.
pub(super) async fn interrupted() {
    let received = async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            _ = interrupt.recv() => Ok("SIGINT"),
            _ = terminate.recv() => Ok("SIGTERM"),
        }
    };
    let received: std::io::Result<_> = received.await;
    match received {
        Ok(signal) => tracing::info!(signal, "received signal from OS"),
        Err(error) => {
            tracing::error!(%error, "failed to listen for signals; only SIGKILL will stop this");
            std::future::pending::<()>().await;
        }
    }
}
