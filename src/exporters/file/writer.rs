//! Writes the file. It appends a whole batch or nothing, and rotates the file when it is full.

use std::{
    fs, io,
    io::{Read as _, Seek as _, Write as _},
    os::{fd::AsFd as _, unix::fs::DirBuilderExt as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

use crate::{pipeline::StateStore, runtime::Clock};

/// The time in the name of an old file, in UTC, in the format of `lumberjack`, which the Collector
/// uses.
const TIME: &str = "%Y-%m-%dT%H-%M-%S%.3f";

/// The settings of a writer.
#[derive(Debug)]
pub(super) struct WriterSettings {
    pub(super) path: PathBuf,
    pub(super) append: bool,
    /// The permissions of a created directory. `None` if the directory is not created.
    pub(super) directory_mode: Option<u32>,
    pub(super) rotation: Option<Rotation>,
    pub(super) clock: Clock,
}

/// When a file is rotated, and how long old files stay.
#[derive(Debug)]
pub(super) struct Rotation {
    pub(super) max_bytes: u64,
    pub(super) max_backups: Option<usize>,
    pub(super) max_age: Option<Duration>,
}

/// Appends to a file. Several writers of one file take turns, so that lines never mix.
#[derive(Debug)]
pub(super) struct Writer {
    settings: WriterSettings,
    file: Arc<SharedFile>,
}

/// A file that writers share. It outlives reloads, so that no replacement empties what its
/// predecessor wrote.
#[derive(Debug)]
pub(super) struct SharedFile {
    path: PathBuf,
    opened: Mutex<OpenedFile>,
}

#[derive(Debug, Default)]
struct OpenedFile {
    file: Option<fs::File>,
    /// Whether a writer has used the file before, so that it is not emptied.
    is_begun: bool,
    /// Whether the path is not a regular file, so that it cannot be cut or rotated. `None` before
    /// the first check.
    is_stream: Option<bool>,
    /// Whether the last line that was written to a stream may be incomplete.
    is_cut: bool,
}

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
#[error("{} cannot be {what}", path.display())]
pub(super) struct WriteError {
    path: PathBuf,
    what: &'static str,
    #[source]
    source: io::Error,
}

impl SharedFile {
    /// The file at a path. An exporter with another id may use it too, after a reload.
    pub(super) fn of(path: &Path, states: &StateStore) -> Arc<Self> {
        // Two paths may have the same text if they are not UTF-8.
        let is_same = |file: &Self| file.path == path;
        states.get_if(&path.to_string_lossy(), is_same, || {
            Arc::new(Self {
                path: path.to_owned(),
                opened: Mutex::default(),
            })
        })
    }
}

impl Writer {
    /// A writer of `file`, which must be the one at the path in `settings`.
    pub(super) fn new(settings: WriterSettings, file: Arc<SharedFile>) -> Self {
        Self { settings, file }
    }

    /// Appends lines. After an error none of them is in the file.
    pub(super) fn write(&self, lines: &[u8]) -> Result<(), WriteError> {
        // After a panic the file is opened again.
        let mut opened = self
            .file
            .opened
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if opened.is_stream.is_none() {
            opened.is_stream = Some(is_stream(&self.settings.path));
        }
        if opened.is_stream == Some(true) {
            return self.write_to_stream(&mut opened, lines);
        }
        let mut file = self.open(&mut opened).map_err(self.failed("opened"))?;
        let mut size = file.metadata().map_err(self.failed("read"))?.len();
        let largest = self.settings.rotation.as_ref().map(|of| of.max_bytes);
        if size > 0 && largest.is_some_and(|largest| size + lines.len() as u64 > largest) {
            drop(file);
            self.rotate().map_err(self.failed("renamed"))?;
            (file, size) = (self.open(&mut opened).map_err(self.failed("opened"))?, 0);
        }
        match file.write_all(lines) {
            Ok(()) => {
                opened.file = Some(file);
                Ok(())
            }
            Err(source) => {
                // A part of the lines may be in the file. If it stays, the next start ends its
                // line.
                drop(file.set_len(size));
                Err(self.failed("written")(source))
            }
        }
    }

    /// Writes to something that cannot be cut: a pipe, a terminal, the process' own output. After
    /// an error, a reader may have got a part of the lines, and they are written again.
    fn write_to_stream(&self, opened: &mut OpenedFile, lines: &[u8]) -> Result<(), WriteError> {
        let mut file = match opened.file.take() {
            Some(file) => file,
            None => open_stream(&self.settings.path).map_err(self.failed("opened"))?,
        };
        let ended = match std::mem::take(&mut opened.is_cut) {
            true => file.write_all(b"\n"),
            false => Ok(()),
        };
        match ended.and_then(|()| file.write_all(lines)) {
            Ok(()) => {
                opened.file = Some(file);
                Ok(())
            }
            Err(source) => {
                opened.is_cut = true;
                Err(self.failed("written")(source))
            }
        }
    }

    fn failed(&self, what: &'static str) -> impl FnOnce(io::Error) -> WriteError + use<> {
        let path = self.settings.path.clone();
        move |source| WriteError { path, what, source }
    }

    /// Opens the file, unless it is open and still at its path.
    fn open(&self, opened: &mut OpenedFile) -> io::Result<fs::File> {
        let path = &self.settings.path;
        if let Some(file) = opened.file.take().filter(|_| path.exists()) {
            return Ok(file);
        }
        if let (Some(mode), Some(directory)) = (self.settings.directory_mode, path.parent()) {
            let mut builder = fs::DirBuilder::new();
            builder.recursive(true).mode(mode).create(directory)?;
        }
        let mut options = fs::OpenOptions::new();
        let mut file = options.create(true).read(true).append(true).open(path)?;
        let continues = self.settings.append || self.settings.rotation.is_some();
        if !opened.is_begun && !continues {
            file.set_len(0)?;
        }
        end_line(&mut file)?;
        opened.is_begun = true;
        Ok(file)
    }

    /// Renames the file, and deletes old files above the limits.
    fn rotate(&self) -> io::Result<()> {
        let backups = Backups::of(&self.settings.path);
        let now = self.settings.clock.since_epoch();
        fs::rename(&self.settings.path, backups.free(now))?;
        if let Some(rotation) = &self.settings.rotation
            && let Err(error) = backups.prune(rotation, now)
        {
            let path = self.settings.path.display();
            tracing::warn!(%path, %error, "old files cannot be deleted");
        }
        Ok(())
    }
}

/// The process' own standard output or error: a pipe, a socket, or a file that another process may
/// write to as well.
fn own(path: &Path) -> Option<io::Result<fs::File>> {
    let is = |names: [&str; 3]| names.iter().any(|name| path == Path::new(name));
    let taken = if is(["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"]) {
        io::stdout().as_fd().try_clone_to_owned()
    } else if is(["/dev/stderr", "/dev/fd/2", "/proc/self/fd/2"]) {
        io::stderr().as_fd().try_clone_to_owned()
    } else {
        return None;
    };
    Some(taken.map(fs::File::from))
}

/// Whether the path is something that cannot be cut or rotated, or that other processes use.
fn is_stream(path: &Path) -> bool {
    let is_own = own(path).is_some();
    is_own || fs::metadata(path).is_ok_and(|of| !of.is_file() && !of.is_dir())
}

/// Opens a stream. A named pipe blocks until somebody reads.
fn open_stream(path: &Path) -> io::Result<fs::File> {
    let own = own(path);
    own.unwrap_or_else(|| fs::OpenOptions::new().append(true).open(path))
}

/// Ends an incomplete line, so that the next one is whole.
fn end_line(file: &mut fs::File) -> io::Result<()> {
    if file.metadata()?.len() == 0 {
        return Ok(());
    }
    let mut last = [0];
    file.seek(io::SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    match last {
        [b'\n'] => Ok(()),
        _ => file.write_all(b"\n"),
    }
}

/// The names of the old files: `metrics-2026-01-31T23-59-59.999.json` for `metrics.json`.
struct Backups {
    directory: PathBuf,
    prefix: String,
    suffix: String,
}

impl Backups {
    fn of(path: &Path) -> Self {
        let text = |part: &std::ffi::OsStr| part.to_string_lossy().into_owned();
        let directory = path.parent().filter(|of| !of.as_os_str().is_empty());
        Self {
            directory: directory.unwrap_or(Path::new(".")).to_owned(),
            prefix: path.file_stem().map(text).unwrap_or_default() + "-",
            suffix: path
                .extension()
                .map_or_else(String::new, |of| format!(".{}", text(of))),
        }
    }

    /// An unused name for a file that is rotated now.
    fn free(&self, now: Duration) -> PathBuf {
        let mut now = now;
        loop {
            let path = self.directory.join(self.name(now));
            if !path.exists() {
                return path;
            }
            now += Duration::from_millis(1);
        }
    }

    fn name(&self, time: Duration) -> String {
        let millis = i64::try_from(time.as_millis()).unwrap_or_default();
        let time = Timestamp::from_millisecond(millis).unwrap_or_default();
        format!("{}{}{}", self.prefix, time.strftime(TIME), self.suffix)
    }

    /// The time in a file name. `None` if this exporter did not create the name.
    fn time(&self, name: &str) -> Option<Duration> {
        let time = name
            .strip_prefix(&self.prefix)?
            .strip_suffix(&self.suffix)?;
        let time = DateTime::strptime(TIME, time).ok()?;
        let time = TimeZone::UTC.to_timestamp(time).ok()?;
        Duration::try_from(time.as_duration()).ok()
    }

    fn prune(&self, rotation: &Rotation, now: Duration) -> io::Result<()> {
        let mut old = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            if let Some(time) = entry.file_name().to_str().and_then(|name| self.time(name)) {
                old.push((time, entry.path()));
            }
        }
        old.sort();
        for (position, (time, path)) in old.iter().rev().enumerate() {
            let is_too_much = rotation.max_backups.is_some_and(|most| position >= most);
            let age = now.saturating_sub(*time);
            if is_too_much || rotation.max_age.is_some_and(|max| age > max) {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }
}
