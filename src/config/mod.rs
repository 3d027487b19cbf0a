//! Configurations in the OpenTelemetry Collector's format: sources, merging, expansion, six
//! sections.

mod check;
mod foreign_schema;
mod lines;
mod merge;
mod metric_names;
mod odd;
mod registers;
mod root;
mod schema;
mod service;
mod source;

pub use crate::yaml::{Environment, expand};
pub use lines::lines;
pub use merge::merge;
pub use registers::Registers;
pub use root::{Config, SECTIONS};
pub use schema::schema;
pub use service::{PipelineConfig, ServiceConfig};
pub use source::{ConfigSource, MAX_FILE, MAX_SOURCES, SourceError, load, sources};
