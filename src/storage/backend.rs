//! Where the bytes of a log are: a file, or in tests a model of a disk.

use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, Read as _},
    ops::Bound,
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use redb::{BackendError, Builder, Database, StorageBackend, backends::FileBackend};

use super::DirectorySettings;

/// Where the bytes of a log are.
pub trait Backend: fmt::Debug + Send + 'static {
    /// Opens the bytes as a database, or creates an empty one.
    ///
    /// # Errors
    /// If the disk or the database fails.
    fn open(&self, builder: &Builder) -> Result<Database, redb::Error>;

    /// Quarantines the existing file, so that the next `open` creates an empty one, and returns it
    /// for reading. A file that is in quarantine already stays, and the file that recovery was
    /// creating from it is deleted.
    ///
    /// # Errors
    /// If the disk fails; [`io::ErrorKind::WouldBlock`] if another process reads the file.
    fn quarantine(&self) -> io::Result<Box<dyn Quarantined>>;

    /// Whether a quarantined file still has to be read.
    fn is_aside(&self) -> bool;

    /// Finishes recovery: renames the quarantined file to `.damaged`, replacing an older one, and
    /// returns its path.
    ///
    /// # Errors
    /// If the disk fails.
    fn finish_recovery(&self) -> io::Result<PathBuf>;

    /// Writes a few bytes to a sidecar file, replacing the old ones. They need not survive a power
    /// failure, and errors are ignored.
    fn note(&self, note: &[u8]);

    /// The last bytes in the sidecar file. Empty if they are unknown.
    fn noted(&self) -> Vec<u8>;
}

/// A quarantined file.
pub trait Quarantined: io::Read + io::Seek {}

impl<T: io::Read + io::Seek> Quarantined for T {}

/// A file in a directory.
#[derive(Debug)]
pub(super) struct FileMedium {
    pub(super) path: PathBuf,
    pub(super) settings: DirectorySettings,
}

/// The suffixes of the sidecar file, and of the damaged file while it is read and after that.
const NOTE: &str = "held";
const ASIDE: &str = "salvage";
const DAMAGED: &str = "damaged";

/// The largest part of a sidecar file that is read.
const MAX_NOTE_BYTES: u64 = 64 << 10;

/// Links are not followed, and pipes are not waited for: someone who may write to the directory
/// must not choose other files that the collector writes to.
pub(super) const NO_LINK: i32 = libc::O_NOFOLLOW | libc::O_NONBLOCK;

/// Checks that what was opened with [`NO_LINK`] is a file.
pub(super) fn own(opened: io::Result<File>) -> io::Result<File> {
    let no_file = || io::Error::other("it is a link or not a file, and is not followed");
    match opened {
        Ok(file) if file.metadata()?.is_file() => Ok(file),
        Ok(_) => Err(no_file()),
        Err(error) if [Some(libc::ELOOP), Some(libc::ENXIO)].contains(&error.raw_os_error()) => {
            Err(no_file())
        }
        Err(error) => Err(error),
    }
}

impl FileMedium {
    fn options(&self) -> OpenOptions {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false);
        options.mode(self.settings.file_mode());
        options.custom_flags(NO_LINK);
        options
    }

    fn read_only(path: &Path) -> io::Result<File> {
        let mut options = OpenOptions::new();
        own(options.read(true).custom_flags(NO_LINK).open(path))
    }
}

impl Backend for FileMedium {
    fn open(&self, builder: &Builder) -> Result<Database, redb::Error> {
        self.settings.make_directory()?;
        let is_new = !self.path.exists();
        let file = own(self.options().read(true).open(&self.path))?;
        if is_new && self.settings.fsync {
            sync_directory(&self.path)?;
        }
        let file = FileBackend::new(file)?;
        let fsync = self.settings.fsync;
        Ok(builder.create_with_backend(RedbBackend { file, fsync })?)
    }

    fn quarantine(&self) -> io::Result<Box<dyn Quarantined>> {
        let aside = self.path.with_extension(ASIDE);
        if !aside.exists() {
            fs::rename(&self.path, &aside)?;
            sync_directory(&self.path)?;
        }
        let file = Self::read_only(&aside)?;
        // Another reader may have been faster.
        if file.try_lock().is_err() || !aside.exists() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(Box::new(file)),
        }
    }

    fn is_aside(&self) -> bool {
        self.path.with_extension(ASIDE).exists()
    }

    fn finish_recovery(&self) -> io::Result<PathBuf> {
        let damaged = self.path.with_extension(DAMAGED);
        fs::rename(self.path.with_extension(ASIDE), &damaged)?;
        sync_directory(&self.path)?;
        Ok(damaged)
    }

    fn note(&self, note: &[u8]) {
        let file = own(self.options().open(self.path.with_extension(NOTE)));
        drop(file.and_then(|file| file.write_all_at(note, 0)));
    }

    fn noted(&self) -> Vec<u8> {
        let mut note = Vec::new();
        let file = Self::read_only(&self.path.with_extension(NOTE));
        drop(file.and_then(|file| file.take(MAX_NOTE_BYTES).read_to_end(&mut note)));
        note
    }
}

/// Makes the names in the directory of `path` survive a power failure.
fn sync_directory(path: &Path) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    File::open(directory)?.sync_all()
}

/// redb's own file, without syncs if they are turned off.
#[derive(Debug)]
struct RedbBackend {
    file: FileBackend,
    fsync: bool,
}

impl StorageBackend for RedbBackend {
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
