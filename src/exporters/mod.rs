//! Exporters: the destinations of metrics. This file is their register.

pub mod debug;
mod ending;
pub mod file;
pub mod otlp;
mod points;
pub mod prometheus;
pub mod prometheusremotewrite;
mod sending;
#[cfg(test)]
mod testing;

use std::sync::Arc;

use schemars::SchemaGenerator;
use serde::Serialize;

use self::sending::Sending;
use crate::{
    client::ConfigError,
    delivery::{self, Storages},
    http::{Listeners, ServerConfig},
    pipeline::{Exporter, Probe, Reporter},
    runtime::{Clock, Tasks},
    settings::{ComponentId, ComponentType},
    telemetry::Meter,
    yaml::{Cursor, Diagnostics},
};

/// All types of exporters.
pub const KINDS: &[ComponentType] = &[
    ComponentType {
        name: "debug",
        aliases: &[],
        about: "Writes the data of a pipeline to the log.",
        schema: SchemaGenerator::subschema_for::<debug::Config>,
        foreign: &debug::FOREIGN,
    },
    ComponentType {
        name: "file",
        aliases: &[],
        about: "Writes lines of OTLP JSON to a file.",
        schema: SchemaGenerator::subschema_for::<file::Config>,
        foreign: &file::FOREIGN,
    },
    ComponentType {
        name: "otlp_grpc",
        aliases: &["otlp"],
        about: "Pushes OTLP over gRPC.",
        schema: SchemaGenerator::subschema_for::<otlp::GrpcConfig>,
        foreign: &otlp::GRPC_FOREIGN,
    },
    ComponentType {
        name: "otlp_http",
        aliases: &["otlphttp"],
        about: "Pushes OTLP over HTTP, as protobuf.",
        schema: SchemaGenerator::subschema_for::<otlp::HttpConfig>,
        foreign: &otlp::HTTP_FOREIGN,
    },
    ComponentType {
        name: "prometheus",
        aliases: &[],
        about: "Serves all series to a Prometheus scrape.",
        schema: SchemaGenerator::subschema_for::<prometheus::Config>,
        foreign: &prometheus::FOREIGN,
    },
    ComponentType {
        name: "prometheusremotewrite",
        aliases: &[],
        about: "Pushes samples with Prometheus remote write.",
        schema: SchemaGenerator::subschema_for::<prometheusremotewrite::Config>,
        foreign: &prometheusremotewrite::FOREIGN,
    },
];

/// The configuration of one exporter.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Config {
    /// Writes to the log.
    Debug(debug::Config),
    /// Writes to a file.
    File(file::Config),
    /// Pushes OTLP over gRPC.
    OtlpGrpc(otlp::GrpcConfig),
    /// Pushes OTLP over HTTP.
    OtlpHttp(otlp::HttpConfig),
    /// Serves scrapes.
    Prometheus(prometheus::Config),
    /// Pushes samples with remote write.
    RemoteWrite(prometheusremotewrite::Config),
}

/// What an exporter needs in addition to its configuration.
pub struct ExporterContext<'a> {
    /// Registers the routes of the exporter.
    pub listeners: &'a mut Listeners,
    /// Owns the tasks of the exporter.
    pub tasks: &'a Tasks,
    /// Creates the exporter's own metrics.
    pub meter: &'a Meter,
    /// The seed of the jitter.
    pub seed: u64,
    /// Reports the status of the exporter.
    pub status: Reporter,
    /// The time of day.
    pub clock: &'a Clock,
    /// The storages for queues on disk.
    pub storages: &'a Storages,
    /// Reads one target for a request to `/probe`.
    pub probe: Arc<dyn Probe>,
    /// The exporter with the same id that is replaced.
    pub before: Option<&'a dyn Exporter>,
}

/// Why an exporter cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Another component has its path.
    #[error(transparent)]
    Route(#[from] crate::http::RouteError),
    /// Its destination cannot be used.
    #[error(transparent)]
    Invalid(#[from] ConfigError),
}

impl Config {
    /// Reads and checks the configuration of an exporter of the type `kind`.
    pub fn decode(
        kind: &ComponentType,
        at: &Cursor<'_>,
        diagnostics: &mut Diagnostics,
    ) -> Option<Self> {
        match kind.name {
            "debug" => kind.decode(at, diagnostics).map(Self::Debug),
            "file" => {
                let config: file::Config = kind.decode(at, diagnostics)?;
                config.check(at, diagnostics);
                Some(Self::File(config))
            }
            "otlp_grpc" => {
                let config: otlp::GrpcConfig = kind.decode(at, diagnostics)?;
                config.check(at, diagnostics);
                Some(Self::OtlpGrpc(config))
            }
            "otlp_http" => {
                let config: otlp::HttpConfig = kind.decode(at, diagnostics)?;
                config.check(at, diagnostics);
                Some(Self::OtlpHttp(config))
            }
            "prometheusremotewrite" => {
                let config: prometheusremotewrite::Config = kind.decode(at, diagnostics)?;
                config.check(at, diagnostics);
                Some(Self::RemoteWrite(config))
            }
            "prometheus" => {
                let config: prometheus::Config = kind.decode(at, diagnostics)?;
                config.check(at, diagnostics);
                Some(Self::Prometheus(config))
            }
            _ => kind.not_read(at, diagnostics),
        }
    }

    /// The extension that stores its queue on disk, if there is one.
    pub fn storage(&self) -> Option<&ComponentId> {
        match self {
            Self::OtlpGrpc(config) => config.sending_queue.storage.as_ref(),
            Self::OtlpHttp(config) => config.sending_queue.storage.as_ref(),
            Self::RemoteWrite(config) => config.sending_queue.storage.as_ref(),
            Self::Debug(_) | Self::File(_) | Self::Prometheus(_) => None,
        }
    }

    /// Whether the exporter sends OTLP, which has deltas.
    pub fn speaks_otlp(&self) -> bool {
        match self {
            Self::File(_) | Self::OtlpGrpc(_) | Self::OtlpHttp(_) => true,
            Self::Debug(_) | Self::Prometheus(_) | Self::RemoteWrite(_) => false,
        }
    }

    /// The listener of the exporter, if it has one.
    pub fn server(&self) -> Option<ServerConfig> {
        match self {
            Self::Prometheus(config) => Some(config.server()),
            Self::Debug(_)
            | Self::File(_)
            | Self::OtlpGrpc(_)
            | Self::OtlpHttp(_)
            | Self::RemoteWrite(_) => None,
        }
    }

    /// Builds the exporter `id`. Its tasks start at once.
    ///
    /// # Errors
    /// If its destination or its path cannot be used.
    pub fn build(
        &self,
        id: &str,
        context: &mut ExporterContext<'_>,
    ) -> Result<Arc<dyn Exporter>, BuildError> {
        let before = context.before.and_then(Sending::of);
        let delivery = delivery::DeliveryContext {
            id,
            tasks: context.tasks,
            meter: context.meter,
            seed: context.seed,
            clock: context.clock,
            storages: context.storages,
            status: &context.status,
            account: before.map(Sending::account),
        };
        Ok(match self {
            Self::Debug(config) => config.build(id),
            Self::File(config) => config.build(delivery, before)?,
            Self::OtlpGrpc(config) => config.build(delivery)?,
            Self::OtlpHttp(config) => config.build(delivery)?,
            Self::RemoteWrite(config) => config.build(delivery, before)?,
            Self::Prometheus(config) => config.build(id, context)?,
        })
    }
}
