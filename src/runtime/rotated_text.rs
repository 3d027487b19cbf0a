//! The text of a small file that may be replaced while the collector runs, such as a token.

use std::{
    fmt,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::{heavy, read_text};

/// The file is read again after this time.
const REREAD_AFTER: Duration = Duration::from_secs(10);

/// Even a caller that needs a newer text gets one at most this often.
const REREAD_AT_MOST_EVERY: Duration = Duration::from_secs(1);

/// A mount that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(5);

/// The text of a file. It is read on a thread of its own, by one caller for all of them, so that a
/// mount that hangs delays no worker of the runtime.
pub struct RotatedText {
    path: PathBuf,
    limit_bytes: u64,
    last: Mutex<Option<LastRead>>,
    /// Whoever holds it reads.
    turn: tokio::sync::Mutex<()>,
    /// Whether a thread still reads. One that hangs has no successor.
    is_reading: Arc<AtomicBool>,
}

/// What was read, and when.
#[derive(Clone)]
struct LastRead {
    at: Instant,
    result: Result<Arc<str>, RotatedTextError>,
}

/// Why a file has no text. The error never contains its content.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RotatedTextError {
    /// The file cannot be read.
    #[error("failed to read `{}`", path.display())]
    Read {
        /// The path of the file.
        path: PathBuf,
        /// Why the file cannot be read.
        #[source]
        source: Arc<io::Error>,
    },
    /// The file is larger than it may be.
    #[error("`{}` is larger than {limit_bytes} bytes", path.display())]
    TooLarge {
        /// The path of the file.
        path: PathBuf,
        /// The largest allowed size in bytes.
        limit_bytes: u64,
    },
    /// The file system does not answer.
    #[error("`{}` was not read within {} s", path.display(), PATIENCE.as_secs())]
    Hung {
        /// The path of the file.
        path: PathBuf,
    },
}

impl RotatedText {
    /// The text of the file at `path`, which is read when it is needed.
    pub fn new(path: PathBuf, limit_bytes: u64) -> Self {
        Self {
            path,
            limit_bytes,
            last: Mutex::new(None),
            turn: tokio::sync::Mutex::new(()),
            is_reading: Arc::default(),
        }
    }

    /// Reads the file on this thread, to find a mistake before the first request.
    ///
    /// # Errors
    /// If the file cannot be used.
    pub fn verify(&self) -> Result<(), RotatedTextError> {
        read(&self.path, self.limit_bytes).map(drop)
    }

    /// The text, without the line end that editors add. It is at most some ten seconds old, unless
    /// the file system hangs.
    ///
    /// # Errors
    /// If the file cannot be used.
    pub async fn text(&self) -> Result<Arc<str>, RotatedTextError> {
        self.text_within(REREAD_AFTER).await
    }

    /// The text after it was of no use: the file is read again, unless that was just done.
    ///
    /// # Errors
    /// If the file cannot be used.
    pub async fn newer_text(&self) -> Result<Arc<str>, RotatedTextError> {
        self.text_within(REREAD_AT_MOST_EVERY).await
    }

    async fn text_within(&self, age: Duration) -> Result<Arc<str>, RotatedTextError> {
        if let Some(result) = self.last_within(age) {
            return result;
        }
        let _turn = self.turn.lock().await;
        if let Some(result) = self.last_within(age) {
            return result; // read by the one before
        }
        let result = match self.read().await {
            Err(RotatedTextError::Hung { path }) => {
                let last = self.last().and_then(|last| last.result.ok());
                if last.is_some() {
                    let file = path.display().to_string();
                    tracing::warn!(file, "a file system hangs; the last text stays in use");
                }
                last.ok_or(RotatedTextError::Hung { path })
            }
            result => result,
        };
        let last = LastRead {
            at: Instant::now(),
            result: result.clone(),
        };
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(last);
        result
    }

