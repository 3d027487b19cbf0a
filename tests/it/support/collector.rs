//! The real program.

use std::{path::PathBuf, process::Command};

use super::{command::PROGRAM, process::Process};

/// The name of the configuration file.
const FILE: &str = "otel-config.yaml";

/// A running betanet-collector, killed on drop.
pub(crate) struct Collector {
    process: Process,
}

impl Collector {
    /// Starts it with a configuration and an environment, and waits until `ready` answers.
    pub(crate) async fn start(config: &str, environment: &[(&str, &str)], ready: &str) -> Self {
        Self::run(config, &[], environment, ready).await
    }

    /// Starts it with arguments of `run`.
    pub(crate) async fn run(
        config: &str,
        arguments: &[&str],
        environment: &[(&str, &str)],
        ready: &str,
    ) -> Self {
        let mut process = Process::start(PROGRAM, |command, folder| {
            std::fs::write(folder.join(FILE), config).unwrap();
            command
                .current_dir(folder)
                .args(["--config", FILE, "run"])
                .args(arguments)
                .envs(environment.iter().copied());
        });
        process.answers(ready).await;
        Self { process }
    }

    /// Replaces its configuration file atomically, like an editor.
    pub(crate) fn configure(&self, config: &str) {
        self.write(FILE, config);
    }

    /// The path of its configuration.
    pub(crate) fn file(&self) -> PathBuf {
        self.process.folder().join(FILE)
    }

    /// Replaces a file in its directory atomically.
    pub(crate) fn write(&self, file: &str, text: &str) {
        let (new, file) = (
            self.process.folder().join("new"),
            self.process.folder().join(file),
        );
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, file).unwrap();
    }

    /// Its working directory.
    pub(crate) fn folder(&self) -> &std::path::Path {
        self.process.folder()
    }

    /// Sends it a signal, such as `HUP`.
    pub(crate) fn signal(&self, signal: &str) {
        self.process.signal(signal);
    }

    /// What it has written so far.
    pub(crate) fn log(&self) -> String {
        self.process.log()
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Waits until it ends by itself. Returns its exit code and its log.
    pub(crate) async fn ended(mut self) -> (Option<i32>, String) {
        let status = self.process.ended("it ends by itself").await;
        (status.code(), self.process.log())
    }

    /// Limits the size of its files, or removes the limit: this is like a full disk.
    pub(crate) fn limit_files(&self, bytes: Option<u64>) {
        let soft = bytes.map_or("unlimited".to_owned(), |bytes| bytes.to_string());
        let (pid, limit) = (self.id().to_string(), format!("--fsize={soft}:unlimited"));
        let prlimit = Command::new("prlimit")
            .args(["--pid", &pid, &limit])
            .status();
        assert!(prlimit.unwrap().success());
    }

    /// The most resident memory so far, in bytes.
    pub(crate) fn peak_memory(&self) -> u64 {
        self.status_bytes("VmHWM:")
    }

    /// The current resident memory, in bytes.
    pub(crate) fn memory(&self) -> u64 {
        self.status_bytes("VmRSS:")
    }

    fn status_bytes(&self, key: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()));
        let status = status.unwrap();
        let kib = status.lines().find_map(|line| {
            let amount = line.strip_prefix(key)?.trim();
            amount.strip_suffix(" kB")?.parse::<u64>().ok()
        });
        kib.unwrap() * 1024
    }

    /// Kills it (SIGKILL) and waits until it is dead.
    pub(crate) async fn kill(mut self) {
        self.process.stop_by("KILL").await;
    }

    /// Stops it (SIGTERM). Returns its exit code, or `None` if a signal ended it, and its log.
    pub(crate) async fn stop(mut self) -> (Option<i32>, String) {
        let status = self.process.stop().await;
        (status.code(), self.process.log())
    }
}
