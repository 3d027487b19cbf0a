//! Asking for the configuration to be loaded anew, from wherever that is asked.

use tokio::sync::{mpsc, oneshot};

/// Asks for a reload. Clones ask the same collector.
#[derive(Debug, Clone)]
pub struct ReloadTrigger(mpsc::Sender<ReloadRequest>);

/// Where the answer to a request for a reload goes.
pub type ReloadRequest = oneshot::Sender<Result<(), String>>;

impl ReloadTrigger {
    /// A trigger, and where its requests arrive.
    pub fn new() -> (Self, mpsc::Receiver<ReloadRequest>) {
        // One at work and one behind it see all that changed; more have to wait.
        let (sender, receiver) = mpsc::channel(1);
        (Self(sender), receiver)
    }

    /// Asks for a reload and waits for what comes of it.
    ///
    /// # Errors
    /// Why the running configuration stays.
    pub async fn ask(&self) -> Result<(), String> {
        let stopping = || "the collector stops".to_owned();
        let (answer, answered) = oneshot::channel();
        self.0.send(answer).await.map_err(|_| stopping())?;
        answered.await.unwrap_or_else(|_| Err(stopping()))
    }
}
