//! The processes of the benchmark, and what the kernel reports about them.

use std::{
    ffi::OsStr,
    fs,
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
};

use crate::Error;

/// Linux counts processor time in hundredths of a second on all its platforms (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

/// A program that is killed on drop.
pub(crate) struct Process(Child);

impl Process {
    /// Starts `program` with as many file descriptors as the system permits.
    pub(crate) fn start(program: &OsStr, arguments: &[&str], stdout: Stdio) -> Result<Self, Error> {
        let child = Command::new("sh")
            .args(["-c", "ulimit -n $(ulimit -Hn); exec \"$@\"", "sh"])
            .arg(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(stdout)
            .spawn()?;
        Ok(Self(child))
    }

    /// The first line of its output. It must have been started with a pipe.
    pub(crate) fn first_line(&mut self) -> Result<String, Error> {
        let stdout = self.0.stdout.take().ok_or("no pipe")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }

    /// An error if it has ended.
    pub(crate) fn check(&mut self) -> Result<(), Error> {
        match self.0.try_wait()? {
            None => Ok(()),
            Some(status) => Err(format!("the collector ended: {status}").into()),
        }
    }

    /// Its processor time, user and system.
    pub(crate) fn cpu_seconds(&self) -> Result<f64, Error> {
        let stat = self.read("stat")?;
        // Fields 14 and 15 of `proc(5)`. The command in field 2 may contain spaces.
        let (_, after_command) = stat.rsplit_once(')').ok_or("no command")?;
        let fields = after_command.split_whitespace().skip(11).take(2);
        let ticks = fields.map(str::parse::<f64>).sum::<Result<f64, _>>()?;
        // Nanoseconds, but without the threads that have ended.
        let mut nanos = 0.0;
        for thread in fs::read_dir(self.path("task"))? {
            let times = fs::read_to_string(thread?.path().join("schedstat"))?;
            nanos += times.split(' ').next().ok_or("no time")?.parse::<f64>()?;
        }
        Ok((ticks / TICKS_PER_SECOND).max(nanos / 1e9))
    }

    /// How often its threads waited for something, such as an answer or the next tick.
    pub(crate) fn waits(&self) -> Result<u64, Error> {
        let mut waits = 0;
        for thread in fs::read_dir(self.path("task"))? {
            let status = fs::read_to_string(thread?.path().join("status"))?;
            let mut lines = status.lines();
            let line = lines.find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
            waits += line.ok_or("no switches")?.trim().parse::<u64>()?;
        }
        Ok(waits)
    }

    /// Its resident memory.
    pub(crate) fn resident_bytes(&self) -> Result<u64, Error> {
        self.status_bytes("VmRSS:")
    }

    /// The most resident memory since its start, or since [`Self::forget_peak`].
    pub(crate) fn peak_bytes(&self) -> Result<u64, Error> {
        self.status_bytes("VmHWM:")
    }

    /// Resets the peak.
    pub(crate) fn forget_peak(&self) -> Result<(), Error> {
        // `clear_refs` of `proc(5)`.
        Ok(fs::write(self.path("clear_refs"), "5")?)
    }

    fn status_bytes(&self, name: &str) -> Result<u64, Error> {
        let status = self.read("status")?;
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kib = line.and_then(|line| line.split_whitespace().next());
        let kib = kib.ok_or_else(|| format!("no {name}"))?;
        Ok(kib.parse::<u64>()? * 1024)
    }

    /// Its open file descriptors, and their limit.
    pub(crate) fn descriptors(&self) -> Result<(usize, usize), Error> {
        let open = fs::read_dir(self.path("fd"))?.count();
        let limits = self.read("limits")?;
        let line = limits
            .lines()
            .find_map(|line| line.strip_prefix("Max open files"));
        let limit = line.and_then(|line| line.split_whitespace().next());
        // `unlimited` is not a number.
        Ok((
            open,
            limit.and_then(|n| n.parse().ok()).unwrap_or(usize::MAX),
        ))
    }

    fn read(&self, file: &str) -> Result<String, Error> {
        Ok(fs::read_to_string(self.path(file))?)
    }

    fn path(&self, file: &str) -> String {
        format!("/proc/{}/{file}", self.0.id())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only if it has already ended.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}
