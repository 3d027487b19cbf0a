//! Records, and the parts in which they are written.

use std::time::Duration;

use bytes::Bytes;

use super::frame::{self, FrameKind, HEAD_BYTES, number};

/// The most bytes in a row. redb gives a row more than a page large a power of two of pages; this
/// just fits in sixteen.
pub(super) const ROW_BYTES: usize = 65_536 - 256;

/// The most bytes of payload in one part.
const PART_BYTES: usize = ROW_BYTES - HEAD_BYTES - PART_HEAD_BYTES;

const PART_HEAD_BYTES: usize = 6 * 8;

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
pub struct RecordEntry {
    /// Its place in the order.
    pub id: u64,
    /// Data points in it.
    pub points: u64,
    /// Bytes of its payload.
    pub bytes: u64,
    /// When it was made, since the Unix epoch, to the millisecond.
    pub created: Duration,
}

/// A part of a record. It says by itself what it is a part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RecordPart<'a> {
    pub(super) id: u64,
    /// The change with which it was written.
    pub(super) change: u64,
    /// Its place in the record, from 0.
    pub(super) number: u64,
    /// How many parts the record has.
    pub(super) count: u64,
    pub(super) created_ms: u64,
    /// Data points in the whole record.
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
    /// As it is written.
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

    /// Reads what stands in a frame.
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
