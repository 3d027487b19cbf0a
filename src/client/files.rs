//! Small files: certificates and keys.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::runtime::read_file;

/// A file that cannot be used. The error never contains its content.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file cannot be read.
    #[error("failed to read `{}`", path.display())]
    Read {
        /// The path of the file.
        path: PathBuf,
        /// Why the file cannot be read.
        #[source]
        source: io::Error,
    },
    /// The file is larger than a certificate or key can be.
    #[error("`{}` is larger than {limit_bytes} bytes", path.display())]
    TooLarge {
        /// The path of the file.
        path: PathBuf,
        /// The largest allowed size in bytes.
        limit_bytes: u64,
    },
}

/// Reads the whole file, if it is not larger than `limit_bytes`.
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
