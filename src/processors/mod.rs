//! Processors: they map a poll to readings and change them. This file is their register.
//!
//! The mapping comes first in every pipeline and has no configuration except the definition. The
//! others follow in the order of `service::pipelines`.

mod actions;
pub mod aggregate;
pub mod attributes;
pub mod batch;
mod contract;
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
pub use contract::{ProcessorConfig, ProcessorContext, ProcessorType};
pub use mentions::Mention;
pub use metric_matcher::{AttributeConfig, MatchConfig, MatchType};

/// All types of processors that can be configured.
pub const TYPES: &[ProcessorType] = &[
    aggregate::TYPE,
    attributes::TYPE,
    batch::TYPE,
    cumulativetodelta::TYPE,
    filter::TYPE,
    groupbyattrs::TYPE,
    memory_limiter::TYPE,
    metricstransform::TYPE,
    resource::TYPE,
];
