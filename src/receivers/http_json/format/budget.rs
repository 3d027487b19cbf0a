//! The memory that a document may take.
//!
//! What it takes has little to do with the length of its text: `{"":0}` are six bytes, and a
//! hundred times as many as a tree. So it is counted as it grows.

use serde_json::Value;

/// A document takes so many times `body_limit` at most. With its text it is one more.
pub(crate) const TIMES_LIMIT: u64 = 7;

/// The element of an array, in bytes.
const VALUE_BYTES: u64 = size_of::<Value>() as u64;

/// The first members of an object, up to [`MEMBERS_OF_NODE`], in bytes: a node of a B-tree.
const NODE_BYTES: u64 = 720;
const MEMBERS_OF_NODE: usize = 11;

/// Each member beyond these, in bytes: nodes are half full after they were split.
const MEMBER_BYTES: u64 = 144;

/// A document over its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the document would take more than {limit_bytes} bytes of memory, which is {TIMES_LIMIT} times `body_limit`"
)]
pub(crate) struct DocumentTooLarge {
    limit_bytes: u64,
}

/// What a document may still take.
#[derive(Debug)]
pub(crate) struct Budget {
    limit_bytes: u64,
    taken_bytes: u64,
    pub(crate) is_exceeded: bool,
}

impl Budget {
    pub(crate) fn new(limit_bytes: u64) -> Self {
        Self {
            limit_bytes,
            taken_bytes: 0,
            is_exceeded: false,
        }
    }

    /// Takes so much.
    pub(crate) fn take(&mut self, bytes: u64) -> Result<(), DocumentTooLarge> {
        self.taken_bytes = self.taken_bytes.saturating_add(bytes);
        match self.taken_bytes <= self.limit_bytes {
            true => Ok(()),
            false => {
                self.is_exceeded = true;
                Err(self.error())
            }
        }
    }

    /// What it takes.
    pub(crate) fn taken_bytes(&self) -> u64 {
        self.taken_bytes
    }

    /// What took so much is gone.
    pub(crate) fn give_back(&mut self, bytes: u64) {
        self.taken_bytes = self.taken_bytes.saturating_sub(bytes);
    }

    /// Takes a text of so many bytes.
    pub(crate) fn text(&mut self, length: usize) -> Result<(), DocumentTooLarge> {
        self.take((length as u64).next_multiple_of(16))
    }

    /// Takes what one more member of an object with so many takes, without its name and value.
    pub(crate) fn member(&mut self, members: usize) -> Result<(), DocumentTooLarge> {
        self.take(match members {
            0 => NODE_BYTES,
            1..MEMBERS_OF_NODE => 0,
            _ => MEMBER_BYTES,
        })
    }

    /// Adds to an array, which doubles its room when it is full; while it moves both are there.
    pub(crate) fn push(
        &mut self,
        items: &mut Vec<Value>,
        item: Value,
    ) -> Result<(), DocumentTooLarge> {
        if items.len() == items.capacity() {
            let old = items.capacity();
            let new = (old * 2).max(1);
            self.take(new as u64 * VALUE_BYTES)?;
            items.reserve_exact(new - old);
            self.taken_bytes -= old as u64 * VALUE_BYTES;
        }
        items.push(item);
        Ok(())
    }

    pub(crate) fn error(&self) -> DocumentTooLarge {
        DocumentTooLarge {
            limit_bytes: self.limit_bytes,
        }
    }
}
