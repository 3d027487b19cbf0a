//! A scraper that looks for missing series, and for totals that fall.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use tokio::task::JoinSet;

use super::STAYING;
use crate::support::{get, scrape::Scrape};

/// Scrapes all the time.
pub(super) struct Scraper {
    task: JoinSet<()>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    /// The last reload.
    reload: Mutex<String>,
    scrapes: AtomicUsize,
}

impl Scraper {
    /// Starts it. No series of `expected` may be missing in any scrape, and no total may fall.
    pub(super) fn start(url: String, expected: BTreeSet<String>) -> Self {
        let shared = Arc::<Shared>::default();
        let mut task = JoinSet::new();
        task.spawn(scrape(url, expected, Arc::clone(&shared)));
        Self { task, shared }
    }

    /// Says which reload comes next, for messages.
    pub(super) fn tell(&self, reload: String) {
        *self.shared.reload.lock().unwrap() = reload;
    }

    /// Ends it. Returns the number of scrapes.
    pub(super) async fn end(self) -> usize {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.task.join_all().await;
        self.shared.scrapes.load(Ordering::Relaxed)
    }
}

async fn scrape(url: String, expected: BTreeSet<String>, shared: Arc<Shared>) {
    let mut totals = BTreeMap::<String, f64>::new();
    while !shared.stop.load(Ordering::Relaxed) {
        let text = get(&url).await.unwrap().text().await.unwrap();
        let shown = series(&Scrape::parse(text));
        let reload = shared.reload.lock().unwrap().clone();
        for series in &expected {
            assert!(shown.contains_key(series), "{series} is missing: {reload}");
        }
        for (series, value) in shown {
            if series.contains("_total{") {
                let before = totals.insert(series.clone(), value).unwrap_or_default();
                assert!(value >= before, "{series}: {value}, {before}: {reload}");
            }
        }
        shared.scrapes.fetch_add(1, Ordering::Relaxed);
    }
}

/// The values of all series of the nodes that stay.
pub(super) fn series(scrape: &Scrape) -> BTreeMap<String, f64> {
    let samples = scrape.all().iter().filter(|sample| {
        let target = sample.labels.get("target");
        target.is_some_and(|target| STAYING.contains(&target.as_str()))
    });
    let values = samples.map(|sample| {
        let key = format!("{}{{{:?}}}", sample.name, sample.labels);
        (key, sample.value.parse().unwrap())
    });
    values.collect()
}
