//! The two tables of a log in redb: the parts of its records, and their summary.

use std::{ops::RangeInclusive, time::Duration};

use bytes::{Bytes, BytesMut};
use redb::{
    Builder, Database, ReadableDatabase as _, ReadableTable, TableDefinition, WriteTransaction,
};

use super::{
    Backend, Record, RecordEntry,
    record::{ROW_BYTES, RecordPart},
    summary::Summary,
};

/// Parts, by the id of their record and their number in it.
const PARTS: TableDefinition<'_, (u64, u64), &[u8]> = TableDefinition::new("parts");

/// One row: the summary of the records.
const SUMMARY: TableDefinition<'_, (), &[u8]> = TableDefinition::new("summary");

/// redb's page cache. Written data is read once, soon or never.
const CACHE_BYTES: usize = 4 << 20;

/// Opens the database, and creates its tables if it is new.
pub(super) fn create(medium: &dyn Backend) -> Result<Database, redb::Error> {
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
pub(super) fn list(database: &Database, noted: &Summary) -> Result<Vec<RecordEntry>, redb::Error> {
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

/// The payloads of all records with these ids, one after the other, and the number of their points.
pub(super) fn read(
    database: &Database,
    ids: RangeInclusive<u64>,
) -> Result<(Bytes, u64), redb::Error> {
    let (mut payload, mut points) = (BytesMut::new(), 0);
    let parts = database.begin_read()?.open_table(PARTS)?;
    each_part(&parts, ids, |part| {
        payload.extend_from_slice(part.payload);
        points += if part.number == 0 { part.points } else { 0 };
    })?;
    Ok((payload.freeze(), points))
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

/// The error of a damaged database.
pub(super) fn damage(what: &str) -> redb::Error {
    redb::Error::Corrupted(what.to_owned())
}
