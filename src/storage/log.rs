//! Records in one file, in the order of their ids.

use std::{
    io,
    ops::RangeInclusive,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use redb::{
    Builder, Database, ReadableDatabase as _, ReadableTable as _, TableDefinition, WriteTransaction,
};

use super::{Error, Medium};

/// Rows by id and part of the record. The first part begins with a [`Head`].
const ROWS: TableDefinition<'_, (u64, u32), &[u8]> = TableDefinition::new("records");

/// The most bytes in a row. redb gives a row more than a page large a power of two of pages; this
/// just fits in sixteen.
const PART_BYTES: usize = 65_536 - 256;

/// redb's page cache. What is written is read once, soon or never.
const CACHE_BYTES: usize = 4 << 20;

/// Records in one file, in the order of their ids.
#[derive(Debug)]
pub struct Log {
    medium: Box<dyn Medium>,
    /// None before the first use and after a failure: only a database that is opened again knows
    /// what is on the disk.
    database: Option<Database>,
}

/// What is written.
#[derive(Debug, Clone)]
pub struct Record {
    /// Its place in the order.
    pub id: u64,
    /// Data points in it.
    pub points: u64,
    /// When it was made, since the Unix epoch.
    pub created: Duration,
    /// What it holds.
    pub payload: Bytes,
}

/// What a log knows of a record without its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Its place in the order.
    pub id: u64,
    /// Data points in it.
    pub points: u64,
    /// Bytes of its payload.
    pub bytes: u64,
    /// When it was made, since the Unix epoch, to the millisecond.
    pub created: Duration,
}

/// What stands before the payload of a record.
struct Head {
    created_ms: u64,
    points: u64,
}

const HEAD_BYTES: usize = 16;

impl Log {
    /// A log on `medium`, not opened yet.
    pub fn new(medium: impl Medium) -> Self {
        Self {
            medium: Box::new(medium),
            database: None,
        }
    }

    /// Opens it, repairs it after a crash, checks all of it, and says what it holds.
    ///
    /// # Errors
    /// If it is in use, damaged, or the disk fails.
    pub fn open(&mut self) -> Result<Vec<Entry>, Error> {
        self.with(list)
    }

    /// Adds records and removes those whose ids are in one of the ranges, both or neither. When
    /// this has returned, that is on disk.
    ///
    /// # Errors
    /// If the disk fails; it may or may not have been done then.
    pub fn write(
        &mut self,
        records: &[Record],
        removed: &[RangeInclusive<u64>],
    ) -> Result<(), Error> {
        self.with(|database| {
            let transaction = database.begin_write()?;
            change(&transaction, records, removed)?;
            Ok(transaction.commit()?)
        })
    }

    /// The payloads of all records with these ids, one after the other, and how many points they
    /// hold.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn read(&mut self, ids: RangeInclusive<u64>) -> Result<(Bytes, u64), Error> {
        self.with(|database| {
            let (mut payload, mut points) = (BytesMut::new(), 0);
            let rows = database.begin_read()?.open_table(ROWS)?;
            for row in rows.range((*ids.start(), 0)..=(*ids.end(), u32::MAX))? {
                let (key, value) = row?;
                let (_, part) = key.value();
                let bytes = value.value();
                if part > 0 {
                    payload.extend_from_slice(bytes);
                    continue;
                }
                let (head, bytes) = Head::split(bytes)?;
                points += head.points;
                payload.extend_from_slice(bytes);
            }
            Ok((payload.freeze(), points))
        })
    }

    /// Takes a damaged file out of the way; an empty one takes its place. Says where the damaged
    /// one is.
    ///
    /// # Errors
    /// What the disk says.
    pub fn set_aside(&mut self) -> io::Result<PathBuf> {
        self.close();
        self.medium.set_aside()
    }

    /// Closes the file, so that opening it again is quick and others can have it.
    pub fn close(&mut self) {
        let database = self.database.take();
        // What fails or panics here is repaired by the next one who opens it.
        drop(catch_unwind(AssertUnwindSafe(|| drop(database))));
    }

    /// Does something with the database, which is opened if need be, and closed if that fails. redb
    /// panics where it finds what it never wrote.
    fn with<T>(
        &mut self,
        work: impl FnOnce(&Database) -> Result<T, redb::Error>,
    ) -> Result<T, Error> {
        let (medium, kept) = (&self.medium, self.database.take());
        let attempt = catch_unwind(AssertUnwindSafe(|| -> Result<_, redb::Error> {
            let database = match kept {
                Some(database) => database,
                None => open(medium.as_ref())?,
            };
            let result = work(&database)?;
            Ok((database, result))
        }));
        match attempt {
            Ok(Ok((database, result))) => {
                self.database = Some(database);
                Ok(result)
            }
            Ok(Err(error)) => Err(error.into()),
            Err(_panic) => Err(Error::Damaged("it makes the database panic".to_owned())),
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.close();
    }
}

