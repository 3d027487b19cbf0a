//! Batches in the order in which they are to be sent, within bounds. No clock, no network.

use std::collections::VecDeque;

use super::{batch::Batch, config::SendingQueue};

/// Batches that wait and those that are being sent. The latter keep their place in the bounds
/// until it is known what became of them.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: VecDeque<Batch>,
    held: Amount,
    limit: Amount,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Amount {
    batches: usize,
    bytes: u64,
    points: u64,
}

impl Queue {
    pub(super) fn new(settings: &SendingQueue) -> Self {
        Self {
            waiting: VecDeque::new(),
            held: Amount::default(),
            limit: Amount {
                batches: if settings.enabled {
                    settings.queue_size
                } else {
                    1
                },
                bytes: settings.queue_bytes.get(),
                points: u64::MAX,
            },
        }
    }

    /// Takes a new batch, or gives it back if it is full.
    pub(super) fn push(&mut self, batch: Batch) -> Result<(), Batch> {
        let bytes = self.held.bytes + batch.payload.len() as u64;
        if !self.has_room() || bytes > self.limit.bytes {
            return Err(batch);
        }
        self.held.batches += 1;
        self.held.bytes = bytes;
        self.held.points += batch.points;
        self.waiting.push_back(batch);
        Ok(())
    }

    /// Whether one more batch could be held.
    pub(super) fn has_room(&self) -> bool {
        self.held.batches < self.limit.batches
    }

    /// Whether no batch waits; some may be being sent.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Hands out the next batch, which then comes back by one of the three ways below.
    pub(super) fn next(&mut self) -> Option<Batch> {
        self.waiting.pop_front()
    }

    /// Takes a batch back to where it was: order is kept.
    pub(super) fn put_first(&mut self, batch: Batch) {
        self.waiting.push_front(batch);
    }

    /// Forgets a batch that was sent or dropped.
    pub(super) fn release(&mut self, batch: &Batch) {
        self.held.batches -= 1;
        self.held.bytes -= batch.payload.len() as u64;
        self.held.points -= batch.points;
    }

    /// Makes every waiting batch ready to be sent at once.
    pub(super) fn hurry(&mut self) {
        for batch in &mut self.waiting {
            batch.backoff = None;
        }
    }

    /// Forgets everything, also what is being sent.
    pub(super) fn clear(&mut self) {
        self.waiting.clear();
        self.held = Amount::default();
    }

    /// Batches held.
    pub(super) fn batches(&self) -> usize {
        self.held.batches
    }

    /// The most batches that can be held.
    pub(super) fn capacity(&self) -> usize {
        self.limit.batches
    }

    /// Data points held.
    pub(super) fn points(&self) -> u64 {
        self.held.points
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::ByteSize;

    fn batch(bytes: usize) -> Batch {
        Batch {
            payload: vec![0; bytes].into(),
            points: 1,
            backoff: None,
        }
    }

    fn queue(queue_size: usize) -> Queue {
        Queue::new(&SendingQueue {
            queue_size,
            queue_bytes: ByteSize::from_mib(1),
            ..SendingQueue::default()
        })
    }

    #[test]
    fn what_is_being_sent_keeps_its_place() {
        let mut queue = queue(2);
        queue.push(batch(1)).unwrap();
        queue.push(batch(2)).unwrap();
        let sending = queue.next().unwrap();
        assert!(queue.push(batch(3)).is_err(), "still full");
        queue.put_first(sending);
        let sending = queue.next().unwrap();
        assert_eq!(sending.payload.len(), 1, "the same again");
        queue.release(&sending);
        queue.push(batch(3)).unwrap();
        assert_eq!((queue.batches(), queue.points()), (2, 2));
    }

    #[test]
    fn bytes_are_bounded_too() {
        let mut queue = queue(1000);
        queue.push(batch(1 << 19)).unwrap();
        queue.push(batch(1 << 19)).unwrap();
        assert!(queue.push(batch(1)).is_err());
    }
}
