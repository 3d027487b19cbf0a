//! The values that each target shows, and how long.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use opentelemetry_sdk::Resource;
use slab::Slab;
use tokio::time::Instant;

use super::{
    DroppedPoints,
    draft::Draft,
    families::Families,
    labels::TargetLabels,
    placement, render,
    rows::{ENDPOINTS, INFO, Layout, SourceId, SourceKey, SourceRows, TargetId, TargetKey},
    rules::RenderingRules,
};
use crate::pipeline::{Snapshot, Target};

/// The values of all targets.
#[derive(Debug, Default)]
pub(super) struct SeriesStore {
    by_name: HashMap<String, TargetId>,
    targets: Slab<TargetSeries>,
    index: SeriesIndex,
}

/// What the sources of all targets share.
#[derive(Debug, Default)]
pub(super) struct SeriesIndex {
    families: Families,
    /// The layouts that are in use, each once.
    layouts: HashSet<Arc<Layout>>,
    /// The number of series.
    series: usize,
    /// The number of changes.
    version: u64,
}

/// The values of one target.
#[derive(Debug)]
pub(super) struct TargetSeries {
    target: Arc<Target>,
    labels: Arc<TargetLabels>,
    /// The Resource that is shown.
    resource: Arc<Resource>,
    /// By [`SourceId`].
    sources: Box<[Source]>,
}

/// The values of one source, all from one moment.
#[derive(Debug, Default)]
struct Source {
    /// `None` without a series.
    rows: Option<SourceRows>,
    expires: Option<Instant>,
    /// Whether the last poll of its endpoint failed.
    is_stale: bool,
}

impl SeriesStore {
    /// The labels of a target's series.
    pub(super) fn labels(&self, target: &Target, rules: &RenderingRules) -> Arc<TargetLabels> {
        let shown = self.by_name.get(&target.name);
        let shown = shown.and_then(|id| self.targets.get(*id as usize));
        match shown.filter(|shown| std::ptr::eq(&*shown.target, target)) {
            Some(shown) => Arc::clone(&shown.labels),
            None => Arc::new(TargetLabels::new(target, rules)),
        }
    }

    /// The number of layouts that targets share.
    #[cfg(test)]
    pub(super) fn layouts(&self) -> usize {
        self.index.layouts.len()
    }

    /// The families of all targets.
    pub(super) fn families(&self) -> &Families {
        &self.index.families
    }

    /// The values of a source of a target.
    pub(super) fn rows(&self, key: &SourceKey) -> Option<&SourceRows> {
        self.target(key.target.id)?.rows(key.source)
    }

    /// Adds a target unless it exists, and returns its number. After a reload, a target with the
    /// same name and another configuration replaces the old one. Values with the same labels from
    /// the same endpoints stay until new ones come.
    fn open(&mut self, snapshot: &Snapshot<'_>, labels: Arc<TargetLabels>) -> TargetId {
        let target = snapshot.target;
        if let Some(id) = self.by_name.get(&target.name).copied()
            && let Some(shown) = self.targets.get_mut(id as usize)
        {
            if Arc::ptr_eq(&shown.target, target) {
                return id;
            }
            if shown.labels.are_like(&labels) && has_same_endpoints(&shown.target, target) {
                shown.target = Arc::clone(target);
                return id;
            }
            self.remove(&target.name);
        }
        let sources = ENDPOINTS as usize + target.definition.endpoints.len();
        let id = number(self.targets.insert(TargetSeries {
            target: Arc::clone(target),
            labels,
            resource: Arc::clone(snapshot.resource),
            sources: (0..sources).map(|_| Source::default()).collect(),
        }));
        self.by_name.insert(target.name.clone(), id);
        id
    }

    /// Replaces the values that a snapshot has, and returns the points that cannot be shown. The
    /// values of an endpoint are shown for `max_stale` if no new ones come.
    pub(super) fn replace(
        &mut self,
        snapshot: &Snapshot<'_>,
        labels: Arc<TargetLabels>,
        draft: &mut Draft,
        max_stale: Duration,
    ) -> Vec<DroppedPoints> {
        let now = Instant::now();
        let id = self.open(snapshot, labels);
        self.expire_target(id, now);
        let dropped = self.change(id, (snapshot, now, max_stale), |target, index| match target
            .has_series_of(snapshot, draft)
        {
            true => target.replace_numbers(snapshot, draft),
            false => target.replace_series(id, snapshot, draft, index),
        });
        dropped.unwrap_or_default()
    }

