//! The cached answer of an endpoint. Polls write it, and readers read it. While the node does not
//! answer, its last good answer is served, for a limited time and with its real age.

use std::{fmt, time::Duration};

use tokio::time::Instant;

/// How long an answer may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CachePolicy {
    /// A younger answer is as good as a new one.
    pub ttl: Duration,
    /// An older answer is never served.
    pub max_stale: Duration,
    /// Whether the limits in the headers of the answer ([`CacheHeaders`]) apply as well.
    pub honor_origin: bool,
}

/// The cache headers of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CacheHeaders {
    /// How old it was when it was sent (`Age`).
    pub age: Duration,
    /// The `ETag` header.
    pub etag: Option<String>,
    /// The `Last-Modified` header.
    pub last_modified: Option<String>,
    /// `Cache-Control: max-age`, which replaces the policy's `ttl`.
    pub max_age: Option<Duration>,
    /// `Cache-Control: must-revalidate`: never serve the answer when it is stale.
    pub must_revalidate: bool,
}

/// The reader of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reader {
    /// A poll, at each tick.
    Poll,
    /// Any other reader, on demand.
    Api,
}

/// How usable the cached answer is. The order is from good to bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Freshness {
    /// Younger than the TTL.
    Fresh,
    /// Usable while there is no better one.
    Stale,
    /// Too old to be served.
    Expired,
    /// There is no answer.
    Empty,
}

/// The results of reads. Each read counts once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CacheCounts {
    /// Served without a request to the node.
    pub hit: u64,
    /// The node gave a new answer, or there was none at all.
    pub miss: u64,
    /// The node gave no answer, and an older one was served.
    pub stale: u64,
    /// The node said that the cached answer is still valid (304).
    pub revalidated: u64,
    /// The node gave no answer, and the cached one was too old.
    pub expired: u64,
}

/// The counts of a reader that did not read yet.
const NOTHING: CacheCounts = CacheCounts {
    hit: 0,
    miss: 0,
    stale: 0,
    revalidated: 0,
    expired: 0,
};

/// The result of a read without a new answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Fallback<'a, T> {
    /// The last good answer.
    Stale {
        /// The cached answer.
        value: &'a T,
        /// The age of the cached answer.
        age: Duration,
    },
    /// The cached answer is too old to be served.
    Expired,
    /// There is no cached answer.
    Empty,
}

/// The cached answer of one endpoint of one target.
pub struct CacheSlot<T> {
    entry: Option<CachedEntry<T>>,
    poll: CacheCounts,
    /// None until there is another reader.
    api: Option<Box<CacheCounts>>,
}

struct CachedEntry<T> {
    value: T,
    /// When its request was sent: the data is at least this old.
    sent: Instant,
    /// None if it said nothing.
    origin: Option<Box<CacheHeaders>>,
}

impl CacheHeaders {
    /// Whether a request can be made conditional with it.
    pub fn is_conditional(&self) -> bool {
        self.etag.is_some() || self.last_modified.is_some()
    }

    /// Most answers say nothing, and need no memory for it.
    fn kept(self) -> Option<Box<Self>> {
        (self != Self::default()).then(|| Box::new(self))
    }
}

impl<T> Default for CacheSlot<T> {
    fn default() -> Self {
        Self {
            entry: None,
            poll: CacheCounts::default(),
            api: None,
        }
    }
}

impl<T> CacheSlot<T> {
    /// The cached answer if it is fresh. Otherwise the reader sends a request, and one of
    /// [`store`](Self::store), [`revalidated`](Self::revalidated) and [`fallback`](Self::fallback)
    /// counts the read.
    pub fn hit(&mut self, policy: &CachePolicy, now: Instant, reader: Reader) -> Option<&T> {
        if self.freshness(policy, now) != Freshness::Fresh {
            return None;
        }
        self.counts_mut(reader).hit += 1;
        self.value()
    }

    /// Stores a good, decoded answer to a request sent at `sent`. Nothing else can be stored.
    pub fn store(&mut self, reader: Reader, sent: Instant, origin: CacheHeaders, value: T) {
        self.counts_mut(reader).miss += 1;
        self.entry = Some(CachedEntry {
            value,
            sent,
            origin: origin.kept(),
        });
    }

    /// Counts a good answer that cannot be stored.
    pub fn forgo(&mut self, reader: Reader) {
        self.counts_mut(reader).miss += 1;
        self.entry = None;
    }

