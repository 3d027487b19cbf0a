//! Tasks, clock, watched directories and files: the only callers of `tokio::spawn` and the wall
//! clock.

mod dedicated_runtime;
pub mod clock;
mod files;
mod file_watcher;
pub mod heavy;
pub mod idle;
pub mod memory;
pub mod open_files;
mod rotated_text;
mod spoken;
pub mod tasks;
mod threads;

pub use clock::Clock;
pub use dedicated_runtime::DedicatedRuntime;
pub use file_watcher::FileWatcher;
pub use files::{read_file, read_input, read_text, text_of};
pub use rotated_text::{RotatedText, RotatedTextError};
pub use spoken::{rounded_seconds, seconds};
pub use tasks::{PAUSE_AFTER_PANIC, Severity, TaskEvent, TaskFailure, Tasks, catch_panic};
pub use threads::{RuntimeError, build_common_runtime, build_runtime};
