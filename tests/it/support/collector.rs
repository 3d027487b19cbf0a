//! The real program.

use super::process::Process;

/// A running betanet-collector, killed on drop.
pub(crate) struct Collector {
    process: Process,
}

impl Collector {
    /// Starts it with a configuration and an environment, and waits until `ready` answers.
    pub(crate) async fn start(config: &str, environment: &[(&str, &str)], ready: &str) -> Self {
        let program = env!("CARGO_BIN_EXE_betanet-collector");
        let mut process = Process::start(program, |command, folder| {
            let file = folder.join("otel-config.yaml");
            std::fs::write(&file, config).unwrap();
            command
                .current_dir(folder)
                .arg("--config")
                .arg(file)
                .envs(environment.iter().copied());
        });
        process.answers(ready).await;
        Self { process }
    }

    /// The most memory that it had resident so far, in bytes.
    pub(crate) fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()));
        let status = status.unwrap();
        let kib = status.lines().find_map(|line| {
            let peak = line.strip_prefix("VmHWM:")?.trim();
            peak.strip_suffix(" kB")?.parse::<u64>().ok()
        });
        kib.unwrap() * 1024
    }

    /// Asks it to stop (SIGTERM); gives its exit code, none if a signal ended it, and its log.
    pub(crate) async fn stop(mut self) -> (Option<i32>, String) {
        let status = self.process.stop().await;
        (status.code(), self.process.log())
    }
}
