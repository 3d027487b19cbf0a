//! Where the bytes of a log are: a file, or in tests a model of a disk.

use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io,
    ops::Bound,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use redb::{BackendError, Builder, Database, StorageBackend, backends::FileBackend};

use super::Settings;

/// Where the bytes of a log are.
pub trait Medium: fmt::Debug + Send + 'static {
    /// Opens it as a database; an empty one if there is none.
    ///
    /// # Errors
    /// What the disk or the database says.
    fn open(&self, builder: &Builder) -> Result<Database, redb::Error>;

    /// Takes what is there out of the way, so that the next `open` gives an empty one. Says where
    /// it is now; what was there before is gone.
    ///
    /// # Errors
    /// What the disk says.
    fn set_aside(&self) -> io::Result<PathBuf>;
}

/// A file in a directory.
#[derive(Debug)]
pub(super) struct FileMedium {
    pub(super) path: PathBuf,
    pub(super) settings: Settings,
}

/// A file of a damaged log keeps the log's name and gets this ending.
const DAMAGED: &str = "damaged";

impl Medium for FileMedium {
    fn open(&self, builder: &Builder) -> Result<Database, redb::Error> {
        self.settings.make_directory()?;
        let is_new = !self.path.exists();
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(self.settings.file_mode())
            .open(&self.path)?;
        if is_new && self.settings.fsync {
            sync_directory(&self.path)?;
        }
        let file = FileBackend::new(file)?;
        let fsync = self.settings.fsync;
        Ok(builder.create_with_backend(Backend { file, fsync })?)
    }

    fn set_aside(&self) -> io::Result<PathBuf> {
        let aside = self.path.with_extension(DAMAGED);
        fs::rename(&self.path, &aside)?;
        sync_directory(&self.path)?;
        Ok(aside)
    }
}

/// Makes the names in the folder of `path` survive a power loss.
fn sync_directory(path: &Path) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    File::open(directory)?.sync_all()
}

/// redb's own file, but for the syncs if they are not wanted.
#[derive(Debug)]
struct Backend {
    file: FileBackend,
    fsync: bool,
}

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        if self.fsync {
            self.file.sync_data()?;
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.file.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.unlock_range(start, end)
    }
}