    /// Changes the values that a snapshot has, which are shown for `max_stale`.
    pub(super) fn change<T>(
        &mut self,
        id: TargetId,
        (snapshot, now, max_stale): (&Snapshot<'_>, Instant, Duration),
        change: impl FnOnce(&mut TargetSeries, &mut SeriesIndex) -> T,
    ) -> Option<T> {
        let target = self.targets.get_mut(id as usize)?;
        self.index.version += 1;
        target.note_failed(snapshot);
        let result = change(target, &mut self.index);
        for (id, source) in target.fresh(snapshot) {
            source.is_stale = false;
            // The collector's own metrics are in every snapshot, whatever the result of the poll.
            source.expires = now.checked_add(max_stale).filter(|_| id >= ENDPOINTS);
        }
        Some(result)
    }

    /// The number of a target that is shown with this description.
    pub(super) fn shown(&self, target: &Arc<Target>) -> Option<TargetId> {
        let id = *self.by_name.get(&target.name)?;
        let shown = self.target(id)?;
        Arc::ptr_eq(&shown.target, target).then_some(id)
    }

    /// The values of a target.
    pub(super) fn target(&self, id: TargetId) -> Option<&TargetSeries> {
        self.targets.get(id as usize)
    }

    /// Removes the values of a target that are too old.
    pub(super) fn expire_target(&mut self, id: TargetId, now: Instant) {
        if let Some(target) = self.targets.get_mut(id as usize) {
            target.expire(id, now, &mut self.index);
        }
    }

    /// Removes a target, unless another one has taken its name.
    pub(super) fn forget(&mut self, target: &Target) {
        let shown = self.by_name.get(&target.name);
        let shown = shown.and_then(|id| self.targets.get(*id as usize));
        if shown.is_some_and(|shown| std::ptr::eq(&*shown.target, target)) {
            self.remove(&target.name);
        }
    }

    /// The number of series that a scrape shows.
    pub(super) fn series(&mut self) -> usize {
        self.expire();
        self.index.series
    }

    /// The number of changes so far. Two scrapes with the same number are the same.
    pub(super) fn version(&self) -> u64 {
        self.index.version
    }

    /// Removes values that are too old, also of targets that no receiver polls any more.
    pub(super) fn expire(&mut self) {
        let now = Instant::now();
        for (id, target) in &mut self.targets {
            target.expire(number(id), now, &mut self.index);
        }
    }

    /// Removes the values of endpoints that failed since, and returns the number of their series.
    pub(super) fn shed(&mut self) -> usize {
        let before = self.index.series;
        for (id, target) in &mut self.targets {
            target.clear(number(id), |source| source.is_stale, &mut self.index);
        }
        before - self.index.series
    }

    fn remove(&mut self, name: &str) {
        let id = self.by_name.remove(name);
        if let Some(id) = id
            && let Some(mut target) = self.targets.try_remove(id as usize)
        {
            target.clear(id, |_| true, &mut self.index);
        }
    }
}

impl SeriesIndex {
    /// The layout, shared with other sources that have the same series.
    fn share(&mut self, source: SourceId, layout: Layout) -> Arc<Layout> {
        self.series += layout.series.len();
        // Each target has its own information.
        if source == INFO {
            return Arc::new(layout);
        }
        match self.layouts.get(&layout) {
            Some(known) => Arc::clone(known),
            None => {
                let new = Arc::new(layout);
                self.layouts.insert(Arc::clone(&new));
                new
            }
        }
    }

    /// Forgets the series of a source.
    fn release(&mut self, layout: Arc<Layout>) {
        self.series -= layout.series.len();
        self.version += 1;
        // The last one, beside the set.
        if Arc::strong_count(&layout) == 2 {
            self.layouts.remove(&layout);
        }
    }
}

impl TargetSeries {
    /// Whether this Resource is shown.
    pub(super) fn is_of(&self, resource: &Arc<Resource>) -> bool {
        Arc::ptr_eq(&self.resource, resource)
    }

    fn key(&self, id: TargetId) -> TargetKey {
        TargetKey {
            labels: Arc::clone(&self.labels),
            id,
        }
    }

    /// The rows of a source; none without a series.
    pub(super) fn rows(&self, source: SourceId) -> Option<&SourceRows> {
        self.sources.get(source as usize)?.rows.as_ref()
    }

    /// The rows of what the target itself says, by source.
    pub(super) fn shown_sources(&self) -> impl Iterator<Item = (SourceId, &SourceRows)> {
        let sources = (INFO..).zip(&self.sources).filter(|(id, _)| *id != INFO);
        sources.filter_map(|(id, source)| Some((id, source.rows.as_ref()?)))
    }

