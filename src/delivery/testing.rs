//! What the tests of this module and of the exporters look through.

use std::{
    io,
    sync::{Arc, LazyLock, Mutex},
};

use tracing::{
    Dispatch,
    subscriber::{DefaultGuard, set_default},
};

pub(crate) use crate::instruments::PullReader as Reader;

/// While there is one subscriber only, tracing asks the thread that comes by a line of code first
/// whether it logs, and keeps the answer for all threads: a test beside this one, without a
/// subscriber, would silence it. With a second one it asks them all.
static SECOND: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(tracing_subscriber::registry()));

/// What is logged on this thread at `info` and above until the guard is dropped.
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
