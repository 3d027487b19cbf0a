//! Tasks, clock and chance: the only callers of `tokio::spawn` and the wall clock.
