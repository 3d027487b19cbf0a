//! A scrape: what the scraper asks for, and how far it is. It continues where it stopped whenever
//! the scraper has read the last piece, so that it holds one piece and no copy. Polls in the
//! meantime change the part that is not sent yet. All samples of one target in one family are from
//! one poll.

use std::{
    collections::BTreeSet,
    hint::black_box,
    ops::Bound,
    sync::{Arc, Mutex},
};

use bytes::Bytes;

use super::{
    descriptor::FamilyDescriptor,
    escape::Escaping,
    families::Family,
    family_writer::FamilyWriter,
    lock,
    name::AggregationKind,
    negotiate::{OutputFormat, TextFormat},
    rows::{FamilyId, SectionRows, SourceKey},
    store::SeriesStore,
};

/// The approximate size of a piece of a scrape, in bytes.
const PIECE: usize = 64 * 1024;

/// The number of sources whose memory is read before the first of them is written.
const READ_AHEAD: usize = 32;

/// The metrics that a scraper requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameFilter {
    /// The output format.
    pub form: OutputFormat,
    /// The names of families, or of samples in them. All families if the set is empty.
    pub names: BTreeSet<String>,
}

impl NameFilter {
    /// All metrics, with names that every scraper can read.
    pub fn all(format: TextFormat) -> Self {
        Self {
            form: OutputFormat {
                format,
                escaping: Escaping::default(),
            },
            names: BTreeSet::new(),
        }
    }

    /// Parses `name[]=…` of a query, like Prometheus' client libraries.
    pub(super) fn from_query(form: OutputFormat, query: &str) -> Self {
        let pairs = form_urlencoded::parse(query.as_bytes());
        let names = pairs.filter(|(key, _)| key == "name[]");
        Self {
            form,
            names: names.map(|(_, name)| name.into_owned()).collect(),
        }
    }

    /// Whether the family is requested: by its name or that of one of its samples, escaped or not.
    pub(super) fn has(&self, family: &FamilyDescriptor) -> bool {
        let FamilyDescriptor {
            name, key, kind, ..
        } = family;
        self.names.is_empty()
            || self.is_named(key, *kind)
            || (name != key && self.is_named(name, *kind))
    }

    pub(super) fn is_named(&self, family: &str, kind: AggregationKind) -> bool {
        let is_named = |name: &str| self.names.contains(name);
        let sample = |suffix: &&str| is_named(&format!("{family}{suffix}"));
        is_named(family)
            || kind.suffixes().iter().any(sample)
            || kind.open_name(family).is_some_and(is_named)
    }
}

/// A scrape in progress, as an iterator over its pieces.
pub(super) struct Scrape {
    store: Arc<Mutex<SeriesStore>>,
    filter: NameFilter,
    /// The next family.
    from: Bound<String>,
    /// The family that is partly read.
    partial: Option<PartialFamily>,
    is_over: bool,
}

/// A family of which a scrape has read a part.
#[derive(Debug)]
struct PartialFamily {
    family: Arc<FamilyDescriptor>,
    /// The first source of the next target.
    next: SourceKey,
}

impl Scrape {
    pub(super) fn new(store: &Arc<Mutex<SeriesStore>>, filter: NameFilter) -> Self {
        lock(store).expire();
        Self {
            store: Arc::clone(store),
            filter,
            from: Bound::Unbounded,
            partial: None,
            is_over: false,
        }
    }

    /// The next piece, of about [`PIECE`] bytes.
    fn read(&mut self, store: &SeriesStore) -> String {
        let families = store.families();
        let from = self.from.clone();
        let mut piece = String::with_capacity(PIECE + 1024);
        for (id, family) in families.range(from.as_ref()) {
            let descriptor = &family.descriptor;
            if !self.filter.has(descriptor) {
                continue;
            }
            let is_free = families.is_free(&descriptor.key, descriptor.kind);
            let writer = FamilyWriter::new(descriptor, self.filter.form, is_free);
            let start = match self.partial.take() {
                Some(partial) if partial.family.key == descriptor.key => {
                    // Another family may have got the name in between. It is in the next scrape.
                    if !partial.family.is_of_family(descriptor) {
                        continue;
                    }
                    Bound::Included(partial.next)
                }
                _ => {
                    writer.write_header(&mut piece);
                    Bound::Unbounded
                }
            };
            let samples = FamilyScrape {
                id,
                family,
                store,
                writer,
            };
            if let Some(next) = samples.write(start, &mut piece) {
                self.from = Bound::Included(descriptor.key.clone());
                self.partial = Some(PartialFamily {
                    family: Arc::clone(descriptor),
                    next,
                });
                return piece;
            }
        }
        self.is_over = true;
        if self.filter.form.format == TextFormat::OpenMetrics {
            piece.push_str("# EOF\n");
        }
        piece
    }
}

impl Iterator for Scrape {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        if self.is_over {
            return None;
        }
        let store = Arc::clone(&self.store);
        let piece = self.read(&lock(&store));
        (!piece.is_empty()).then(|| piece.into())
    }
}

/// The samples of a family.
struct FamilyScrape<'a> {
    id: FamilyId,
    family: &'a Family,
    store: &'a SeriesStore,
    writer: FamilyWriter<'a>,
}

/// The samples of one source in a family.
struct Samples<'a> {
    key: &'a SourceKey,
    rows: SectionRows<'a>,
}

impl<'a> FamilyScrape<'a> {
    /// Appends samples from the source `start` on, until the piece is full. Returns the first source
    /// of the target that comes next. All samples of one target stay together.
    fn write(&self, start: Bound<SourceKey>, piece: &mut String) -> Option<SourceKey> {
        // The first source of the target that was written last, and the length of the piece before it.
        let (mut first, mut length): (Option<&SourceKey>, _) = (None, piece.len());
        let mut sources = self.family.sources.range((start, Bound::Unbounded));
        let mut read = Vec::with_capacity(READ_AHEAD);
        loop {
            self.read_ahead(&mut sources, &mut read);
            if read.is_empty() {
                return None;
            }
            for Samples { key, rows } in read.drain(..) {
                let first = match first.filter(|first| first.target.id == key.target.id) {
                    Some(first) => first,
                    None => {
                        length = piece.len();
                        first.insert(key)
                    }
                };
                self.writer.write(piece, rows, &key.target.labels);
                if piece.len() > PIECE && length > 0 {
                    piece.truncate(length);
                    return Some(first.clone());
                }
            }
        }
    }

    /// Finds the next samples and reads their memory. What one target shows lies in several places,
    /// and no two targets share them: the processor waits once for all that are read here, where it
    /// would wait for each place of each target.
    fn read_ahead(
        &self,
        sources: &mut impl Iterator<Item = &'a SourceKey>,
        read: &mut Vec<Samples<'a>>,
    ) {
        let found = sources.filter_map(|key| {
            let rows = self.store.rows(key)?.section(self.id)?;
            Some(Samples { key, rows })
        });
        read.extend(found.take(READ_AHEAD));
        for Samples { key, rows } in read {
            black_box((rows.first(), key.target.labels.text().as_bytes().first()));
        }
    }
}
