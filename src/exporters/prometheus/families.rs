//! The families of all targets, as a scrape shows them.

use std::{
    collections::{BTreeMap, HashSet},
    ops::Bound,
};

use bytes::{Bytes, BytesMut};

use super::{
    Dropped,
    escape::Escaping,
    name::Kind,
    negotiate::Format,
    render::{self, Source},
    scrape::{Half, Progress},
    text::Moment,
    view::View,
};

/// Texts are copied together into chunks of about this size, in bytes.
const CHUNK: usize = 64 * 1024;

/// What a histogram puts behind its name, or may put there in OpenMetrics.
const HISTOGRAM_NAMES: [&str; 4] = ["_bucket", "_count", "_sum", "_created"];

/// Number of a target, in the order of their first poll.
pub(super) type TargetId = u64;

/// All families, by what scrapers call them that know no names but the old ones.
#[derive(Debug, Default)]
pub(super) struct Families {
    by_name: BTreeMap<String, Family>,
    series: usize,
}

/// One family: what stands above its samples, and the samples.
#[derive(Debug)]
pub(super) struct Family {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) unit: String,
    pub(super) help: String,
    fragments: BTreeMap<(TargetId, Source), Fragment>,
}

/// What one source of one target gives to a family.
#[derive(Debug)]
pub(super) struct Fragment {
    pub(super) text: Box<str>,
    /// Whether there is a name in it that not every scraper knows.
    pub(super) is_odd: bool,
    /// When all of it was observed, if that is shown.
    pub(super) time: Option<Moment>,
    /// Whether lines say when a total began.
    pub(super) has_created: bool,
    /// Hashes of the labels.
    series: Box<[u64]>,
}

impl Families {
    /// The number of series.
    pub(super) fn series(&self) -> usize {
        self.series
    }

    /// Adds what a target gives; that target and source must have nothing in the family yet.
    /// Gives the name under which to remove it, and none if it cannot be shown: because the name
    /// has another type already (it has one in a scrape, and the first one stays), or because
    /// another name is the same to scrapers that know the old ones only.
    pub(super) fn insert(
        &mut self,
        target: TargetId,
        new: render::Family,
        dropped: &mut Vec<Dropped>,
    ) -> Option<String> {
        let key = Escaping::Underscores.name(&new.name).into_owned();
        let points = new.series.len();
        if let Some(reason) = self.conflict(&key, &new) {
            dropped.push(Dropped {
                family: new.name,
                points,
                reason,
            });
            return None;
        }
        let entry = self.by_name.entry(key.clone());
        let family = entry.or_insert_with(|| Family {
            name: new.name.clone(),
            kind: new.kind,
            unit: new.unit.clone(),
            help: new.help.clone(),
            fragments: BTreeMap::new(),
        });
        let source = new.source;
        let fragment = family.without_known(target, new);
        self.series += fragment.series.len();
        let duplicates = points - fragment.series.len();
        if duplicates > 0 {
            dropped.push(Dropped::duplicates(&family.name, duplicates));
        }
        family.fragments.insert((target, source), fragment);
        Some(key)
    }

