//! The current state of each target, for `/health` and similar pages.

use std::{
    collections::BTreeMap,
    fmt,
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, SystemTime},
};

use futures_util::future::BoxFuture;

use super::{
    AddressFilter, AddressList, Body, CachedAnswer, Glance, Poll, PollFailure, PollOutcome, Prober,
    Target, WatchedTotals, Window,
};

/// The latest state of every target. Receivers write it, and extensions read it.
#[derive(Debug, Default)]
pub struct StatusBoard {
    targets: Mutex<BTreeMap<String, TargetStatus>>,
    /// The discovery status of each receiver.
    origins: Mutex<BTreeMap<String, Weak<dyn DiscoveryStatus>>>,
    /// The receivers that can poll a given target once.
    probers: Mutex<BTreeMap<String, Weak<dyn Prober>>>,
    totals: Arc<WatchedTotals>,
}

/// The status of a receiver's discovery.
pub trait DiscoveryStatus: fmt::Debug + Send + Sync {
    /// Whether all sources have answered, and their targets are polled.
    fn is_complete(&self) -> bool;
    /// The state of each source.
    fn sources(&self) -> serde_json::Value;
    /// Why none of the targets that the sources name is polled; none if one is.
    fn notice(&self) -> Option<String>;
    /// The addresses that the sources name and `filter` takes, as far as they are in the window.
    fn addresses(&self, filter: &AddressFilter, window: Window) -> AddressList;
}

/// The internal state of a target.
pub trait Inspect: fmt::Debug + Send + Sync {
    /// What is known of the target at a glance.
    fn glance(&self) -> Glance;
    /// How long the latest answers of an endpoint took, oldest first, at most so many.
    fn response_times(&self, endpoint: usize, most: usize) -> Vec<Duration>;
    /// The kept answer of an endpoint and its age, if it may still be served. Nobody is asked.
    fn kept(&self, endpoint: usize) -> Option<(Body, Duration)>;
    /// The state of the host.
    fn host(&self) -> serde_json::Value;
    /// The state of an endpoint, by its position.
    fn endpoint(&self, index: usize) -> serde_json::Value;
    /// Whether one of its instances is at this address, `host:port`.
    fn is_at(&self, address: &str) -> bool;
    /// The latest decisions about the target, oldest first.
    fn decisions(&self) -> serde_json::Value;
    /// Clears the cached answers, because there is not enough memory. Returns how many.
    fn shed(&self) -> u64;
    /// The answer of an endpoint, by its position: the cached one if it is fresh, else a new one.
    /// Takes no longer than a poll.
    fn read(&self, endpoint: usize) -> BoxFuture<'_, CachedAnswer>;
}

/// The latest state of one target.
#[derive(Debug, Clone)]
pub struct TargetStatus {
    /// The described target.
    pub target: Arc<Target>,
    /// Its breakers and caches.
    pub inner: Arc<dyn Inspect>,
    /// When its last poll started. `None` before the first one.
    pub last_poll: Option<SystemTime>,
    /// When its next poll is due.
    pub next_poll: Option<SystemTime>,
    /// The duration of its last poll.
    pub last_duration: Duration,
    /// One state for each endpoint, in the order of the definition.
    pub endpoints: Vec<EndpointStatus>,
}

/// The latest state of one endpoint.
#[derive(Debug, Clone, Default)]
pub struct EndpointStatus {
    /// When its last body arrived.
    pub last_success: Option<SystemTime>,
    /// Why the last poll gave no body.
    pub last_error: Option<PollFailure>,
}

impl TargetStatus {
    /// Whether the last poll gave at least one body.
    pub fn is_up(&self) -> bool {
        self.last_poll.is_some() && self.endpoints.iter().any(|e| e.last_error.is_none())
    }
}

impl StatusBoard {
    /// Adds a target that has not been polled yet.
    pub fn add(&self, target: &Arc<Target>, inner: &Arc<dyn Inspect>) {
        let status = TargetStatus {
            target: Arc::clone(target),
            inner: Arc::clone(inner),
            last_poll: None,
            next_poll: None,
            last_duration: Duration::ZERO,
            endpoints: vec![EndpointStatus::default(); target.definition.endpoints.len()],
        };
        self.lock().insert(target.name.clone(), status);
    }

    /// Replaces the description of a target. Its state stays, for the endpoints that both have.
    pub fn follow(&self, target: &Arc<Target>, inner: &Arc<dyn Inspect>) {
        let mut targets = self.lock();
        let Some(status) = targets.get_mut(&target.name) else {
            return;
        };
        let old = std::mem::replace(&mut status.target, Arc::clone(target));
        status.inner = Arc::clone(inner);
        let known = old.definition.endpoints.iter().zip(&status.endpoints);
        let known: BTreeMap<_, _> = known.map(|(e, status)| (&e.id, status)).collect();
        let endpoints = target.definition.endpoints.iter();
        let endpoints = endpoints.map(|e| known.get(&e.id).copied().cloned());
        status.endpoints = endpoints.map(Option::unwrap_or_default).collect();
    }

