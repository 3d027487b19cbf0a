//! The threads that poll, which all receivers share.

use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};

use crate::{
    receivers::{contract::ReceiverContext, http_json::poll::signals::Turns, network::Network},
    runtime::{DedicatedRuntime, Tasks},
};

/// One thread makes so many requests a second: `cargo bench --bench fleet` measured that they take
/// about half of a processor, and a machine that is half as fast makes them too.
///
/// The task of a target stays on its thread. If threads took tasks from each other, tokio would wake
/// them for almost each answer.
const REQUESTS_PER_SECOND: f64 = 10_000.0;

/// The threads that poll, as one receiver sees them.
pub(super) struct PollThreads {
    receiver: String,
    shared: Arc<SharedThreads>,
}

/// The threads that poll.
struct SharedThreads {
    /// There are no more than so many.
    most: usize,
    running: Mutex<RunningThreads>,
}

struct RunningThreads {
    /// The requests a second of each receiver.
    requests: BTreeMap<String, f64>,
    common: Arc<PollThread>,
    others: Vec<Arc<PollThread>>,
}

/// A thread that polls targets. The handle of each of them holds it.
pub(crate) struct PollThread {
    /// Its targets start, change and end one after the other.
    pub(super) turns: Turns,
    /// Without one it is the common thread of the collector.
    runtime: Option<DedicatedRuntime>,
}

impl PollThreads {
    pub(super) fn of(context: &ReceiverContext) -> Self {
        let new = || Arc::new(SharedThreads::new(&context.network));
        Self {
            receiver: context.id.clone(),
            shared: context.states.get("", new),
        }
    }

    /// Starts the threads that are needed when this receiver makes so many requests. If the system
    /// refuses one, those that there are do the work.
    pub(super) fn start(&self, requests_per_second: f64) {
        let mut running = self.shared.lock();
        let requests = &mut running.requests;
        requests.insert(self.receiver.clone(), requests_per_second);
        let all = requests.values().sum();
        while running.others.len() + 1 < self.shared.most && running.capacity() < all {
            let thread = match DedicatedRuntime::start("polls") {
                Ok(runtime) => PollThread::new(Some(runtime)),
                Err(error) => {
                    tracing::warn!(%error, "failed to start one more thread for polls");
                    return;
                }
            };
            running.others.push(thread);
            let threads = running.others.len() + 1;
            tracing::info!(threads, requests_per_second = all, "one more thread polls");
        }
    }

    /// The thread that has the fewest targets.
    pub(super) fn free(&self) -> Arc<PollThread> {
        let running = self.shared.lock();
        let all = running.others.iter().chain([&running.common]);
        let free = all.min_by_key(|thread| Arc::strong_count(thread));
        Arc::clone(free.unwrap_or(&running.common))
    }
}

impl Drop for PollThreads {
    fn drop(&mut self) {
        self.shared.lock().requests.remove(&self.receiver);
    }
}

impl SharedThreads {
    /// There are never more threads than processors, and one alone where a test controls the time.
    fn new(network: &Network) -> Self {
        let processors = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self {
            most: match network.answering() {
                Some(_) => 1,
                None => processors,
            },
            running: Mutex::new(RunningThreads {
                requests: BTreeMap::new(),
                common: PollThread::new(None),
                others: Vec::new(),
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, RunningThreads> {
        // It is consistent at every moment.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RunningThreads {
    /// How many requests a second the threads make.
    fn capacity(&self) -> f64 {
        let threads = u32::try_from(self.others.len() + 1).unwrap_or(u32::MAX);
        f64::from(threads) * REQUESTS_PER_SECOND
    }
}

impl PollThread {
    fn new(runtime: Option<DedicatedRuntime>) -> Arc<Self> {
        Arc::new(Self {
            turns: Turns::new(),
            runtime,
        })
    }

    /// These tasks, on this thread.
    pub(super) fn tasks(&self, tasks: &Tasks) -> Tasks {
        match &self.runtime {
            Some(runtime) => tasks.on(runtime.handle()),
            None => tasks.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receiver(name: &str, shared: &Arc<SharedThreads>) -> PollThreads {
        PollThreads {
            receiver: name.to_owned(),
            shared: Arc::clone(shared),
        }
    }

    #[test]
    fn all_receivers_share_as_many_threads_as_they_need() {
        let mut shared = SharedThreads::new(&Network::default());
        shared.most = 4;
        let shared = Arc::new(shared);
        let [a, b, c] = ["a", "b", "c"].map(|name| receiver(name, &shared));
        let others = || shared.lock().others.len();
        for (receiver, requests, threads) in [
            (&a, 6_000.0, 0),
            (&b, 4_000.0, 0),
            (&c, 1.0, 1),
            (&a, 1.0, 1),
            (&b, 30_001.0, 3),
            (&b, 1e12, 3),
        ] {
            receiver.start(requests);
            assert_eq!(others(), threads, "{requests}");
        }
        drop(b);
        let all = |running: &RunningThreads| running.requests.values().sum::<f64>();
        assert!(all(&shared.lock()) < 3.0, "it polls no more");
    }

    #[test]
    fn new_targets_go_to_the_thread_with_the_fewest() {
        let mut shared = SharedThreads::new(&Network::default());
        shared.most = 3;
        let threads = receiver("nodes", &Arc::new(shared));
        let mut held: Vec<_> = (0..4).map(|_| threads.free()).collect();
        threads.start(1e12);
        held.extend((0..8).map(|_| threads.free()));
        let running = threads.shared.lock();
        let all = running.others.iter().chain([&running.common]);
        let targets: Vec<_> = all.map(|thread| Arc::strong_count(thread) - 1).collect();
        assert_eq!(targets, [4, 4, 4]);
        drop(held);
    }
}
