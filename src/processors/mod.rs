//! Processors: they map a poll to readings and change them. This file is their register.
//!
//! The mapping comes first in every pipeline and has no configuration except the definition. The
//! others follow in the order of `service::pipelines`.

mod actions;
pub mod aggregate;
pub mod attributes;
pub mod batch;
pub mod cumulativetodelta;
pub mod filter;
mod foreign;
pub mod groupbyattrs;
pub mod mapping;
pub mod memory_limiter;
mod mentions;
pub mod metricstransform;
mod number;
mod noop;
mod schema_cache;
pub mod resource;
mod metric_matcher;
#[cfg(test)]
mod testing;

pub use actions::{ActionConfig, ActionKind, ConvertedType};
pub use mentions::Mention;
pub use metric_matcher::{AttributeConfig, MatchConfig, MatchType};

use std::sync::Arc;

use schemars::SchemaGenerator;
use serde::Serialize;

use crate::{
    pipeline::{Processor, StatusBoard},
    runtime::Clock,
    settings::ComponentType,
    telemetry::Meter,
    yaml::{Cursor, Diagnostics, Foreign},
};

/// All types of processors that can be configured.
pub const KINDS: &[ComponentType] = &[
    ComponentType {
        name: "aggregate",
        aliases: &[],
        about: "Aggregates metrics over all targets, or over groups of them.",
        schema: SchemaGenerator::subschema_for::<aggregate::Config>,
        foreign: &Foreign::NONE,
    },
    ComponentType {
        name: "attributes",
        aliases: &[],
        about: "Sets, removes and changes attributes of data points.",
        schema: SchemaGenerator::subschema_for::<attributes::Config>,
        foreign: &foreign::ATTRIBUTES,
    },
    ComponentType {
        name: "batch",
        aliases: &[],
        about: "Passes everything on: each exporter makes its own batches.",
        schema: SchemaGenerator::subschema_for::<batch::Config>,
        foreign: &foreign::BATCH,
    },
    ComponentType {
        name: "cumulativetodelta",
        aliases: &[],
        about: "Converts totals to deltas in OTLP messages.",
        schema: SchemaGenerator::subschema_for::<cumulativetodelta::Config>,
        foreign: &Foreign::NONE,
    },
    ComponentType {
        name: "filter",
        aliases: &[],
        about: "Drops metrics and data points.",
        schema: SchemaGenerator::subschema_for::<filter::Config>,
        foreign: &foreign::FILTER,
    },
    ComponentType {
        name: "groupbyattrs",
        aliases: &[],
        about: "Moves attributes of data points to the Resource.",
        schema: SchemaGenerator::subschema_for::<groupbyattrs::Config>,
        foreign: &Foreign::NONE,
    },
    ComponentType {
        name: "memory_limiter",
        aliases: &[],
        about: "Refuses polls when the collector uses too much memory.",
        schema: SchemaGenerator::subschema_for::<memory_limiter::Config>,
        foreign: &foreign::MEMORY_LIMITER,
    },
    ComponentType {
        name: "metricstransform",
        aliases: &[],
        about: "Renames, copies and combines metrics, and changes their points.",
        schema: SchemaGenerator::subschema_for::<metricstransform::Config>,
        foreign: &Foreign::NONE,
    },
    ComponentType {
        name: "resource",
        aliases: &[],
        about: "Sets, removes and changes attributes of the Resource.",
        schema: SchemaGenerator::subschema_for::<resource::Config>,
        foreign: &Foreign::NONE,
    },
];

/// The configuration of one processor.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Config {
    /// Aggregates over targets.
    Aggregate(aggregate::Config),
    /// Changes attributes of data points.
    Attributes(attributes::Config),
    /// Passes everything on.
    Batch(batch::Config),
    /// Converts totals to deltas.
    CumulativeToDelta(cumulativetodelta::Config),
    /// Drops metrics and data points.
    Filter(filter::Config),
    /// Moves attributes of data points to the Resource.
    GroupByAttrs(groupbyattrs::Config),
    /// Refuses polls.
    MemoryLimiter(memory_limiter::Config),
    /// Renames, copies and combines metrics.
    MetricsTransform(metricstransform::Config),
    /// Changes attributes of the Resource.
    Resource(resource::Config),
}

/// What a processor needs in addition to its configuration.
#[derive(Debug)]
pub struct ProcessorContext<'a> {
    /// Creates the processor's own metrics.
    pub meter: &'a Meter,
    /// The time of day.
    pub clock: &'a Clock,
    /// The targets, whose cached answers can be cleared.
    pub board: &'a Arc<StatusBoard>,
}

/// Decodes and checks the configuration of one type.
macro_rules! read {
    ($variant:ident, $config:ty, $kind:ident, $at:ident, $diagnostics:ident) => {{
        let config: $config = $kind.decode($at, $diagnostics)?;
        config.check($at, $diagnostics);
        Some(Self::$variant(config))
    }};
}

impl Config {
    /// Reads and checks the configuration of a processor of the type `kind`.
    pub fn decode(
        kind: &ComponentType,
        at: &Cursor<'_>,
        diagnostics: &mut Diagnostics,
    ) -> Option<Self> {
        match kind.name {
            "aggregate" => read!(Aggregate, aggregate::Config, kind, at, diagnostics),
            "attributes" => read!(Attributes, attributes::Config, kind, at, diagnostics),
            "batch" => read!(Batch, batch::Config, kind, at, diagnostics),
            "cumulativetodelta" => {
                read!(
                    CumulativeToDelta,
                    cumulativetodelta::Config,
                    kind,
                    at,
                    diagnostics
                )
            }
            "groupbyattrs" => read!(GroupByAttrs, groupbyattrs::Config, kind, at, diagnostics),
            "memory_limiter" => read!(MemoryLimiter, memory_limiter::Config, kind, at, diagnostics),
            "metricstransform" => {
                read!(
                    MetricsTransform,
                    metricstransform::Config,
                    kind,
                    at,
                    diagnostics
                )
            }
            "filter" => read!(Filter, filter::Config, kind, at, diagnostics),
            "resource" => read!(Resource, resource::Config, kind, at, diagnostics),
            _ => kind.not_read(at, diagnostics),
        }
    }

    /// Builds the processor `id` for one pipeline.
    pub fn build(&self, id: &str, context: &ProcessorContext<'_>) -> Arc<dyn Processor> {
        match self {
            Self::Aggregate(config) => config.build(id, context),
            Self::Attributes(config) => config.build(),
            Self::Batch(config) => config.build(),
            Self::CumulativeToDelta(config) => config.build(),
            Self::GroupByAttrs(config) => config.build(),
            Self::MemoryLimiter(config) => config.build(id, context),
            Self::MetricsTransform(config) => config.build(),
            Self::Filter(config) => config.build(),
            Self::Resource(config) => config.build(),
        }
    }
}
