//! The threads that poll the targets of a receiver.

use std::{num::NonZeroUsize, sync::Arc, thread};

use crate::{
    receivers::{http_json::poll::signals::Turns, network::Network},
    runtime::{DedicatedRuntime, Tasks},
};

/// One thread makes so many requests a second: `cargo bench --bench fleet` measured that they take
/// about half of a processor, and a machine that is half as fast makes them too.
///
/// The tasks of a target stay on one thread. If threads took tasks from each other, tokio would wake
/// them for almost each answer.
const REQUESTS_PER_SECOND: f64 = 10_000.0;

/// The threads that poll the targets of a receiver.
pub(super) struct PollThreads {
    receiver: String,
    common: Arc<PollThread>,
    others: Vec<Arc<PollThread>>,
    /// There are no more than so many.
    most: usize,
}

/// A thread that polls targets. The handle of each of them holds it.
pub(crate) struct PollThread {
    pub(crate) tasks: Tasks,
    /// Its targets start, change and end one after the other.
    pub(crate) turns: Turns,
    /// Without one it is the common thread of the collector.
    _runtime: Option<DedicatedRuntime>,
}

impl PollThreads {
    /// The thread that `tasks` have. There are never more threads than processors, and one alone
    /// where a test controls the time.
    pub(super) fn new(receiver: &str, network: &Network, tasks: Tasks) -> Self {
        let processors = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self {
            receiver: receiver.to_owned(),
            common: PollThread::new(tasks, None),
            others: Vec::new(),
            most: match network.answering() {
                Some(_) => 1,
                None => processors,
            },
        }
    }

    /// Starts the threads that so many requests need. If the system refuses one, those that there
    /// are do the work.
    pub(super) fn start(&mut self, requests_per_second: f64) {
        let receiver = &self.receiver;
        while self.lacks_one(requests_per_second) {
            match DedicatedRuntime::start("polls") {
                Ok(runtime) => {
                    let tasks = self.common.tasks.on(runtime.handle());
                    self.others.push(PollThread::new(tasks, Some(runtime)));
                    tracing::info!(receiver, requests_per_second, "one more thread polls");
                }
                Err(error) => {
                    tracing::warn!(receiver, %error, "failed to start one more thread for polls");
                    return;
                }
            }
        }
    }

    fn lacks_one(&self, requests_per_second: f64) -> bool {
        let threads = u32::try_from(self.others.len() + 1).unwrap_or(u32::MAX);
        let is_enough = f64::from(threads) * REQUESTS_PER_SECOND >= requests_per_second;
        !is_enough && self.others.len() + 1 < self.most
    }

    /// The thread that has the fewest targets.
    pub(super) fn free(&self) -> Arc<PollThread> {
        let all = self.others.iter().chain([&self.common]);
        let free = all.min_by_key(|thread| Arc::strong_count(thread));
        Arc::clone(free.unwrap_or(&self.common))
    }
}

impl PollThread {
    fn new(tasks: Tasks, runtime: Option<DedicatedRuntime>) -> Arc<Self> {
        Arc::new(Self {
            tasks,
            turns: Turns::new(),
            _runtime: runtime,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_shared_by_as_many_threads_as_they_need() {
        let (tasks, _failures) = Tasks::new();
        let mut threads = PollThreads::new("nodes", &Network::default(), tasks);
        threads.most = 3;
        let mut held: Vec<_> = (0..4).map(|_| threads.free()).collect();
        for (requests, others) in [(10_000.0, 0), (10_001.0, 1), (1e12, 2), (1.0, 2)] {
            threads.start(requests);
            assert_eq!(threads.others.len(), others, "{requests}");
        }
        // The new ones have no target yet.
        held.extend((0..8).map(|_| threads.free()));
        let all = threads.others.iter().chain([&threads.common]);
        let targets: Vec<_> = all.map(|thread| Arc::strong_count(thread) - 1).collect();
        assert_eq!(targets, [4, 4, 4]);
        drop(held);
    }
}
