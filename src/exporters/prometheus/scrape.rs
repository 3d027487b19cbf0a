//! A scrape in progress. It continues where it stopped whenever the scraper has read the last
//! piece, so that it holds one piece and no copy. Polls in the meantime change the part that is not
//! sent yet. All samples of one target in one family are from one poll.

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