    fn last(&self) -> Option<LastRead> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.clone()
    }

    /// What was read no longer ago than that. A failure is not kept for long.
    fn last_within(&self, age: Duration) -> Option<Result<Arc<str>, RotatedTextError>> {
        let last = self.last()?;
        let age = match last.result {
            Ok(_) => age,
            Err(_) => age.min(REREAD_AT_MOST_EVERY),
        };
        (last.at.elapsed() < age).then_some(last.result)
    }

    async fn read(&self) -> Result<Arc<str>, RotatedTextError> {
        let hung = || RotatedTextError::Hung {
            path: self.path.clone(),
        };
        if self.is_reading.swap(true, Ordering::AcqRel) {
            return Err(hung());
        }
        let (path, limit_bytes) = (self.path.clone(), self.limit_bytes);
        let is_reading = Arc::clone(&self.is_reading);
        let work = move || {
            let text = read(&path, limit_bytes);
            is_reading.store(false, Ordering::Release);
            text
        };
        let done = heavy::alone("read a secret", PATIENCE, work).await;
        match done {
            Ok(text) => text,
            Err(heavy::Lost::Thread(error)) => {
                self.is_reading.store(false, Ordering::Release);
                Err(failed(&self.path, error))
            }
            Err(heavy::Lost::TooLong(_) | heavy::Lost::Undone(_)) => Err(hung()),
        }
    }
}

impl fmt::Debug for RotatedText {
    /// Prints no text, which may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RotatedText")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

fn read(path: &Path, limit_bytes: u64) -> Result<Arc<str>, RotatedTextError> {
    match read_text(path, limit_bytes) {
        Ok(text) => Ok(text.trim_end_matches(['\r', '\n']).into()),
        Err(error) if error.kind() == ErrorKind::FileTooLarge => Err(RotatedTextError::TooLarge {
            path: path.to_owned(),
            limit_bytes,
        }),
        Err(error) => Err(failed(path, error)),
    }
}

fn failed(path: &Path, error: io::Error) -> RotatedTextError {
    RotatedTextError::Read {
        path: path.to_owned(),
        source: Arc::new(error),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tokio::time;

    use super::*;

    fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        fs::write(&path, text).unwrap();
        (folder, path)
    }

    /// Lets tokio's time pass. It stands still while a thread reads.
    async fn pass(time: Duration) {
        time::pause();
        time::advance(time).await;
        time::resume();
    }

    #[tokio::test]
    async fn a_rotated_file_is_read_again_after_a_while_or_when_its_text_is_of_no_use() {
        let (_folder, path) = file("one\r\n");
        let text = RotatedText::new(path.clone(), 5);
        assert_eq!(&*text.text().await.unwrap(), "one");
        fs::write(&path, "two\n").unwrap();
        assert_eq!(&*text.text().await.unwrap(), "one", "read a moment ago");
        pass(REREAD_AT_MOST_EVERY).await;
        assert_eq!(&*text.newer_text().await.unwrap(), "two");
        fs::write(&path, "three").unwrap();
        pass(REREAD_AFTER).await;
        assert_eq!(&*text.text().await.unwrap(), "three");
        fs::write(&path, "fourth").unwrap();
        pass(REREAD_AFTER).await;
        let error = text.text().await.unwrap_err().to_string();
        assert!(error.ends_with("is larger than 5 bytes"), "{error}");
        fs::remove_file(&path).unwrap();
        pass(REREAD_AT_MOST_EVERY).await;
        assert!(matches!(
            text.text().await,
            Err(RotatedTextError::Read { .. })
        ));
        fs::write(&path, "five").unwrap();
        pass(REREAD_AT_MOST_EVERY).await;
        assert_eq!(&*text.text().await.unwrap(), "five");
    }

    #[tokio::test]
    async fn while_a_file_system_hangs_the_last_text_stays_in_use_and_no_thread_is_added() {
        let (_folder, path) = file("one");
        let text = RotatedText::new(path.clone(), 5);
        // A thread that never comes back.
        text.is_reading.store(true, Ordering::Release);
        assert!(matches!(
            text.text().await,
            Err(RotatedTextError::Hung { .. })
        ));
        text.is_reading.store(false, Ordering::Release);
        pass(REREAD_AFTER).await;
        assert_eq!(&*text.text().await.unwrap(), "one");
        fs::write(&path, "two").unwrap();
        text.is_reading.store(true, Ordering::Release);
        pass(REREAD_AFTER).await;
        assert_eq!(&*text.text().await.unwrap(), "one");
    }
}
