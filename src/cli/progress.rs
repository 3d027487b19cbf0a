//! A line on the terminal about what takes longer than a second; none where nobody reads it.

use std::{
    future::Future,
    io::{IsTerminal as _, Write, stderr},
    pin::pin,
    time::Duration,
};

use tokio::time::{Instant, interval};

/// What is done sooner needs no line.
const SOON: Duration = Duration::from_secs(1);

/// How often the line is made anew.
const EVERY: Duration = Duration::from_millis(200);

/// The line. It is on standard error, so that what a command prints can be used as it is.
pub(super) struct ProgressLine {
    /// None in a pipe or a file.
    terminal: Option<Box<dyn Write + Send>>,
    begun: Instant,
    shown: String,
}

impl ProgressLine {
    /// A line of this process.
    pub(super) fn new() -> Self {
        Self::on(stderr().is_terminal(), Box::new(stderr()))
    }

    /// A line on this stream, if that is a terminal.
    fn on(is_terminal: bool, stream: Box<dyn Write + Send>) -> Self {
        Self {
            terminal: is_terminal.then_some(stream),
            begun: Instant::now(),
            shown: String::new(),
        }
    }

    /// Shows how far it is, if the first second is over.
    pub(super) fn show(&mut self, what: impl FnOnce() -> String) {
        if self.terminal.is_none() || self.begun.elapsed() <= SOON {
            return;
        }
        let what = what();
        if what != self.shown {
            self.say(&format!("\r{what}\x1b[K"));
            self.shown = what;
        }
    }

    /// Makes room for the next output.
    pub(super) fn clear(&mut self) {
        if !std::mem::take(&mut self.shown).is_empty() {
            self.say("\r\x1b[K");
        }
    }

    /// A terminal that is gone is no reason to stop.
    fn say(&mut self, text: &str) {
        if let Some(terminal) = &mut self.terminal {
            drop(write!(terminal, "{text}").and_then(|()| terminal.flush()));
        }
    }

    /// Waits for `work`, and shows meanwhile how far it is, and for how long it has been at it.
    async fn during<T>(mut self, what: impl Fn() -> String, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        if self.terminal.is_none() {
            return work.await;
        }
        let begun = self.begun;
        let mut every = interval(EVERY);
        loop {
            tokio::select! {
                done = &mut work => {
                    self.clear();
                    return done;
                }
                _ = every.tick() => {
                    self.show(|| format!("{}: {} s", what(), begun.elapsed().as_secs()));
                }
            }
        }
    }
}

/// Waits for `work`, and says meanwhile how far it is. A pipe gets nothing.
pub(super) async fn waiting<T>(what: impl Fn() -> String, work: impl Future<Output = T>) -> T {
    ProgressLine::new().during(what, work).await
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{
            Arc, Mutex,
            atomic::{AtomicUsize, Ordering},
        },
    };

    use tokio::time::sleep;

    use super::*;

    #[derive(Clone, Default)]
    struct Screen(Arc<Mutex<Vec<u8>>>);

    impl Write for Screen {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(text)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is on the screen after three steps of two seconds.
    async fn shown(is_terminal: bool, steps: usize) -> String {
        let (screen, done) = (Screen::default(), AtomicUsize::new(0));
        let line = ProgressLine::on(is_terminal, Box::new(screen.clone()));
        let work = async {
            for _ in 0..steps {
                sleep(Duration::from_millis(1400)).await;
                done.fetch_add(1, Ordering::Relaxed);
            }
        };
        let what = || format!("{} of {steps}", done.load(Ordering::Relaxed));
        line.during(what, work).await;
        let text = screen.0.lock().unwrap().clone();
        String::from_utf8(text).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_terminal_sees_how_far_it_is_and_a_pipe_sees_nothing() {
        let text = shown(true, 2).await;
        let lines: Vec<_> = text.split('\r').filter(|line| !line.is_empty()).collect();
        let expected = [
            "0 of 2: 1 s\x1b[K",
            "1 of 2: 1 s\x1b[K",
            "1 of 2: 2 s\x1b[K",
            "\x1b[K",
        ];
        assert_eq!(lines, expected);
        assert_eq!(shown(false, 2).await, "");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_done_soon_needs_no_line() {
        assert_eq!(shown(true, 0).await, "");
    }
}
