//! Tasks, clock, watched folders and files that others name: the only callers of `tokio::spawn` and
//! the wall clock.

mod apart;
pub mod clock;
mod files;
mod folders;
pub mod heavy;
pub mod tasks;
mod threads;

pub use apart::Apart;
pub use clock::Clock;
pub use files::{read_file, read_input, read_text, text_of};
pub use folders::Folders;
pub use tasks::{Failure, Loss, PAUSE_AFTER_PANIC, TaskEvent, Tasks, catch_panic};
pub use threads::build_runtime;
