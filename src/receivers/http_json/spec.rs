//! What is polled, and how: the configuration in a form that polls. Nothing in it changes; a reload
//! makes new specs.

use std::sync::Arc;

use super::{
    build_error::BuildError,
    config::TargetConfig,
    http::{clients::Pinned, transport::Transport},
    poll::{endpoint::ReceiverParts, schedule::Timing},
    telemetry::TargetRefusal,
};
use crate::{
    definition::Definition,
    receivers::contract::ReceiverContext,
    resilience::receiver_resilience::{ReceiverResilience, ResilienceSettings},
    settings::TargetUrl,
    telemetry::{chain, target_metrics::MetricsLevel},
};

/// Makes the client of the target at a URL; for a probe, one that connects to known addresses only.
pub(crate) type TransportFactory =
    Arc<dyn Fn(&TargetUrl, Option<Pinned>) -> Result<Arc<dyn Transport>, BuildError> + Send + Sync>;

/// What all targets of a receiver have in common.
pub struct ReceiverSpec {
    pub(crate) context: ReceiverContext,
    /// What a target may speak, in the order in which it is tried.
    pub(crate) definitions: Vec<Arc<Definition>>,
    pub(crate) connect: TransportFactory,
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

impl ReceiverSpec {
    /// Digests of the definitions, which differ where a definition of the same name differs.
    pub fn digests(&self) -> impl Iterator<Item = u64> {
        self.definitions.iter().map(|definition| definition.digest)
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