    /// Why a family cannot be shown beside those that are there.
    fn conflict(&self, key: &str, new: &render::Family) -> Option<&'static str> {
        match self.by_name.get(key) {
            Some(known) if known.kind.word() != new.kind.word() => Some("type_conflict"),
            Some(known) if known.name != new.name => Some("name_conflict"),
            Some(_) => None,
            None => self.clashes(key, new.kind).then_some("type_conflict"),
        }
    }

    /// Whether samples of a new family would have names of another one's.
    fn clashes(&self, name: &str, kind: Kind) -> bool {
        let taken = |suffix: &&str| self.by_name.contains_key(&format!("{name}{suffix}"));
        (kind == Kind::Histogram && HISTOGRAM_NAMES.iter().any(taken))
            || self.is_of_a_histogram(name)
    }

    /// Whether a histogram has samples of this name, or may have.
    fn is_of_a_histogram(&self, name: &str) -> bool {
        let bases = HISTOGRAM_NAMES
            .iter()
            .filter_map(|suffix| name.strip_suffix(suffix));
        bases
            .filter_map(|base| self.by_name.get(base))
            .any(|family| family.kind == Kind::Histogram)
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

    /// The next piece of a scrape, about [`CHUNK`] long; none at its end.
    pub(super) fn read(&self, progress: &mut Progress) -> Option<Bytes> {
        if progress.is_over {
            return None;
        }
        let mut chunk = BytesMut::with_capacity(CHUNK);
        let from = (progress.from.clone(), Bound::Unbounded);
        for (name, family) in self.by_name.range::<String, _>(from) {
            if progress.wanted.has(name, family) {
                let view = View::new(
                    family,
                    progress.wanted.form,
                    self.is_free(name, family.kind),
                );
                let start = begin(name, family, &view, progress.half.take(), &mut chunk);
                if let Some(next) = family.read(&view, start, &mut chunk) {
                    progress.from = Bound::Included(name.clone());
                    progress.half = Some(Half {
                        key: name.clone(),
                        name: family.name.clone(),
                        kind: family.kind,
                        next,
                    });
                    return Some(chunk.freeze());
                }
            }
        }
        progress.is_over = true;
        if progress.wanted.form.format == Format::OpenMetrics {
            chunk.extend_from_slice(b"# EOF\n");
        }
        (!chunk.is_empty()).then(|| chunk.freeze())
    }

    /// Whether the name that a family has in OpenMetrics is not another one's.
    fn is_free(&self, name: &str, kind: Kind) -> bool {
        kind.open_name(name).is_some_and(|open| {
            !self.by_name.contains_key(open)
                && !self.by_name.contains_key(&format!("{open}_created"))
                && !self.is_of_a_histogram(open)
        })
    }
}

/// Where to begin in a family: where the piece before ended, or at its header.
fn begin(
    key: &str,
    family: &Family,
    view: &View<'_>,
    half: Option<Half>,
    chunk: &mut BytesMut,
) -> TargetId {
    match half {
        Some(half) if half.key == key => {
            // Another family took over the name in between; its turn is the next scrape.
            match half.kind == family.kind && half.name == family.name {
                true => half.next,
                false => TargetId::MAX,
            }
        }
        _ => {
            chunk.extend_from_slice(view.header().as_bytes());
            0
        }
    }
}

impl Family {
    /// Appends the samples from those of target `start` on, until the chunk is full; the target
    /// that comes next then. All that one target gives stays together.
    fn read(&self, view: &View<'_>, start: TargetId, chunk: &mut BytesMut) -> Option<TargetId> {
        let mut last = None;
        for ((target, _), fragment) in self.fragments.range((start, 0)..) {
            let samples = view.samples(fragment);
            let is_full = !chunk.is_empty() && chunk.len() + samples.len() > CHUNK;
            if is_full && last != Some(target) {
                return Some(*target);
            }
            chunk.extend_from_slice(samples.as_bytes());
            last = Some(target);
        }
        None
    }

    /// The fragment of `new`, without the series that other endpoints of the target give already.
    fn without_known(&self, target: TargetId, new: render::Family) -> Fragment {
        let others = self.fragments.range((target, 0)..(target + 1, 0));
        let known: HashSet<u64> = others.flat_map(|(_, f)| f.series.iter().copied()).collect();
        let fragment = |text: String, series| Fragment {
            text: text.into(),
            is_odd: new.is_odd,
            time: new.time,
            has_created: new.has_created,
            series,
        };
        if !new.series.iter().any(|series| known.contains(&series.id)) {
            let series = new.series.iter().map(|series| series.id);
            return fragment(new.text, series.collect());
        }
        let (mut text, mut ids, mut start) = (String::new(), Vec::new(), 0);
        for series in new.series {
            if !known.contains(&series.id) {
                text.push_str(new.text.get(start..series.end).unwrap_or_default());
                ids.push(series.id);
            }
            start = series.end;
        }
        fragment(text, ids.into())
    }
}
