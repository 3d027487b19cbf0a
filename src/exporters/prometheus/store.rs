//! What each target shows, and for how long.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::time::Instant;

use super::{
    Dropped,
    families::{Families, TargetId},
    labels::Labels,
    render::{self, OWN, Source},
    rules::Rules,
    scrape::Progress,
};
use crate::pipeline::{Snapshot, Target};

/// The rendered values of all targets.
#[derive(Debug, Default)]
pub(super) struct Store {
    next_id: TargetId,
    targets: HashMap<String, Shown>,
    families: Families,
}

/// What one target shows.
#[derive(Debug)]
struct Shown {
    target: Arc<Target>,
    id: TargetId,
    labels: Arc<Labels>,
    /// By [`Source`].
    sources: Vec<Part>,
}

/// The text of a snapshot.
pub(super) struct Rendered {
    pub(super) families: Vec<render::Family>,
    pub(super) labels: Arc<Labels>,
}

/// The families that came from one source, all at one moment.
#[derive(Debug, Default)]
struct Part {
    families: Vec<String>,
    expires: Option<Instant>,
}

impl Store {
    /// The labels of all series of a target.
    pub(super) fn labels(&self, target: &Target, rules: &Rules) -> Arc<Labels> {
        let shown = self.targets.get(&target.name);
        match shown.filter(|shown| std::ptr::eq(&*shown.target, target)) {
            Some(shown) => Arc::clone(&shown.labels),
            None => Arc::new(Labels::of(target, rules)),
        }
    }

    /// Makes room for a target unless there is. One of the same name with another configuration,
    /// after a reload, takes the other's place; what has the same labels and comes from the same
    /// endpoints stays until it is replaced.
    fn open(&mut self, target: &Arc<Target>, labels: &Arc<Labels>) {
        if let Some(shown) = self.targets.get_mut(&target.name) {
            if Arc::ptr_eq(&shown.target, target) {
                return;
            }
            if shown.labels == *labels && has_same_endpoints(&shown.target, target) {
                shown.target = Arc::clone(target);
                return;
            }
            self.remove(&target.name);
        }
        let sources = 1 + target.definition.endpoints.len();
        let shown = Shown {
            target: Arc::clone(target),
            id: self.next_id,
            labels: Arc::clone(labels),
            sources: (0..sources).map(|_| Part::default()).collect(),
        };
        self.next_id += 1;
        self.targets.insert(target.name.clone(), shown);
    }

    /// Replaces what a snapshot brought anew; gives what could not be shown. An endpoint's values
    /// are shown for `max_stale` unless new ones come.
    pub(super) fn replace(
        &mut self,
        snapshot: &Snapshot<'_>,
        Rendered { families, labels }: Rendered,
        max_stale: Duration,
    ) -> Vec<Dropped> {
        let now = Instant::now();
        self.open(snapshot.target, &labels);
        let Some(shown) = self.targets.get_mut(&snapshot.target.name) else {
            return Vec::new();
        };
        for source in 0..shown.sources.len() {
            if render::is_new(snapshot, source) {
                shown.clear(source, &mut self.families);
            }
        }
        shown.expire(now, &mut self.families);
        let mut dropped = Vec::new();
        for family in families {
            let source = family.source;
            let Some(part) = shown.sources.get_mut(source) else {
                continue;
            };
            let name = self.families.insert(shown.id, family, &mut dropped);
            part.families.extend(name);
            // What we say ourselves is said at every poll, of whatever outcome.
            part.expires = now.checked_add(max_stale).filter(|_| source != OWN);
        }
        dropped
    }

    /// Forgets a target, unless another one has taken over its name.
    pub(super) fn forget(&mut self, target: &Target) {
        let shown = self.targets.get(&target.name);
        if shown.is_some_and(|shown| std::ptr::eq(&*shown.target, target)) {
            self.remove(&target.name);
        }
    }

    /// The next piece of a scrape; none at its end.
    pub(super) fn read(&self, progress: &mut Progress) -> Option<Bytes> {
        self.families.read(progress)
    }

    /// The number of series that a scrape shows.
    pub(super) fn series(&mut self) -> usize {
        self.expire();
        self.families.series()
    }

    /// Drops what is too old, also of targets that nothing polls any more.
    pub(super) fn expire(&mut self) {
        let now = Instant::now();
        for shown in self.targets.values_mut() {
            shown.expire(now, &mut self.families);
        }
    }

    fn remove(&mut self, name: &str) {
        if let Some(mut shown) = self.targets.remove(name) {
            for source in 0..shown.sources.len() {
                shown.clear(source, &mut self.families);
            }
        }
    }
}

impl Shown {
    fn clear(&mut self, source: Source, families: &mut Families) {
        if let Some(part) = self.sources.get_mut(source) {
            for name in std::mem::take(part).families {
                families.remove(&name, self.id, source);
            }
        }
    }

    fn expire(&mut self, now: Instant, families: &mut Families) {
        for source in 0..self.sources.len() {
            let expires = self.sources.get(source).and_then(|part| part.expires);
            if expires.is_some_and(|expires| expires <= now) {
                self.clear(source, families);
            }
        }
    }
}

fn has_same_endpoints(one: &Target, other: &Target) -> bool {
    let endpoints = |target: &Target| -> Vec<_> {
        let endpoints = target.definition.endpoints.iter();
        endpoints
            .map(|e| (Arc::clone(&e.scope), Arc::clone(&e.path)))
            .collect()
    };
    endpoints(one) == endpoints(other)
}
