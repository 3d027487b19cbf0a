//! `check`: polls each target once and shows the result, value by value.

mod show;

use std::{process::ExitCode, sync::Arc};

use opentelemetry_sdk::metrics::SdkMeterProvider;

use self::show::show;
use super::{
    CommandError, Output,
    args::{CheckArgs, SourceArgs},
    load::load,
    progress,
    saved::{read_sample, record},
};
use crate::{
    client::auth::Authenticators,
    config::{Config, Registers},
    definition::Definition,
    extensions::AuthenticatorContext,
    pipeline::{Poll, Reporter, StatusBoard, Target},
    processors::mapping,
    receivers::{self, Network, PolledOnce, ReceiverConfig, ReceiverContext},
    runtime::{Clock, Tasks},
    telemetry::{self, Meter, config::LogsConfig},
};

/// Succeeds if every target gave all metrics that are not optional.
pub(super) async fn check(
    registers: &Registers,
    sources: &SourceArgs,
    options: CheckArgs,
    out: &mut Output,
) -> Result<ExitCode, CommandError> {
    telemetry::init_logs(&LogsConfig {
        level: telemetry::config::LogLevel::Error,
        ..LogsConfig::default()
    });
    let mut polls = match (&options.sample, &options.endpoint) {
        (Some(sample), _) => vec![read_sample(sample, options.definition.as_deref())?],
        (None, Some(url)) => {
            let polls = poll_url(url, options.definition.as_deref());
            progress::waiting(|| "asking the target".to_owned(), polls).await?
        }
        (None, None) => {
            let config = load(registers, sources).await?;
            let polled = PolledOnce::default();
            progress::waiting(|| asked(&polled), poll_configured(&config, &polled)).await?
        }
    };
    let mut all_gave = !polls.is_empty();
    for (target, poll) in &mut polls {
        if let Some(folder) = &options.record {
            record(folder, target, poll)?;
        }
        all_gave &= show(target, poll, options.show_document, out);
    }
    Ok(if all_gave {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

pub(super) type CheckedTarget = Vec<(Arc<Target>, Poll)>;

/// How far it is with all targets.
fn asked(polled: &PolledOnce) -> String {
    match polled.counts() {
        [_, 0] => "asking for targets".to_owned(),
        [done, all] => format!("asking targets, {done} of {all} have answered or failed"),
    }
}

async fn poll_configured(
    config: &Config,
    polled: &PolledOnce,
) -> Result<CheckedTarget, CommandError> {
    let mut polls = Vec::new();
    let used = |id| {
        config
            .service
            .pipelines
            .values()
            .any(|pipeline| pipeline.receivers.contains(id))
    };
    let authenticators = authenticators(config)?;
    for (id, receiver) in &config.receivers {
        if used(id) {
            let context = context(&id.to_string(), &authenticators, polled);
            polls.extend(receiver.poll_once(&context).await?);
        }
    }
    Ok(polls)
}

async fn poll_url(url: &str, definition: Option<&str>) -> Result<CheckedTarget, CommandError> {
    let receiver = receivers::for_url(url.parse()?, definition);
    let context = context("check", &Authenticators::default(), &PolledOnce::default());
    receiver.poll_once(&context).await
}

/// What authenticates requests where no service runs.
pub(super) fn authenticators(config: &Config) -> Result<Authenticators, CommandError> {
    let (tasks, _failures) = Tasks::new();
    let context = AuthenticatorContext {
        status: &Reporter::unheard(),
        tasks: &tasks,
        clock: &Clock::System,
    };
    let mut found = Vec::new();
    for id in &config.service.extensions {
        if let Some(extension) = config.extensions.get(id) {
            let authenticator = extension.authenticator(&context)?;
            found.extend(authenticator.map(|of| (id.clone(), of)));
        }
    }
    Ok(found.into_iter().collect())
}

/// Polls the first targets of a receiver once, at most `most`, as `definition` says.
pub(super) async fn poll_as(
    receiver: &dyn ReceiverConfig,
    id: &str,
    authenticators: &Authenticators,
    definition: &Arc<Definition>,
    most: usize,
) -> Result<CheckedTarget, CommandError> {
    let context = context(id, authenticators, &PolledOnce::default());
    receiver.poll_once_as(&context, definition, most).await
}

/// What a receiver needs that is not part of a running collector.
fn context(id: &str, authenticators: &Authenticators, polled: &PolledOnce) -> ReceiverContext {
    ReceiverContext {
        id: id.to_owned(),
        clock: Clock::System,
        meter: Meter::of(&SdkMeterProvider::default()),
        board: Arc::new(StatusBoard::default()),
        names: Arc::default(),
        network: Network::default(),
        mapping: mapping::DOCUMENTS,
        authenticators: authenticators.clone(),
        states: Arc::default(),
        keeps_text: true,
        polled_once: polled.clone(),
    }
}
