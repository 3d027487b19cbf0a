//! What is polled, and how: the configuration in a form that polls. Nothing in it changes; a reload
//! makes new specs.

use std::sync::Arc;

use super::{
    build_error::BuildError,
    config::{Config, TargetConfig},
    http::clients::TransportFactory,
    poll::{endpoint::ReceiverParts, grid::Timing},
    telemetry::TargetRefusal,
};
use crate::{
    client::{ClientAuthConfig, auth::UsedAuthenticators},
    definition::{Definition, Parameters},
    receivers::contract::ReceiverContext,
    resilience::receiver_resilience::{ReceiverResilience, ResilienceSettings},
    settings::Headers,
    telemetry::{chain, target_metrics::MetricsLevel},
};

/// What decides how targets are polled. As long as it is the same, so is the spec of the receiver.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PollSettings {
    /// Without the list of targets.
    pub(crate) config: Config,
    /// Of the definitions.
    pub(crate) digests: Vec<u64>,
    pub(crate) authenticators: UsedAuthenticators,
}

/// Who asks a target. Another one may get other answers.
#[derive(Debug, PartialEq)]
pub(crate) struct Asker<'s> {
    headers: &'s Headers,
    parameters: &'s Parameters,
    auth: &'s ClientAuthConfig,
    authenticator: UsedAuthenticators,
}

/// What all targets of a receiver have in common.
pub struct ReceiverSpec {
    pub(crate) settings: PollSettings,
    pub(crate) context: ReceiverContext,
    /// What a target may speak, in the order in which it is tried.
    pub(crate) definitions: Vec<Arc<Definition>>,
    pub(crate) clients: Arc<dyn TransportFactory>,
    /// How many report metrics each target has.
    pub(crate) level: MetricsLevel,
    pub(crate) shared: Arc<ReceiverParts>,
    /// The same for probes, which send no credentials and have a limit of their own for concurrent
    /// requests.
    pub(crate) shared_by_probes: Arc<ReceiverParts>,
    /// What all targets share: one budget of retries, one detector of local faults.
    pub(crate) fleet: Arc<ReceiverResilience>,
    pub(crate) resilience: ResilienceSettings,
}

/// One target, as its task polls it.
#[derive(Clone)]
pub(crate) struct TargetSpec {
    pub(crate) receiver: Arc<ReceiverSpec>,
    pub(crate) config: Arc<TargetConfig>,
    pub(crate) timing: Timing,
}

impl TargetSpec {
    /// Who asks the target.
    pub(crate) fn asker(&self) -> Asker<'_> {
        let PollSettings { config, .. } = &self.receiver.settings;
        let auth = self.config.auth.as_deref().unwrap_or(&config.auth);
        let authenticators = &self.receiver.context.authenticators;
        Asker {
            headers: &config.headers,
            parameters: &config.parameters,
            auth,
            authenticator: authenticators.used(&auth.authenticator),
        }
    }
}

impl ReceiverSpec {
    /// How many requests all targets get in a second, if they speak the definition with the most
    /// endpoints.
    pub(crate) fn requests_per_second(&self, timing: Timing) -> f64 {
        let endpoints = self.definitions.iter().map(|known| known.endpoints.len());
        let endpoints = u32::try_from(endpoints.max().unwrap_or_default()).unwrap_or(u32::MAX);
        let targets = u32::try_from(timing.all_targets).unwrap_or(u32::MAX);
        f64::from(targets) * f64::from(endpoints) / timing.interval.as_secs_f64()
    }

    /// Counts and logs a target that cannot be polled.
    pub(crate) fn refuse_invalid(&self, config: &TargetConfig, error: &BuildError) {
        let name = config.display_name();
        self.refuse(&name, TargetRefusal::Invalid, &chain(error));
    }

    pub(crate) fn refuse(&self, target: &str, refusal: TargetRefusal, reason: &str) {
        self.shared.telemetry.refused(refusal);
        let receiver = &self.context.id;
        tracing::warn!(receiver, target, reason, "a target is not polled");
    }
}
