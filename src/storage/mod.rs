//! Records that survive the process: after `write` has returned, they are on disk, whatever happens
//! to the process or to the power.
//!
//! A [`Log`] is one file of redb, which is crash-safe by itself: each write is a transaction that
//! ends with a sync. This module adds what a queue needs: records with ids in their order, several
//! added and removed at once, and the file is opened again after a failed write.
//!
//! redb refuses a damaged file completely. So each record identifies itself (`frame.rs`,
//! `record.rs`), and a summary (`summary.rs`), in the file and in a sidecar file, says which
//! records there should be (`tables.rs` has both in redb). Intact records are found in the damaged file and copied to a new one
//! (`recovery.rs`), and the number of lost data points is known.
//!
//! All functions here block; call them only where this is allowed.

mod directory;
mod error;
mod frame;
mod log;
mod backend;
mod record;
mod recovery;
mod status;
mod summary;
mod tables;
#[cfg(test)]
pub(crate) mod tests;

pub use backend::{Backend, Quarantined};
pub use directory::{Directory, DirectorySettings, InUse};
pub use error::StorageError;
pub use log::{DamageReport, Log, OpenedLog};
pub use record::{Record, RecordEntry};
pub use status::LogStatus;

/// Reads a frame, wherever it starts in the bytes, and its content, as in a damaged file.
#[doc(hidden)]
pub fn fuzz(bytes: &[u8]) {
    let mut from = 0;
    while let Some(at) = frame::find(bytes, from) {
        let found = bytes.get(at..).unwrap_or_default();
        if let Some(part) = record::RecordPart::unwrap(found) {
            assert_eq!(record::RecordPart::unwrap(&part.frame()), Some(part));
        }
        let _ = summary::Summary::unwrap(found);
        from = at + 1;
    }
    // This skips the checksum, which random bytes rarely match.
    let _ = (
        record::RecordPart::read(bytes),
        summary::Summary::read(bytes),
    );
}
