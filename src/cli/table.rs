//! Rows in aligned columns.

use std::{borrow::Cow, iter};

use super::Output;

/// The most letters that a cell shows, because the message of a server can be long.
const CELL_LETTERS_MAX: usize = 200;

/// Writes `rows` under `head`, indented. Each column is as wide as its widest cell.
pub(super) fn write<const N: usize>(head: [&str; N], rows: &[[String; N]], out: &mut Output) {
    let shown: Vec<_> = rows
        .iter()
        .map(|row| row.each_ref().map(|cell| cut(cell)))
        .collect();
    let mut widths = head.map(|cell| cell.chars().count());
    for row in &shown {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    line(head, widths, out);
    for row in &shown {
        line(row.each_ref().map(|cell| &**cell), widths, out);
    }
}

/// One line of limited length, without control characters for a terminal.
fn cut(cell: &str) -> Cow<'_, str> {
    let is_plain = !cell.contains(char::is_control);
    if is_plain && cell.chars().nth(CELL_LETTERS_MAX).is_none() {
        return Cow::Borrowed(cell);
    }
    let mut letters = cell.chars();
    let shown = letters.by_ref().take(CELL_LETTERS_MAX).collect::<String>();
    let shown = shown
        .chars()
        .flat_map(|letter| -> Box<dyn Iterator<Item = char>> {
            match letter.is_control() {
                true => Box::new(letter.escape_default()),
                false => Box::new(iter::once(letter)),
            }
        });
    let more = letters.next().map(|_| '…');
    Cow::Owned(shown.chain(more).collect())
}

fn line<const N: usize>(cells: [&str; N], widths: [usize; N], out: &mut Output) {
    let padded: Vec<_> = cells
        .iter()
        .zip(widths)
        .map(|(cell, width)| format!("{cell:width$}"))
        .collect();
    out.line(format_args!("  {}", padded.join("  ").trim_end()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_one_short_line_without_control_characters() {
        for (cell, shown) in [
            ("ok", "ok"),
            ("größer ☃", "größer ☃"),
            (
                "\u{1b}]0;title\u{7}\nnext\u{9b}2J",
                "\\u{1b}]0;title\\u{7}\\nnext\\u{9b}2J",
            ),
        ] {
            assert_eq!(cut(cell), shown);
        }
        let longest = "é".repeat(CELL_LETTERS_MAX);
        assert_eq!(cut(&longest), longest);
        // These widths are above the limit of the format.
        let rows = ["x".repeat(65_535), "\u{1b}".repeat(70_000)];
        assert_eq!(cut(&rows[0]), format!("{}…", "x".repeat(CELL_LETTERS_MAX)));
        write(["", ""], &[rows], &mut Output::stderr());
    }
}
