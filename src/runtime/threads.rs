//! Builds runtimes, and checks that the system permits enough threads, because tokio panics if it
//! does not.

use std::{ffi::OsStr, io, num::NonZeroUsize, sync::mpsc, thread};

use tokio::runtime::{Builder, Runtime};

use super::idle;

/// The most workers of a runtime. More only wait for processors.
const MOST_WORKERS: usize = 1024;

/// Builds the runtime of everything that has none of its own.
///
/// It has one worker. tokio wakes a second one for almost each answer, to look for more work, and
/// that costs as much as to read the answer. What takes long has other threads: see [`super::heavy`]
/// and [`super::DedicatedRuntime`]. `workers` is the value of `TOKIO_WORKER_THREADS`, for a machine
/// on which one processor is too little.
///
/// # Errors
/// If `workers` is no number from 1 to 1024, or if the system has too few threads: a limit on
/// processes or on memory is reached.
pub fn build_common_runtime(workers: Option<&OsStr>) -> Result<Runtime, RuntimeError> {
    let workers = match workers {
        None => 1,
        Some(text) => count(text).ok_or(RuntimeError::Workers)?,
    };
    build_runtime(Builder::new_multi_thread(), workers).map_err(RuntimeError::Threads)
}

/// There is no runtime.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// The environment has no number.
    #[error("the environment variable TOKIO_WORKER_THREADS: expected a number from 1 to 1024")]
    Workers,
    /// No thread can be started.
    #[error(
        "the system refuses to start a thread; is the limit of processes (`ulimit -u`, pids.max) \
         reached?"
    )]
    Threads(#[source] io::Error),
}

fn count(text: &OsStr) -> Option<usize> {
    let count: NonZeroUsize = text.to_str()?.parse().ok()?;
    Some(count.get()).filter(|count| *count <= MOST_WORKERS)
}

/// Builds a runtime with this number of workers.
///
/// # Errors
/// If the system has too few threads: a limit on processes or on memory is reached.
pub fn build_runtime(mut builder: Builder, workers: usize) -> io::Result<Runtime> {
    // One more for blocking work.
    have(workers.saturating_add(1))?;
    idle::watch(&mut builder);
    builder.worker_threads(workers).enable_all().build()
}

/// Starts this number of threads at once, for a moment.
fn have(count: usize) -> io::Result<()> {
    let mut held = Vec::new();
    for _ in 0..count {
        let (let_go, end) = mpsc::channel::<()>();
        let thread = thread::Builder::new().spawn(move || end.recv().is_err())?;
        held.push((let_go, thread));
    }
    for (let_go, thread) in held {
        drop(let_go);
        // They end before others are started, and none panics.
        drop(thread.join());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_worker_unless_the_environment_asks_for_more() {
        let workers = |text: Option<&str>| {
            let runtime = build_common_runtime(text.map(OsStr::new))?;
            Ok::<_, RuntimeError>(runtime.metrics().num_workers())
        };
        assert_eq!(workers(None).unwrap(), 1);
        assert_eq!(workers(Some("3")).unwrap(), 3);
        for bad in ["", "0", "-1", "many", "1025"] {
            let refused = workers(Some(bad)).unwrap_err();
            assert!(matches!(refused, RuntimeError::Workers), "{bad}: {refused}");
        }
    }
}
