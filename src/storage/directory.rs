//! A directory of logs, which only one process may use.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{
    Log, LogStatus,
    backend::{FileMedium, NO_LINK, own},
    status::DirectoryShared,
};
use crate::pipeline::Reporter;

/// The lock file. It is locked as long as a process uses the directory.
const LOCK: &str = "betanet-collector.lock";

/// The pause before another attempt to lock the directory.
const PAUSE: Duration = Duration::from_millis(50);

/// The settings of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectorySettings {
    /// The path of the directory.
    pub path: PathBuf,
    /// Whether the directory is created if it does not exist.
    pub create: bool,
    /// The permissions of a created directory. Files have the same without `x`.
    pub permissions: u32,
    /// The longest wait for another process to release the directory.
    pub timeout: Duration,
    /// Whether data is on disk before a write ends. If not, it survives the end of the process, but
    /// not a power failure.
    pub fsync: bool,
    /// The most bytes of records in one log.
    pub max_bytes: u64,
}

/// Another process uses the directory, or this process still does for a removed component.
#[derive(Debug, thiserror::Error)]
#[error("the directory {} is in use", .0.display())]
pub struct InUse(PathBuf);

/// A directory of logs. Clones share it.
#[derive(Debug, Clone)]
pub struct Directory {
    settings: DirectorySettings,
    /// Locked as long as any handle exists.
    lock: Arc<Mutex<Option<File>>>,
    opened: CancellationToken,
    status: Arc<DirectoryShared>,
}

impl DirectorySettings {
    /// Creates the directory, if configured.
    pub(super) fn make_directory(&self) -> io::Result<()> {
        if !self.create || self.path.is_dir() {
            return Ok(());
        }
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(self.permissions);
        builder.create(&self.path)
    }

    /// Why the directory cannot be used, if it cannot.
    pub fn mistake(&self) -> Option<String> {
        match fs::metadata(&self.path) {
            Ok(found) if found.is_dir() => None,
            Ok(_) => Some("is not a directory".to_owned()),
            Err(_) if self.create => None,
            Err(error) => Some(format!(
                "must exist ({error}); `create_directory: true` creates it"
            )),
        }
    }

    /// The permissions of a new file.
    pub(super) fn file_mode(&self) -> u32 {
        self.permissions & 0o666
    }
}

impl Directory {
    /// Creates a handle. The directory is not used before [`Self::open`]. `reporter` reports its
    /// status.
    pub fn new(settings: DirectorySettings, reporter: Reporter) -> Self {
        Self {
            settings,
            lock: Arc::default(),
            opened: CancellationToken::new(),
            status: DirectoryShared::new(reporter),
        }
    }

    /// The same open directory with other settings. `None` if they name another directory.
    pub fn under(&self, settings: DirectorySettings) -> Option<Self> {
        (settings.path == self.settings.path).then(|| Self {
            settings,
            ..self.clone()
        })
    }

    /// Whether both are the same open directory.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.lock, &other.lock)
    }

    /// Whether it is open.
    pub fn is_open(&self) -> bool {
        self.opened.is_cancelled()
    }

    /// The path of the directory.
    pub fn path(&self) -> &Path {
        &self.settings.path
    }

    /// Locks the directory for this process. Its logs work after that. A disk on which it cannot be
    /// locked does not prevent the start: its logs will report the problem.
    ///
    /// # Errors
    /// If another process uses it and does not release it within the timeout.
    pub async fn open(&self) -> Result<(), InUse> {
        let deadline = Instant::now() + self.settings.timeout;
        loop {
            let settings = self.settings.clone();
            let attempt = tokio::task::spawn_blocking(move || lock(&settings)).await;
            match attempt.unwrap_or_else(|panic| Err(io::Error::other(panic))) {
                Ok(Some(file)) => {
                    *self.lock.lock().unwrap_or_else(PoisonError::into_inner) = Some(file);
                }
                Ok(None) if Instant::now() < deadline => {
                    sleep(PAUSE).await;
                    continue;
                }
                Ok(None) => return Err(InUse(self.settings.path.clone())),
                Err(error) => {
                    let directory = self.settings.path.display();
                    tracing::error!(%directory, %error, "the directory cannot be locked");
                }
            }
            self.opened.cancel();
            return Ok(());
        }
    }

    /// Waits for [`Self::open`].
    pub async fn opened(&self) {
        self.opened.cancelled().await;
    }

    /// The most bytes of records in one log.
    pub fn max_bytes(&self) -> u64 {
        self.settings.max_bytes
    }

    /// Reports the status of the log with this name.
    pub fn status(&self, name: &str) -> LogStatus {
        self.status.of_log(name)
    }

    /// The log with this name. It is not opened yet.
    pub fn log(&self, name: &str) -> Log {
        let path = self.settings.path.join(format!("{}.redb", safe(name)));
        Log::new(FileMedium {
            path,
            settings: self.settings.clone(),
        })
    }
}

/// The lock. `None` if another process has it.
fn lock(settings: &DirectorySettings) -> io::Result<Option<File>> {
    settings.make_directory()?;
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(settings.file_mode())
        .custom_flags(NO_LINK)
        .open(settings.path.join(LOCK));
    let file = own(file)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// The name with every character that could have a meaning in a file system as `~` and four digits,
/// as in the Collector.
fn safe(name: &str) -> String {
    let mut text = String::new();
    for letter in name.chars() {
        match letter {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '_' | '-' | '.' => text.push(letter),
            other => text.push_str(&format!("~{:04X}", u32::from(other))),
        }
    }
    text
}
