//! A thread for what must not wait behind everything else that is ready to run.

use std::io;

use tokio::runtime::{Builder, Handle, Runtime};

use super::threads::build_runtime;

/// A worker of its own. Where there is more to poll than there is processor time, a task waits
/// seconds for a worker of the common runtime; here it waits for the system's scheduler only,
/// which is fair. What runs here ends when this is dropped.
#[derive(Debug)]
pub struct DedicatedRuntime {
    handle: Handle,
    runtime: Option<Runtime>,
}

impl DedicatedRuntime {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the system has none for us.
    pub fn start(name: &str) -> io::Result<Self> {
        let mut builder = Builder::new_multi_thread();
        builder.thread_name(name);
        let runtime = build_runtime(builder, Some(1))?;
        Ok(Self {
            handle: runtime.handle().clone(),
            runtime: Some(runtime),
        })
    }

    /// What [`super::Tasks::on`] takes.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for DedicatedRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Waiting is forbidden on a worker, and those who spawned have waited for their tasks.
            runtime.shutdown_background();
        }
    }
}
