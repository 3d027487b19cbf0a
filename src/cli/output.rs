//! Standard output and standard error. A closed pipe is not a crash.

use std::{
    fmt::{self, Arguments, Display, Write as _},
    io,
    os::fd::AsFd,
};

use terminal_size::{Width, terminal_size_of};

/// A stream of lines.
pub(super) struct Output {
    stream: Box<dyn io::Write>,
    /// The columns of the terminal, if it is one.
    width: Option<usize>,
    closed: bool,
}

impl Output {
    /// Creates standard output.
    pub(super) fn stdout() -> Self {
        Self {
            width: columns(io::stdout()),
            stream: Box::new(io::stdout()),
            closed: false,
        }
    }

    /// Creates standard error.
    pub(super) fn stderr() -> Self {
        Self {
            width: columns(io::stderr()),
            stream: Box::new(io::stderr()),
            closed: false,
        }
    }

    /// The columns of the terminal. None if it goes elsewhere.
    pub(super) fn width(&self) -> Option<usize> {
        self.width
    }

    /// Writes a line. After the reader has gone (`… | head`) it writes nothing more. Terminal
    /// control characters are escaped as in JSON and YAML, because the text may come from a server.
    pub(super) fn line(&mut self, line: Arguments<'_>) {
        if !self.closed {
            self.closed = writeln!(self.stream, "{}", Inert(line)).is_err();
        }
    }

    /// Writes a text that may have many lines.
    pub(super) fn text(&mut self, text: impl Display) {
        self.line(format_args!("{text}"));
    }
}

/// The columns of a terminal. None if the stream is something else.
fn columns(stream: impl AsFd) -> Option<usize> {
    let (Width(columns), _) = terminal_size_of(stream)?;
    (columns > 0).then_some(usize::from(columns))
}

/// A text without control characters for a terminal.
struct Inert<T>(T);

impl<T: Display> Display for Inert<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escaping(f), "{}", self.0)
    }
}

struct Escaping<'f, 'b>(&'f mut fmt::Formatter<'b>);

impl fmt::Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let is_obeyed = |letter: char| letter.is_control() && !['\n', '\t'].contains(&letter);
        for part in text.split_inclusive(is_obeyed) {
            let mut letters = part.chars();
            match letters.next_back() {
                Some(last) if is_obeyed(last) => {
                    write!(self.0, "{}\\u{:04x}", letters.as_str(), u32::from(last))?;
                }
                _ => self.0.write_str(part)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped() {
        for (text, shown) in [
            ("a\n\tb é", "a\n\tb é"),
            ("", ""),
            (
                "x\u{1b}[2Jy\r\u{9b}1m\u{7f}",
                "x\\u001b[2Jy\\u000d\\u009b1m\\u007f",
            ),
        ] {
            assert_eq!(Inert(text).to_string(), shown);
        }
    }
}
