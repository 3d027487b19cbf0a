//! Tasks, clock and chance: the only callers of `tokio::spawn` and the wall clock.

pub mod clock;
pub mod tasks;

pub use clock::Clock;
pub use tasks::{Failure, Tasks, catch_panic};
