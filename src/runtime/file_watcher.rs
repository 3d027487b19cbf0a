//! Reports changes in some directories.
//!
//! It watches directories, not files: an editor or a deployment replaces a file by renaming another
//! one, and a ConfigMap of Kubernetes by replacing the link `..data` next to it.

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

/// The shortest time between two reports, if there are many changes.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);

/// Reports changes in some directories.
#[derive(Debug)]
pub struct FileWatcher {
    /// `None` if the system refuses a watcher. Then the caller reads the files at an interval.
    watcher: Option<RecommendedWatcher>,
    happened: Arc<Notify>,
    quiet_until: Instant,
    unwatched: Vec<PathBuf>,
}

impl FileWatcher {
    /// Creates a watcher without directories. `what` names the files in the log.
    pub fn new(what: &str) -> Self {
        let happened = Arc::new(Notify::new());
        let notify = Arc::clone(&happened);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // Reading a file is an event as well, so it is ignored.
            if !event.is_ok_and(|event| matches!(event.kind, EventKind::Access(_))) {
                notify.notify_one();
            }
        });
        if let Err(error) = &watcher {
            let error = error.to_string();
            tracing::warn!(
                what,
                error,
                "files cannot be watched; they are read at an interval instead"
            );
        }
        Self {
            watcher: watcher.ok(),
            happened,
            quiet_until: Instant::now(),
            unwatched: Vec::new(),
        }
    }

    /// Watches these directories. A directory that is watched already is watched again, because it
    /// may have been replaced.
    pub fn renew<'p>(&mut self, folders: impl Iterator<Item = &'p Path>) {
        let Some(watcher) = &mut self.watcher else {
            return;
        };
        let mut unwatched = Vec::new();
        for folder in folders {
            if let Err(error) = watcher.watch(folder, RecursiveMode::NonRecursive) {
                if !self.unwatched.iter().any(|known| known == folder) {
                    let (folder, error) = (folder.display().to_string(), error.to_string());
                    tracing::warn!(folder, error, "cannot watch a directory");
                }
                unwatched.push(folder.to_owned());
            }
        }
        self.unwatched = unwatched;
    }

    /// Waits for a change.
    pub async fn changed(&mut self) {
        self.happened.notified().await;
        // Further changes until then belong to the same report.
        sleep_until(self.quiet_until).await;
        self.quiet_until = Instant::now() + SHORTEST_PAUSE;
    }
}
