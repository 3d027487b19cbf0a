//! Why something could not be stored or read.

/// Why something could not be stored or read.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// Somebody has the file open.
    #[error("the file is in use")]
    InUse,
    /// What is in the file is not what was written to it.
    #[error("the file is damaged: {0}")]
    Damaged(String),
    /// The disk does not do what it is asked to, now.
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
            // Corrupted, an unknown version, a table of other types: nothing that we wrote.
            other => Self::Damaged(other.to_string()),
        }
    }
}
