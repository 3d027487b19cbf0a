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
    /// Opens it as a database; an empty one if there is none.
    ///
    /// # Errors
    /// What the disk or the database says.
    fn open(&self, builder: &Builder) -> Result<Database, redb::Error>;

    /// Takes what is there out of the way, so that the next `open` gives an empty one, and gives it
    /// to be read. What is out of the way already stays; what was made of it goes.
    ///
    /// # Errors
    /// What the disk says; [`io::ErrorKind::WouldBlock`] if somebody else reads it.
    fn quarantine(&self) -> io::Result<Box<dyn Quarantined>>;

    /// Whether something is out of the way that is still to be read.
    fn is_aside(&self) -> bool;

    /// All of it was read. Says where it is now; what was there before is gone.
    ///
    /// # Errors
    /// What the disk says.
    fn finish_recovery(&self) -> io::Result<PathBuf>;

    /// Puts a few bytes beside it, in the place of those before. They need not outlive the power,
    /// and a failure is nobody's concern.
    fn note(&self, note: &[u8]);

    /// What was noted last; nothing if that is unknown.
    fn noted(&self) -> Vec<u8>;
}

/// What is out of the way.
pub trait Quarantined: io::Read + io::Seek {}

impl<T: io::Read + io::Seek> Quarantined for T {}

/// A file in a directory.
#[derive(Debug)]
pub(super) struct FileMedium {
    pub(super) path: PathBuf,
    pub(super) settings: DirectorySettings,
}

/// The endings of the files beside that of a log: what is noted of it, and the damaged one while it
/// is read, and afterwards.
const NOTE: &str = "held";
const ASIDE: &str = "salvage";
const DAMAGED: &str = "damaged";

/// The most of a note that is read.
const MAX_NOTE_BYTES: u64 = 64 << 10;

/// A link is not followed, and a pipe is not waited for: who may write to the directory must not
/// choose what else we write to.
pub(super) const NO_LINK: i32 = libc::O_NOFOLLOW | libc::O_NONBLOCK;

/// What was opened with [`NO_LINK`], if it is a file.
pub(super) fn own(opened: io::Result<File>) -> io::Result<File> {
    let no_file = || io::Error::other("it is a link or no file, and not followed");
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
        // Its reader may have been ahead of us.
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

/// Makes the names in the folder of `path` survive a power loss.
fn sync_directory(path: &Path) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    File::open(directory)?.sync_all()
}

/// redb's own file, but for the syncs if they are not wanted.
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
