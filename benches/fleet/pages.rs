//! Open status pages. Each asks for itself again once a second, as its script does in a browser.

use std::{cell::RefCell, rc::Rc, time::Duration};

use serde::Serialize;
use tokio::task::JoinSet;

use crate::{
    collector::Collector,
    crowd::{Results, ask_on, percentile},
};

/// How often the script of a page asks.
const EVERY: Duration = Duration::from_secs(1);

/// Open pages. They close when this is dropped.
pub(crate) struct Pages {
    readers: JoinSet<()>,
    count: u32,
    results: Rc<RefCell<Results>>,
}

/// The answers that the pages got.
#[derive(Debug, Serialize)]
pub(crate) struct PageFigures {
    pages: u32,
    page_answers: usize,
    pub(crate) page_failures: usize,
    page_seconds_p50: f64,
    page_seconds_max: f64,
    page_bytes: usize,
}

impl Pages {
    /// Opens the page at `path` so many times.
    pub(crate) fn open(count: u32, path: &str, collector: &Collector) -> Self {
        let mut pages = Self {
            readers: JoinSet::new(),
            count,
            results: Rc::default(),
        };
        for _ in 0..count {
            let url = format!("{}{path}", collector.pages_url);
            let results = Rc::clone(&pages.results);
            pages.readers.spawn_local(ask_on(url, EVERY, results));
        }
        pages
    }

    /// Closes the pages. `None` if there are none.
    pub(crate) fn close(mut self) -> Option<PageFigures> {
        self.readers.abort_all();
        if self.count == 0 {
            return None;
        }
        let mut results = self.results.borrow_mut();
        results.took.sort_unstable();
        let took = |percent| percentile(&results.took, percent).as_secs_f64();
        Some(PageFigures {
            pages: self.count,
            page_answers: results.took.len(),
            page_failures: results.failed,
            page_seconds_p50: took(50),
            page_seconds_max: took(100),
            page_bytes: results.bytes,
        })
    }
}
