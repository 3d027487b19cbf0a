//! Work that begins when a thread has nothing else to do.
//!
//! If more work is due than a thread can do, all that has begun becomes slow together: answers wait
//! in sockets until their time is over, and memory leaves the processor's cache between two steps.
//! So what has begun goes first. What is due begins when the thread is idle, a few at a time.

use std::{cell::RefCell, sync::Arc};

use tokio::{runtime::Builder, sync::Semaphore};

/// So much work begins before the thread does what it finds next. The targets of a slot wake
/// together. If all of them were polled together, each answer would find the memory of its target
/// outside of the processor's cache again: with 10,000 targets, `cargo bench --bench fleet` measured
/// a fifth more processor time.
const AT_ONCE: usize = 16;

/// So much work begins while a task yields again and again.
const BESIDE_ANOTHER: usize = 4;

thread_local! {
    /// That of the runtime of this thread.
    static GATE: RefCell<Option<Arc<IdleGate>>> = const { RefCell::new(None) };
}

/// What the threads of a runtime let begin. A permit is used up by what begins.
#[derive(Debug)]
struct IdleGate(Semaphore);

impl IdleGate {
    /// Lets so much work begin.
    fn let_begin(&self, count: usize) {
        let missing = count.saturating_sub(self.0.available_permits());
        if missing > 0 {
            self.0.add_permits(missing);
        }
    }
}

/// Has the threads of a runtime say when they are idle.
pub(super) fn watch(builder: &mut Builder) {
    let gate = Arc::new(IdleGate(Semaphore::new(AT_ONCE)));
    let of_thread = Arc::clone(&gate);
    builder
        .on_thread_start(move || GATE.set(Some(Arc::clone(&of_thread))))
        .on_thread_park(move || gate.let_begin(AT_ONCE));
}

/// Waits until this thread is idle, or little work has begun since it was. In a runtime that is not
/// [watched](super::build_runtime) this does not wait.
pub async fn turn() {
    if let Some(gate) = gate()
        // It is never closed.
        && let Ok(permit) = gate.0.acquire().await
    {
        permit.forget();
    }
}

/// Lets all other tasks run first, and some work that waits for its [turn]. To tokio, a thread on
/// which a task yields is not idle.
pub async fn yield_now() {
    tokio::task::yield_now().await;
    if let Some(gate) = gate() {
        gate.let_begin(BESIDE_ANOTHER);
    }
}

fn gate() -> Option<Arc<IdleGate>> {
    GATE.with_borrow(Clone::clone)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::UnixStream,
        sync::SemaphorePermit,
        task::JoinSet,
    };

    use super::*;
    use crate::runtime::build_runtime;

    const WORK: usize = 500;

    /// Work of `steps` steps, each of which waits for the network.
    async fn exchange(steps: usize) {
        let (mut ours, mut theirs) = UnixStream::pair().unwrap();
        for _ in 0..steps {
            theirs.write_all(b"answer").await.unwrap();
            let mut answer = [0; 6];
            ours.read_exact(&mut answer).await.unwrap();
            tokio::task::yield_now().await;
        }
    }

    #[test]
    fn what_has_begun_goes_before_what_is_due() {
        let runtime = build_runtime(Builder::new_multi_thread(), 1).unwrap();
        let in_progress = Arc::new((AtomicUsize::new(0), AtomicUsize::new(0)));
        let mut all = JoinSet::new();
        for _ in 0..WORK {
            let in_progress = Arc::clone(&in_progress);
            let work = async move {
                turn().await;
                let (now, most) = (&in_progress.0, &in_progress.1);
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                exchange(3).await;
                now.fetch_sub(1, Ordering::SeqCst);
            };
            all.spawn_on(work, runtime.handle());
        }
        runtime.block_on(all.join_all());
        let most = in_progress.1.load(Ordering::SeqCst);
        assert!(most < WORK / 2, "{most} of {WORK} were in progress");
    }

    #[test]
    fn work_that_hangs_delays_nothing() {
        let runtime = build_runtime(Builder::new_multi_thread(), 1).unwrap();
        let mut hanging = JoinSet::new();
        for _ in 0..AT_ONCE * 3 {
            let hangs = async {
                turn().await;
                std::future::pending::<()>().await;
            };
            hanging.spawn_on(hangs, runtime.handle());
        }
        let mut others = JoinSet::new();
        for _ in 0..AT_ONCE * 3 {
            others.spawn_on(turn(), runtime.handle());
        }
        assert_eq!(runtime.block_on(others.join_all()).len(), AT_ONCE * 3);
    }

    #[test]
    fn a_task_that_yields_all_the_time_delays_nothing() {
        let runtime = build_runtime(Builder::new_multi_thread(), 1).unwrap();
        let mut all = JoinSet::new();
        let endless = async {
            loop {
                yield_now().await;
            }
        };
        let endless = runtime.spawn(endless);
        for _ in 0..AT_ONCE * 3 {
            all.spawn_on(turn(), runtime.handle());
        }
        assert_eq!(runtime.block_on(all.join_all()).len(), AT_ONCE * 3);
        endless.abort();
    }

    #[test]
    fn a_few_begin_each_time_that_a_thread_is_idle() {
        let gate = IdleGate(Semaphore::new(AT_ONCE));
        let begin = || gate.0.try_acquire().map(SemaphorePermit::forget).is_ok();
        for _ in 0..3 {
            assert_eq!((0..AT_ONCE * 2).filter(|_| begin()).count(), AT_ONCE);
            gate.let_begin(AT_ONCE);
            gate.let_begin(AT_ONCE);
        }
    }

    #[tokio::test]
    async fn in_another_runtime_nothing_waits() {
        for _ in 0..AT_ONCE * 3 {
            turn().await;
        }
    }
}
