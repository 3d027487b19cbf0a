//! `run --watch`: a reload when a file of the configuration has changed.
//!
//! What the files hold is compared, so that a file that is written anew as it was, or something
//! else beside it, is no change, and no reload can cause another.

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
    receivers,
    runtime::{FileWatcher, read_file},
};

/// Who writes several files, or one in several pieces, is given so long to be done.
const DEBOUNCE: Duration = Duration::from_millis(500);

/// How often the files are read where nothing tells of changes, as on a network file system.
const INTERVAL: Duration = Duration::from_secs(30);

/// A digest of what each file holds; none of one that cannot be read.
type Contents = BTreeMap<PathBuf, Option<u64>>;

/// The files of a configuration. Clones are handles to the same ones.
#[derive(Debug, Clone)]
pub(super) struct Watched {
    files: Arc<Mutex<BTreeSet<PathBuf>>>,
    known: Contents,
}

impl Watched {
    /// The files that the command line names, as they are now.
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

    /// Adds the definitions that a configuration names.
    pub(super) fn add_definitions(&self, config: &Config) {
        let names = config.receivers.values().flat_map(|receiver| {
            let receivers::Config::HttpJson(receiver) = receiver;
            receiver.definition.iter()
        });
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.extend(names.map(|name| definition::location(name)));
    }

    /// Asks for a reload whenever a file has changed, and never returns.
    pub(super) async fn follow(self, trigger: &ReloadTrigger) {
        let mut folders = FileWatcher::new("configuration");
        let mut known = self.known.clone();
        loop {
            let around = folders_of(&self.files());
            folders.renew(around.iter().map(PathBuf::as_path));
            // Again, because they may have changed before they were watched.
            let now = self.read().await;
            let has_changed = |(path, digest): (&PathBuf, &Option<u64>)| {
                known.get(path).is_some_and(|before| before != digest)
            };
            let is_changed = now.iter().any(has_changed);
            known.extend(now);
            if is_changed {
                tracing::info!("the files of the configuration changed");
                // What comes of it is logged where it is done.
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
    // A pipe would be read once only.
    let text = read_file(path, MAX_FILE).ok()?;
    let mut hasher = DefaultHasher::new();
    hasher.write(&text);
    Some(hasher.finish())
}

/// Where the files are, and where the links lead that they may be.
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
