//! Small files: certificates and keys.

use std::{
    io::{self, Read as _},
    path::{Path, PathBuf},
};

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
    let file = std::fs::File::open(path).map_err(failed)?;
    let mut content = Vec::new();
    let mut file = file.take(limit_bytes.saturating_add(1));
    file.read_to_end(&mut content).map_err(failed)?;
    if content.len() as u64 > limit_bytes {
        let path = path.to_owned();
        return Err(ReadError::TooLarge { path, limit_bytes });
    }
    Ok(content)
}
