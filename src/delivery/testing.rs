//! Captures the log in tests of this module and of the exporters.

use std::{
    io,
    sync::{Arc, LazyLock, Mutex},
};

use tracing::{
    Dispatch,
    subscriber::{DefaultGuard, set_default},
};

pub(crate) use crate::instruments::PullReader as Reader;

/// With only one subscriber, tracing asks the first thread at a line of code whether the line is
/// logged, and uses the result for all threads. Another test without a subscriber would then
/// silence this one. With a second subscriber, tracing asks every time.
static SECOND: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(tracing_subscriber::registry()));

/// Captures the log of this thread at `info` and above, until the guard is dropped.
pub(crate) fn logged() -> (CapturedLog, DefaultGuard) {
    LazyLock::force(&SECOND);
    let lines = CapturedLog::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(move || writer.clone())
        .with_ansi(false)
        .without_time()
        .finish();
    (lines, set_default(subscriber))
}

/// A log in memory.
#[derive(Debug, Clone, Default)]
pub(crate) struct CapturedLog(Arc<Mutex<Vec<u8>>>);

impl CapturedLog {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for CapturedLog {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
