//! Reads files that users name: never more than a limit, and never without an end.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    sync::mpsc,
    thread,
    time::Duration,
};

/// The longest time until the end of a pipe: `--config <(decrypt config.yaml)`.
const PIPE_PATIENCE: Duration = Duration::from_secs(10);

/// Reads a whole file, which may be a link to one.
///
/// # Errors
/// If the system refuses it; [`io::ErrorKind::FileTooLarge`] if it is larger than `limit_bytes`,
/// and [`io::ErrorKind::InvalidInput`] if it is a pipe, a device or similar, which may have no end.
pub fn read_file(path: &Path, limit_bytes: u64) -> io::Result<Vec<u8>> {
    // Without this flag, opening a pipe would wait for its writer.
    let flags = libc::O_NONBLOCK;
    let opened = File::options().read(true).custom_flags(flags).open(path);
    let is_other = |of: &fs::Metadata| !of.is_file() && !of.is_dir();
    match opened {
        Ok(file) if !is_other(&file.metadata()?) => read_bounded(file, limit_bytes),
        // A socket cannot be opened.
        Err(error) if !fs::metadata(path).is_ok_and(|of| is_other(&of)) => Err(error),
        _ => {
            let what = "not a regular file";
            Err(io::Error::new(io::ErrorKind::InvalidInput, what))
        }
    }
}

/// Reads a file that is read only once, before anything runs. It may also be a pipe or a device
/// that ends within ten seconds.
///
/// # Errors
/// Those of [`read_file`]; [`io::ErrorKind::TimedOut`] if it does not end.
pub fn read_input(path: &Path, limit_bytes: u64) -> io::Result<Vec<u8>> {
    read_within(path, limit_bytes, PIPE_PATIENCE)
}

/// Reads a whole text file.
///
/// # Errors
/// Those of [`read_file`]; also if it is not UTF-8.
pub fn read_text(path: &Path, limit_bytes: u64) -> io::Result<String> {
    read_file(path, limit_bytes).and_then(text_of)
}

/// The content of a file as text.
///
/// # Errors
/// If it is not UTF-8.
pub fn text_of(content: Vec<u8>) -> io::Result<String> {
    let not_text = |_| io::Error::new(io::ErrorKind::InvalidData, "the file is not UTF-8 text");
    String::from_utf8(content).map_err(not_text)
}

fn read_within(path: &Path, limit_bytes: u64, patience: Duration) -> io::Result<Vec<u8>> {
    match read_file(path, limit_bytes) {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => {}
        read => return read,
    }
    let (done, read) = mpsc::channel();
    let of = path.to_owned();
    // Nobody waits for this thread: it may wait forever.
    thread::Builder::new()
        .name("read a pipe".to_owned())
        .spawn(move || {
            let opened = File::open(of);
            done.send(opened.and_then(|pipe| read_bounded(pipe, limit_bytes)))
        })?;
    read.recv_timeout(patience).unwrap_or_else(|_| {
        let what = format!("it is not a file, and it does not end within {patience:?}");
        Err(io::Error::new(io::ErrorKind::TimedOut, what))
    })
}

fn read_bounded(file: File, limit_bytes: u64) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    let mut file = file.take(limit_bytes.saturating_add(1));
    file.read_to_end(&mut content)?;
    if content.len() as u64 > limit_bytes {
        let what = format!("it is larger than {limit_bytes} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, what));
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use std::{os::unix::net::UnixListener, process::Command};

    use super::*;

    #[test]
    fn a_file_is_read_up_to_its_limit() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "12345").unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&file, &link).unwrap();
        for path in [&file, &link] {
            assert_eq!(read_file(path, 5).unwrap(), b"12345");
            assert_eq!(read_input(path, 5).unwrap(), b"12345");
            let error = read_file(path, 4).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
        }
        let error = read_file(folder.path(), 4).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::IsADirectory);
        let error = read_file(&folder.path().join("none"), 4).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn inputs_without_an_end_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        assert!(
            Command::new("mkfifo")
                .arg(&pipe)
                .status()
                .unwrap()
                .success()
        );
        let socket = folder.path().join("socket");
        let _listener = UnixListener::bind(&socket).unwrap();
        let zero = Path::new("/dev/zero");
        for path in [&*pipe, &*socket, zero] {
            let error = read_file(path, 1000).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{path:?}");
        }
        let error = read_input(zero, 1000).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
        // Nobody ever writes to it.
        let error = read_within(&pipe, 1000, Duration::ZERO).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(read_input(&socket, 1000).is_err());
    }

    #[test]
    fn a_pipe_with_an_end_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        assert!(
            Command::new("mkfifo")
                .arg(&pipe)
                .status()
                .unwrap()
                .success()
        );
        let to = pipe.clone();
        let writer = thread::spawn(move || fs::write(to, "text"));
        assert_eq!(read_input(&pipe, 4).unwrap(), b"text");
        writer.join().unwrap().unwrap();
    }
}
