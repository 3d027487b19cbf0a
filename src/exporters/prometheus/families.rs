//! The families of all targets, as a scrape shows them.

use std::{
    collections::{BTreeMap, HashSet},
    ops::Bound,
};

use bytes::{Bytes, BytesMut};

use super::{
    Dropped,
    name::{self, Kind},
    negotiate::Format,
    render::{self, Source},
    scrape::Progress,
    text,
};

/// Texts are copied together into chunks of about this size, in bytes.
const CHUNK: usize = 64 * 1024;

/// What a histogram puts behind its name, or may put there in OpenMetrics.
const HISTOGRAM_NAMES: [&str; 4] = ["_bucket", "_count", "_sum", "_created"];

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
    kind: Kind,
    unit: String,
    help: String,
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
    /// If the name has another type already: it has one in a scrape, and the first one stays.
    pub(super) fn insert(&mut self, target: TargetId, new: render::Family) -> Result<(), Dropped> {
        let word = new.kind.word();
        let known = self.by_name.get(&new.name);
        let differs = known.is_some_and(|family| family.kind.word() != word);
        if differs || (known.is_none() && self.clashes(&new.name, new.kind)) {
            return Err(Dropped {
                family: new.name,
                points: new.series.len(),
                reason: "type_conflict",
            });
        }
        let entry = self.by_name.entry(new.name.clone());
        let family = entry.or_insert_with(|| Family {
            kind: new.kind,
            unit: new.unit.clone(),
            help: new.help.clone(),
            fragments: BTreeMap::new(),
        });
        let source = new.source;
        let fragment = family.without_known(target, new);
        self.series += fragment.series.len();
        family.fragments.insert((target, source), fragment);
        Ok(())
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
            if progress.wanted.has(name, family.kind) {
                let start = self.begin(name, family, progress, &mut chunk);
                if let Some(next) = family.read(start, &mut chunk) {
                    progress.from = Bound::Included(name.clone());
                    progress.half = Some((name.clone(), family.kind, next));
                    return Some(chunk.freeze());
                }
            }
        }
        progress.is_over = true;
        if progress.wanted.format == Format::OpenMetrics {
            chunk.extend_from_slice(b"# EOF\n");
        }
        (!chunk.is_empty()).then(|| chunk.freeze())
    }

    /// Where to begin in a family: where the piece before ended, or at its header.
    fn begin(
        &self,
        name: &str,
        family: &Family,
        progress: &mut Progress,
        chunk: &mut BytesMut,
    ) -> TargetId {
        match progress.half.take() {
            Some((half, kind, next)) if half == name => {
                // Another family took over the name in between; its turn is the next scrape.
                if kind == family.kind {
                    next
                } else {
                    TargetId::MAX
                }
            }
            _ => {
                let header = self.header(name, family, progress.wanted.format);
                chunk.extend_from_slice(header.as_bytes());
                0
            }
        }
    }

    /// What stands above the samples. A counter or an info whose name in OpenMetrics would be
    /// taken has no type there, rather than no samples.
    fn header(&self, name: &str, family: &Family, format: Format) -> String {
        let (mut shown, mut kind) = (name, family.kind.word());
        if format == Format::OpenMetrics {
            let free = |name: &&str| {
                let created = format!("{name}_created");
                !self.by_name.contains_key(*name)
                    && !self.by_name.contains_key(&created)
                    && !self.is_of_a_histogram(name)
            };
            (shown, kind) = match (family.kind, family.kind.open_name(name).filter(free)) {
                (Kind::Counter, Some(name)) => (name, "counter"),
                (Kind::Info, Some(name)) => (name, "info"),
                (Kind::Counter, None) => (name, "unknown"),
                _ => (name, kind),
            };
        }
        let mut header = String::new();
        let unit = name::ends_with_unit(shown, &family.unit);
        let help = &family.help;
        text::Header {
            name: shown,
            kind,
            unit,
            help,
        }
        .write(&mut header, format);
        header
    }
}

impl Family {
    /// Appends the samples from those of target `start` on, until the chunk is full; the target
    /// that comes next then. All that one target gives stays together.
    fn read(&self, start: TargetId, chunk: &mut BytesMut) -> Option<TargetId> {
        let mut last = None;
        for ((target, _), fragment) in self.fragments.range((start, 0)..) {
            let is_full = !chunk.is_empty() && chunk.len() + fragment.text.len() > CHUNK;
            if is_full && last != Some(target) {
                return Some(*target);
            }
            chunk.extend_from_slice(&fragment.text);
            last = Some(target);
        }
        None
    }

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
