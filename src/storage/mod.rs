//! Records that outlive the process: what `write` has returned from is on disk, whatever happens to
//! the process or to the power after that.
//!
//! A [`Log`] is one file of redb, which is crash-safe by itself: each write is a transaction that
//! ends with a sync. What this adds is what a queue needs: records with ids in their order, several
//! added and removed at once, a file that is damaged is set aside, and after a failed write the file
//! is opened again. Everything here blocks; call it where that is allowed.

mod directory;
mod error;
mod log;
mod medium;
mod status;
#[cfg(test)]
pub(crate) mod tests;

pub use directory::{Directory, InUse, Settings};
pub use error::Error;
pub use log::{Entry, Log, Record};
pub use medium::Medium;
pub use status::LogStatus;
