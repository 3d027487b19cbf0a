//! What the configuration says of the exporter, under the Collector's keys.

use std::{path::PathBuf, sync::Arc, time};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    File,
    writer::{Rotation, Writer, WriterSettings},
};
use crate::{
    client::Invalid,
    delivery::{BatchSettings, Context, Delivery, RetryOnFailure, SendingQueue, Settings},
    exporters::ending::Ending,
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
    /// The file; its directory must be there.
    pub path: PathBuf,
    /// Whether a file that is there at the start is continued. If not, it is emptied.
    pub append: bool,
    /// How the file makes room for a new one. If given, a file that is there is continued.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rotation: Option<RotationConfig>,
    /// The form of the lines.
    pub format: Format,
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
pub enum Format {
    /// OTLP as JSON.
    #[default]
    Json,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            path: PathBuf::new(),
            append: false,
            rotation: None,
            format: Format::default(),
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
    pub fn build(
        &self,
        context: Context<'_>,
        before: Option<&File>,
    ) -> Result<Arc<dyn Exporter>, Invalid> {
        let settings = WriterSettings {
            path: self.path.clone(),
            append: self.append,
            rotation: self.rotation.as_ref().map(RotationConfig::rotation),
            clock: context.clock.clone(),
        };
        let writer = Arc::new(match before {
            Some(before) => Writer::after(&before.writer, settings),
            None => Writer::new(settings),
        });
        let settings = Settings {
            timeout: PATIENCE,
            retry: retry(),
            queue: self.queue(),
        };
        let destination = super::Destination(Arc::clone(&writer));
        let ending = Ending::new(context.clock);
        let delivery = Delivery::start(context, settings, destination)?;
        Ok(Arc::new(File {
            delivery,
            writer,
            ending,
        }))
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