    /// Records when a target is polled next.
    pub fn expect(&self, target: &Target, next_poll: SystemTime) {
        if let Some(status) = self.lock().get_mut(&target.name) {
            status.next_poll = Some(next_poll);
        }
    }

    /// Clears the cached answers of all targets. Returns how many.
    pub fn shed(&self) -> u64 {
        let inner: Vec<_> = {
            let targets = self.lock();
            targets
                .values()
                .map(|status| Arc::clone(&status.inner))
                .collect()
        };
        inner.iter().map(|inner| inner.shed()).sum()
    }

    /// Records the results of a poll.
    pub fn record(&self, target: &Target, poll: &Poll) {
        let mut targets = self.lock();
        let Some(status) = targets.get_mut(&target.name) else {
            return;
        };
        status.last_poll = Some(poll.started);
        status.last_duration = poll.duration;
        for (status, polled) in status.endpoints.iter_mut().zip(&poll.endpoints) {
            match &polled.outcome {
                PollOutcome::Skipped => {}
                PollOutcome::Fresh(body) | PollOutcome::NotModified(body) => {
                    status.last_success = Some(body.received);
                    status.last_error = None;
                }
                // A refusal by a breaker is not new: the reason why it opened stays.
                PollOutcome::Failed(failure)
                    if !failure.was_sent() && status.last_error.is_some() => {}
                PollOutcome::Failed(failure) => status.last_error = Some(failure.clone()),
            }
        }
    }

    /// Removes a target that is no longer polled.
    pub fn remove(&self, target: &Target) {
        self.lock().remove(&target.name);
    }

    /// A copy of the state of one target.
    pub fn target(&self, name: &str) -> Option<TargetStatus> {
        self.lock().get(name).cloned()
    }

    /// A copy of the state of a target with this name or this URL.
    pub fn find(&self, name_or_url: &str) -> Option<TargetStatus> {
        let url = name_or_url.trim_end_matches('/');
        let targets = self.lock();
        let by_url = || targets.values().find(|status| status.target.url == url);
        targets.get(name_or_url).or_else(by_url).cloned()
    }

    /// A copy of the state of a target with an instance at this address.
    pub fn at(&self, address: &str) -> Option<TargetStatus> {
        let targets = self.lock();
        let status = targets.values().find(|status| status.inner.is_at(address));
        status.cloned()
    }

    /// A copy of the state of up to `limit` targets by name, starting after a name.
    pub fn page(&self, after: &str, limit: usize) -> Vec<TargetStatus> {
        let later = (Bound::Excluded(after), Bound::Unbounded);
        let targets = self.lock();
        let page = targets.range::<str, _>(later).take(limit);
        page.map(|(_, status)| status.clone()).collect()
    }

    /// The number of targets.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether there are no targets.
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Adds the discovery status of a receiver. It is removed when it is dropped.
    pub fn add_origins(&self, receiver: &str, origins: &Arc<dyn DiscoveryStatus>) {
        let mut all = self.origins.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(receiver.to_owned(), Arc::downgrade(origins));
    }

    /// The discovery status of each receiver.
    pub fn origins(&self) -> Vec<(String, Arc<dyn DiscoveryStatus>)> {
        let mut all = self.origins.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, origins| origins.strong_count() > 0);
        let origins = all.iter();
        let origins =
            origins.filter_map(|(name, origins)| Some((name.clone(), origins.upgrade()?)));
        origins.collect()
    }

    /// Adds a receiver that can poll a given target once. It is removed when it is dropped.
    pub fn add_prober(&self, receiver: &str, prober: &Arc<dyn Prober>) {
        let mut all = self.probers.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(receiver.to_owned(), Arc::downgrade(prober));
    }

    /// The receivers that can poll a given target once, by id.
    pub fn probers(&self) -> BTreeMap<String, Arc<dyn Prober>> {
        let all = self.probers.lock().unwrap_or_else(PoisonError::into_inner);
        let probers = all.iter();
        probers
            .filter_map(|(name, prober)| Some((name.clone(), prober.upgrade()?)))
            .collect()
    }

    /// The totals of the targets that somebody looks at.
    pub fn totals(&self) -> &Arc<WatchedTotals> {
        &self.totals
    }

    /// A copy of the state of all targets, by name.
    pub fn targets(&self) -> Vec<TargetStatus> {
        self.lock().values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, TargetStatus>> {
        // The map is consistent at every moment, so a panic elsewhere does no damage.
        self.targets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
