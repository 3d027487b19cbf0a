//! A configuration that is built, but does not run yet.

use std::{collections::BTreeMap, sync::Arc};

use super::{error::StartError, node::ExporterNode, pipeline::MetricsPipeline};
use crate::{
    config::Config,
    delivery::Storages,
    http::{BoundListeners, Listeners, RunningListeners},
    pipeline::Reporter,
    receivers::http_json,
    settings::ComponentId,
    telemetry::NextTelemetry,
};

/// All components that the pipelines of a configuration use.
pub(super) struct PlannedGraph<L = Listeners> {
    pub(super) config: Config,
    pub(super) storages: Storages,
    /// The reporters of the new storages.
    pub(super) storage_status: Vec<Reporter>,
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
    /// It continues with new settings, or starts if there is none.
    Next(Box<http_json::HttpJsonReceiver>),
}

impl PlannedGraph {
    /// Opens the new directories, and the ports that are not in `serving`.
    ///
    /// # Errors
    /// If one of them cannot be opened.
    pub(super) async fn open(self, serving: &RunningListeners) -> Result<BoundGraph, StartError> {
        for (id, directory) in self.storages.iter().filter(|(_, new)| !new.is_open()) {
            let opened = directory.open().await;
            opened.map_err(|source| StartError::Storage {
                id: id.to_string(),
                source,
            })?;
        }
        let listeners = self.listeners.bind_missing(serving).await?;
        Ok(PlannedGraph {
            config: self.config,
            storages: self.storages,
            storage_status: self.storage_status,
            exporters: self.exporters,
            pipelines: self.pipelines,
            receivers: self.receivers,
            listeners,
            telemetry: self.telemetry,
        })
    }
}
