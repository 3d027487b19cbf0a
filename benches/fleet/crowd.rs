//! Many simultaneous scrapers: all scrape at the same time, at each interval.

use std::{cell::RefCell, rc::Rc, time::Duration};

use reqwest::Client;
use serde::Serialize;
use tokio::{
    task::JoinSet,
    time::{Instant, interval},
};

use crate::{Error, collector::Collector, process::Process, scrape::client};

/// Running scrapers. They end when this is dropped.
pub(crate) struct Crowd {
    scrapers: JoinSet<()>,
    count: u32,
    resident_bytes_before: u64,
    results: Rc<RefCell<Results>>,
}

/// What came of the requests of several clients.
#[derive(Default)]
pub(crate) struct Results {
    pub(crate) took: Vec<Duration>,
    pub(crate) failed: usize,
    /// The size of the last answer.
    pub(crate) bytes: usize,
}

/// The results of simultaneous scrapes.
#[derive(Debug, Serialize)]
pub(crate) struct Figures {
    scrapers: u32,
    crowd_scrapes: usize,
    pub(crate) crowd_scrapes_failed: usize,
    crowd_scrape_seconds_p50: f64,
    crowd_scrape_seconds_p99: f64,
    resident_mib_before: f64,
    resident_mib_peak: f64,
}

impl Crowd {
    /// Starts `count` scrapers of the collector's targets.
    pub(crate) fn start(count: u32, every: Duration, collector: &Collector) -> Result<Self, Error> {
        collector.process.forget_peak()?;
        let mut crowd = Self {
            scrapers: JoinSet::new(),
            count,
            resident_bytes_before: collector.process.resident_bytes()?,
            results: Rc::default(),
        };
        for _ in 0..count {
            let (url, results) = (collector.targets_url.clone(), Rc::clone(&crowd.results));
            crowd.scrapers.spawn_local(ask_on(url, every, results));
        }
        Ok(crowd)
    }

    /// Ends the scrapers. `None` if there are none.
    pub(crate) fn end(mut self, process: &Process) -> Result<Option<Figures>, Error> {
        self.scrapers.abort_all();
        if self.count == 0 {
            return Ok(None);
        }
        let mut results = self.results.borrow_mut();
        results.took.sort_unstable();
        let took = |quantile| percentile(&results.took, quantile).as_secs_f64();
        Ok(Some(Figures {
            scrapers: self.count,
            crowd_scrapes: results.took.len(),
            crowd_scrapes_failed: results.failed,
            crowd_scrape_seconds_p50: took(50),
            crowd_scrape_seconds_p99: took(99),
            resident_mib_before: mebibytes(self.resident_bytes_before),
            resident_mib_peak: mebibytes(process.peak_bytes()?),
        }))
    }
}

/// Asks at each interval, until the task is aborted.
pub(crate) async fn ask_on(url: String, every: Duration, results: Rc<RefCell<Results>>) {
    let Ok(client) = client() else {
        results.borrow_mut().failed += 1;
        return;
    };
    let mut ticks = interval(every);
    loop {
        ticks.tick().await;
        let started = Instant::now();
        match drain(&client, &url).await {
            Ok(bytes) => {
                let mut results = results.borrow_mut();
                results.took.push(started.elapsed());
                results.bytes = bytes;
            }
            Err(_) => results.borrow_mut().failed += 1,
        }
    }
}

/// Discards the answer while it arrives, and gives its size.
async fn drain(client: &Client, url: &str) -> reqwest::Result<usize> {
    let mut answer = client.get(url).send().await?.error_for_status()?;
    let mut bytes = 0;
    while let Some(chunk) = answer.chunk().await? {
        bytes += chunk.len();
    }
    Ok(bytes)
}

pub(crate) fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let index = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(index).copied().unwrap_or_default()
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
