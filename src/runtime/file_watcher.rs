//! Tells that something happened in one of some folders.
//!
//! Folders are watched, not files: an editor or a deployment replaces a file by renaming, and a
//! ConfigMap of Kubernetes by moving the link `..data` beside it.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

/// A folder in which much happens is not spoken of more often than that.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);

/// Tells that something happened in one of some folders.
#[derive(Debug)]
pub struct FileWatcher {
    /// None where the system refuses one: the caller reads again at an interval then.
    watcher: Option<RecommendedWatcher>,
    happened: Arc<Notify>,
    quiet_until: Instant,
    unwatched: Vec<PathBuf>,
}

impl FileWatcher {
    /// None yet. `what` is in them, for the log.
    pub fn new(what: &str) -> Self {
        let happened = Arc::new(Notify::new());
        let notify = Arc::clone(&happened);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // That we read a file is an event, too.
            if !event.is_ok_and(|event| matches!(event.kind, EventKind::Access(_))) {
                notify.notify_one();
            }
        });
        if let Err(error) = &watcher {
            let error = error.to_string();
            tracing::warn!(
                what,
                error,
                "files are not watched, only read again and again"
            );
        }
        Self {
            watcher: watcher.ok(),
            happened,
            quiet_until: Instant::now(),
            unwatched: Vec::new(),
        }
    }

    /// Watches these; one that is there already is watched anew, because it may have come back.
    pub fn renew<'p>(&mut self, folders: impl Iterator<Item = &'p Path>) {
        let Some(watcher) = &mut self.watcher else {
            return;
        };
        let mut unwatched = Vec::new();
        for folder in folders {
            if let Err(error) = watcher.watch(folder, RecursiveMode::NonRecursive) {
                if !self.unwatched.iter().any(|known| known == folder) {
                    let (folder, error) = (folder.display().to_string(), error.to_string());
                    tracing::warn!(folder, error, "cannot watch a folder");
                }
                unwatched.push(folder.to_owned());
            }
        }
        self.unwatched = unwatched;
    }

    /// Waits until something happens.
    pub async fn changed(&mut self) {
        self.happened.notified().await;
        // What else happens until then is read with it.
        sleep_until(self.quiet_until).await;
        self.quiet_until = Instant::now() + SHORTEST_PAUSE;
    }
}