    /// Replaces one number.
    pub(super) fn set_number(&mut self, source: SourceId, row: u32, bits: u64) {
        let source = self.sources.get_mut(source as usize);
        let rows = source.and_then(|source| source.rows.as_mut());
        if let Some(number) = rows.and_then(|rows| rows.numbers.get_mut(row as usize)) {
            *number = bits;
        }
    }

    /// The sources, each with its number.
    fn sources(&mut self) -> impl Iterator<Item = (SourceId, &mut Source)> {
        (INFO..).zip(&mut self.sources)
    }

    /// The sources of which a snapshot has new values.
    fn fresh<'a>(
        &'a mut self,
        snapshot: &'a Snapshot<'_>,
    ) -> impl Iterator<Item = (SourceId, &'a mut Source)> {
        self.sources()
            .filter(|(id, _)| render::is_new(snapshot, *id))
    }

    /// Whether a snapshot has new values for the series that are shown, and for no others.
    fn has_series_of(&mut self, snapshot: &Snapshot<'_>, draft: &Draft) -> bool {
        self.fresh(snapshot).all(|(id, source)| {
            let new = draft.sources.get(&id).filter(|new| !new.is_empty());
            match (new, &source.rows) {
                (Some(new), Some(rows)) => new.is_like(&rows.layout),
                (new, rows) => new.is_none() && rows.is_none(),
            }
        })
    }

    fn replace_numbers(&mut self, snapshot: &Snapshot<'_>, draft: &Draft) -> Vec<DroppedPoints> {
        self.resource = Arc::clone(snapshot.resource);
        for (id, source) in self.fresh(snapshot) {
            if let (Some(rows), Some(new)) = (&mut source.rows, draft.sources.get(&id)) {
                new.replace(rows);
            }
        }
        Vec::new()
    }

    fn replace_series(
        &mut self,
        target: TargetId,
        snapshot: &Snapshot<'_>,
        draft: &mut Draft,
        index: &mut SeriesIndex,
    ) -> Vec<DroppedPoints> {
        self.resource = Arc::clone(snapshot.resource);
        let target = self.key(target);
        // Old values are removed first, so that new ones can have their names.
        for (id, source) in self.fresh(snapshot) {
            if let Some(SourceRows { layout, .. }) = source.rows.take() {
                let (key, new) = (target.source(id), draft.sources.get_mut(&id));
                placement::inherit(&key, &layout, new, &mut index.families);
                index.release(layout);
            }
        }
        let others = self
            .sources
            .iter()
            .filter_map(|source| source.rows.as_ref());
        let others = others.map(|rows| &*rows.layout);
        let dropped = placement::place(&target, draft, others, &mut index.families);
        for (id, source) in self.fresh(snapshot) {
            let new = draft
                .sources
                .get(&id)
                .filter(|new| !new.sections.is_empty());
            source.rows = new.map(|new| new.rows(index.share(id, new.layout())));
        }
        dropped
    }

    /// Marks the endpoints that failed. They are stale until they answer.
    fn note_failed(&mut self, snapshot: &Snapshot<'_>) {
        if snapshot.is_refused {
            return;
        }
        let endpoints = self.sources.iter_mut().skip(ENDPOINTS as usize);
        for (source, is_lost) in endpoints.zip(snapshot.lost) {
            source.is_stale |= is_lost;
        }
    }

    /// Removes the values of the sources that are `gone`.
    fn clear(&mut self, target: TargetId, gone: impl Fn(&Source) -> bool, index: &mut SeriesIndex) {
        let target = self.key(target);
        for (id, source) in self.sources().filter(|(_, source)| gone(source)) {
            if let Some(SourceRows { layout, .. }) = std::mem::take(source).rows {
                placement::inherit(&target.source(id), &layout, None, &mut index.families);
                index.release(layout);
            }
        }
    }

    fn expire(&mut self, target: TargetId, now: Instant, index: &mut SeriesIndex) {
        let is_old = |source: &Source| source.expires.is_some_and(|expires| expires <= now);
        self.clear(target, is_old, index);
    }
}

/// The number of a slot.
fn number(slot: usize) -> TargetId {
    // Memory is full long before there are no more numbers.
    TargetId::try_from(slot).unwrap_or(TargetId::MAX)
}

fn has_same_endpoints(one: &Target, other: &Target) -> bool {
    let endpoints = |target: &Target| -> Vec<_> {
        let endpoints = target.definition.endpoints.iter();
        endpoints.map(|e| Arc::clone(&e.scope)).collect()
    };
    endpoints(one) == endpoints(other)
}
