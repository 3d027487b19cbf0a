//! The families of all targets, as a scrape shows them.

use std::collections::{BTreeMap, HashSet, btree_map::Entry};

use bytes::{Bytes, BytesMut};

use super::{
    Dropped,
    render::{self, Source},
    text,
};

/// Small texts are copied together into chunks of this size, larger ones are handed out as they
/// are.
const CHUNK: usize = 64 * 1024;

/// Number of a target, in the order of their first poll.
pub(super) type TargetId = u64;

/// All families, by name.
#[derive(Debug, Default)]
pub(super) struct Families {
    by_name: BTreeMap<String, Family>,
    series: usize,
}

/// One family: what stands above its samples, and the samples.
#[derive(Debug)]
struct Family {
    kind: &'static str,
    header: Bytes,
    fragments: BTreeMap<(TargetId, Source), Fragment>,
}

/// What one source of one target gives to a family.
#[derive(Debug)]
struct Fragment {
    text: Bytes,
    /// Hashes of the labels.
    series: Box<[u64]>,
}

impl Families {
    /// The number of series.
    pub(super) fn series(&self) -> usize {
        self.series
    }

    /// Adds what a target gives; that target and source must have nothing in the family yet.
    ///
    /// # Errors
    /// If the family has another type: one name has one type in a scrape, and the first one stays.
    pub(super) fn insert(&mut self, target: TargetId, new: render::Family) -> Result<(), Dropped> {
        let kind = new.kind.word();
        let family = match self.by_name.entry(new.name.clone()) {
            Entry::Occupied(family) => family.into_mut(),
            Entry::Vacant(free) => free.insert(Family {
                kind,
                header: text::header(&new.name, kind, &new.help).into(),
                fragments: BTreeMap::new(),
            }),
        };
        if family.kind != kind {
            return Err(Dropped {
                family: new.name,
                points: new.series.len(),
                reason: "type_conflict",
            });
        }
        let source = new.source;
        let fragment = family.without_known(target, new);
        self.series += fragment.series.len();
        family.fragments.insert((target, source), fragment);
        Ok(())
    }

    /// Removes what a source of a target gave to the family.
    pub(super) fn remove(&mut self, name: &str, target: TargetId, source: Source) {
        let Some(family) = self.by_name.get_mut(name) else {
            return;
        };
        if let Some(fragment) = family.fragments.remove(&(target, source)) {
            self.series -= fragment.series.len();
        }
        if family.fragments.is_empty() {
            self.by_name.remove(name);
        }
    }

    /// The text of a scrape.
    pub(super) fn text(&self) -> Vec<Bytes> {
        let mut chunks = Chunks::default();
        for family in self.by_name.values() {
            chunks.push(&family.header);
            for fragment in family.fragments.values() {
                chunks.push(&fragment.text);
            }
        }
        chunks.finish()
    }
}

impl Family {
    /// The fragment of `new`, without the series that other endpoints of the target give already.
    fn without_known(&self, target: TargetId, new: render::Family) -> Fragment {
        let others = self.fragments.range((target, 0)..(target + 1, 0));
        let known: HashSet<u64> = others.flat_map(|(_, f)| f.series.iter().copied()).collect();
        if !new.series.iter().any(|series| known.contains(&series.id)) {
            return Fragment {
                text: new.text.into(),
                series: new.series.iter().map(|series| series.id).collect(),
            };
        }
        let (mut text, mut ids, mut start) = (String::new(), Vec::new(), 0);
        for series in new.series {
            if !known.contains(&series.id) {
                text.push_str(new.text.get(start..series.end).unwrap_or_default());
                ids.push(series.id);
            }
            start = series.end;
        }
        Fragment {
            text: text.into(),
            series: ids.into(),
        }
    }
}

/// Pieces of a scrape, most of them filled up to [`CHUNK`].
#[derive(Default)]
struct Chunks {
    full: Vec<Bytes>,
    open: BytesMut,
}

impl Chunks {
    fn push(&mut self, text: &Bytes) {
        if self.open.len() + text.len() > CHUNK {
            self.close();
        }
        if text.len() > CHUNK {
            self.full.push(text.clone());
        } else {
            self.open.extend_from_slice(text);
        }
    }

    fn close(&mut self) {
        if !self.open.is_empty() {
            let full = std::mem::replace(&mut self.open, BytesMut::with_capacity(CHUNK));
            self.full.push(full.freeze());
        }
    }

    fn finish(mut self) -> Vec<Bytes> {
        self.close();
        self.full
    }
}
