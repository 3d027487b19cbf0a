//! Reads the metrics of the targets and of the collector.

use std::{collections::BTreeMap, time::Duration};

use reqwest::Client;
use tokio::time::Instant;

use crate::{Error, nodes};

/// One scrape of the targets.
#[derive(Debug, Default)]
pub(crate) struct Scrape {
    /// The time to the last byte.
    pub(crate) took: Duration,
    pub(crate) bytes: usize,
    pub(crate) series: usize,
    /// Targets that show the number of their node.
    pub(crate) right: usize,
    /// Targets that show another number.
    pub(crate) wrong: usize,
    /// Missed ticks of all targets.
    pub(crate) missed_ticks: f64,
}

/// A client. To make one takes longer than many a scrape, so it is not part of what is timed.
pub(crate) fn client() -> reqwest::Result<Client> {
    Client::builder().no_proxy().build()
}

impl Scrape {
    /// Scrapes, and reads the answer while it arrives, line by line.
    pub(crate) async fn of(url: &str) -> Result<Self, Error> {
        let client = client()?;
        let started = Instant::now();
        let mut answer = client.get(url).send().await?.error_for_status()?;
        let mut chunks = Vec::new();
        while let Some(chunk) = answer.chunk().await? {
            chunks.push(chunk);
        }
        let mut scrape = Self {
            took: started.elapsed(),
            ..Self::default()
        };
        let mut rest = Vec::new();
        for chunk in chunks {
            scrape.bytes += chunk.len();
            rest.extend_from_slice(&chunk);
            let whole = rest
                .iter()
                .rposition(|byte| *byte == b'\n')
                .map_or(0, |at| at + 1);
            let lines = rest.get(..whole).unwrap_or_default();
            for line in std::str::from_utf8(lines)?.lines() {
                scrape.line(line);
            }
            rest.drain(..whole);
        }
        Ok(scrape)
    }

    fn line(&mut self, line: &str) {
        if line.starts_with('#') {
            return;
        }
        self.series += 1;
        if line.starts_with("fleet_e0_number{") {
            match is_right(line) {
                true => self.right += 1,
                false => self.wrong += 1,
            }
        } else if line.starts_with("http_json_poll_missed_ticks_total{") {
            self.missed_ticks += value(line).unwrap_or_default();
        }
    }
}

/// Whether the value is the number of the node at the target's address.
fn is_right(line: &str) -> bool {
    let target = line.split_once("target=\"").map(|(_, rest)| rest);
    let address = target.and_then(|rest| rest.split_once(':'));
    let node = address.and_then(|(address, _)| address.parse().ok());
    let node = node.and_then(nodes::number).map(f64::from);
    node.is_some() && node == value(line)
}

fn value(line: &str) -> Option<f64> {
    line.rsplit_once(' ')?.1.parse().ok()
}

/// The collector's own metrics: the sum of each family, and the buckets of the start delay.
#[derive(Debug, Default)]
pub(crate) struct Own {
    sums: BTreeMap<String, f64>,
    delays: Vec<(f64, f64)>,
}

impl Own {
    /// Scrapes the telemetry endpoint.
    pub(crate) async fn of(url: &str) -> Result<Self, Error> {
        let text = reqwest::get(url).await?.error_for_status()?.text().await?;
        let mut own = Self::default();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (Some(value), Some(name)) = (value(line), line.split(['{', ' ']).next()) else {
                continue;
            };
            *own.sums.entry(name.to_owned()).or_default() += value;
            if name == "betanet_poll_start_delay_bucket" {
                let bound = line
                    .split_once("le=\"")
                    .and_then(|(_, le)| le.split_once('"'));
                let bound = bound
                    .and_then(|(le, _)| le.parse().ok())
                    .unwrap_or(f64::INFINITY);
                own.delays.push((bound, value));
            }
        }
        Ok(own)
    }

    /// The sum over all series of a name.
    pub(crate) fn sum(&self, name: &str) -> f64 {
        self.sums.get(name).copied().unwrap_or_default()
    }

    /// A quantile of the poll start delay in seconds since `before`, linear within a bucket.
    pub(crate) fn start_delay(&self, before: &Self, quantile: f64) -> f64 {
        let counts = self
            .delays
            .iter()
            .enumerate()
            .map(|(index, (bound, count))| {
                let earlier = before.delays.get(index).map_or(0.0, |(_, count)| *count);
                (*bound, count - earlier)
            });
        let counts: Vec<_> = counts.collect();
        let rank = counts.last().map_or(0.0, |(_, all)| all * quantile);
        let (mut low, mut below) = (0.0, 0.0);
        for (bound, count) in counts {
            if count >= rank && count > below {
                return match bound.is_finite() {
                    true => low + (bound - low) * (rank - below) / (count - below),
                    false => low,
                };
            }
            (low, below) = (bound, count);
        }
        low
    }
}
