//! Why a record could not be written or read.

/// Why a record could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// Another process has the file open.
    #[error("the file is in use")]
    InUse,
    /// The file does not contain what was written to it.
    #[error("the file is damaged: {0}")]
    Damaged(String),
    /// The disk fails.
    #[error("the disk fails")]
    Disk(#[source] Box<redb::Error>),
}

impl From<redb::Error> for StorageError {
    fn from(error: redb::Error) -> Self {
        use std::io::ErrorKind::{InvalidData, UnexpectedEof, WouldBlock};
        match error {
            redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => Self::InUse,
            redb::Error::Io(io) if io.kind() == WouldBlock => Self::InUse,
            redb::Error::Io(io) if matches!(io.kind(), InvalidData | UnexpectedEof) => {
                Self::Damaged(io.to_string())
            }
            redb::Error::Io(_)
            | redb::Error::Backend(_)
            | redb::Error::PreviousIo
            | redb::Error::DatabaseClosed => Self::Disk(Box::new(error)),
            // Corrupted data, an unknown version, a table of other types: this program did not
            // write that.
            other => Self::Damaged(other.to_string()),
        }
    }
}
