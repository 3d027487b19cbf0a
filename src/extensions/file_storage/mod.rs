//! `file_storage`: stores sending queues on disk, so that they survive the process.
//!
//! ```yaml
//! extensions:
//!   file_storage:
//!     directory: /var/lib/betanet-collector
//! exporters:
//!   otlp_http:
//!     endpoint: http://localhost:4318
//!     sending_queue: { storage: file_storage }
//! service:
//!   extensions: [file_storage]
//! ```
//! Each exporter has its own file in the directory, and only one process can use the directory.

mod config;
mod foreign;

use std::sync::Arc;

use async_trait::async_trait;
use schemars::SchemaGenerator;

pub use self::config::Config;
use crate::{
    extensions::contract::{self, Extension, ExtensionConfig, ExtensionContext, ExtensionType},
    pipeline::Reporter,
    settings::{BuildError, Capability},
    storage::Directory,
    yaml::{Cursor, Diagnostics},
};

/// The entry of the register.
pub const TYPE: ExtensionType = ExtensionType {
    name: "file_storage",
    aliases: &[],
    about: "Stores sending queues on disk.",
    schema: SchemaGenerator::subschema_for::<Config>,
    foreign: &foreign::FOREIGN,
    decode: contract::decode::<Config>,
};

/// The directory of the queues.
struct FileStorage {
    directory: Directory,
    status: Reporter,
}

impl ExtensionConfig for Config {
    fn check(&self, at: &Cursor<'_>, diagnostics: &mut Diagnostics) {
        self.report_mistakes(at, diagnostics);
    }

    fn offers(&self) -> &'static [Capability] {
        &[Capability::Storage]
    }

    /// A directory that is in use stays open under new settings. Another directory has its own
    /// status, because removed exporters may still use the old one.
    fn build(&self, context: &mut ExtensionContext<'_>) -> Result<Arc<dyn Extension>, BuildError> {
        let running = context.running;
        let kept = running.and_then(|running| running.storage()?.under(self.settings()));
        let status = match kept {
            Some(_) => running.and_then(Extension::status).cloned(),
            None => running.map(|_| (context.new_status)()),
        };
        let status = status.unwrap_or_else(|| context.status.clone());
        Ok(Arc::new(FileStorage {
            directory: kept.unwrap_or_else(|| Directory::new(self.settings(), status.clone())),
            status,
        }))
    }
}

#[async_trait]
impl Extension for FileStorage {
    async fn start(&self) -> Result<(), BuildError> {
        if !self.directory.is_open() {
            self.directory.open().await?;
        }
        Ok(())
    }

    fn status(&self) -> Option<&Reporter> {
        Some(&self.status)
    }

    fn storage(&self) -> Option<&Directory> {
        Some(&self.directory)
    }
}
