//! Records in one file, in the order of their ids.

use std::{
    ops::RangeInclusive,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use redb::{
    Builder, Database, ReadableDatabase as _, ReadableTable, TableDefinition, WriteTransaction,
};

use super::{
    Backend, Record, RecordEntry, StorageError,
    record::{ROW_BYTES, RecordPart},
    recovery,
    summary::Summary,
};

/// Parts, by the id of their record and their number in it.
const PARTS: TableDefinition<'_, (u64, u64), &[u8]> = TableDefinition::new("parts");

/// One row: the summary of the records.
const SUMMARY: TableDefinition<'_, (), &[u8]> = TableDefinition::new("summary");

/// redb's page cache. Written data is read once, soon or never.
const CACHE_BYTES: usize = 4 << 20;

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
            guarded(|| recovery::salvage(medium, || create(medium)))?
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
        let summary = self.with(|database| write(database, records, removed))?;
        self.medium.note(&summary.frame());
        Ok(())
    }

    /// The payloads of all records with these ids, one after the other, and the number of their
    /// points.
    ///
    /// # Errors
    /// Like [`Self::write`].
    pub fn read(&mut self, ids: RangeInclusive<u64>) -> Result<(Bytes, u64), StorageError> {
        self.with(|database| {
            let (mut payload, mut points) = (BytesMut::new(), 0);
            let parts = database.begin_read()?.open_table(PARTS)?;
            each_part(&parts, ids, |part| {
                payload.extend_from_slice(part.payload);
                points += if part.number == 0 { part.points } else { 0 };
            })?;
            Ok((payload.freeze(), points))
        })
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
        self.with(|database| list(database, &noted))
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
                None if medium.is_aside() => return Err(damage("its recovery is not finished")),
                None => create(medium.as_ref())?,
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

fn create(medium: &dyn Backend) -> Result<Database, redb::Error> {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES);
    builder.set_check_integrity_on_open(true);
    let database = medium.open(&builder)?;
    // Nothing is written to an existing database: it may turn out to be damaged.
    if database.begin_read()?.list_tables()?.next().is_none() {
        let transaction = database.begin_write()?;
        transaction.open_table(PARTS)?; // so that the tables exist for readers
        transaction.open_table(SUMMARY)?;
        transaction.commit()?;
    }
    Ok(database)
}

/// The contents. They are incomplete if they have less than the sidecar file says: then the damage
/// is where redb returns to an older state.
fn list(database: &Database, noted: &Summary) -> Result<Vec<RecordEntry>, redb::Error> {
    let mut entries: Vec<RecordEntry> = Vec::new();
    let transaction = database.begin_read()?;
    each_part(&transaction.open_table(PARTS)?, 0..=u64::MAX, |part| {
        let bytes = part.payload.len() as u64;
        match entries.last_mut() {
            Some(entry) if part.number > 0 => entry.bytes += bytes,
            _ => entries.push(RecordEntry {
                id: part.id,
                points: part.points,
                bytes,
                created: Duration::from_millis(part.created_ms),
            }),
        }
    })?;
    let summary = summary(&transaction.open_table(SUMMARY)?)?;
    if summary.change < noted.change {
        return Err(damage("the last write is missing"));
    }
    if summary.points != entries.iter().map(|entry| entry.points).sum::<u64>() {
        return Err(damage("a record is missing"));
    }
    Ok(entries)
}

/// Visits all parts of the records with these ids.
fn each_part(
    parts: &impl ReadableTable<(u64, u64), &'static [u8]>,
    ids: RangeInclusive<u64>,
    mut visit: impl FnMut(&RecordPart<'_>),
) -> Result<(), redb::Error> {
    let mut next = None;
    for row in parts.range((*ids.start(), 0)..=(*ids.end(), u64::MAX))? {
        let (key, row) = row?;
        let part = RecordPart::unwrap(row.value());
        let part = part.filter(|part| (part.id, part.number) == key.value());
        let part = part.ok_or_else(|| damage("a record has changed"))?;
        if next.unwrap_or((part.id, 0)) != (part.id, part.number) {
            return Err(damage("a part of a record is missing"));
        }
        visit(&part);
        let more = part.number + 1 < part.count;
        next = more.then_some((part.id, part.number + 1));
    }
    match next {
        None => Ok(()),
        Some(_) => Err(damage("a part of a record is missing")),
    }
}

/// Adds and removes records. Returns the new summary.
pub(super) fn write(
    database: &Database,
    records: &[Record],
    removed: &[RangeInclusive<u64>],
) -> Result<Summary, redb::Error> {
    let transaction = database.begin_write()?;
    let before = summary(&transaction.open_table(SUMMARY)?)?;
    let after = change(&transaction, before, records, removed)?;
    set_summary(&transaction, &after)?;
    transaction.commit()?;
    Ok(after)
}

/// Continues an empty log after this number of changes.
pub(super) fn begin(database: &Database, change: u64) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    set_summary(&transaction, &Summary::empty(change))?;
    Ok(transaction.commit()?)
}

fn change(
    transaction: &WriteTransaction,
    mut summary: Summary,
    records: &[Record],
    removed: &[RangeInclusive<u64>],
) -> Result<Summary, redb::Error> {
    summary.change += 1;
    let mut parts = transaction.open_table(PARTS)?;
    for record in records {
        for part in record.parts(summary.change) {
            let frame = part.frame();
            debug_assert!(frame.len() <= ROW_BYTES);
            let known = parts.insert((part.id, part.number), frame.as_slice())?;
            // A write that failed may have happened anyway.
            if part.number == 0 && known.is_none() {
                summary.points += part.points;
            }
        }
    }
    for ids in removed {
        let keys = (*ids.start(), 0)..=(*ids.end(), u64::MAX);
        parts.retain_in(keys, |(_, number), row| {
            let part = RecordPart::unwrap(row).filter(|_| number == 0);
            summary.points -= part.map_or(0, |part| part.points).min(summary.points);
            false
        })?;
    }
    let id =
        |row: Option<(redb::AccessGuard<'_, (u64, u64)>, _)>| row.map(|(key, _)| key.value().0);
    let ids = id(parts.first()?).zip(id(parts.last()?));
    summary.span(ids.map(|(first, last)| first..=last), removed);
    Ok(summary)
}

fn summary(table: &impl ReadableTable<(), &'static [u8]>) -> Result<Summary, redb::Error> {
    match table.get(())? {
        None => Ok(Summary::default()),
        Some(row) => {
            let summary = Summary::unwrap(row.value());
            summary.ok_or_else(|| damage("the summary has changed"))
        }
    }
}

fn set_summary(transaction: &WriteTransaction, summary: &Summary) -> Result<(), redb::Error> {
    let mut table = transaction.open_table(SUMMARY)?;
    table.insert((), summary.frame().as_slice())?;
    Ok(())
}

fn damage(what: &str) -> redb::Error {
    redb::Error::Corrupted(what.to_owned())
}
