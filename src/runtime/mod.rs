//! Tasks, clock and watched folders: the only callers of `tokio::spawn` and the wall clock.

pub mod clock;
mod folders;
pub mod tasks;

pub use clock::Clock;
pub use folders::Folders;
pub use tasks::{Failure, Tasks, catch_panic};
