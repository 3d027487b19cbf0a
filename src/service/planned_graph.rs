//! A configuration that is built, but does not run yet.

use std::{collections::BTreeMap, sync::Arc};

use futures_util::future::BoxFuture;

use super::{
    error::StartError,
    node::{ExporterNode, Extensions},
    pipeline::MetricsPipeline,
};
use crate::{
    config::Config,
    http::{BoundListeners, Listeners, RunningListeners},
    receivers::BuiltReceiver,
    settings::ComponentId,
    telemetry::NextTelemetry,
};

/// All components that the pipelines of a configuration use.
pub(super) struct PlannedGraph<L = Listeners> {
    pub(super) config: Config,
    pub(super) extensions: Extensions,
    pub(super) exporters: BTreeMap<ComponentId, ExporterNode>,
    pub(super) pipelines: BTreeMap<ComponentId, Arc<MetricsPipeline>>,
    pub(super) receivers: BTreeMap<ComponentId, PlannedReceiver>,
    pub(super) listeners: L,
    pub(super) telemetry: NextTelemetry,
}

/// A planned graph with its ports and directories. Nothing can fail after this.
pub(super) type BoundGraph = PlannedGraph<BoundListeners>;

/// What happens to a receiver.
pub(super) enum PlannedReceiver {
    /// It continues unchanged.
    Kept,
    /// It continues with other settings. The call applies them.
    Applied(Box<dyn FnOnce() -> BoxFuture<'static, ()> + Send>),
    /// It starts, in place of a running one if there is one.
    Started(Box<dyn BuiltReceiver>),
}

impl PlannedGraph {
    /// Starts the extensions, and opens the ports that are not in `serving`.
    ///
    /// # Errors
    /// If one of them cannot start or be opened.
    pub(super) async fn open(self, serving: &RunningListeners) -> Result<BoundGraph, StartError> {
        self.extensions.start().await?;
        let listeners = self.listeners.bind_missing(serving).await?;
        Ok(PlannedGraph {
            config: self.config,
            extensions: self.extensions,
            exporters: self.exporters,
            pipelines: self.pipelines,
            receivers: self.receivers,
            listeners,
            telemetry: self.telemetry,
        })
    }
}
