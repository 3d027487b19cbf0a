//! The values that each target shows, and how long.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::time::Instant;

use super::{
    DroppedPoints,
    families::{Families, FamilyPages},
    labels::TargetLabels,
    page_writer::PageWriter,
    render,
    rendered_source::{OWN, RenderedSource, SeriesSource, TargetId},
    rules::RenderingRules,
    scrape_cursor::ScrapeCursor,
    slab::Slab,
};
use crate::pipeline::{Snapshot, Target};

/// The rendered values of all targets.
#[derive(Debug, Default)]
pub(super) struct RenderedStore {
    by_name: HashMap<String, TargetId>,
    targets: Slab<Shown>,
    families: Families,
    series: usize,
}

/// The values of one target.
#[derive(Debug)]
struct Shown {
    target: Arc<Target>,
    labels: Arc<TargetLabels>,
    /// The parts by [`SeriesSource`].
    parts: Box<[SourcePart]>,
}

/// The values of one source, all from one moment.
#[derive(Debug, Default)]
struct SourcePart {
    page: RenderedSource,
    expires: Option<Instant>,
    /// Whether its endpoint failed when it was last asked.
    is_stale: bool,
}

impl RenderedStore {
    /// The labels of a target's series.
    pub(super) fn labels(&self, target: &Target, rules: &RenderingRules) -> Arc<TargetLabels> {
        let shown = self.by_name.get(&target.name);
        let shown = shown.and_then(|id| self.targets.get(*id));
        match shown.filter(|shown| std::ptr::eq(&*shown.target, target)) {
            Some(shown) => Arc::clone(&shown.labels),
            None => Arc::new(TargetLabels::new(target, rules)),
        }
    }

    /// Adds a target unless it exists, and returns its number. After a reload, a target with the
    /// same name and another configuration replaces the old one. Values with the same labels from
    /// the same endpoints stay until new ones come.
    fn open(&mut self, target: &Arc<Target>, labels: Arc<TargetLabels>) -> TargetId {
        if let Some(id) = self.by_name.get(&target.name).copied()
            && let Some(shown) = self.targets.get_mut(id)
        {
            if Arc::ptr_eq(&shown.target, target) {
                return id;
            }
            if shown.labels.are_like(&labels) && has_same_endpoints(&shown.target, target) {
                (shown.target, shown.labels) = (Arc::clone(target), labels);
                return id;
            }
            self.remove(&target.name);
        }
        let sources = 1 + target.definition.endpoints.len();
        let id = self.targets.insert(Shown {
            target: Arc::clone(target),
            labels,
            parts: (0..sources).map(|_| SourcePart::default()).collect(),
        });
        self.by_name.insert(target.name.clone(), id);
        id
    }

    /// Replaces the values that a snapshot has, and returns the points that cannot be shown. The
    /// values of an endpoint are shown for `max_stale` if no new ones come.
    pub(super) fn replace(
        &mut self,
        snapshot: &Snapshot<'_>,
        labels: Arc<TargetLabels>,
        mut draft: PageWriter,
        max_stale: Duration,
    ) -> Vec<DroppedPoints> {
        let (now, mut dropped) = (Instant::now(), Vec::new());
        let target = self.open(snapshot.target, labels);
        let (families, series) = (&mut self.families, &mut self.series);
        let Some(shown) = self.targets.get_mut(target) else {
            return dropped;
        };
        shown.expire(target, now, (families, series));
        let is_new =
            |(source, _): &(SeriesSource, &mut SourcePart)| render::is_new(snapshot, *source);
        // Old values are removed first, so that new ones can have their names.
        for (source, part) in shown.parts().filter(is_new) {
            let page = std::mem::take(part).page;
            *series -= page.count();
            draft.inherit((target, source), &page, families);
        }
        shown.note_failed(snapshot);
        draft.place(target, families, &mut dropped);
        draft.remove_shown(shown.parts.iter().map(|part| &part.page), &mut dropped);
        for (source, part) in shown.parts().filter(is_new) {
            part.page = draft.page(source);
            *series += part.page.count();
            // The collector's own metrics are in every snapshot, whatever the result of the poll.
            part.expires = now.checked_add(max_stale).filter(|_| source != OWN);
        }
        dropped
    }

    /// Removes a target, unless another one has taken its name.
    pub(super) fn forget(&mut self, target: &Target) {
        let shown = self.by_name.get(&target.name);
        let shown = shown.and_then(|id| self.targets.get(*id));
        if shown.is_some_and(|shown| std::ptr::eq(&*shown.target, target)) {
            self.remove(&target.name);
        }
    }

    /// The next piece of a scrape. `None` at its end.
    pub(super) fn read(&self, progress: &mut ScrapeCursor) -> Option<Bytes> {
        self.families.read(&self.targets, progress)
    }

    /// The number of series that a scrape shows.
    pub(super) fn series(&mut self) -> usize {
        self.expire();
        self.series
    }

    /// Removes values that are too old, also of targets that no receiver polls any more.
    pub(super) fn expire(&mut self) {
        let now = Instant::now();
        for (target, shown) in self.targets.iter_mut() {
            shown.expire(target, now, (&mut self.families, &mut self.series));
        }
    }

    /// Drops what endpoints gave that have failed since. Says how many series they were.
    pub(super) fn shed(&mut self) -> usize {
        let before = self.series;
        for (target, shown) in self.targets.iter_mut() {
            let of = (&mut self.families, &mut self.series);
            shown.clear(target, |part| part.is_stale, of);
        }
        before - self.series
    }

    fn remove(&mut self, name: &str) {
        let target = self.by_name.remove(name);
        if let Some(target) = target
            && let Some(mut shown) = self.targets.remove(target)
        {
            shown.clear(target, |_| true, (&mut self.families, &mut self.series));
        }
    }
}

impl FamilyPages for Slab<Shown> {
    fn page(&self, target: TargetId, source: SeriesSource) -> Option<(&RenderedSource, &str)> {
        let shown = self.get(target)?;
        let part = shown.parts.get(source as usize)?;
        Some((&part.page, shown.labels.text()))
    }
}

impl Shown {
    /// The parts, by source.
    fn parts(&mut self) -> impl Iterator<Item = (SeriesSource, &mut SourcePart)> {
        (OWN..).zip(&mut self.parts)
    }

    /// What was asked in vain is stale from then on.
    fn note_failed(&mut self, snapshot: &Snapshot<'_>) {
        if snapshot.is_refused {
            return;
        }
        let endpoints = self.parts.iter_mut().skip(1);
        for (part, is_lost) in endpoints.zip(snapshot.lost) {
            part.is_stale |= is_lost;
        }
    }

    /// Removes the parts that are `gone`, and subtracts their series.
    fn clear(
        &mut self,
        target: TargetId,
        gone: impl Fn(&SourcePart) -> bool,
        (families, series): (&mut Families, &mut usize),
    ) {
        for (source, part) in self.parts().filter(|(_, part)| gone(part)) {
            let page = std::mem::take(part).page;
            *series -= page.count();
            for family in page.families() {
                families.remove(family, (target, source));
            }
        }
    }

    fn expire(&mut self, target: TargetId, now: Instant, of: (&mut Families, &mut usize)) {
        let is_old = |part: &SourcePart| part.expires.is_some_and(|expires| expires <= now);
        self.clear(target, is_old, of);
    }
}

fn has_same_endpoints(one: &Target, other: &Target) -> bool {
    let endpoints = |target: &Target| -> Vec<_> {
        let endpoints = target.definition.endpoints.iter();
        endpoints.map(|e| Arc::clone(&e.scope)).collect()
    };
    endpoints(one) == endpoints(other)
}
