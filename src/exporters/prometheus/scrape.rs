//! A scrape under way: it reads on from where it stopped whenever the scraper has taken what came
//! before, so that it holds one piece and no copy. What is polled meanwhile shows in what is still
//! to come; all samples of one target in one family are of one poll.

use std::{
    ops::Bound,
    sync::{Arc, Mutex},
};

use bytes::Bytes;

use super::{
    lock,
    scrape_cursor::{NameFilter, ScrapeCursor},
    store::RenderedStore,
};

/// The pieces of a scrape.
pub(super) struct Scrape {
    store: Arc<Mutex<RenderedStore>>,
    progress: ScrapeCursor,
}

impl Scrape {
    pub(super) fn new(store: &Arc<Mutex<RenderedStore>>, wanted: NameFilter) -> Self {
        lock(store).expire();
        Self {
            store: Arc::clone(store),
            progress: ScrapeCursor {
                wanted,
                from: Bound::Unbounded,
                half: None,
                is_over: false,
            },
        }
    }
}

impl Iterator for Scrape {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        lock(&self.store).read(&mut self.progress)
    }
}
