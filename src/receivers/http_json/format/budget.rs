//! The memory that a document may take.
//!
//! The memory of a document has little to do with the length of its text: `{"":0}` has six bytes,
//! and needs a hundred times as many as a tree. So it is counted while it grows.

use serde_json::Value;

/// A document may need this many times `body_limit`. Its text needs one more.
pub(crate) const TIMES_LIMIT: u64 = 7;

/// The memory of an element of an array, in bytes.
const VALUE_BYTES: u64 = size_of::<Value>() as u64;

/// The memory of the first members of an object, up to [`MEMBERS_OF_NODE`], in bytes: one node of a
/// B-tree.
const NODE_BYTES: u64 = 720;
const MEMBERS_OF_NODE: usize = 11;

/// The memory of each further member, in bytes: nodes are half full after a split.
const MEMBER_BYTES: u64 = 144;

/// A document is larger than its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the document would take more than {limit_bytes} bytes of memory, which is {TIMES_LIMIT} times \
     `body_limit`: each object takes at least {NODE_BYTES}"
)]
pub(crate) struct DocumentTooLarge {
    limit_bytes: u64,
}

/// The memory that a document may still use.
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

    /// Uses `bytes`.
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

    /// The used bytes.
    pub(crate) fn taken_bytes(&self) -> u64 {
        self.taken_bytes
    }

    /// Returns `bytes` that are not used any more.
    pub(crate) fn give_back(&mut self, bytes: u64) {
        self.taken_bytes = self.taken_bytes.saturating_sub(bytes);
    }

    /// Uses the memory of a text with `length` bytes.
    pub(crate) fn text(&mut self, length: usize) -> Result<(), DocumentTooLarge> {
        self.take((length as u64).next_multiple_of(16))
    }

    /// Uses the memory of one more member of an object with so many `members`, without the name and
    /// the value.
    pub(crate) fn member(&mut self, members: usize) -> Result<(), DocumentTooLarge> {
        self.take(match members {
            0 => NODE_BYTES,
            1..MEMBERS_OF_NODE => 0,
            _ => MEMBER_BYTES,
        })
    }

    /// Adds an item to an array. A full array doubles its room, and exists twice while it moves.
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
