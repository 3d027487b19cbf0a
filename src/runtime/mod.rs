//! Tasks, clock and watched folders: the only callers of `tokio::spawn` and the wall clock.

mod apart;
pub mod clock;
mod folders;
pub mod heavy;
pub mod tasks;

pub use apart::Apart;
pub use clock::Clock;
pub use folders::Folders;
pub use tasks::{Failure, Loss, PAUSE_AFTER_PANIC, TaskEvent, Tasks, catch_panic};
