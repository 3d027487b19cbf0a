//! How receivers reach targets: by sockets, or in memory where a test controls the time.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use reqwest::Url;

/// Answers a `GET` in memory with a status and a body. `None` closes the connection without an
/// answer.
pub type Answering = dyn Fn(Url) -> BoxFuture<'static, Option<(u16, Bytes)>> + Send + Sync;

/// How receivers reach targets.
#[derive(Clone, Default)]
pub struct Network(Option<Arc<Answering>>);

impl Network {
    /// A network without sockets: `answering` answers each URL. With a paused clock, hours pass at
    /// once.
    pub fn in_memory(answering: Arc<Answering>) -> Self {
        Self(Some(answering))
    }

    /// What answers in memory. `None` if sockets are used.
    pub fn answering(&self) -> Option<&Arc<Answering>> {
        self.0.as_ref()
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            None => "Sockets",
            Some(_) => "InMemory",
        })
    }
}
