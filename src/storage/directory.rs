//! A directory of logs, which one process has for itself.

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

/// Locked as long as a process works in the directory.
const LOCK: &str = "betanet-collector.lock";

/// How long to wait before trying again to lock the directory.
const PAUSE: Duration = Duration::from_millis(50);

/// How a directory is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectorySettings {
    /// Where it is.
    pub path: PathBuf,
    /// Whether it is made if it is not there.
    pub create: bool,
    /// Its permissions if it is made; files get the same without `x`.
    pub permissions: u32,
    /// How long to wait for another process to leave it.
    pub timeout: Duration,
    /// Whether what is written is on disk before a write ends. If not, it survives the end of the
    /// process, but not the loss of power.
    pub fsync: bool,
    /// The most bytes of records in one log.
    pub max_bytes: u64,
}

/// Another process works in the directory, or this one still does for what leaves.
#[derive(Debug, thiserror::Error)]
#[error("the directory {} is in use", .0.display())]
pub struct InUse(PathBuf);

/// A directory of logs. Clones are handles to the same one.
#[derive(Debug, Clone)]
pub struct Directory {
    settings: DirectorySettings,
    /// Held as long as any handle lives.
    lock: Arc<Mutex<Option<File>>>,
    opened: CancellationToken,
    status: Arc<DirectoryShared>,
}

impl DirectorySettings {
    /// Makes the directory if that is wanted.
    pub(super) fn make_directory(&self) -> io::Result<()> {
        if !self.create || self.path.is_dir() {
            return Ok(());
        }
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(self.permissions);
        builder.create(&self.path)
    }

    /// Says what is wrong with the directory, if something is.
    pub fn mistake(&self) -> Option<String> {
        match fs::metadata(&self.path) {
            Ok(found) if found.is_dir() => None,
            Ok(_) => Some("is not a directory".to_owned()),
            Err(_) if self.create => None,
            Err(error) => Some(format!(
                "must exist ({error}); `create_directory: true` makes it"
            )),
        }
    }

    /// The permissions of a new file.
    pub(super) fn file_mode(&self) -> u32 {
        self.permissions & 0o666
    }
}

impl Directory {
    /// A directory that nothing is done with until [`Self::open`]. `reporter` tells how it is.
    pub fn new(settings: DirectorySettings, reporter: Reporter) -> Self {
        Self {
            settings,
            lock: Arc::default(),
            opened: CancellationToken::new(),
            status: DirectoryShared::new(reporter),
        }
    }

    /// The same directory under other settings, held as it is; none if they say another one.
    pub fn under(&self, settings: DirectorySettings) -> Option<Self> {
        (settings.path == self.settings.path).then(|| Self {
            settings,
            ..self.clone()
        })
    }

    /// Whether both are the same directory, held together.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.lock, &other.lock)
    }

    /// Whether it has been taken.
    pub fn is_open(&self) -> bool {
        self.opened.is_cancelled()
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.settings.path
    }

    /// Takes the directory for this process; its logs work from then on. A disk that does not let
    /// it be locked is no reason not to start: its logs will say what is wrong.
    ///
    /// # Errors
    /// If another process has it and does not leave it within the timeout.
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

    /// Where the user called `name` of a log says how that is.
    pub fn status(&self, name: &str) -> LogStatus {
        self.status.of_log(name)
    }

    /// The log called `name`. Nothing is opened yet.
    pub fn log(&self, name: &str) -> Log {
        let path = self.settings.path.join(format!("{}.redb", safe(name)));
        Log::new(FileMedium {
            path,
            settings: self.settings.clone(),
        })
    }
}

/// The lock, or none if another process has it.
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

/// `name` with everything that could mean something to a file system as `~` and four digits, as the
/// Collector writes it.
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
