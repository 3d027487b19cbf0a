//! `kubernetes_sd_configs`: targets from the API of Kubernetes, which is listed once and then
//! watched.
//!
//! A watch gives each object as it changes (`watch`), over our own HTTP client (`transport`). Of an
//! object only labels and addresses are kept (`objects`), all of them together make the targets
//! (`store`). An API server that is away changes nothing: the last list is kept, and the watch goes
//! on where it ended.

mod config;
mod connection;
mod kubeconfig;
mod labels;
mod objects;
mod place;
mod resource;
mod store;
#[cfg(test)]
mod tests;
mod transport;
mod watch;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_util::{
    StreamExt as _,
    stream::{BoxStream, SelectAll, select_all},
};
use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};

pub use self::{
    config::{AttachMetadata, KubernetesSdConfig, Namespaces, Role, SelectorConfig},
    place::ConnectionError,
};
use self::{
    connection::Connection,
    objects::ObjectKey,
    resource::Resource,
    store::{BYTES_MAX, Store, TooLarge},
    transport::Answered,
    watch::{Change, WatchError, Watched, watch},
};
use super::{
    config::Check,
    credentials::ClientSettings,
    group::Parsed,
    source::{Provider, RefreshError, SourcePart},
};
use crate::{
    runtime::heavy,
    yaml::{Cursor, Diagnostics},
};

/// Changes that come that close together make one new list.
const SETTLE: Duration = Duration::from_millis(500);

/// One `kubernetes_sd_configs` entry.
pub(super) struct KubernetesSd {
    config: KubernetesSdConfig,
    /// None before the first list in a Pod, whose account may come after its start.
    connection: Option<Connection>,
    watches: Vec<Watching>,
    changes: SelectAll<BoxStream<'static, Numbered>>,
    news: Arc<Notify>,
    store: Arc<Store>,
    /// Whether something changed since the last list.
    is_changed: bool,
    /// Whether the objects are too large to be kept.
    is_too_large: bool,
}

/// One kind of object, in one namespace or in all.
struct Watching {
    resource: Resource,
    namespace: Option<String>,
    answered: Arc<Answered>,
    /// Whether all of its objects came once.
    is_listed: bool,
    /// Those that came, while all of them come.
    seen: Option<BTreeSet<ObjectKey>>,
    error: Option<WatchError>,
}

/// A change, and which watch tells it.
struct Numbered {
    number: usize,
    change: Change,
}

impl KubernetesSd {
    /// What is named in the configuration must be there; what a Pod finds of itself is looked for
    /// with the first list, so that its configuration can be checked elsewhere.
    pub(super) fn new(config: &KubernetesSdConfig) -> Result<Self, ConnectionError> {
        let connection = match config.is_of_pod() {
            true => None,
            false => Some(Connection::new(config)?),
        };
        Ok(Self {
            config: config.clone(),
            connection,
            watches: Vec::new(),
            changes: SelectAll::new(),
            news: Arc::default(),
            store: Arc::default(),
            is_changed: false,
            is_too_large: false,
        })
    }

    /// Begins all watches.
    fn start(&mut self) -> Result<(), ConnectionError> {
        self.is_too_large = false;
        let connection = match &self.connection {
            Some(connection) => connection.clone(),
            None => Connection::new(&self.config)?,
        };
        let namespaces = self.config.namespaces.all()?;
        let mut changes = Vec::new();
        for resource in self.config.resources() {
            let of_resource = match resource.is_of_cluster() || namespaces.is_empty() {
                true => vec![None],
                false => namespaces.iter().cloned().map(Some).collect(),
            };
            for namespace in of_resource {
                let answered = Arc::new(Answered::new(&self.news));
                let watched = Watched {
                    resource,
                    namespace: namespace.as_deref(),
                    selector: self.config.selector(resource),
                };
                let number = self.watches.len();
                let of_watch = watch(&connection, &watched, Arc::clone(&answered));
                let of_watch = of_watch.map(move |change| Numbered { number, change });
                changes.push(of_watch.boxed());
                self.watches.push(Watching {
                    resource,
                    namespace,
                    answered,
                    is_listed: false,
                    seen: None,
                    error: None,
                });
            }
        }
        self.changes = select_all(changes);
        self.connection = Some(connection);
        Ok(())
    }

