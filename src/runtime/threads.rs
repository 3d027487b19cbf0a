//! Checks that the system permits enough threads, because tokio panics if it does not.

use std::{io, sync::mpsc, thread};

use tokio::runtime::{Builder, Runtime};

/// Builds a runtime with this number of workers. `None` means as many as the machine has
/// processors.
///
/// # Errors
/// If the system has too few threads: a limit on processes or on memory is reached.
pub fn build_runtime(mut builder: Builder, workers: Option<usize>) -> io::Result<Runtime> {
    let room = || thread::available_parallelism().map_or(1, usize::from);
    // One more for blocking work.
    have(workers.unwrap_or_else(room).saturating_add(1))?;
    if let Some(workers) = workers {
        builder.worker_threads(workers);
    }
    builder.enable_all().build()
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
