//! The resident memory of the collector as time goes by.

use std::time::Duration;

use tokio::time::Instant;

use crate::{Error, process::Process};

/// Bytes of one.
pub(crate) const MIB: f64 = 1_048_576.0;

/// What the kernel said, each time that it was asked.
#[derive(Debug)]
pub(crate) struct Memory {
    started: Instant,
    /// Hours since the start, and MiB.
    samples: Vec<(f64, f64)>,
    next_line: Duration,
}

impl Memory {
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            samples: Vec::new(),
            next_line: Duration::ZERO,
        }
    }

    /// Asks; says each minute what it is, where that is wanted.
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    pub(crate) fn sample(&mut self, collector: &Process, speaks: bool) -> Result<(), Error> {
        let elapsed = self.started.elapsed();
        let mib = collector.resident_bytes()? as f64 / MIB;
        self.samples.push((elapsed.as_secs_f64() / 3600.0, mib));
        if speaks && elapsed >= self.next_line {
            eprintln!("after {:>4} s: {mib:.1} MiB", elapsed.as_secs());
            self.next_line += Duration::from_secs(60);
        }
        Ok(())
    }

    /// At the start, in MiB.
    pub(crate) fn first(&self) -> f64 {
        self.samples.first().map_or(0.0, |(_, mib)| *mib)
    }

    /// At the end, in MiB.
    pub(crate) fn last(&self) -> f64 {
        self.samples.last().map_or(0.0, |(_, mib)| *mib)
    }

    /// By how many MiB it grew an hour in the second half, when everything has found its size: the
    /// line with the least squares.
    pub(crate) fn slope(&self) -> f64 {
        let (_, half) = self.samples.split_at(self.samples.len() / 2);
        let mean = |of: fn(&(f64, f64)) -> f64| {
            half.iter().map(of).sum::<f64>() / f64::from(u32::try_from(half.len()).unwrap_or(1))
        };
        let (hours, mib) = (mean(|(hours, _)| *hours), mean(|(_, mib)| *mib));
        let (mut together, mut spread) = (0.0, 0.0);
        for (at, value) in half {
            together += (at - hours) * (value - mib);
            spread += (at - hours).powi(2);
        }
        if spread > 0.0 { together / spread } else { 0.0 }
    }
}
