//! Whether the system lets us have threads: tokio panics where it does not.

use std::{io, sync::mpsc, thread};

use tokio::runtime::{Builder, Runtime};

/// Builds a runtime of so many workers; as many as the machine has room for if none.
///
/// # Errors
/// If the system has too few threads for us: a limit on processes or on memory is reached.
pub fn build_runtime(mut builder: Builder, workers: Option<usize>) -> io::Result<Runtime> {
    let room = || thread::available_parallelism().map_or(1, usize::from);
    // One more, for what blocks.
    have(workers.unwrap_or_else(room).saturating_add(1))?;
    if let Some(workers) = workers {
        builder.worker_threads(workers);
    }
    builder.enable_all().build()
}

/// Has so many threads at once for a moment.
fn have(count: usize) -> io::Result<()> {
    let mut held = Vec::new();
    for _ in 0..count {
        let (let_go, end) = mpsc::channel::<()>();
        let thread = thread::Builder::new().spawn(move || end.recv().is_err())?;
        held.push((let_go, thread));
    }
    for (let_go, thread) in held {
        drop(let_go);
        // They end before others are started; none panics.
        drop(thread.join());
    }
    Ok(())
}
