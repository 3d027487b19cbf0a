//! Small files that somebody names: read up to a bound, and only if they are regular files.

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
};

/// Reads a whole file of at most `limit_bytes`. A link is followed.
///
/// # Errors
/// If it cannot be read, is larger ([`io::ErrorKind::FileTooLarge`]), or is no regular file: a pipe
/// would hold up the caller, and a device may never end.
pub fn read(path: &Path, limit_bytes: u64) -> io::Result<Vec<u8>> {
    // Before it is opened: opening a pipe waits for a writer.
    regular(&std::fs::metadata(path)?)?;
    let file = File::open(path)?;
    regular(&file.metadata()?)?;
    let mut content = Vec::new();
    file.take(limit_bytes.saturating_add(1))
        .read_to_end(&mut content)?;
    if content.len() as u64 > limit_bytes {
        let message = format!("the file is larger than {limit_bytes} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok(content)
}

/// Reads a whole file of text of at most `limit_bytes`.
///
/// # Errors
/// Those of [`read`]; also if it is no UTF-8.
pub fn read_text(path: &Path, limit_bytes: u64) -> io::Result<String> {
    let not_text = |_| io::Error::new(io::ErrorKind::InvalidData, "the file is not UTF-8 text");
    String::from_utf8(read(path, limit_bytes)?).map_err(not_text)
}

fn regular(metadata: &std::fs::Metadata) -> io::Result<()> {
    match metadata.is_file() {
        true => Ok(()),
        false => {
            let message = "not a regular file";
            Err(io::Error::new(io::ErrorKind::InvalidInput, message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_up_to_the_bound_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "12345678").unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert_eq!(read_text(&link, 8).unwrap(), "12345678");
        let kind = |path: &Path, limit| read_text(path, limit).unwrap_err().kind();
        assert_eq!(kind(&path, 7), io::ErrorKind::FileTooLarge);
        assert_eq!(kind(Path::new("/dev/zero"), 7), io::ErrorKind::InvalidInput);
        assert_eq!(kind(folder.path(), 7), io::ErrorKind::InvalidInput);
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        assert_eq!(kind(&pipe, 7), io::ErrorKind::InvalidInput);
        std::fs::write(&path, b"\xff").unwrap();
        assert_eq!(kind(&path, 7), io::ErrorKind::InvalidData);
    }
}
