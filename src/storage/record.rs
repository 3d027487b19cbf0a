//! Records, and the parts in which they are written.

use std::time::Duration;

use bytes::Bytes;

use super::frame::{self, FrameKind, HEAD_BYTES, number};

/// The most bytes in a row. redb gives a row larger than a page a power of two of pages; this just
/// fits into sixteen.
pub(super) const ROW_BYTES: usize = 65_536 - 256;

/// The most payload bytes in one part.
const PART_BYTES: usize = ROW_BYTES - HEAD_BYTES - PART_HEAD_BYTES;

const PART_HEAD_BYTES: usize = 6 * 8;

/// A record to write.
#[derive(Debug, Clone)]
pub struct Record {
    /// Its position in the order.
    pub id: u64,
    /// Its data points.
    pub points: u64,
    /// When it was created, since the Unix epoch.
    pub created: Duration,
    /// Its content.
    pub payload: Bytes,
}

/// What a log knows of a record without its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordEntry {
    /// Its position in the order.
    pub id: u64,
    /// Its data points.
    pub points: u64,
    /// The size of its payload in bytes.
    pub bytes: u64,
    /// When it was created, since the Unix epoch, in milliseconds.
    pub created: Duration,
}

/// A part of a record. It identifies its record by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RecordPart<'a> {
    pub(super) id: u64,
    /// The number of the change that wrote it.
    pub(super) change: u64,
    /// Its position in the record, from 0.
    pub(super) number: u64,
    /// The number of parts of the record.
    pub(super) count: u64,
    pub(super) created_ms: u64,
    /// The data points of the whole record.
    pub(super) points: u64,
    pub(super) payload: &'a [u8],
}

impl Record {
    /// The parts in which it is written, at least one.
    pub(super) fn parts(&self, change: u64) -> impl Iterator<Item = RecordPart<'_>> {
        let pieces = self.payload.chunks(PART_BYTES);
        let count = pieces.len().max(1);
        let nothing = (self.payload.is_empty()).then_some(&[][..]);
        (0..)
            .zip(pieces.chain(nothing))
            .map(move |(number, payload)| RecordPart {
                id: self.id,
                change,
                number,
                count: count as u64,
                created_ms: u64::try_from(self.created.as_millis()).unwrap_or(u64::MAX),
                points: self.points,
                payload,
            })
    }
}

impl<'a> RecordPart<'a> {
    /// The part as it is written.
    pub(super) fn frame(&self) -> Vec<u8> {
        let Self {
            id,
            change,
            number,
            count,
            created_ms,
            points,
            payload,
        } = *self;
        let head = [id, change, number, count, created_ms, points].map(u64::to_le_bytes);
        frame::wrap(FrameKind::Part, &[head.as_flattened(), payload])
    }

    /// Reads the content of a frame.
    pub(super) fn read(mut content: &'a [u8]) -> Option<Self> {
        let mut next = || number(&mut content);
        let [id, change] = [next()?, next()?];
        let [number, count, created_ms, points] = [next()?, next()?, next()?, next()?];
        Some(Self {
            id,
            change,
            number,
            count,
            created_ms,
            points,
            payload: content,
        })
    }

    /// Reads a frame.
    pub(super) fn unwrap(frame: &'a [u8]) -> Option<Self> {
        match frame::unwrap(frame)? {
            (FrameKind::Part, content) => Self::read(content),
            (FrameKind::Summary, _) => None,
        }
    }
}
