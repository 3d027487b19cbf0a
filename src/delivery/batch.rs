//! Collects messages in batches, by size and by age. It has no clock and no network.

use std::{collections::VecDeque, ops::RangeInclusive};

use bytes::Bytes;
use tokio::time::Instant;

use super::{backoff::Backoff, sending_queue::BatchSettings, split::Piece};

/// The data of one request.
#[derive(Debug)]
pub(super) struct Batch {
    /// Its position in the order. A range if batches on disk were joined.
    pub(super) ids: RangeInclusive<u64>,
    /// Encoded messages, one after the other. Together they are one valid message.
    pub(super) payload: Payload,
    /// The size of the payload in bytes.
    pub(super) bytes: u64,
    /// Data points whose result is not known yet.
    pub(super) points: u64,
    /// Data points that are done, because the batch is sent in pieces.
    pub(super) done_points: u64,
    /// The pieces that are left, if the batch is sent in pieces.
    pub(super) pieces: VecDeque<Piece>,
    /// When its first message arrived.
    pub(super) opened: Instant,
    /// When it is sent again, after a failed attempt.
    pub(super) backoff: Option<Backoff>,
}

impl Batch {
    /// Data points of the next request: of the next piece, or of the whole batch.
    pub(super) fn next_points(&self) -> u64 {
        self.pieces
            .front()
            .map_or(self.points, |piece| piece.points)
    }

    /// All data points in its messages.
    pub(super) fn all_points(&self) -> u64 {
        self.points + self.done_points
    }
}

/// Where the messages of a batch are.
#[derive(Debug, Clone)]
pub(super) enum Payload {
    /// Only in memory.
    Memory(Bytes),
    /// In memory, while they are written to disk.
    Writing(Bytes),
    /// Only on disk.
    Disk,
}

/// The batch that is being filled.
#[derive(Debug)]
pub(super) struct Batcher {
    settings: BatchSettings,
    /// Its memory stays from batch to batch.
    payload: Vec<u8>,
    points: u64,
    opened: Option<Instant>,
    /// The id of the next batch. With a disk, the first id is the start time in microseconds, so
    /// that it is larger than the ids of an earlier run.
    pub(super) next_id: u64,
}

impl Batcher {
    pub(super) fn new(settings: BatchSettings) -> Self {
        Self {
            settings,
            payload: Vec::new(),
            points: 0,
            opened: None,
            next_id: 0,
        }
    }

    /// Adds a message. Returns the previous batch if the message does not fit into it.
    pub(super) fn push(&mut self, message: &[u8], points: u64, now: Instant) -> Option<Batch> {
        let bytes = self.bytes() + message.len() as u64;
        let full = (!self.settings.fits(self.points + points, bytes))
            .then(|| self.take())
            .flatten();
        self.payload.extend_from_slice(message);
        self.points += points;
        self.opened.get_or_insert(now);
        full
    }

    /// When the open batch is closed even if it is not full. `None` without an open batch.
    pub(super) fn due(&self) -> Option<Instant> {
        let opened = self.opened?;
        if self.settings.is_enough(self.points, self.bytes()) {
            return Some(opened);
        }
        Some(opened + self.settings.flush_timeout.get())
    }

    /// Closes the open batch.
    pub(super) fn take(&mut self) -> Option<Batch> {
        let opened = self.opened.take()?;
        // The batch may wait for minutes, so it has no more memory than it needs. The next one is
        // about as large, so it is filled in the same place.
        let payload = Bytes::copy_from_slice(&self.payload);
        self.payload.clear();
        self.payload.shrink_to(2 * payload.len());
        let id = self.next_id;
        self.next_id += 1;
        Some(Batch {
            ids: id..=id,
            bytes: payload.len() as u64,
            payload: Payload::Memory(payload),
            points: std::mem::take(&mut self.points),
            done_points: 0,
            pieces: VecDeque::new(),
            opened,
            backoff: None,
        })
    }

    /// Data points in the open batch.
    pub(super) fn points(&self) -> u64 {
        self.points
    }

    /// Bytes in the open batch.
    pub(super) fn bytes(&self) -> u64 {
        self.payload.len() as u64
    }

    /// The configured size of batches.
    pub(super) fn settings(&self) -> &BatchSettings {
        &self.settings
    }

    /// When the first message of the open batch arrived.
    pub(super) fn opened(&self) -> Option<Instant> {
        self.opened
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::delivery::sending_queue::BatchSizer;

    const FLUSH: Duration = Duration::from_secs(1);

    fn batcher(max_bytes: u64) -> Batcher {
        Batcher::new(BatchSettings {
            max_size: Some(max_bytes),
            ..BatchSettings::default()
        })
    }

    #[test]
    fn the_age_of_a_batch_is_that_of_its_first_message() {
        let mut batcher = batcher(100);
        let start = Instant::now();
        assert_eq!(batcher.due(), None);
        batcher.push(b"first", 1, start);
        batcher.push(b"second", 1, start + Duration::from_millis(150));
        assert_eq!(batcher.due(), Some(start + FLUSH));
        batcher.take();
        assert_eq!(batcher.due(), None);
    }

    #[test]
    fn a_batch_that_is_large_enough_does_not_wait() {
        let mut batcher = Batcher::new(BatchSettings {
            min_size: Some(10),
            sizer: BatchSizer::Items,
            ..BatchSettings::default()
        });
        let start = Instant::now();
        batcher.push(b"first", 9, start);
        assert_eq!(batcher.due(), Some(start + FLUSH));
        batcher.push(b"second", 1, start);
        assert_eq!(batcher.due(), Some(start));
        assert!(batcher.push(b"third", 1, start).is_none(), "no upper limit");
    }

    #[test]
    fn the_next_batch_is_filled_in_the_same_place() {
        let mut batcher = batcher(1_000_000);
        let mut fill = |messages: usize| {
            for _ in 0..messages {
                batcher.push(&[7; 100], 1, Instant::now());
            }
            let filled = batcher.payload.capacity();
            let batch = batcher.take().unwrap();
            assert_eq!(batch.bytes, 100 * messages as u64);
            (filled, batcher.payload.capacity())
        };
        let (filled, kept) = fill(100);
        assert_eq!(kept, filled);
        assert_eq!(fill(100), (filled, filled), "no more memory is taken");
        let (_, kept) = fill(1);
        assert_eq!(kept, 200, "what a small batch does not need is given back");
    }

    proptest! {
        #[test]
        fn every_message_is_in_one_batch_in_order(
            sizes in prop::collection::vec(0_usize..60, 0..50),
        ) {
            let (mut batcher, mut batches) = (batcher(50), Vec::new());
            let messages: Vec<Vec<u8>> =
                (0_u8..).zip(&sizes).map(|(mark, size)| vec![mark; *size]).collect();
            for message in &messages {
                batches.extend(batcher.push(message, 1, Instant::now()));
            }
            batches.extend(batcher.take());

            let payloads: Vec<Vec<u8>> = batches.iter().map(|batch| match &batch.payload {
                Payload::Memory(bytes) => bytes.to_vec(),
                other => panic!("{other:?}"),
            }).collect();
            let joined: Vec<u8> = payloads.concat();
            prop_assert_eq!(joined, messages.concat());
            prop_assert_eq!(batches.iter().map(|b| b.points).sum::<u64>(), sizes.len() as u64);
            for payload in &payloads {
                let marks: std::collections::BTreeSet<u8> = payload.iter().copied().collect();
                prop_assert!(payload.len() <= 50 || marks.len() == 1, "a batch above the limit has more than one message");
            }
        }
    }
}
