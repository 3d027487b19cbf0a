//! Small files: certificates and keys.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::runtime::read_file;

/// A file that cannot be used. Never holds its content.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file cannot be read.
    #[error("failed to read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file is too large for what it should hold.
    #[error("`{}` is larger than {limit_bytes} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The most it may have.
        limit_bytes: u64,
    },
}

/// The whole file, if it is no larger than `limit_bytes`.
pub(super) fn read(path: &Path, limit_bytes: u64) -> Result<Vec<u8>, ReadError> {
    let failed = |source| ReadError::Read {
        path: path.to_owned(),
        source,
    };
    match read_file(path, limit_bytes) {
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
            let path = path.to_owned();
            Err(ReadError::TooLarge { path, limit_bytes })
        }
        read => read.map_err(failed),
    }
}
