//! Copies what can be read of a damaged file to a new one. It does not trust the structure of the
//! file: it finds each part of a record by its mark, and takes it if it is intact.

use std::{
    collections::BTreeMap,
    io::{self, Read as _, SeekFrom},
    path::PathBuf,
    time::Duration,
};

use bytes::BytesMut;
use redb::Database;

use super::{
    Backend, Quarantined, Record,
    frame::{self, FrameKind},
    record::{ROW_BYTES, RecordPart},
    summary::Summary,
    tables,
};

/// How much of the file is read at once.
const STEP_BYTES: u64 = 1 << 20;

/// How much is written at once.
const WRITE_BYTES: usize = 16 << 20;

/// The new log, the path of the damaged one, and the number of lost data points; `None` if it is
/// unknown.
pub(super) type Recovered = (Database, PathBuf, Option<u64>);

/// Creates a new log from what can be read of the damaged one, which is renamed. If the process
/// ends before this returns, it starts again from the beginning.
pub(super) fn salvage(
    medium: &dyn Backend,
    create: impl FnOnce() -> Result<Database, redb::Error>,
) -> Result<Recovered, redb::Error> {
    let mut file = medium.quarantine()?;
    let mut found = scan(&mut *file)?;
    let noted = Summary::unwrap(&medium.noted());
    let summary = found.summary.take().into_iter().chain(noted);
    let summary = summary.max_by_key(|summary| summary.change);
    let known = summary.clone().unwrap_or_default();
    let records = found.records(|id, change| summary.is_none() || known.holds(id, change));
    // Records that are newer than the summary come in addition.
    let newer = records
        .values()
        .filter(|places| places[0].change > known.change);
    let expected = known.points + newer.map(|places| places[0].points).sum::<u64>();

    let database = create()?;
    let latest = records.values().map(|places| places[0].change).max();
    tables::begin(&database, latest.unwrap_or_default().max(known.change))?;
    let after = copy(&mut *file, records.into_values(), &database)?;
    let aside = medium.finish_recovery()?;
    medium.note(&after.frame());
    let lost = summary.map(|_| expected.saturating_sub(after.points));
    Ok((database, aside, lost))
}

fn copy(
    file: &mut dyn Quarantined,
    records: impl Iterator<Item = Vec<PartLocation>>,
    to: &Database,
) -> Result<Summary, redb::Error> {
    let (mut gathered, mut bytes) = (Vec::new(), 0);
    for places in records {
        let record = read(file, &places)?;
        bytes += record.payload.len();
        gathered.push(record);
        if bytes > WRITE_BYTES {
            tables::write(to, &gathered, &[])?;
            gathered.clear();
            bytes = 0;
        }
    }
    tables::write(to, &gathered, &[])
}

/// Where a part is in the file, and what it says about its record.
#[derive(Debug, Clone, Copy)]
struct PartLocation {
    offset: u64,
    bytes: usize,
    change: u64,
    count: u64,
    points: u64,
}

/// The contents of a file.
#[derive(Debug, Default)]
struct RecoveredParts {
    /// By the id of the record, the number of the change that wrote it, and the number of the part.
    parts: BTreeMap<(u64, u64, u64), PartLocation>,
    /// The newest summary.
    summary: Option<Summary>,
}

/// Searches the whole file for frames.
fn scan(file: &mut dyn Quarantined) -> io::Result<RecoveredParts> {
    let (mut found, mut window, mut offset) = (RecoveredParts::default(), Vec::new(), 0_u64);
    file.seek(SeekFrom::Start(0))?;
    loop {
        let is_end = (&mut *file).take(STEP_BYTES).read_to_end(&mut window)? == 0;
        let mut at = 0;
        let rest = loop {
            match frame::find(&window, at) {
                None => break window.len(),
                // The frame may continue in data that is not read yet.
                Some(next) if !is_end && window.len() - next < ROW_BYTES => break next,
                Some(next) => at = next + found.take(&window[next..], offset + next as u64),
            }
        };
        if is_end {
            return Ok(found);
        }
        window.drain(..rest);
        offset += rest as u64;
    }
}

impl RecoveredParts {
    /// Takes the frame at the start of `bytes`, if there is one. Returns the number of processed
    /// bytes.
    fn take(&mut self, bytes: &[u8], offset: u64) -> usize {
        let Some((kind, content)) = frame::unwrap(bytes) else {
            return 1;
        };
        let bytes = frame::HEAD_BYTES + content.len();
        match kind {
            FrameKind::Part => {
                let place = |part: RecordPart<'_>| {
                    let place = PartLocation {
                        offset,
                        bytes,
                        change: part.change,
                        count: part.count,
                        points: part.points,
                    };
                    ((part.id, part.change, part.number), place)
                };
                self.parts.extend(RecordPart::read(content).map(place));
            }
            FrameKind::Summary => {
                let both = self
                    .summary
                    .take()
                    .into_iter()
                    .chain(Summary::read(content));
                self.summary = both.max_by_key(|summary| summary.change);
            }
        }
        bytes
    }

    /// The parts of each complete record that the log should have, by its id; the newest ones if
    /// there are several.
    fn records(self, holds: impl Fn(u64, u64) -> bool) -> BTreeMap<u64, Vec<PartLocation>> {
        let parts: Vec<_> = self.parts.into_iter().collect();
        let of_one = parts.chunk_by(|((id, change, _), _), ((other, later, _), _)| {
            (id, change) == (other, later)
        });
        let whole = of_one.filter_map(|parts| {
            let ((id, change, _), place) = parts.first()?;
            let is_whole = parts.len() as u64 == place.count;
            let places = || parts.iter().map(|(_, place)| *place).collect();
            (is_whole && holds(*id, *change)).then(|| (*id, places()))
        });
        whole.collect()
    }
}

/// The record whose parts are at these places.
fn read(file: &mut dyn Quarantined, places: &[PartLocation]) -> io::Result<Record> {
    let changed = || io::Error::other("the file has changed");
    let (mut row, mut payload, mut first) = (Vec::new(), BytesMut::new(), None);
    for place in places {
        row.resize(place.bytes, 0);
        file.seek(SeekFrom::Start(place.offset))?;
        file.read_exact(&mut row)?;
        let part = RecordPart::unwrap(&row).ok_or_else(changed)?;
        payload.extend_from_slice(part.payload);
        first.get_or_insert((part.id, part.points, part.created_ms));
    }
    let (id, points, created_ms) = first.ok_or_else(changed)?;
    Ok(Record {
        id,
        points,
        created: Duration::from_millis(created_ms),
        payload: payload.freeze(),
    })
}
