//! Work that takes a processor for long, apart from what waits for the network.

use std::{cell::Cell, sync::LazyLock, thread, time::Duration};

use tokio::{
    runtime::{Handle, RuntimeFlavor},
    sync::{Semaphore, oneshot},
    task::{block_in_place, spawn_blocking},
    time::timeout,
};

/// So many at a time in the whole process: the others wait in line, and what waits for the network
/// has the workers of the runtime for itself.
static PLACES: LazyLock<Semaphore> = LazyLock::new(|| {
    let processors = thread::available_parallelism().map_or(2, usize::from);
    Semaphore::new(processors.max(2))
});

/// It did not come to an end: we made a mistake, or the process ends.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the work was not done")]
pub struct Undone;

/// Does `work` on another thread, once there is a place.
///
/// # Errors
/// If it panics, or the process ends.
pub async fn offload<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Undone> {
    let place = PLACES.acquire().await.map_err(|_| Undone)?;
    let work = move || {
        // Given back when it is done, and not when nobody waits for it any more.
        let _place = place;
        work()
    };
    spawn_blocking(work).await.map_err(|_| Undone)
}

/// Does `work` here, once there is a place. Other tasks leave this worker of the runtime for
/// another one; what is joined with this task waits.
pub async fn here<T>(work: impl FnOnce() -> T) -> T {
    let _place = PLACES.acquire().await;
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::MultiThread => block_in_place(work),
        // There is no other worker.
        _ => work(),
    }
}

/// Why the work of a thread of its own brought nothing.
#[derive(Debug, thiserror::Error)]
pub enum Lost {
    /// The system has no thread for us.
    #[error("failed to start a thread")]
    Thread(#[source] std::io::Error),
    /// It takes too long. It goes on, and nobody looks at what comes of it.
    #[error("not done within {} s", .0.as_secs_f64())]
    TooLong(Duration),
    /// It panicked.
    #[error(transparent)]
    Undone(#[from] Undone),
}

/// The stack of a thread for what calls itself often, in bytes. Only what is used of it takes
/// memory.
const DEEP_STACK_BYTES: usize = 32 * 1024 * 1024;

/// What such work may use of it, in bytes.
pub const DEEP_BYTES: usize = DEEP_STACK_BYTES / 2;

/// Where such work waits in line. One that goes on after its time has no place.
static DEEP_PLACES: LazyLock<Semaphore> = LazyLock::new(|| {
    let processors = thread::available_parallelism().map_or(2, usize::from);
    Semaphore::new(processors)
});

/// Does `work`, which calls itself often and may never end, as [`alone`] does, once there is a
/// place.
///
/// # Errors
/// If it is not done within `limit`, the wait for a place not included.
pub async fn deep<T: Send + 'static>(
    name: &str,
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Lost> {
    let _place = DEEP_PLACES.acquire().await.map_err(|_| Undone)?;
    let thread = thread::Builder::new().stack_size(DEEP_STACK_BYTES);
    let work = move || {
        IS_DEEP.set(true);
        work()
    };
    on_thread(thread.name(name.to_owned()), limit, work).await
}

thread_local! {
    /// Whether the stack of this thread is that large.
    static IS_DEEP: Cell<bool> = const { Cell::new(false) };
}

/// Does such work and waits for it here, however long it takes. Work within [`deep`] has its stack.
///
/// # Errors
/// If there is no thread, or it panics.
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

/// Does `work` on a thread of its own, which the end of the process does not wait for: for what may
/// never end, such as reading a file that is a pipe.
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
        // Who waited may have gone away.
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
    async fn tasks_go_on_beside_it() {
        let (beside, waiting) = mpsc::channel();
        let (tasks, _failures) = crate::runtime::Tasks::new();
        let patience = Duration::from_secs(60);
        tasks.spawn("beside", async move {
            tokio::task::yield_now().await;
            assert!(beside.send(()).is_ok());
        });
        // With its only worker blocked, the task could never run.
        assert_eq!(here(|| waiting.recv_timeout(patience)).await, Ok(()));
    }

    #[tokio::test]
    async fn a_panic_costs_the_work_alone() {
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
    async fn what_calls_itself_often_has_the_room() {
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
    async fn what_never_ends_is_left_alone() {
        let (_open, never) = mpsc::channel::<()>();
        let lost = alone("test", Duration::from_secs(30), move || never.recv()).await;
        assert_eq!(lost.unwrap_err().to_string(), "not done within 30 s");
    }
}
