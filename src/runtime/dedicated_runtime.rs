//! A separate thread for work that must not wait behind all other tasks.

use std::io;

use tokio::runtime::{Builder, Handle, Runtime};

use super::threads::build_runtime;

/// A runtime with its own worker thread. If there is more to poll than processor time, a task in
/// the common runtime waits seconds for a worker. Here it waits only for the scheduler of the
/// system, which is fair. Its tasks end when this is dropped.
#[derive(Debug)]
pub struct DedicatedRuntime {
    handle: Handle,
    runtime: Option<Runtime>,
}

impl DedicatedRuntime {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the system refuses a thread.
    pub fn start(name: &str) -> io::Result<Self> {
        let mut builder = Builder::new_multi_thread();
        builder.thread_name(name);
        let runtime = build_runtime(builder, 1)?;
        Ok(Self {
            handle: runtime.handle().clone(),
            runtime: Some(runtime),
        })
    }

    /// The handle for [`super::Tasks::on`].
    pub fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for DedicatedRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // A worker must not wait. Those who spawned tasks have waited for them.
            runtime.shutdown_background();
        }
    }
}
