//! The resident memory of the collector over time.

use std::time::Duration;

use tokio::time::Instant;

use crate::{Error, process::Process};

/// The bytes of a MiB.
pub(crate) const MIB: f64 = 1_048_576.0;

/// The values from the kernel over time.
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

    /// Reads a value. Prints it each minute if `speaks`.
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

    /// The first value in MiB.
    pub(crate) fn first(&self) -> f64 {
        self.samples.first().map_or(0.0, |(_, mib)| *mib)
    }

    /// The last value in MiB.
    pub(crate) fn last(&self) -> f64 {
        self.samples.last().map_or(0.0, |(_, mib)| *mib)
    }

    /// The growth in MiB per hour in the second half, when everything has its final size: the slope
    /// by least squares.
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
