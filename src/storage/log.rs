//! Records in one file, in the order of their ids.

use std::{
    ops::RangeInclusive,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
};

use bytes::Bytes;
use redb::Database;

use super::{Backend, Record, RecordEntry, StorageError, recovery, summary::Summary, tables};

/// Records in one file, in the order of their ids.
#[derive(Debug)]
pub struct Log {
    medium: Box<dyn Backend>,
    /// `None` before the first use and after a failure: only a newly opened database knows what is
    /// on disk.
    database: Option<Database>,
}

/// The contents of a log when it is opened.
#[derive(Debug, Default)]
pub struct OpenedLog {
    /// Its records, in order.
    pub entries: Vec<RecordEntry>,
    /// What was lost, if its file was damaged.
    pub loss: Option<DamageReport>,
}

/// What happened to a damaged file.
#[derive(Debug)]
pub struct DamageReport {
    /// The damage.
    pub error: String,
    /// The path of the damaged file.
    pub aside: PathBuf,
    /// The number of lost data points. `None` if it is unknown.
    pub points: Option<u64>,
}

impl Log {
    /// A log that is not opened yet.
    pub fn new(medium: impl Backend) -> Self {
        Self {
            medium: Box::new(medium),
            database: None,
        }
    }

    /// Opens the log, repairs it after a crash, checks all of it, and returns its contents. Intact
    /// records of a damaged file are copied to a new one, and the damaged file is renamed.
    ///
    /// # Errors
    /// If it is in use, or the disk fails.
    pub fn open(&mut self) -> Result<OpenedLog, StorageError> {
        let error = match self.medium.is_aside() {
            true => "the process ended before all of it was read".to_owned(),
            false => match self.list() {
                Err(StorageError::Damaged(error)) => error,
                listed => {
                    let (entries, loss) = (listed?, None);
                    return Ok(OpenedLog { entries, loss });
                }
            },
        };
        self.close();
        let (database, aside, points) = {
            let medium = self.medium.as_ref();
            guarded(|| recovery::salvage(medium, || tables::create(medium)))?
        };
        self.database = Some(database);
        let entries = self.list()?;
        let loss = Some(DamageReport {
            error,
            aside,
            points,
        });
        Ok(OpenedLog { entries, loss })
    }

    /// Adds records and removes those whose ids are in one of the ranges, both or neither. After it
    /// returns, this is on disk.
    ///
    /// # Errors
    /// If the disk fails; then the write may or may not have happened. If the file is damaged,
    /// until [`Self::open`] has recovered it.
    pub fn write(
        &mut self,
        records: &[Record],
        removed: &[RangeInclusive<u64>],
    ) -> Result<(), StorageError> {
        let summary = self.with(|database| tables::write(database, records, removed))?;
        self.medium.note(&summary.frame());
        Ok(())
    }

    /// The payloads of all records with these ids, one after the other, and the number of their
    /// points.
    ///
    /// # Errors
    /// Like [`Self::write`].
    pub fn read(&mut self, ids: RangeInclusive<u64>) -> Result<(Bytes, u64), StorageError> {
        self.with(|database| tables::read(database, ids))
    }

    /// Closes the file, so that opening it again is fast and other processes can use it.
    pub fn close(&mut self) {
        let database = self.database.take();
        // The next process that opens the file repairs what fails or panics here.
        drop(catch_unwind(AssertUnwindSafe(|| drop(database))));
    }

    /// The contents, after reading everything.
    fn list(&mut self) -> Result<Vec<RecordEntry>, StorageError> {
        let noted = Summary::unwrap(&self.medium.noted()).unwrap_or_default();
        self.with(|database| tables::list(database, &noted))
    }

    /// Runs an operation on the database, which is opened if necessary, and closed after a failure.
    fn with<T>(
        &mut self,
        work: impl FnOnce(&Database) -> Result<T, redb::Error>,
    ) -> Result<T, StorageError> {
        let (medium, kept) = (&self.medium, self.database.take());
        let (database, result) = guarded(|| {
            let database = match kept {
                Some(database) => database,
                None if medium.is_aside() => {
                    return Err(tables::damage("its recovery is not finished"));
                }
                None => tables::create(medium.as_ref())?,
            };
            let result = work(&database)?;
            Ok((database, result))
        })?;
        self.database = Some(database);
        Ok(result)
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.close();
    }
}

/// Runs an operation on a database. redb panics if it finds data that it never wrote.
fn guarded<T>(work: impl FnOnce() -> Result<T, redb::Error>) -> Result<T, StorageError> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => Ok(result?),
        Err(_panic) => Err(StorageError::Damaged(
            "it makes the database panic".to_owned(),
        )),
    }
}