fn open(medium: &dyn Medium) -> Result<Database, redb::Error> {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES);
    builder.set_check_integrity_on_open(true);
    let database = medium.open(&builder)?;
    let transaction = database.begin_write()?;
    transaction.open_table(ROWS)?; // so that it is there to be read
    transaction.commit()?;
    Ok(database)
}

fn list(database: &Database) -> Result<Vec<Entry>, redb::Error> {
    let mut entries: Vec<Entry> = Vec::new();
    let rows = database.begin_read()?.open_table(ROWS)?;
    for row in rows.iter()? {
        let (key, value) = row?;
        let (id, part) = key.value();
        let bytes = value.value();
        if part > 0 {
            if let Some(entry) = entries.last_mut().filter(|entry| entry.id == id) {
                entry.bytes += bytes.len() as u64;
            }
            continue;
        }
        let (head, payload) = Head::split(bytes)?;
        entries.push(Entry {
            id,
            points: head.points,
            bytes: payload.len() as u64,
            created: Duration::from_millis(head.created_ms),
        });
    }
    Ok(entries)
}

fn change(
    transaction: &WriteTransaction,
    records: &[Record],
    removed: &[RangeInclusive<u64>],
) -> Result<(), redb::Error> {
    let mut rows = transaction.open_table(ROWS)?;
    for record in records {
        let head = Head {
            created_ms: u64::try_from(record.created.as_millis()).unwrap_or(u64::MAX),
            points: record.points,
        };
        let mut first = BytesMut::from(head.bytes().as_slice());
        let in_first = record.payload.len().min(PART_BYTES - HEAD_BYTES);
        first.extend_from_slice(&record.payload.slice(..in_first));
        rows.insert((record.id, 0), first.as_ref())?;
        let rest = record.payload.slice(in_first..);
        for (part, bytes) in (1..).zip(rest.chunks(PART_BYTES)) {
            rows.insert((record.id, part), bytes)?;
        }
    }
    for ids in removed {
        let keys = (*ids.start(), 0)..=(*ids.end(), u32::MAX);
        rows.retain_in(keys, |_, _| false)?;
    }
    Ok(())
}

impl Head {
    fn bytes(&self) -> [u8; HEAD_BYTES] {
        let mut bytes = [0; HEAD_BYTES];
        let (created, points) = bytes.split_at_mut(HEAD_BYTES / 2);
        created.copy_from_slice(&self.created_ms.to_le_bytes());
        points.copy_from_slice(&self.points.to_le_bytes());
        bytes
    }

    /// The head of a record and the beginning of its payload.
    fn split(bytes: &[u8]) -> Result<(Self, &[u8]), redb::Error> {
        let parts = bytes.split_first_chunk().and_then(|(created, rest)| {
            let (points, payload) = rest.split_first_chunk()?;
            Some((*created, *points, payload))
        });
        let headless = || redb::Error::Corrupted("a record without its head".to_owned());
        let (created, points, payload) = parts.ok_or_else(headless)?;
        let head = Self {
            created_ms: u64::from_le_bytes(created),
            points: u64::from_le_bytes(points),
        };
        Ok((head, payload))
    }
}
