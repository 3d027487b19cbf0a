//! Standard output and standard error, written so that a closed pipe is no crash.

use std::{
    fmt::{Arguments, Display},
    io::{self, Write},
};

/// A stream of lines.
pub(super) struct Output {
    stream: Box<dyn Write>,
    closed: bool,
}

impl Output {
    /// Standard output.
    pub(super) fn stdout() -> Self {
        Self {
            stream: Box::new(io::stdout()),
            closed: false,
        }
    }

    /// Standard error.
    pub(super) fn stderr() -> Self {
        Self {
            stream: Box::new(io::stderr()),
            closed: false,
        }
    }

    /// Writes a line. Once the reader has gone (`… | head`) nothing more is written.
    pub(super) fn line(&mut self, line: Arguments<'_>) {
        if !self.closed {
            self.closed = writeln!(self.stream, "{line}").is_err();
        }
    }

    /// Writes a text that may have many lines.
    pub(super) fn text(&mut self, text: impl Display) {
        self.line(format_args!("{text}"));
    }
}
