//! The contract of receivers. Nothing outside of `receivers/` knows which ones there are.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use serde::de::DeserializeOwned;

use super::network::Network;
use crate::{
    client::auth::Authenticators,
    definition::Definition,
    pipeline::{Consumer, DocumentMapping, Poll, StateStore, StatusBoard, Target, TargetNames},
    resilience::{feasibility::FeasibilityFinding, simulation::SimulationSettings},
    runtime::{Clock, Tasks},
    settings::{BuildError, ComponentConfig, ComponentType, ExtensionUse},
    telemetry::Meter,
    yaml::{self, Cursor, Diagnostics, Foreign},
};

/// A type of receiver.
pub type ReceiverType = ComponentType<dyn ReceiverConfig>;

/// The settings of a receiver.
#[async_trait]
pub trait ReceiverConfig: ComponentConfig {
    /// Checks what the types cannot check. Mistakes go to `diagnostics`.
    fn check(&self, _at: &Cursor<'_>, _diagnostics: &mut Diagnostics) {}

    /// The extensions that it uses.
    fn uses(&self) -> Vec<ExtensionUse<'_>> {
        Vec::new()
    }

    /// The names of the targets that the settings themselves list. No other receiver may have them.
    fn target_names(&self) -> BTreeSet<String> {
        BTreeSet::new()
    }

    /// The definitions that targets may speak, by the names with which they are loaded. A change of
    /// their files is a change of the configuration.
    fn definitions(&self) -> &[String] {
        &[]
    }

    /// The settings for people, without the rest of lists that have more than `most` entries. `None`
    /// if there are no such lists.
    fn abridged(&self, _most: usize) -> Option<Arc<dyn ReceiverConfig>> {
        None
    }

    /// How the settings fit together, for people.
    fn feasibility(&self) -> Vec<FeasibilityFinding> {
        Vec::new()
    }

    /// What `simulate` needs to know. `None` if the receiver has no outages to simulate.
    ///
    /// # Errors
    /// If a file cannot be read.
    fn simulation(&self) -> Result<Option<SimulationSettings>, BuildError> {
        Ok(None)
    }

    /// Polls each target once, without retries: what `check` shows.
    ///
    /// # Errors
    /// If the receiver cannot be built, or a target cannot be polled.
    async fn poll_once(
        &self,
        _context: &ReceiverContext,
    ) -> Result<Vec<(Arc<Target>, Poll)>, BuildError> {
        Ok(Vec::new())
    }

    /// Polls the first targets of the list once, at most `most`, as `definition` says: what `suggest`
    /// reads. Nothing if no target is listed.
    ///
    /// # Errors
    /// If the receiver cannot be built, or a target cannot be polled.
    async fn poll_once_as(
        &self,
        _context: &ReceiverContext,
        _definition: &Arc<Definition>,
        _most: usize,
    ) -> Result<Vec<(Arc<Target>, Poll)>, BuildError> {
        Ok(Vec::new())
    }

    /// Builds the receiver. It polls nothing before [`BuiltReceiver::start`].
    ///
    /// # Errors
    /// If a file cannot be read or the settings cannot work.
    fn build(&self, context: &ReceiverContext) -> Result<Box<dyn BuiltReceiver>, BuildError>;
}

/// A receiver that does not poll yet.
pub trait BuiltReceiver: Send {
    /// Polls and hands the polls to `consumer`, until `tasks` stops.
    fn start(self: Box<Self>, consumer: Arc<dyn Consumer>, tasks: &Tasks) -> Arc<dyn Receiver>;
}

/// A running receiver.
pub trait Receiver: Send + Sync {
    /// How many polls in progress were dropped so far.
    fn dropped_polls(&self) -> u64 {
        0
    }

    /// What a reload with these settings does to it. Nothing changes before the change is applied,
    /// because another component may not be able to run.
    ///
    /// # Errors
    /// If a file cannot be read or the settings cannot work.
    fn prepare(self: Arc<Self>, next: &NextReceiver<'_>) -> Result<ReceiverChange, BuildError> {
        Ok(match next.is_same {
            true => ReceiverChange::Nothing,
            false => ReceiverChange::Restart,
        })
    }
}

/// The settings of a running receiver after a reload.
pub struct NextReceiver<'a> {
    /// The settings.
    pub config: &'a dyn ReceiverConfig,
    /// Whether they are those with which it runs. Files that they name may have changed.
    pub is_same: bool,
    /// What a receiver needs in addition to its settings.
    pub context: &'a ReceiverContext,
}

/// What a reload does to a running receiver.
pub enum ReceiverChange {
    /// It continues.
    Nothing,
    /// It continues with other settings, after this call. The future ends when the targets that it
    /// must not poll any more are gone.
    Apply(Box<dyn FnOnce() -> BoxFuture<'static, ()> + Send>),
    /// It stops, and the built receiver starts.
    Restart,
}

/// What a receiver needs in addition to its settings.
#[derive(Debug, Clone)]
pub struct ReceiverContext {
    /// The id of the receiver, for example `betanet/eu`.
    pub id: String,
    /// The time of day.
    pub clock: Clock,
    /// Creates the receiver's own metrics.
    pub meter: Meter,
    /// Shows the state of its targets.
    pub board: Arc<StatusBoard>,
    /// The names of all targets, which are unique in the collector.
    pub names: Arc<TargetNames>,
    /// The network that leads to the targets.
    pub network: Network,
    /// Maps one document to readings. A body is mapped where it is read, so that no document waits
    /// for a slow endpoint.
    pub mapping: DocumentMapping,
    /// What authenticates requests.
    pub authenticators: Authenticators,
    /// The state that outlives the components of one configuration.
    pub states: Arc<StateStore>,
    /// Whether polls come with the text of their bodies, which a command shows or records.
    pub keeps_text: bool,
    /// How far a command is that polls each target once.
    pub polled_once: PolledOnce,
}

/// How many targets were polled by a command that polls each once, and how many it knows. Clones
/// count together.
#[derive(Debug, Clone, Default)]
pub struct PolledOnce(Arc<[AtomicUsize; 2]>);

impl PolledOnce {
    /// So many more targets are known.
    pub fn found(&self, targets: usize) {
        self.0[1].fetch_add(targets, Ordering::Relaxed);
    }

    /// One more target was polled.
    pub fn polled(&self) {
        self.0[0].fetch_add(1, Ordering::Relaxed);
    }

    /// How many were polled, and how many are known.
    pub fn counts(&self) -> [usize; 2] {
        [0, 1].map(|of| self.0[of].load(Ordering::Relaxed))
    }
}

/// Decodes and checks the settings `T`.
pub(super) fn decode<T: ReceiverConfig + DeserializeOwned>(
    foreign: &'static Foreign,
    at: &Cursor<'_>,
    diagnostics: &mut Diagnostics,
) -> Option<Arc<dyn ReceiverConfig>> {
    let config: T = yaml::decode_foreign(at.node, &at.path, foreign, diagnostics)?;
    config.check(at, diagnostics);
    Some(Arc::new(config))
}
