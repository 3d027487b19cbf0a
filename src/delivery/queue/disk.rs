//! The part of a queue that is on disk.

use std::{collections::BTreeMap, ops::RangeInclusive};

use bytes::Bytes;
use tokio::time::Instant;

use super::{Queue, QueuedAmount};
use crate::delivery::{
    batch::{Batch, Payload},
    sending_queue::BatchSettings,
};

/// A batch to write.
#[derive(Debug)]
pub(in crate::delivery) struct ToWrite {
    /// Its position in the order.
    pub(in crate::delivery) id: u64,
    /// Its data points.
    pub(in crate::delivery) points: u64,
    /// When its first message arrived.
    pub(in crate::delivery) opened: Instant,
    /// Its messages.
    pub(in crate::delivery) payload: Bytes,
}

impl Queue {
    /// Takes the batches that are only in memory: at least one, and together at most `max_bytes`.
    /// They are being written until [`Self::written`].
    pub(in crate::delivery) fn take_to_write(&mut self, max_bytes: u64) -> Vec<ToWrite> {
        let (mut taken, mut bytes) = (Vec::new(), 0);
        for batch in &mut self.waiting {
            let Payload::Memory(payload) = &batch.payload else {
                continue;
            };
            bytes += batch.bytes;
            if bytes > max_bytes && !taken.is_empty() {
                break;
            }
            let payload = payload.clone();
            batch.payload = Payload::Writing(payload.clone());
            taken.push(ToWrite {
                id: *batch.ids.start(),
                points: batch.all_points(),
                opened: batch.opened,
                payload,
            });
        }
        taken
    }

    /// Records whether the write succeeded. Neighboring batches on disk that fit together are
    /// joined. Returns the number of points that are newly on disk.
    pub(in crate::delivery) fn written(&mut self, success: bool, settings: &BatchSettings) -> u64 {
        let mut points = 0;
        for mut batch in std::mem::take(&mut self.waiting) {
            if let Payload::Writing(payload) = batch.payload {
                batch.payload = match success {
                    true => Payload::Disk,
                    false => Payload::Memory(payload),
                };
                if success {
                    points += batch.points;
                    self.on_disk.add(QueuedAmount::of(&batch));
                }
            }
            self.append(batch, settings);
        }
        points
    }

    /// Adds the batches found on disk before those that have arrived since. The latter get new ids
    /// only if the clock was set back since the last run. Returns the id of the next batch:
    /// `next_id` if no id changed.
    pub(in crate::delivery) fn restore(
        &mut self,
        found: Vec<Batch>,
        next_id: u64,
        settings: &BatchSettings,
    ) -> u64 {
        let new = std::mem::take(&mut self.waiting);
        let free = found.last().map_or(0, |batch| batch.ids.end() + 1);
        let first = new.front().map_or(next_id, |batch| *batch.ids.start());
        for batch in found {
            self.held.add(QueuedAmount::of(&batch));
            self.on_disk.add(QueuedAmount::of(&batch));
            self.append(batch, settings);
        }
        if free <= first {
            self.waiting.extend(new);
            return next_id;
        }
        let ids = free..;
        for (mut batch, id) in new.into_iter().zip(ids) {
            batch.ids = id..=id;
            self.waiting.push_back(batch);
        }
        self.waiting.back().map_or(free, |last| last.ids.end() + 1)
    }

    /// Removes waiting batches on disk that are not among `found`. Returns the number of lost
    /// points, and the ids in `found` that neither wait nor are being sent.
    pub(in crate::delivery) fn keep(
        &mut self,
        found: Vec<Batch>,
        settings: &BatchSettings,
    ) -> (u64, Vec<RangeInclusive<u64>>) {
        let (before, mut unknown) = (self.held.points, Vec::new());
        let mut found: BTreeMap<u64, Batch> = found
            .into_iter()
            .map(|batch| (*batch.ids.start(), batch))
            .collect();
        for batch in std::mem::take(&mut self.waiting) {
            let left: Vec<_> = found.extract_if(batch.ids.clone(), |_, _| true).collect();
            let found_points: u64 = left.iter().map(|(_, one)| one.points).sum();
            let is_begun = !batch.pieces.is_empty();
            let is_whole = is_begun && found_points == batch.all_points();
            if !matches!(batch.payload, Payload::Disk) || is_whole {
                self.waiting.push_back(batch);
                continue;
            }
            self.forget(&batch);
            if is_begun {
                // It is not known whether the remaining ones were sent already.
                unknown.extend(left.into_iter().map(|(_, one)| one.ids));
                continue;
            }
            for (_, one) in left {
                self.held.add(QueuedAmount::of(&one));
                self.on_disk.add(QueuedAmount::of(&one));
                self.append(one, settings);
            }
        }
        let is_sending = |id: &u64| self.sending.iter().any(|(ids, _)| ids.contains(id));
        let others = found.keys().filter(|id| !is_sending(id));
        unknown.extend(others.map(|id| *id..=*id));
        (before - self.held.points, unknown)
    }

    /// The next batch, which stays in its place, and whether others wait after it.
    pub(in crate::delivery) fn front(&self) -> Option<(&Batch, bool)> {
        Some((self.waiting.front()?, self.waiting.len() > 1))
    }

    /// The part of the held batches that is on disk.
    pub(in crate::delivery) fn on_disk(&self) -> QueuedAmount {
        self.on_disk
    }

    /// Whether a batch is being sent.
    pub(in crate::delivery) fn is_sending(&self) -> bool {
        !self.sending.is_empty()
    }

    /// Whether a waiting batch is not on disk.
    pub(in crate::delivery) fn has_unwritten(&self) -> bool {
        let on_disk = |batch: &Batch| matches!(batch.payload, Payload::Disk);
        self.waiting.iter().any(|batch| !on_disk(batch))
    }

    fn append(&mut self, batch: Batch, settings: &BatchSettings) {
        let joins = |last: &Batch| {
            let both_on_disk = matches!(
                (&last.payload, &batch.payload),
                (Payload::Disk, Payload::Disk)
            );
            both_on_disk
                && last.backoff.is_none()
                && batch.backoff.is_none()
                && last.pieces.is_empty()
                && batch.pieces.is_empty()
                && last.ids.end() + 1 == *batch.ids.start()
                && settings.fits(last.points + batch.points, last.bytes + batch.bytes)
        };
        match self.waiting.back_mut().filter(|last| joins(last)) {
            Some(last) => {
                last.ids = *last.ids.start()..=*batch.ids.end();
                last.bytes += batch.bytes;
                last.points += batch.points;
                self.held.batches -= 1;
                self.on_disk.batches -= 1;
            }
            None => self.waiting.push_back(batch),
        }
    }
}
