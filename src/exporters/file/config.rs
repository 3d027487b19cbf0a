//! What the configuration says of the exporter, under the Collector's keys.

use std::{path::PathBuf, sync::Arc, time};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    File,
    writer::{Rotation, Writer, WriterSettings},
};
use crate::{
    client::ConfigError,
    delivery::{
        BatchSettings, Delivery, DeliveryContext, DeliverySettings, RetryOnFailure, SendingQueue,
    },
    exporters::{ending::Ending, sending::Sending},
    pipeline::Exporter,
    settings::{ByteSize, Duration},
    yaml::{Cursor, Diagnostics},
};

/// The most bytes that are written at once, unless one poll brings more.
const BATCH_BYTES: u64 = 3 * 1024 * 1024;

/// The most bytes that wait for a disk that takes none.
const QUEUE_BYTES: ByteSize = ByteSize::from_mib(64);

/// A disk that hangs is waited for: a write that goes on must not be made a second time.
const PATIENCE: time::Duration = time::Duration::from_secs(86_400);

/// Writes metrics to a file, as lines of OTLP JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Config {
    /// The file; its directory must be there, unless `create_directory` makes it.
    pub path: PathBuf,
    /// Whether the directory of the file is made if it is not there.
    pub create_directory: bool,
    /// Permissions of a directory that is made, in octal.
    pub directory_permissions: String,
    /// Whether a file that is there at the start is continued. If not, it is emptied.
    pub append: bool,
    /// How the file makes room for a new one. If given, a file that is there is continued.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rotation: Option<RotationConfig>,
    /// The form of the lines.
    pub format: FileFormat,
    /// How long lines are gathered before they are written, a duration.
    pub flush_interval: Duration,
}

/// How a file makes room for a new one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RotationConfig {
    /// The largest file, in MiB.
    pub max_megabytes: u64,
    /// The most old files; 0 for all.
    pub max_backups: usize,
    /// How long old files are kept, in days; 0 for ever.
    pub max_days: u64,
}

/// The form of the lines.
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

impl Config {
    /// Makes the exporter that `context` tells of, within a tokio runtime. The file is opened when
    /// there is something to write; the one of the exporter `before`, whose place it takes, it
    /// shares until that has written all it held.
    ///
    /// # Errors
    ///
    /// Names the key whose value cannot be used.
    pub(in crate::exporters) fn build(
        &self,
        context: DeliveryContext<'_>,
        before: Option<&Sending>,
    ) -> Result<Arc<dyn Exporter>, ConfigError> {
        let settings = WriterSettings {
            path: self.path.clone(),
            append: self.append,
            directory_mode: self.permissions().filter(|_| self.create_directory),
            rotation: self.rotation.as_ref().map(RotationConfig::rotation),
            clock: context.clock.clone(),
        };
        let before = before.and_then(Sending::encoder::<File>);
        let writer = Arc::new(match before {
            Some(before) => Writer::after(&before.writer, settings),
            None => Writer::new(settings),
        });
        let settings = DeliverySettings {
            timeout: PATIENCE,
            retry: retry(),
            queue: self.queue(),
            split: None,
            after: None,
        };
        let destination = super::Destination(Arc::clone(&writer));
        let ending = Ending::new(context.clock);
        let delivery = Delivery::start(context, settings, destination)?;
        Ok(Arc::new(Sending::new(File { writer }, delivery, ending)))
    }

    /// Checks what a type cannot say; mistakes go to `diagnostics`.
    pub fn check(&self, at: &Cursor<'_>, diagnostics: &mut Diagnostics) {
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
                "expected permissions in octal that let us in ourselves, such as \"0755\"",
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

    fn permissions(&self) -> Option<u32> {
        u32::from_str_radix(&self.directory_permissions, 8).ok()
    }

    /// What is written at once fits into one file.
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

/// A full disk is tried again until somebody makes room.
fn retry() -> RetryOnFailure {
    RetryOnFailure {
        initial_interval: Duration::from_secs(1),
        max_interval: Duration::from_secs(10),
        max_elapsed_time: Some(Duration::from_secs(0)),
        ..RetryOnFailure::default()
    }
}
