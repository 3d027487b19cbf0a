//! `http_json` and its preset `betanet`, as the contract of receivers describes them.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_util::FutureExt as _;
use schemars::SchemaGenerator;

use super::{
    HttpJsonReceiver, TargetManager,
    config::{Config, TargetConfig},
};
use crate::{
    client,
    definition::{self, Definition},
    pipeline::{Consumer, Poll, Target},
    receivers::contract::{
        self, BuiltReceiver, NextReceiver, Receiver, ReceiverChange, ReceiverConfig,
        ReceiverContext, ReceiverType,
    },
    resilience::{feasibility::FeasibilityFinding, simulation::SimulationSettings},
    runtime::Tasks,
    settings::{BuildError, ExtensionUse, TargetUrl},
    yaml::{self, Cursor, Diagnostics, Foreign, ForeignKey},
};

/// The entry of the register.
pub const TYPE: ReceiverType = ReceiverType {
    name: "http_json",
    aliases: &[],
    about: "Polls any JSON API over HTTP, as a definition in `pipelines/` says.",
    schema: SchemaGenerator::subschema_for::<Config>,
    foreign: &FOREIGN,
    decode: contract::decode::<Config>,
};

/// The entry of the preset.
pub const PRESET_TYPE: ReceiverType = ReceiverType {
    name: "betanet",
    aliases: &[],
    about: "Polls Betanet nodes: `http_json` with the definitions of both dialects.",
    schema: SchemaGenerator::subschema_for::<Config>,
    foreign: &FOREIGN,
    decode: decode_preset,
};

/// Keys that only the Collector's clients have, and one that was removed.
const FOREIGN: Foreign = Foreign {
    keys: &[ForeignKey::refused(
        &["hedge"],
        "hedging was removed; with a shorter `timeout`, a poll tries another instance sooner",
    )],
    below: &[
        ("tls", &client::TLS_FOREIGN),
        ("auth", &client::AUTH_FOREIGN),
        ("targets", &EACH_AUTH_FOREIGN),
        ("http_sd_configs", &EACH_AUTH_FOREIGN),
    ],
    ..Foreign::NONE
};

/// Keys of each entry of a list.
const EACH_AUTH_FOREIGN: Foreign = Foreign {
    below: &[(
        "*",
        &Foreign {
            below: &[("auth", &client::AUTH_FOREIGN)],
            ..Foreign::NONE
        },
    )],
    ..Foreign::NONE
};

/// The longest time for the sources of targets to answer if targets are polled once.
const DISCOVERY_PATIENCE: Duration = Duration::from_secs(10);

/// The definitions of the preset.
const PRESET: [&str; 2] = ["betanet", "betanet-mixnode"];

fn decode_preset(
    foreign: &'static Foreign,
    at: &Cursor<'_>,
    diagnostics: &mut Diagnostics,
) -> Option<Arc<dyn ReceiverConfig>> {
    let mut config: Config = yaml::decode_foreign(at.node, &at.path, foreign, diagnostics)?;
    if config.definition.is_empty() {
        config.definition = PRESET.map(str::to_owned).into();
    }
    config.report_mistakes(at, diagnostics);
    Some(Arc::new(config))
}

impl Config {
    /// A receiver with one target.
    pub fn for_url(url: TargetUrl, definition: Option<&str>) -> Self {
        Self {
            targets: vec![TargetConfig::at(url)],
            definition: definition.map(str::to_owned).into_iter().collect(),
            ..Self::default()
        }
    }
}

#[async_trait]
impl ReceiverConfig for Config {
    fn check(&self, at: &Cursor<'_>, diagnostics: &mut Diagnostics) {
        self.report_mistakes(at, diagnostics);
    }

    fn uses(&self) -> Vec<ExtensionUse<'_>> {
        self.extension_uses()
    }

    fn target_names(&self) -> BTreeSet<String> {
        self.names()
    }

    fn definitions(&self) -> &[String] {
        &self.definition
    }

    fn abridged(&self, most: usize) -> Option<Arc<dyn ReceiverConfig>> {
        (self.targets.len() > most).then(|| {
            let mut config = self.clone();
            config.targets.truncate(most);
            Arc::new(config) as Arc<dyn ReceiverConfig>
        })
    }

    fn feasibility(&self) -> Vec<FeasibilityFinding> {
        self.findings()
    }

    /// Of several definitions the first one counts.
    fn simulation(&self) -> Result<Option<SimulationSettings>, BuildError> {
        let definition = self.definition.first().map(|name| definition::load(name));
        let definition = definition.transpose()?;
        let endpoints = definition.as_ref().map(|definition| {
            let ids = definition.endpoints.iter().map(|e| e.id.clone());
            ids.collect()
        });
        let requests = definition.map(|definition| self.requests(&definition));
        let targets = self.targets.iter().map(TargetConfig::hosts);
        Ok(Some(SimulationSettings {
            interval: self.collection_interval,
            timeout: self.timeout,
            deadline: self.deadline,
            retry: self.retry.clone(),
            circuit_breaker: self.circuit_breaker.clone(),
            cache: self.cache,
            freshness_objective: self.freshness_objective,
            targets: targets.collect(),
            endpoints: endpoints.unwrap_or_default(),
            requests: requests.unwrap_or_default(),
        }))
    }

    /// Each instance of a pool is polled, although a poll sends its requests to one of them.
    async fn poll_once(
        &self,
        context: &ReceiverContext,
    ) -> Result<Vec<(Arc<Target>, Poll)>, BuildError> {
        // One attempt only: the result shows the first failure, not the one after retries.
        let mut config = self.clone();
        config.retry.max_retries = 0;
        let mut receiver = config.receiver(None, context)?;
        receiver.discover_once(DISCOVERY_PATIENCE).await;
        receiver.take_apart();
        Ok(receiver.poll_once().await?)
    }

    async fn poll_once_as(
        &self,
        context: &ReceiverContext,
        definition: &Arc<Definition>,
        most: usize,
    ) -> Result<Vec<(Arc<Target>, Poll)>, BuildError> {
        let mut config = self.clone();
        config.retry.max_retries = 0;
        config.targets.truncate(most);
        Ok(config.receiver_as(definition, context)?.poll_once().await?)
    }

    fn build(&self, context: &ReceiverContext) -> Result<Box<dyn BuiltReceiver>, BuildError> {
        Ok(Box::new(self.receiver(None, context)?))
    }
}

impl BuiltReceiver for HttpJsonReceiver {
    fn start(self: Box<Self>, consumer: Arc<dyn Consumer>, tasks: &Tasks) -> Arc<dyn Receiver> {
        (*self).start(consumer, tasks)
    }
}

impl Receiver for TargetManager {
    fn dropped_polls(&self) -> u64 {
        self.spec().shared.telemetry.dropped_polls()
    }

    fn prepare(self: Arc<Self>, next: &NextReceiver<'_>) -> Result<ReceiverChange, BuildError> {
        let Some(config) = next.config.as_any().downcast_ref::<Config>() else {
            return Ok(ReceiverChange::Restart);
        };
        // A definition that cannot be read had its message when the configuration was checked.
        let definitions = config.definition.iter();
        let now = definitions.filter_map(|name| Some(definition::load(name).ok()?.digest));
        if next.is_same && now.eq(self.spec().settings.digests.iter().copied()) {
            return Ok(ReceiverChange::Nothing);
        }
        let next = config.receiver(Some(&self.discovered_by()), next.context)?;
        let apply = move || self.apply(next).done().boxed();
        Ok(ReceiverChange::Apply(Box::new(apply)))
    }
}