    /// Forgets everything; the next list begins anew.
    fn stop(&mut self) {
        self.watches.clear();
        self.changes = SelectAll::new();
        self.store = Arc::default();
        self.is_too_large = true;
        self.is_changed = true;
    }

    /// Waits for the next news of a watch. Nothing is lost if it is dropped.
    async fn step(&mut self) {
        if self.changes.is_empty() {
            return std::future::pending().await;
        }
        let news = Arc::clone(&self.news);
        let change = tokio::select! {
            change = self.changes.next() => change,
            () = news.notified() => None,
        };
        // An answer that came before a failure does not hide it.
        for watching in &mut self.watches {
            if watching.answered.take() && watching.error.take().is_some() {
                self.is_changed = true;
            }
        }
        if let Some(Numbered { number, change }) = change
            && self.take(number, change).is_err()
        {
            self.stop();
        }
    }

    fn take(&mut self, number: usize, change: Change) -> Result<(), TooLarge> {
        let Some(watching) = self.watches.get_mut(number) else {
            return Ok(());
        };
        let (resource, store) = (watching.resource, Arc::make_mut(&mut self.store));
        match change {
            Change::Listing => watching.seen = Some(BTreeSet::new()),
            Change::Applied { key, record } => {
                match &mut watching.seen {
                    Some(seen) => drop(seen.insert(key.clone())),
                    None => self.is_changed = true,
                }
                store.put(resource, key, *record)?;
            }
            Change::Deleted(key) => {
                store.remove(resource, &key);
                self.is_changed = true;
            }
            Change::Listed => {
                if let Some(seen) = watching.seen.take() {
                    store.keep(resource, watching.namespace.as_deref(), &seen);
                }
                watching.is_listed = true;
                self.is_changed = true;
            }
            Change::Expired => {}
            Change::Failed(error) => {
                watching.error = Some(error);
                self.is_changed = true;
            }
        }
        Ok(())
    }

    /// Whether all is known that can be known now.
    fn is_settled(&self) -> bool {
        self.is_too_large
            || self.watches.iter().all(|of| of.is_listed)
            || self.watches.iter().any(|of| of.error.is_some())
    }

    async fn list(&mut self) -> Result<Parsed, RefreshError> {
        if self.watches.is_empty() {
            self.start().map_err(no_way)?;
        }
        while !self.is_settled() {
            self.step().await;
        }
        self.is_changed = false;
        let too_large = RefreshError::ObjectsTooLarge(BYTES_MAX);
        if self.is_too_large {
            return Err(too_large);
        }
        let mut errors = self.watches.iter().filter_map(|of| of.error.clone());
        if let Some(error) = errors.next() {
            return Err(RefreshError::Kubernetes {
                reason: error.reason(),
                source: Box::new(error),
            });
        }
        let (store, role) = (Arc::clone(&self.store), self.config.role);
        let attach = self.config.attach_metadata;
        // Many targets take long enough to delay a poll.
        let groups = heavy::offload(move || store.groups(role, attach)).await;
        let groups = groups.map_err(|_| RefreshError::Stopped)?;
        Ok(Parsed {
            groups: groups.map_err(|TooLarge| too_large)?,
            ..Parsed::default()
        })
    }
}

fn no_way(error: ConnectionError) -> RefreshError {
    RefreshError::Kubernetes {
        reason: "connection",
        source: Box::new(error),
    }
}

impl Check for KubernetesSdConfig {
    fn check(&self, at: &Cursor<'_>, diagnostics: &mut Diagnostics) {
        ClientSettings {
            basic_auth: self.basic_auth.as_ref(),
            authorization: self.authorization.as_ref(),
            tls_config: &self.tls_config,
        }
        .check(at, diagnostics);
        self.check_keys(at, diagnostics);
    }
}

#[async_trait]
impl Provider for KubernetesSd {
    async fn refresh(&mut self) -> Result<Vec<SourcePart>, RefreshError> {
        let result = self.list().await;
        let objects = self.config.role.resource().name();
        let key = match &self.connection {
            Some(connection) => format!("{objects} of {}", connection.server.get()),
            None => objects.to_owned(),
        };
        Ok(vec![SourcePart { key, result }])
    }

    async fn woken(&mut self) {
        while !self.is_changed {
            self.step().await;
        }
        let settled = Instant::now() + SETTLE;
        while Instant::now() < settled && timeout_at(settled, self.step()).await.is_ok() {}
    }
}
