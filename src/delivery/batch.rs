//! Points become batches: by size and by age. No clock, no network.

use std::{collections::VecDeque, ops::RangeInclusive};

use bytes::Bytes;
use tokio::time::Instant;

use super::{backoff::Backoff, sending_queue::BatchSettings, split::Piece};

/// What is sent with one request.
#[derive(Debug)]
pub(super) struct Batch {
    /// Its place in the order; several where batches on disk were joined.
    pub(super) ids: RangeInclusive<u64>,
    /// Encoded messages, one after the other; together they are one valid message.
    pub(super) payload: Payload,
    /// Bytes of it.
    pub(super) bytes: u64,
    /// Data points in it of which it is not known yet what became of them.
    pub(super) points: u64,
    /// Data points in it that are done with, because it is sent in pieces.
    pub(super) done_points: u64,
    /// What is left to be sent of it, if it is sent in pieces.
    pub(super) pieces: VecDeque<Piece>,
    /// When its first message came.
    pub(super) opened: Instant,
    /// When it is tried again, once an attempt has failed.
    pub(super) backoff: Option<Backoff>,
}

impl Batch {
    /// Data points of the next request: of the next piece, or of all of it.
    pub(super) fn next_points(&self) -> u64 {
        self.pieces
            .front()
            .map_or(self.points, |piece| piece.points)
    }

    /// Data points that its messages hold.
    pub(super) fn all_points(&self) -> u64 {
        self.points + self.done_points
    }
}

/// Where the messages of a batch are.
#[derive(Debug, Clone)]
pub(super) enum Payload {
    /// In memory only.
    Memory(Bytes),
    /// In memory, and being written to disk.
    Writing(Bytes),
    /// On disk.
    Disk,
}

/// The batch that is being filled.
#[derive(Debug)]
pub(super) struct Batcher {
    settings: BatchSettings,
    payload: Vec<u8>,
    points: u64,
    opened: Option<Instant>,
    /// The id of the next batch. With a disk, the first one is the time at which we started, in
    /// microseconds, so that it is larger than those of an earlier run.
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

    /// Adds a message. Returns the batch before it if the message no longer fits in there.
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

    /// When the open batch is to be closed although it is not full; none if there is none.
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
        let mut payload = std::mem::take(&mut self.payload);
        // It may wait for minutes; what it reserved in growing can be twice its size.
        payload.shrink_to_fit();
        let id = self.next_id;
        self.next_id += 1;
        Some(Batch {
            ids: id..=id,
            bytes: payload.len() as u64,
            payload: Payload::Memory(payload.into()),
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

    /// How large batches are.
    pub(super) fn settings(&self) -> &BatchSettings {
        &self.settings
    }

    /// When the first message of the open batch came.
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

    const FLUSH: Duration = Duration::from_millis(200);

    fn batcher(max_bytes: u64) -> Batcher {
        Batcher::new(BatchSettings {
            max_size: Some(max_bytes),
            ..BatchSettings::default()
        })
    }

    #[test]
    fn the_age_is_that_of_the_first_message() {
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
    fn what_is_large_enough_does_not_wait() {
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
        assert!(batcher.push(b"third", 1, start).is_none(), "no limit above");
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
                prop_assert!(payload.len() <= 50 || marks.len() == 1, "too large, not alone");
            }
        }
    }
}
