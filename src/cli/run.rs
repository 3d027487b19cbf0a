//! `run`: runs the collector.

use std::{
    future::{Future, pending},
    process::ExitCode,
    sync::Arc,
};

use tokio::{
    signal::unix::{SignalKind, signal},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use super::{
    CommandError, RuntimeError,
    args::{RunArgs, SourceArgs},
    load::{Loaded, Warnings, read},
    watch::Watched,
};
use crate::{
    config::{Config, Registers},
    pipeline::{ComponentKind, Components, ReloadTrigger},
    receivers::Network,
    runtime::{Clock, DedicatedRuntime, open_files},
    service::{Environment, Service},
    telemetry::{InternalTelemetry, chain},
};

/// Runs until a signal. After a fatal error of a component the exit code is not zero.
pub(super) async fn run(
    registers: &Registers,
    args: &SourceArgs,
    options: &RunArgs,
) -> Result<ExitCode, CommandError> {
    // The files are watched before they are read, so that no change is missed.
    let watched = options.watch.then(|| Watched::new(args));
    let load = async || {
        let loaded = read(registers, args).await?;
        if let Some(watched) = &watched {
            watched.add(&loaded.config, &loaded.files);
        }
        Ok::<_, CommandError>(loaded)
    };
    let Loaded {
        config, warnings, ..
    } = tokio::select! {
        loaded = load() => loaded?,
        () = interrupted() => return Ok(ExitCode::SUCCESS),
    };
    let loading = Loading {
        again: async || {
            let loaded = load().await.map_err(|error| chain(error.as_ref()))?;
            loaded.warnings.log();
            Ok(loaded.config)
        },
        watched: watched.clone(),
        warnings,
    };
    serve(&config, options, loading, interrupted()).await
}

/// How a configuration is reloaded, and what triggers a reload besides SIGHUP.
pub(super) struct Loading<L> {
    pub(super) again: L,
    /// The files whose change triggers a reload.
    pub(super) watched: Option<Watched>,
    /// The warnings about the first configuration.
    pub(super) warnings: Warnings,
}

/// Runs `config` until `shutdown`, and reloads when a reload is triggered. A signal during the
/// shutdown ends the process at once.
pub(super) async fn serve(
    config: &Config,
    options: &RunArgs,
    loading: Loading<impl AsyncFn() -> Result<Config, String>>,
    shutdown: impl Future<Output = ()>,
) -> Result<ExitCode, CommandError> {
    let own = InternalTelemetry::new(&config.service.telemetry.resource)?;
    own.install_logs(&config.service.telemetry.logs);
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "starting");
    loading.warnings.log();
    outlive_file_limits();
    open_files::raise_limit();
    let clock = Clock::System;
    let seed = u64::try_from(clock.since_epoch().as_nanos()).unwrap_or_default();
    let listener_runtime = DedicatedRuntime::start("listeners").map_err(RuntimeError::Threads)?;
    let exporter_runtime = DedicatedRuntime::start("exporters").map_err(RuntimeError::Threads)?;
    let world = Environment {
        clock,
        seed,
        listening: Some(listener_runtime.handle().clone()),
        sending: Some(exporter_runtime.handle().clone()),
        network: Network::default(),
    };
    let service = Service::start(config, own, &world).await?;
    let components = Arc::clone(service.components());
    let trigger = service.reload_trigger();
    let stopping = CancellationToken::new();
    let asked = stopping.clone();
    let shutdown = async move {
        shutdown.await;
        asked.cancel();
    };
    let second_signal = async move {
        stopping.cancelled().await;
        interrupted().await;
    };
    tokio::select! {
        ended = service.run(shutdown, loading.again) => ended?,
        () = reload_on_sighup(&trigger) => {}
        () = follow(loading.watched, &trigger) => {}
        () = fail_after(options, &components) => {}
        () = second_signal => return Ok(ExitCode::FAILURE),
    }
    Ok(ExitCode::SUCCESS)
}

/// Makes a file that may not grow any more an error like a full disk. By default the system kills
/// the process that writes to it.
fn outlive_file_limits() {
    /// `SIGXFSZ` on Linux (except MIPS) and macOS.
    const FILE_LIMIT: i32 = 25;
    // After this call the signal never ends the process, even if nobody waits for it.
    if let Err(error) = signal(SignalKind::from_raw(FILE_LIMIT)) {
        tracing::warn!(%error, "failed to listen for SIGXFSZ; a file that reaches its size limit will end the process");
    }
}

/// Triggers a reload at each SIGHUP. Never returns.
async fn reload_on_sighup(trigger: &ReloadTrigger) {
    match signal(SignalKind::hangup()) {
        Ok(mut signals) => {
            while signals.recv().await.is_some() {
                tracing::info!(signal = "SIGHUP", "received signal from OS");
                // The reload itself logs its result.
                drop(trigger.ask().await);
            }
        }
        Err(error) => tracing::error!(%error, "failed to listen for SIGHUP"),
    }
    pending::<()>().await;
}

/// Triggers a reload when a watched file changes. Never returns.
async fn follow(watched: Option<Watched>, trigger: &ReloadTrigger) {
    match watched {
        Some(watched) => watched.follow(trigger).await,
        None => pending().await,
    }
}

/// Reports a fatal error after `--fail-after`. Never returns.
async fn fail_after(options: &RunArgs, components: &Components) {
    if let Some(after) = options.fail_after {
        sleep(after.get()).await;
        let doomed = components.register(ComponentKind::Extension, "fail_after");
        doomed.fatal_error("requested by --fail-after");
    }
    pending::<()>().await;
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
            tracing::error!(%error, "failed to listen for signals; only SIGKILL will stop the collector");
            pending::<()>().await;
        }
    }
}
