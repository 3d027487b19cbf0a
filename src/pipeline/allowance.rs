//! A memory limit that several users share. Each part is returned when it is dropped.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// A limit in bytes for all users.
#[derive(Debug)]
pub struct Allowance {
    bytes: u64,
    taken: AtomicU64,
}

/// The part of one user.
#[derive(Debug)]
pub struct Share {
    of: Arc<Allowance>,
    bytes: u64,
}

impl Allowance {
    /// Creates a limit of which nothing is used.
    pub fn new(bytes: u64) -> Arc<Self> {
        Arc::new(Self {
            bytes,
            taken: AtomicU64::new(0),
        })
    }

    /// The limit in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The used bytes.
    pub fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    /// Takes `bytes`. Returns `None` if less is left. It never waits: a user that waits with a part
    /// in hand would wait for others that do the same.
    pub fn take(self: &Arc<Self>, bytes: u64) -> Option<Share> {
        let mut share = Share {
            of: Arc::clone(self),
            bytes: 0,
        };
        share.grow(bytes).then_some(share)
    }
}

impl Share {
    /// The size of this part in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes more bytes. Returns false if less is left.
    pub fn grow(&mut self, bytes: u64) -> bool {
        let allowed = self.of.bytes;
        let take = |taken: u64| taken.checked_add(bytes).filter(|sum| *sum <= allowed);
        let taken = &self.of.taken;
        let is_taken = taken
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
            .is_ok();
        if is_taken {
            self.bytes += bytes;
        }
        is_taken
    }

    /// Returns everything above `bytes`.
    pub fn shrink(&mut self, bytes: u64) {
        let over = self.bytes.saturating_sub(bytes);
        self.of.taken.fetch_sub(over, Ordering::Relaxed);
        self.bytes -= over;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.shrink(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_never_exceed_the_limit() {
        let all = Allowance::new(100);
        let mut one = all.take(60).unwrap();
        assert!(all.take(41).is_none());
        let two = all.take(40).unwrap();
        assert!(!one.grow(1));
        drop(two);
        assert!(one.grow(40));
        assert_eq!(all.taken(), 100);
        one.shrink(70);
        assert_eq!(all.taken(), 70);
        assert!(!one.grow(u64::MAX));
        drop(one);
        assert_eq!(all.taken(), 0);
    }
}
