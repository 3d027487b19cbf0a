//! `run --watch`: reloads when a file of the configuration has changed.
//!
//! It compares the contents of the files. So a file that is written again with the same content, or
//! another file in the same directory, is not a change, and no reload can cause another one.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{DefaultHasher, Hasher as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::{sleep, timeout};

use super::{args::SourceArgs, load::configs};
use crate::{
    config::{self, Config, ConfigSource, MAX_FILE},
    definition,
    pipeline::ReloadTrigger,
    runtime::{FileWatcher, read_file},
};

/// The pause after a change, in which a writer can finish several files or several pieces of one.
const DEBOUNCE: Duration = Duration::from_millis(500);

/// How often the files are read if the system reports no changes, as on a network file system.
const INTERVAL: Duration = Duration::from_secs(30);

/// A digest of the content of each file; `None` for a file that cannot be read.
type Contents = BTreeMap<PathBuf, Option<u64>>;

/// The files of a configuration. Clones share the same list.
#[derive(Debug, Clone)]
pub(super) struct Watched {
    files: Arc<Mutex<BTreeSet<PathBuf>>>,
    known: Contents,
}

impl Watched {
    /// The files that the command line names, with their current contents.
    pub(super) fn new(args: &SourceArgs) -> Self {
        let sources = config::sources(&configs(args), &args.set).unwrap_or_default();
        let files = sources.into_iter().filter_map(|source| match source {
            ConfigSource::File(path) => Some(path),
            ConfigSource::Env(_) | ConfigSource::Yaml { .. } => None,
        });
        let files: BTreeSet<_> = files.collect();
        Self {
            known: contents(&files),
            files: Arc::new(Mutex::new(files)),
        }
    }

    /// Adds the files that a configuration names: definitions, and those of `${file:…}`.
    pub(super) fn add(&self, config: &Config, references: &[PathBuf]) {
        let receivers = config.receivers.values();
        let names = receivers.flat_map(|receiver| receiver.definitions());
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.extend(names.map(|name| definition::location(name)));
        files.extend(references.iter().cloned());
    }

    /// Triggers a reload whenever a file has changed. Never returns.
    pub(super) async fn follow(self, trigger: &ReloadTrigger) {
        let mut folders = FileWatcher::new("configuration");
        let mut known = self.known.clone();
        loop {
            let around = folders_of(&self.files());
            folders.renew(around.iter().map(PathBuf::as_path));
            // The files are read again, because they may have changed before they were watched.
            let now = self.read().await;
            let has_changed = |(path, digest): (&PathBuf, &Option<u64>)| {
                known.get(path).is_some_and(|before| before != digest)
            };
            let is_changed = now.iter().any(has_changed);
            known.extend(now);
            if is_changed {
                tracing::info!("the files of the configuration changed");
                // The reload itself logs its result.
                drop(trigger.ask().await);
                continue;
            }
            drop(timeout(INTERVAL, folders.changed()).await);
            sleep(DEBOUNCE).await;
        }
    }

    fn files(&self) -> BTreeSet<PathBuf> {
        let files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.clone()
    }

    async fn read(&self) -> Contents {
        let files = self.files();
        let read = tokio::task::spawn_blocking(move || contents(&files)).await;
        read.unwrap_or_default()
    }
}

fn contents(files: &BTreeSet<PathBuf>) -> Contents {
    let digested = files.iter().map(|path| (path.clone(), digest(path)));
    digested.collect()
}

fn digest(path: &Path) -> Option<u64> {
    // A pipe could be read only once.
    let text = read_file(path, MAX_FILE).ok()?;
    let mut hasher = DefaultHasher::new();
    hasher.write(&text);
    Some(hasher.finish())
}

/// The directories of the files, and of the destinations of their links.
fn folders_of(files: &BTreeSet<PathBuf>) -> BTreeSet<PathBuf> {
    let folder = |path: &Path| match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    };
    let real = files.iter().filter_map(|path| path.canonicalize().ok());
    let folders = files.iter().map(|path| folder(path));
    let folders = folders.chain(real.map(|path| folder(&path)));
    folders.filter(|folder| folder.is_dir()).collect()
}
