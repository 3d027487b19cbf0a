//! The configuration of the exporter, with the Collector's keys.

use std::{path::PathBuf, sync::Arc, time};

use schemars::{JsonSchema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::{
    File, foreign,
    writer::{Rotation, SharedFile, Writer, WriterSettings},
};
use crate::{
    delivery::{BatchSettings, DeliverySettings, RetryOnFailure, SendingQueue},
    exporters::{
        contract::{self, ExporterConfig, ExporterContext, ExporterType, WrittenFile},
        sending::SendingExporter,
    },
    pipeline::Exporter,
    settings::{BuildError, ByteSize, Duration},
    yaml::{Cursor, Diagnostics},
};

/// The most bytes of one write, unless one poll has more.
const BATCH_BYTES: u64 = 3 * 1024 * 1024;

/// The most bytes that wait while the disk accepts no data.
const QUEUE_BYTES: ByteSize = ByteSize::from_mib(64);

/// A write to a hanging disk never times out, because an interrupted write must not be repeated.
const PATIENCE: time::Duration = time::Duration::from_secs(86_400);

/// The entry of the register.
pub const TYPE: ExporterType = ExporterType {
    name: "file",
    aliases: &[],
    about: "Writes lines of OTLP JSON to a file.",
    schema: SchemaGenerator::subschema_for::<Config>,
    foreign: &foreign::FOREIGN,
    decode: contract::decode::<Config>,
};

/// Writes metrics to a file, as lines of OTLP JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Config {
    /// The path of the file. Its directory must exist, unless `create_directory` is set.
    pub path: PathBuf,
    /// Whether the exporter creates the directory of the file.
    pub create_directory: bool,
    /// Permissions of a created directory, in octal.
    pub directory_permissions: String,
    /// Whether an existing file is continued at the start. Otherwise it is emptied.
    pub append: bool,
    /// When a full file is replaced by a new one. With this key an existing file is always
    /// continued.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rotation: Option<RotationConfig>,
    /// The format of the lines.
    pub format: FileFormat,
    /// How long lines are collected before they are written.
    pub flush_interval: Duration,
}

/// When a full file is replaced by a new one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RotationConfig {
    /// The largest size of a file, in MiB.
    pub max_megabytes: u64,
    /// The largest number of old files; 0 means no limit.
    pub max_backups: usize,
    /// How many days old files are kept; 0 means no limit.
    pub max_days: u64,
}

/// The format of the lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FileFormat {
    /// OTLP as JSON.
    #[default]
    Json,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            path: PathBuf::new(),
            create_directory: false,
            directory_permissions: "0755".to_owned(),
            append: false,
            rotation: None,
            format: FileFormat::default(),
            flush_interval: Duration::from_secs(1),
        }
    }
}

impl Default for RotationConfig {
    fn default() -> Self {
        Self {
            max_megabytes: 100,
            max_backups: 100,
            max_days: 0,
        }
    }
}

impl ExporterConfig for Config {
    /// The file is opened at the first write. An exporter that replaces another one shares its open
    /// file until that one has written everything.
    fn build(&self, context: &mut ExporterContext<'_>) -> Result<Arc<dyn Exporter>, BuildError> {
        let settings = WriterSettings {
            path: self.path.clone(),
            append: self.append,
            directory_mode: self.permissions().filter(|_| self.create_directory),
            rotation: self.rotation.as_ref().map(RotationConfig::rotation),
            clock: context.clock.clone(),
        };
        let file = SharedFile::of(&self.path, context.states);
        let writer = Writer::new(settings, file);
        let settings = DeliverySettings {
            timeout: PATIENCE,
            retry: retry(),
            queue: self.queue(),
            split: None,
            order: None,
        };
        let destination = super::Destination(Arc::new(writer));
        Ok(SendingExporter::start(
            context,
            settings,
            File,
            destination,
        )?)
    }

    fn check(&self, at: &Cursor<'_>, diagnostics: &mut Diagnostics) {
        let mut error = |path: &[&str], message: &str| at.error(path, message, diagnostics);
        if self.path.file_name().is_none() {
            error(
                &["path"],
                "needs the path of a file, such as ./metrics.json",
            );
        }
        let lets_us_in = |mode: u32| mode & 0o700 == 0o700 && mode <= 0o777;
        if !self.permissions().is_some_and(lets_us_in) {
            error(
                &["directory_permissions"],
                "expected permissions in octal that include the owner, such as \"0755\"",
            );
        }
        let (shortest, longest) = (Duration::from_millis(1), Duration::from_secs(86_400));
        if !(shortest..=longest).contains(&self.flush_interval) {
            error(
                &["flush_interval"],
                "expected a duration between 1ms and a day",
            );
        }
        let megabytes = self
            .rotation
            .as_ref()
            .map(|rotation| rotation.max_megabytes);
        if megabytes == Some(0) {
            error(&["rotation", "max_megabytes"], "requires positive value");
        }
    }

    fn speaks_otlp(&self) -> bool {
        true
    }

    fn writes_file(&self) -> Option<WrittenFile<'_>> {
        Some(WrittenFile {
            path: &self.path,
            key: "path",
        })
    }
}

impl Config {
    fn permissions(&self) -> Option<u32> {
        u32::from_str_radix(&self.directory_permissions, 8).ok()
    }

    /// The data of one write must fit into one file.
    fn queue(&self) -> SendingQueue {
        let largest = self.rotation.as_ref().map(|of| of.rotation().max_bytes);
        SendingQueue {
            queue_bytes: QUEUE_BYTES,
            batch: BatchSettings {
                flush_timeout: self.flush_interval,
                max_size: Some(largest.unwrap_or(BATCH_BYTES).min(BATCH_BYTES)),
                ..BatchSettings::default()
            },
            ..SendingQueue::default()
        }
    }
}

impl RotationConfig {
    fn rotation(&self) -> Rotation {
        Rotation {
            max_bytes: self.max_megabytes.saturating_mul(1024 * 1024),
            max_backups: (self.max_backups > 0).then_some(self.max_backups),
            max_age: (self.max_days > 0)
                .then(|| time::Duration::from_secs(self.max_days.saturating_mul(86_400))),
        }
    }
}

/// Retries until a full disk has room again.
fn retry() -> RetryOnFailure {
    RetryOnFailure {
        initial_interval: Duration::from_secs(1),
        max_interval: Duration::from_secs(10),
        max_elapsed_time: Some(Duration::from_secs(0)),
        ..RetryOnFailure::default()
    }
}
