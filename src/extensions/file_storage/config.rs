//! The configuration of the extension, with the Collector's keys.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    settings::{ByteSize, Duration},
    storage::DirectorySettings,
    yaml::{Cursor, Diagnostics},
};

/// Stores sending queues on disk.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct Config {
    /// The directory of the queues. Only one process can use it.
    pub directory: PathBuf,
    /// Whether the directory is created if it does not exist.
    pub create_directory: bool,
    /// Permissions of a created directory, in octal. Files have the same without `x`.
    pub directory_permissions: String,
    /// The longest wait for another process to release the directory.
    pub timeout: Duration,
    /// Whether data must be on disk before it counts as written. If not, it survives the end of the
    /// process, but not a power failure. The Collector's default is `false`.
    pub fsync: bool,
    /// The most bytes of batches in one queue, before compression. Its file can be twice as large.
    pub max_bytes: ByteSize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            directory: PathBuf::from("/var/lib/otelcol/file_storage"),
            create_directory: false,
            directory_permissions: "0750".to_owned(),
            timeout: Duration::from_secs(1),
            fsync: true,
            max_bytes: ByteSize::from_mib(1024),
        }
    }
}

impl Config {
    pub(super) fn report_mistakes(&self, at: &Cursor<'_>, diagnostics: &mut Diagnostics) {
        if let Some(mistake) = self.settings().mistake() {
            at.error(&["directory"], mistake, diagnostics);
        }
        let permissions = self.permissions();
        if !permissions.is_some_and(|bits| bits & 0o700 == 0o700 && bits <= 0o777) {
            let expected = "expected permissions in octal that include the owner, such as \"0750\"";
            at.error(&["directory_permissions"], expected, diagnostics);
        }
        if self.max_bytes.get() == 0 {
            at.error(&["max_bytes"], "requires positive value", diagnostics);
        }
    }

    fn permissions(&self) -> Option<u32> {
        u32::from_str_radix(&self.directory_permissions, 8).ok()
    }

    pub(super) fn settings(&self) -> DirectorySettings {
        DirectorySettings {
            path: self.directory.clone(),
            create: self.create_directory,
            permissions: self.permissions().unwrap_or(0o750),
            timeout: self.timeout.get(),
            fsync: self.fsync,
            max_bytes: self.max_bytes.get(),
        }
    }
}
