//! Runs work that needs a processor for a long time on separate threads, so that the network does
//! not wait for it.

use super::seconds;
use std::{cell::Cell, sync::LazyLock, thread, time::Duration};

use tokio::{
    runtime::{Handle, RuntimeFlavor},
    sync::{Semaphore, oneshot},
    task::{block_in_place, spawn_blocking},
    time::timeout,
};

/// The number of simultaneous pieces of work in the whole process. Others wait, so that the network
/// has the workers of the runtime.
static SLOTS: LazyLock<Semaphore> = LazyLock::new(|| {
    let processors = thread::available_parallelism().map_or(2, usize::from);
    Semaphore::new(processors.max(2))
});

/// The work did not finish: it panicked, or the process ends.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the work was not done")]
pub struct Undone;

/// Runs `work` on another thread, when a slot is free.
///
/// # Errors
/// If it panics, or the process ends.
pub async fn offload<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Undone> {
    let slot = SLOTS.acquire().await.map_err(|_| Undone)?;
    let work = move || {
        // The slot is freed when the work is done, not when nobody waits for it any more.
        let _slot = slot;
        work()
    };
    spawn_blocking(work).await.map_err(|_| Undone)
}

/// Runs `work` on this thread, when a slot is free. Other tasks move to another worker of the
/// runtime; futures joined with this task wait.
pub async fn here<T>(work: impl FnOnce() -> T) -> T {
    let _slot = SLOTS.acquire().await;
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::MultiThread => block_in_place(work),
        // There is no other worker.
        _ => work(),
    }
}

/// Why the work on its own thread has no result.
#[derive(Debug, thiserror::Error)]
pub enum Lost {
    /// The system refuses a thread.
    #[error("failed to start a thread")]
    Thread(#[source] std::io::Error),
    /// It takes too long. It continues, and its result is ignored.
    #[error("not done within {}", seconds(*.0))]
    TooLong(Duration),
    /// It panicked.
    #[error(transparent)]
    Undone(#[from] Undone),
}

/// The stack of a thread for deep recursion, in bytes. Only the part that is used takes memory.
const DEEP_STACK_BYTES: usize = 32 * 1024 * 1024;

/// The part of that stack that recursive work may use, in bytes.
pub const DEEP_BYTES: usize = DEEP_STACK_BYTES / 2;

/// The number of simultaneous pieces of recursive work. Work that continues after its time limit has
/// no slot.
static DEEP_SLOTS: LazyLock<Semaphore> = LazyLock::new(|| {
    let processors = thread::available_parallelism().map_or(2, usize::from);
    Semaphore::new(processors)
});

/// Runs `work` like [`alone`] on a thread with a large stack, as soon as a slot is free. It is for
/// work with deep recursion that may never end.
///
/// # Errors
/// If it is not done within `limit`. The wait for a slot does not count.
pub async fn deep<T: Send + 'static>(
    name: &str,
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Lost> {
    let _slot = DEEP_SLOTS.acquire().await.map_err(|_| Undone)?;
    let thread = thread::Builder::new().stack_size(DEEP_STACK_BYTES);
    let work = move || {
        IS_DEEP.set(true);
        work()
    };
    on_thread(thread.name(name.to_owned()), limit, work).await
}

thread_local! {
    /// Whether this thread has the large stack.
    static IS_DEEP: Cell<bool> = const { Cell::new(false) };
}

/// Runs recursive work and waits for it, however long it takes. A caller inside of [`deep`] has the
/// large stack already.
///
/// # Errors
/// If there is no thread, or if the work panics.
pub fn deep_here<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, Lost> {
    if IS_DEEP.get() {
        return Ok(work());
    }
    thread::scope(|scope| {
        let thread = thread::Builder::new().stack_size(DEEP_STACK_BYTES);
        let started = thread.spawn_scoped(scope, work).map_err(Lost::Thread)?;
        started.join().map_err(|_| Lost::Undone(Undone))
    })
}

/// Runs `work` on its own thread, for which the end of the process does not wait. It is for work
/// that may never end, such as reading a pipe.
///
/// # Errors
/// If it is not done within `limit`.
pub async fn alone<T: Send + 'static>(
    name: &str,
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Lost> {
    on_thread(thread::Builder::new().name(name.to_owned()), limit, work).await
}

async fn on_thread<T: Send + 'static>(
    thread: thread::Builder,
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Lost> {
    let (done, waiting) = oneshot::channel();
    let work = move || {
        // The caller may have gone away.
        drop(done.send(work()));
    };
    let started = thread.spawn(work);
    drop(started.map_err(Lost::Thread)?);
    let waited = timeout(limit, waiting).await;
    Ok(waited
        .map_err(|_| Lost::TooLong(limit))?
        .map_err(|_| Undone)?)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn other_tasks_continue_during_the_work() {
        let (beside, waiting) = mpsc::channel();
        let (tasks, _failures) = crate::runtime::Tasks::new();
        let patience = Duration::from_secs(60);
        tasks.spawn("beside", async move {
            tokio::task::yield_now().await;
            assert!(beside.send(()).is_ok());
        });
        // The task could never run while its only worker is blocked.
        assert_eq!(here(|| waiting.recv_timeout(patience)).await, Ok(()));
    }

    #[tokio::test]
    async fn a_panic_affects_only_the_work() {
        assert!(offload(|| panic!("out of luck")).await.is_err());
        assert_eq!(offload(|| 7).await.ok(), Some(7));
        assert_eq!(here(|| 8).await, 8);
        let limit = Duration::from_secs(60);
        assert!(matches!(
            alone("test", limit, || panic!("again")).await,
            Err::<(), _>(Lost::Undone(_))
        ));
    }

    #[tokio::test]
    async fn deep_recursion_has_a_large_stack() {
        fn depth(left: u64) -> u64 {
            let room = std::hint::black_box([0_u8; 1024]);
            match left {
                0 => room[0].into(),
                _ => 1 + depth(left - 1),
            }
        }
        let limit = Duration::from_secs(60);
        assert_eq!(deep("test", limit, || depth(8000)).await.ok(), Some(8000));
        assert_eq!(deep_here(|| depth(8000)).ok(), Some(8000));
        assert!(deep_here::<()>(|| panic!("out of luck")).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn work_without_an_end_is_abandoned() {
        let (_open, never) = mpsc::channel::<()>();
        let lost = alone("test", Duration::from_secs(30), move || never.recv()).await;
        assert_eq!(lost.unwrap_err().to_string(), "not done within 30 s");
    }
}
