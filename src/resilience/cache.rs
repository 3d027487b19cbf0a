//! What is kept of an endpoint between polls: polls write it, readers read it, and while the node
//! does not answer its last good answer is served, for a bounded time and under its own age.

use std::{fmt, time::Duration};

use tokio::time::Instant;

/// How long an answer may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CachePolicy {
    /// Younger, it is as good as a new one.
    pub ttl: Duration,
    /// Older, it is not served at all.
    pub max_stale: Duration,
    /// Whether the origin's own limits ([`CacheHeaders`]) count as well.
    pub honor_origin: bool,
}

/// What the origin says of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CacheHeaders {
    /// How old it was when it was sent (`Age`).
    pub age: Duration,
    /// `ETag`.
    pub etag: Option<String>,
    /// `Last-Modified`.
    pub last_modified: Option<String>,
    /// `Cache-Control: max-age`, in place of the policy's `ttl`.
    pub max_age: Option<Duration>,
    /// `Cache-Control: must-revalidate`: never serve it stale.
    pub must_revalidate: bool,
}

/// Who reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reader {
    /// A poll, at each tick.
    Poll,
    /// Anybody else, on demand.
    Api,
}

/// How usable the kept answer is. The order is from good to bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Freshness {
    /// Younger than the TTL.
    Fresh,
    /// Fit to be served while there is none better.
    Stale,
    /// Too old to be served.
    Expired,
    /// There is none.
    Empty,
}

/// What reads came to; each counts once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CacheCounts {
    /// Served without asking the node.
    pub hit: u64,
    /// The node gave a new answer, or there was none at all.
    pub miss: u64,
    /// The node gave none, an older answer was served.
    pub stale: u64,
    /// The node said that the kept answer still holds (304).
    pub revalidated: u64,
    /// The node gave none, and the kept answer was too old.
    pub expired: u64,
}

/// What is left when the node gives no answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Fallback<'a, T> {
    /// The last good answer.
    Stale {
        /// It.
        value: &'a T,
        /// How old it is.
        age: Duration,
    },
    /// One that is too old to be served.
    Expired,
    /// Nothing.
    Empty,
}

/// The slot of one endpoint of one target.
pub struct CacheSlot<T> {
    policy: CachePolicy,
    entry: Option<CachedEntry<T>>,
    poll: CacheCounts,
    api: CacheCounts,
}

struct CachedEntry<T> {
    value: T,
    /// When its request was sent: at least so old is what it says.
    sent: Instant,
    origin: CacheHeaders,
}

impl CacheHeaders {
    /// Whether a request can be made conditional on it.
    pub fn is_conditional(&self) -> bool {
        self.etag.is_some() || self.last_modified.is_some()
    }
}

impl<T> CacheSlot<T> {
    /// An empty slot.
    pub fn new(policy: CachePolicy) -> Self {
        Self {
            policy,
            entry: None,
            poll: CacheCounts::default(),
            api: CacheCounts::default(),
        }
    }

    /// Keeps what `old` kept and counted, by its own policy.
    pub fn take_over(&mut self, old: Self) {
        let policy = self.policy;
        *self = Self { policy, ..old };
    }

    /// The kept answer if it is fresh. If it is not, the reader asks the node, and then one of
    /// [`store`](Self::store), [`revalidated`](Self::revalidated) and
    /// [`fallback`](Self::fallback) counts the read.
    pub fn hit(&mut self, now: Instant, reader: Reader) -> Option<&T> {
        if self.freshness(now) != Freshness::Fresh {
            return None;
        }
        self.counts_mut(reader).hit += 1;
        self.value()
    }

    /// Keeps a good, decoded answer to a request sent at `sent`. There is no way to keep another.
    pub fn store(&mut self, reader: Reader, sent: Instant, origin: CacheHeaders, value: T) {
        self.counts_mut(reader).miss += 1;
        self.entry = Some(CachedEntry {
            value,
            sent,
            origin,
        });
    }

    /// There was a good answer, which cannot be kept.
    pub fn forgo(&mut self, reader: Reader) {
        self.counts_mut(reader).miss += 1;
        self.entry = None;
    }

    /// The node said of the request sent at `sent` that the kept answer still holds (304), which
    /// makes that answer as young as this one. Validators that it does not repeat stay. Gives the
    /// answer; none if there is none, which only a node that lies can bring about.
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
        entry.origin = CacheHeaders {
            etag: origin.etag.or(entry.origin.etag.take()),
            last_modified: origin.last_modified.or(entry.origin.last_modified.take()),
            ..origin
        };
        self.counts_mut(reader).revalidated += 1;
        self.value()
    }

    /// The node gave no answer: what can be served instead. Its age stays what it is.
    pub fn fallback(&mut self, now: Instant, reader: Reader) -> Fallback<'_, T> {
        let freshness = self.freshness(now);
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

    /// Another's request brought an answer, or the word that the kept one still holds.
    pub fn followed(&mut self, reader: Reader, revalidated: bool) -> Option<&T> {
        let counts = self.counts_mut(reader);
        match revalidated {
            true => counts.revalidated += 1,
            false => counts.miss += 1,
        }
        self.value()
    }

    /// Forgets the answer: the node says that there is none any more (410).
    pub fn clear(&mut self) {
        self.entry = None;
    }

    /// How usable the kept answer is now.
    pub fn freshness(&self, now: Instant) -> Freshness {
        let Some(entry) = &self.entry else {
            return Freshness::Empty;
        };
        let origin = Some(&entry.origin).filter(|_| self.policy.honor_origin);
        let ttl = origin.and_then(|origin| origin.max_age);
        let age = entry.age(now);
        if age < ttl.unwrap_or(self.policy.ttl) {
            Freshness::Fresh
        } else if age <= self.policy.max_stale && !origin.is_some_and(|o| o.must_revalidate) {
            Freshness::Stale
        } else {
            Freshness::Expired
        }
    }

    /// How old the kept answer is: the time since its request was sent, and its `Age` then.
    pub fn age(&self, now: Instant) -> Option<Duration> {
        self.entry.as_ref().map(|entry| entry.age(now))
    }

    /// What the origin said of the kept answer; its validators make the next request conditional.
    pub fn origin(&self) -> Option<&CacheHeaders> {
        self.entry.as_ref().map(|entry| &entry.origin)
    }

    /// What the reads of this reader came to.
    pub fn counts(&self, reader: Reader) -> &CacheCounts {
        match reader {
            Reader::Poll => &self.poll,
            Reader::Api => &self.api,
        }
    }

    fn counts_mut(&mut self, reader: Reader) -> &mut CacheCounts {
        match reader {
            Reader::Poll => &mut self.poll,
            Reader::Api => &mut self.api,
        }
    }

    fn value(&self) -> Option<&T> {
        self.entry.as_ref().map(|entry| &entry.value)
    }
}

impl<T> CachedEntry<T> {
    fn age(&self, now: Instant) -> Duration {
        let kept = now.saturating_duration_since(self.sent);
        kept.saturating_add(self.origin.age)
    }
}

impl<T> fmt::Debug for CacheSlot<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot")
            .field("policy", &self.policy)
            .field("sent", &self.entry.as_ref().map(|entry| entry.sent))
            .field("poll", &self.poll)
            .field("api", &self.api)
            .finish_non_exhaustive()
    }
}
