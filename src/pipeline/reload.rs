//! Triggers a reload of the configuration, from any component.

use tokio::sync::{mpsc, oneshot};

/// Triggers a reload. Clones trigger the same collector.
#[derive(Debug, Clone)]
pub struct ReloadTrigger(mpsc::Sender<ReloadRequest>);

/// Receives the result of a reload.
pub type ReloadRequest = oneshot::Sender<Result<(), String>>;

impl ReloadTrigger {
    /// Creates a trigger, and the receiver of its requests.
    pub fn new() -> (Self, mpsc::Receiver<ReloadRequest>) {
        // One running reload and one waiting one see all changes. Further requests have to wait.
        let (sender, receiver) = mpsc::channel(1);
        (Self(sender), receiver)
    }

    /// Triggers a reload and waits for its result.
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
