//! A real program that runs next to a test.

use std::{
    fs::File,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
};

use tempfile::TempDir;

use super::{PATIENCE, eventually, get};

/// A running program with its own directory. It is killed on drop, and its output is shown if the
/// test fails.
pub(crate) struct Process {
    child: Child,
    folder: TempDir,
}

impl Process {
    /// Starts `program` with the arguments and environment from `prepare`, after its directory
    /// exists.
    pub(crate) fn start(program: &str, prepare: impl FnOnce(&mut Command, &Path)) -> Self {
        let folder = TempDir::new().unwrap();
        let log = File::create(folder.path().join("log")).unwrap();
        let mut command = Command::new(program);
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        prepare(&mut command, folder.path());
        match command.spawn() {
            Ok(child) => Self { child, folder },
            Err(error) => panic!("cannot start `{program}`: {error}; run tests/run"),
        }
    }

    /// Waits until `url` answers, whatever the status.
    pub(crate) async fn answers(&mut self, url: &str) {
        eventually(&format!("{url} answers"), PATIENCE, async || {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("it ended before {url} answered: {status}");
            }
            get(url).await.ok()
        })
        .await;
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has written so far.
    pub(crate) fn log(&self) -> String {
        let bytes = std::fs::read(self.folder.path().join("log")).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Stops it (SIGTERM) and waits for its end.
    pub(crate) async fn stop(&mut self) -> ExitStatus {
        self.stop_by("TERM").await
    }

    /// Stops it with this signal, `TERM` or `INT`, and waits for its end.
    pub(crate) async fn stop_by(&mut self, signal: &str) -> ExitStatus {
        self.signal(signal);
        self.ended(&format!("it stops after SIG{signal}")).await
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let kill = Command::new("sh")
            .args(["-c", &format!("kill -{signal} {pid}")])
            .status();
        assert!(kill.unwrap().success(), "no process {pid}");
    }

    /// Waits until it has ended.
    pub(crate) async fn ended(&mut self, what: &str) -> ExitStatus {
        eventually(what, PATIENCE, async || self.child.try_wait().unwrap()).await
    }

    /// Its directory.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only if it has already ended.
        self.child.kill().ok();
        self.child.wait().ok();
        if std::thread::panicking() {
            eprintln!("--- its log ---\n{}", self.log());
        }
    }
}
