//! A line on the terminal about what takes longer than a second; none where nobody reads it.

use std::{
    future::Future,
    io::{IsTerminal as _, Write as _, stderr},
    pin::pin,
    time::Duration,
};

use tokio::time::{Instant, interval};

/// What is done sooner needs no line.
const SOON: Duration = Duration::from_secs(1);

/// Waits for `work`, and says meanwhile for how long. A pipe gets nothing.
pub(super) async fn waiting<T>(what: &str, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    if !stderr().is_terminal() {
        return work.await;
    }
    let begun = Instant::now();
    let mut every = interval(Duration::from_millis(200));
    let mut is_shown = false;
    loop {
        tokio::select! {
            done = &mut work => {
                if is_shown {
                    say("\r\x1b[K");
                }
                return done;
            }
            _ = every.tick() => if begun.elapsed() > SOON {
                is_shown = true;
                say(&format!("\r{what}: {} s", begun.elapsed().as_secs()));
            }
        }
    }
}

/// A terminal that is gone is no reason to stop.
fn say(text: &str) {
    let mut terminal = stderr().lock();
    drop(write!(terminal, "{text}").and_then(|()| terminal.flush()));
}
