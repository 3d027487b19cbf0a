//! Records that outlive the process: what `write` has returned from is on disk, whatever happens to
//! the process or to the power after that.
//!
//! A [`Log`] is one file of redb, which is crash-safe by itself: each write is a transaction that
//! ends with a sync. What this adds is what a queue needs: records with ids in their order, several
//! added and removed at once, and after a failed write the file is opened again.
//!
//! A file that is damaged is another matter: redb refuses all of it. So each record says by itself
//! what it is (`frame.rs`, `record.rs`), and a summary (`summary.rs`), in the file and once more
//! beside it, what there should be. What is whole is found in the damaged file and put into a new
//! one (`salvage.rs`), and what is lost is known in data points.
//!
//! Everything here blocks; call it where that is allowed.

mod directory;
mod error;
mod frame;
mod log;
mod backend;
mod record;
mod recovery;
mod status;
mod summary;
#[cfg(test)]
pub(crate) mod tests;

pub use backend::{Backend, Quarantined};
pub use directory::{Directory, DirectorySettings, InUse};
pub use error::StorageError;
pub use log::{DamageReport, Log, OpenedLog};
pub use record::{Record, RecordEntry};
pub use status::LogStatus;

/// Reads a frame, wherever in the bytes it begins, and what stands in it, as a damaged file has it.
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
    // Without the checksum, which few bytes have by chance.
    let _ = (
        record::RecordPart::read(bytes),
        summary::Summary::read(bytes),
    );
}
