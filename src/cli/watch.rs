//! `run --watch`: reloads when a file of the configuration has changed.
//!
//! It compares the contents of the files. So a file that is written again with the same content, or
//! another file in the same directory, is not a change, and no reload can cause another one.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
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

/// The files of a configuration, each with its content when it was added. Clones share the same
/// list.
#[derive(Debug, Clone)]
pub(super) struct Watched(Arc<Mutex<Contents>>);

impl Watched {
    /// The files that the command line names, with their current contents.
    pub(super) fn new(args: &SourceArgs) -> Self {
        let sources = config::sources(&configs(args), &args.set).unwrap_or_default();
        let files = sources.into_iter().filter_map(|source| match source {
            ConfigSource::File(path) => Some(path),
            ConfigSource::Env(_) | ConfigSource::Yaml { .. } => None,
        });
        Self(Arc::new(Mutex::new(contents(files))))
    }

    /// Adds the files that a configuration names: definitions, and those of `${file:…}`.
    pub(super) fn add(&self, config: &Config, references: &[PathBuf]) {
        let receivers = config.receivers.values();
        let names = receivers.flat_map(|receiver| receiver.definitions());
        self.add_files(names.map(|name| definition::location(name)));
        self.add_files(references.iter().cloned());
    }

    /// Reads each new file at once, so that every later change differs from what was loaded.
    fn add_files(&self, files: impl Iterator<Item = PathBuf>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for path in files {
            if let Entry::Vacant(new) = known.entry(path) {
                let digest = digest(new.key());
                new.insert(digest);
            }
        }
    }

    /// Triggers a reload whenever a file has changed. Never returns.
    pub(super) async fn follow(self, trigger: &ReloadTrigger) {
        let mut folders = FileWatcher::new("configuration");
        let mut last = Contents::new();
        loop {
            let added = self.added();
            let around = folders_of(added.keys());
            folders.renew(around.iter().map(PathBuf::as_path));
            // The files are read again, because they may have changed before they were watched.
            let now = read(added.keys()).await;
            let before = |path: &PathBuf| last.get(path).or_else(|| added.get(path)).copied();
            let is_changed = now
                .iter()
                .any(|(path, digest)| before(path) != Some(*digest));
            last.extend(now);
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

    fn added(&self) -> Contents {
        let files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        files.clone()
    }
}

async fn read(files: impl Iterator<Item = &PathBuf>) -> Contents {
    let files: Vec<_> = files.cloned().collect();
    let read = tokio::task::spawn_blocking(move || contents(files.into_iter())).await;
    read.unwrap_or_default()
}

fn contents(files: impl Iterator<Item = PathBuf>) -> Contents {
    let digested = files.map(|path| {
        let digest = digest(&path);
        (path, digest)
    });
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
fn folders_of<'f>(files: impl Iterator<Item = &'f PathBuf> + Clone) -> BTreeSet<PathBuf> {
    let folder = |path: &Path| match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    };
    let real = files.clone().filter_map(|path| path.canonicalize().ok());
    let folders = files.map(|path| folder(path));
    let folders = folders.chain(real.map(|path| folder(&path)));
    folders.filter(|folder| folder.is_dir()).collect()
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    /// Between the loading of a new file and the first look at it.
    #[tokio::test]
    async fn a_change_right_after_a_file_is_added_is_seen() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("age");
        std::fs::write(&path, "1m").unwrap();
        let watched = Watched(Arc::default());
        watched.add_files([path.clone()].into_iter());
        std::fs::write(&path, "2m").unwrap();
        let (trigger, mut requests) = ReloadTrigger::new();
        tokio::select! {
            () = watched.follow(&trigger) => {}
            request = requests.recv() => assert!(request.is_some()),
            () = sleep(Duration::from_secs(10)) => panic!("the change was not seen"),
        }
    }
}
