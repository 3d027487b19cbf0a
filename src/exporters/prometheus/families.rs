//! The families of all targets, as a scrape shows them.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
    sync::Arc,
};

use bytes::{Bytes, BytesMut};

use super::{
    descriptor::FamilyDescriptor,
    family_writer::FamilyWriter,
    name::AggregationKind,
    output_format::TextFormat,
    rendered_source::{FamilyId, OWN, RenderedSource, SeriesSource, TargetId},
    scrape_cursor::{PartialFamily, ScrapeCursor},
    slab::Slab,
};

/// The approximate size of a piece of a scrape, in bytes.
const CHUNK: usize = 64 * 1024;

/// The suffixes of the samples of a histogram, also in OpenMetrics.
const HISTOGRAM_NAMES: [&str; 4] = ["_bucket", "_count", "_sum", "_created"];

/// All families, by their names for scrapers that know only the older characters.
#[derive(Debug, Default)]
pub(super) struct Families {
    by_name: BTreeMap<String, FamilyId>,
    all: Slab<Family>,
}

/// One family: the lines above its samples, and the sources of its samples.
#[derive(Debug)]
pub(super) struct Family {
    pub(super) descriptor: Arc<FamilyDescriptor>,
    sources: BTreeSet<(TargetId, SeriesSource)>,
}

/// Access to the samples.
pub(super) trait FamilyPages {
    /// The page of a source of a target, and the labels of all series of the target.
    fn page(&self, target: TargetId, source: SeriesSource) -> Option<(&RenderedSource, &str)>;
}

impl Families {
    fn get(&self, id: FamilyId) -> Option<&Family> {
        self.all.get(id)
    }

    /// Whether a family has this descriptor.
    pub(super) fn is(&self, id: FamilyId, descriptor: &Arc<FamilyDescriptor>) -> bool {
        self.get(id)
            .is_some_and(|family| Arc::ptr_eq(&family.descriptor, descriptor))
    }

    /// Adds a source of a target to the family with this descriptor. The error says why the family
    /// cannot be shown: its name already has another type (a scrape has one type for each name, and
    /// the first one stays), or another name is the same for scrapers that know only the older
    /// characters.
    pub(super) fn admit(
        &mut self,
        source: (TargetId, SeriesSource),
        new: &Arc<FamilyDescriptor>,
    ) -> Result<FamilyId, &'static str> {
        if let Some(id) = self.by_name.get(&new.key).copied() {
            let known = self.all.get_mut(id).ok_or("type_conflict")?;
            if known.descriptor.kind.word() != new.kind.word() {
                return Err("type_conflict");
            }
            if known.descriptor.name != new.name {
                return Err("name_conflict");
            }
            known.sources.insert(source);
            return Ok(id);
        }
        if self.clashes(&new.key, new.kind) {
            return Err("type_conflict");
        }
        let id = self.all.insert(Family {
            descriptor: Arc::clone(new),
            sources: BTreeSet::from([source]),
        });
        self.by_name.insert(new.key.clone(), id);
        Ok(id)
    }

    /// Whether samples of a new family would have the names of samples of another family.
    fn clashes(&self, name: &str, kind: AggregationKind) -> bool {
        let taken = |suffix: &&str| self.by_name.contains_key(&format!("{name}{suffix}"));
        (kind == AggregationKind::Histogram && HISTOGRAM_NAMES.iter().any(taken))
            || self.is_of_a_histogram(name)
    }

    /// Whether a histogram has, or may have, samples with this name.
    fn is_of_a_histogram(&self, name: &str) -> bool {
        let bases = HISTOGRAM_NAMES
            .iter()
            .filter_map(|suffix| name.strip_suffix(suffix));
        bases
            .filter_map(|base| self.get(*self.by_name.get(base)?))
            .any(|family| family.descriptor.kind == AggregationKind::Histogram)
    }

    /// Removes a source of a target from the family.
    pub(super) fn remove(&mut self, id: FamilyId, source: (TargetId, SeriesSource)) {
        let Some(family) = self.all.get_mut(id) else {
            return;
        };
        family.sources.remove(&source);
        if family.sources.is_empty()
            && let Some(family) = self.all.remove(id)
        {
            self.by_name.remove(&family.descriptor.key);
        }
    }

    /// The next piece of a scrape, of about [`CHUNK`] bytes. `None` at its end.
    pub(super) fn read(
        &self,
        pages: &impl FamilyPages,
        progress: &mut ScrapeCursor,
    ) -> Option<Bytes> {
        if progress.is_over {
            return None;
        }
        let mut chunk = BytesMut::with_capacity(CHUNK);
        let from = (progress.from.clone(), Bound::Unbounded);
        for (key, id) in self.by_name.range::<String, _>(from) {
            let family = self.get(*id);
            let family = family.filter(|family| progress.wanted.has(&family.descriptor));
            let Some(family) = family else { continue };
            let descriptor = &*family.descriptor;
            let is_free = self.is_free(key, descriptor.kind);
            let view = FamilyWriter::new(descriptor, progress.wanted.form, is_free);
            let start = begin(&view, progress.half.take(), &mut chunk);
            if let Some(next) = family.read((*id, pages), &view, start, &mut chunk) {
                progress.from = Bound::Included(key.clone());
                progress.half = Some(PartialFamily {
                    family: Arc::clone(&family.descriptor),
                    next,
                });
                return Some(chunk.freeze());
            }
        }
        progress.is_over = true;
        if progress.wanted.form.format == TextFormat::OpenMetrics {
            chunk.extend_from_slice(b"# EOF\n");
        }
        (!chunk.is_empty()).then(|| chunk.freeze())
    }

    /// Whether no other family has the name of this family in OpenMetrics.
    fn is_free(&self, name: &str, kind: AggregationKind) -> bool {
        kind.open_name(name).is_some_and(|open| {
            !self.by_name.contains_key(open)
                && !self.by_name.contains_key(&format!("{open}_created"))
                && !self.is_of_a_histogram(open)
        })
    }
}

/// Where to start in a family: where the last piece ended, or at its header.
fn begin(view: &FamilyWriter<'_>, half: Option<PartialFamily>, chunk: &mut BytesMut) -> TargetId {
    match half {
        Some(half) if half.family.key == view.family.key => {
            // Another family got the name in between. It is in the next scrape.
            match half.family.is_of_family(view.family) {
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
    /// Appends samples from the target `start` on, until the chunk is full. Returns the target that
    /// comes next. All samples of one target stay together.
    fn read(
        &self,
        (id, pages): (FamilyId, &impl FamilyPages),
        view: &FamilyWriter<'_>,
        start: TargetId,
        chunk: &mut BytesMut,
    ) -> Option<TargetId> {
        let (mut last, mut samples) = (None, String::new());
        for (target, source) in self.sources.range((start, OWN)..) {
            samples.clear();
            if let Some((page, labels)) = pages.page(*target, *source)
                && let Some(fragment) = page.fragment(id)
            {
                view.write(&mut samples, fragment, labels);
            }
            let is_full = !chunk.is_empty() && chunk.len() + samples.len() > CHUNK;
            if is_full && last != Some(target) {
                return Some(*target);
            }
            chunk.extend_from_slice(samples.as_bytes());
            last = Some(target);
        }
        None
    }
}