    /// The node confirmed the cached answer in reply to the request sent at `sent` (304). The
    /// cached answer is now as young as the reply. Validators that the reply does not repeat stay.
    /// Returns `None` if there is no cached answer, which happens only if the node is wrong.
    pub fn revalidated(
        &mut self,
        reader: Reader,
        sent: Instant,
        origin: CacheHeaders,
    ) -> Option<&T> {
        let Some(entry) = &mut self.entry else {
            self.counts_mut(reader).miss += 1;
            return None;
        };
        entry.sent = sent;
        let before = entry.origin.take().unwrap_or_default();
        let origin = CacheHeaders {
            etag: origin.etag.or(before.etag),
            last_modified: origin.last_modified.or(before.last_modified),
            ..origin
        };
        entry.origin = origin.kept();
        self.counts_mut(reader).revalidated += 1;
        self.value()
    }

    /// The node gave no answer: returns what can be served instead. Its age does not change.
    pub fn fallback(
        &mut self,
        policy: &CachePolicy,
        now: Instant,
        reader: Reader,
    ) -> Fallback<'_, T> {
        let freshness = self.freshness(policy, now);
        let counts = self.counts_mut(reader);
        match freshness {
            Freshness::Fresh | Freshness::Stale => counts.stale += 1,
            Freshness::Expired => counts.expired += 1,
            Freshness::Empty => counts.miss += 1,
        }
        match &self.entry {
            None => Fallback::Empty,
            Some(_) if freshness == Freshness::Expired => Fallback::Expired,
            Some(entry) => Fallback::Stale {
                value: &entry.value,
                age: entry.age(now),
            },
        }
    }

    /// Counts a read that shared the request of another reader.
    pub fn followed(&mut self, reader: Reader, revalidated: bool) -> Option<&T> {
        let counts = self.counts_mut(reader);
        match revalidated {
            true => counts.revalidated += 1,
            false => counts.miss += 1,
        }
        self.value()
    }

    /// Removes the answer: the node says that there is none any more (410), or memory is short. Returns
    /// whether there was one.
    pub fn clear(&mut self) -> bool {
        self.entry.take().is_some()
    }

    /// How usable the cached answer is now.
    pub fn freshness(&self, policy: &CachePolicy, now: Instant) -> Freshness {
        let Some(entry) = &self.entry else {
            return Freshness::Empty;
        };
        let origin = entry.origin.as_deref().filter(|_| policy.honor_origin);
        let ttl = origin.and_then(|origin| origin.max_age);
        let age = entry.age(now);
        if age < ttl.unwrap_or(policy.ttl) {
            Freshness::Fresh
        } else if age <= policy.max_stale && !origin.is_some_and(|o| o.must_revalidate) {
            Freshness::Stale
        } else {
            Freshness::Expired
        }
    }

    /// The kept answer and its age, if it may be served. It counts as no read.
    pub fn peek(&self, policy: &CachePolicy, now: Instant) -> Option<(&T, Duration)> {
        let is_usable = self.freshness(policy, now) <= Freshness::Stale;
        let entry = self.entry.as_ref().filter(|_| is_usable)?;
        Some((&entry.value, entry.age(now)))
    }

    /// The age of the cached answer: the time since its request was sent, plus its `Age` at that
    /// time.
    pub fn age(&self, now: Instant) -> Option<Duration> {
        self.entry.as_ref().map(|entry| entry.age(now))
    }

    /// The cache headers of the answer. Its validators make the next request conditional.
    pub fn origin(&self) -> Option<&CacheHeaders> {
        self.entry.as_ref()?.origin.as_deref()
    }

    /// The results of this reader's reads.
    pub fn counts(&self, reader: Reader) -> &CacheCounts {
        match reader {
            Reader::Poll => &self.poll,
            Reader::Api => self.api.as_deref().unwrap_or(&NOTHING),
        }
    }

    fn counts_mut(&mut self, reader: Reader) -> &mut CacheCounts {
        match reader {
            Reader::Poll => &mut self.poll,
            Reader::Api => self.api.get_or_insert_default(),
        }
    }

    fn value(&self) -> Option<&T> {
        self.entry.as_ref().map(|entry| &entry.value)
    }
}

impl<T> CachedEntry<T> {
    fn age(&self, now: Instant) -> Duration {
        let kept = now.saturating_duration_since(self.sent);
        let before = self.origin.as_ref().map(|origin| origin.age);
        kept.saturating_add(before.unwrap_or_default())
    }
}

impl<T> fmt::Debug for CacheSlot<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot")
            .field("sent", &self.entry.as_ref().map(|entry| entry.sent))
            .field("poll", &self.poll)
            .field("api", &self.api)
            .finish_non_exhaustive()
    }
}
