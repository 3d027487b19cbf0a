//! Rows in aligned columns, as wide as the terminal is.

use std::borrow::Cow;

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::Output;

/// The most letters that a cell shows, because the message of a server can be long.
const CELL_LETTERS_MAX: usize = 200;

/// The most letters of what stands under a row.
const NOTE_LETTERS_MAX: usize = 4000;

/// How wide what stands under a row is at most.
const NOTE_WIDTH_MAX: usize = 100;

/// Columns do not get narrower.
const COLUMN_WIDTH_MIN: usize = 6;

/// What stands before a row, and between two columns.
const GAP: &str = "  ";

/// A row, and what stands under it.
pub(super) struct Row<const N: usize> {
    /// Its cells.
    pub(super) cells: [String; N],
    /// A text that is too long for a cell.
    pub(super) note: Option<String>,
}

impl<const N: usize> From<[String; N]> for Row<N> {
    fn from(cells: [String; N]) -> Self {
        Self { cells, note: None }
    }
}

/// Writes `rows` under `head`, indented. Each column is as wide as its widest cell, if the terminal
/// is wide enough. Otherwise the widest columns are narrower, and their cells have several lines.
pub(super) fn write<const N: usize>(head: [&str; N], rows: &[[String; N]], out: &mut Output) {
    let rows: Vec<_> = rows.iter().cloned().map(Row::from).collect();
    write_noted(head, &rows, out);
}

/// The same with notes.
pub(super) fn write_noted<const N: usize>(head: [&str; N], rows: &[Row<N>], out: &mut Output) {
    let terminal = out.width();
    for line in lines(head, rows, terminal) {
        out.line(format_args!("{line}"));
    }
}

fn lines<const N: usize>(head: [&str; N], rows: &[Row<N>], terminal: Option<usize>) -> Vec<String> {
    let shown: Vec<_> = rows
        .iter()
        .map(|row| {
            row.cells
                .each_ref()
                .map(|cell| inert(cell, CELL_LETTERS_MAX))
        })
        .collect();
    let mut widths = head.map(|cell| cell.width());
    for row in &shown {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.width());
        }
    }
    if let Some(terminal) = terminal {
        narrow(&mut widths, terminal.saturating_sub(GAP.len() * N));
    }
    // What goes into a file or to a program is not broken.
    let note_width = terminal.map_or(usize::MAX, |width| width.min(NOTE_WIDTH_MAX));
    let note_width = note_width
        .saturating_sub(GAP.len() * 2)
        .max(COLUMN_WIDTH_MIN);
    let mut lines = aligned(head, &widths);
    for (row, cells) in rows.iter().zip(&shown) {
        lines.extend(aligned(cells.each_ref().map(|cell| &**cell), &widths));
        let note = row.note.iter().map(|note| inert(note, NOTE_LETTERS_MAX));
        for line in note.flat_map(|note| wrapped(&note, note_width)) {
            lines.push(format!("{GAP}{GAP}{line}"));
        }
    }
    lines
}

/// Makes the widest columns narrower until all of them fit.
fn narrow(widths: &mut [usize], room: usize) {
    loop {
        let sum: usize = widths.iter().sum();
        let widest = widths.iter().copied().max().unwrap_or_default();
        if sum <= room || widest <= COLUMN_WIDTH_MIN {
            return;
        }
        let next = widths.iter().copied().filter(|width| *width < widest).max();
        let least = next.unwrap_or_default().max(COLUMN_WIDTH_MIN);
        let several = widths.iter().filter(|width| **width == widest).count();
        let share = (sum - room).div_ceil(several);
        let narrower = widest.saturating_sub(share).max(least);
        for width in widths.iter_mut().filter(|width| **width == widest) {
            *width = narrower;
        }
    }
}

/// The lines of one row.
fn aligned<const N: usize>(cells: [&str; N], widths: &[usize; N]) -> Vec<String> {
    let mut columns = Vec::with_capacity(N);
    for (cell, width) in cells.iter().zip(widths) {
        columns.push((wrapped(cell, *width), *width));
    }
    let height = columns.iter().map(|(lines, _)| lines.len()).max();
    let line = |index: usize| {
        let mut line = String::new();
        for (lines, width) in &columns {
            let part = lines.get(index).map_or("", String::as_str);
            let blanks = width.saturating_sub(part.width());
            line.push_str(GAP);
            line.push_str(part);
            line.extend(std::iter::repeat_n(' ', blanks));
        }
        line.trim_end().to_owned()
    };
    (0..height.unwrap_or_default()).map(line).collect()
}

/// A text in lines of this width, broken at blanks where that is possible.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let (mut lines, mut line) = (Vec::new(), String::new());
    for word in text.split_inclusive(' ') {
        if !line.is_empty() && line.width() + word.trim_end().width() > width {
            lines.push(std::mem::take(&mut line));
        }
        for letter in word.chars() {
            let wide = letter.width().unwrap_or_default();
            let is_full = line.width() + wide > width && letter != ' ';
            if is_full && !line.is_empty() {
                lines.push(std::mem::take(&mut line));
            }
            line.push(letter);
        }
    }
    lines.push(line);
    lines
        .iter()
        .map(|line| line.trim_end().to_owned())
        .collect()
}

/// A text of limited length, without what a terminal would obey and without what has no width.
fn inert(text: &str, letters_max: usize) -> Cow<'_, str> {
    let is_plain = |letter: char| letter.width().is_some_and(|width| width > 0);
    if text.chars().all(is_plain) && text.chars().nth(letters_max).is_none() {
        return Cow::Borrowed(text);
    }
    let mut letters = text.chars();
    let mut shown = String::new();
    for letter in letters.by_ref().take(letters_max) {
        match is_plain(letter) {
            true => shown.push(letter),
            false => shown.extend(letter.escape_default()),
        }
    }
    if letters.next().is_some() {
        shown.push('…');
    }
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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
            ("a\u{202e}b\u{200b}", "a\\u{202e}b\\u{200b}"),
        ] {
            assert_eq!(inert(cell, CELL_LETTERS_MAX), shown);
        }
        let longest = "é".repeat(CELL_LETTERS_MAX);
        assert_eq!(inert(&longest, CELL_LETTERS_MAX), longest);
        // These widths are above the limit of the format.
        let rows = ["x".repeat(65_535), "\u{1b}".repeat(70_000)];
        let cut = format!("{}…", "x".repeat(CELL_LETTERS_MAX));
        assert_eq!(inert(&rows[0], CELL_LETTERS_MAX), cut);
        write(["", ""], &[rows], &mut Output::stderr());
    }

    fn row(cells: [&str; 2], note: Option<&str>) -> Row<2> {
        Row {
            cells: cells.map(str::to_owned),
            note: note.map(str::to_owned),
        }
    }

    #[test]
    fn a_long_text_stands_under_its_row_and_wide_letters_are_wide() {
        let rows = [
            row(["日本", "1"], None),
            row(["a", "2"], Some("one two three four five six seven")),
        ];
        let expected = [
            "  NAME  N",
            "  日本  1",
            "  a     2",
            "    one two three",
            "    four five six",
            "    seven",
        ];
        assert_eq!(lines(["NAME", "N"], &rows, Some(19)), expected);
        assert_eq!(lines(["NAME", "N"], &rows, None).len(), 4);
    }

    #[test]
    fn the_widest_column_gets_narrower() {
        let rows = [row(["a long text of many words", "7"], None)];
        let expected = [
            "  NAME          N",
            "  a long text   7",
            "  of many",
            "  words",
        ];
        assert_eq!(lines(["NAME", "N"], &rows, Some(17)), expected);
    }

    proptest! {
        #[test]
        fn no_line_is_wider_than_the_terminal(
            cells in proptest::collection::vec(["\\PC{0,80}", ".{0,20}"], 0..4),
            note in ".{0,200}",
            terminal in 20_usize..120,
        ) {
            let rows: Vec<_> = cells.iter().map(|cells| Row {
                cells: cells.clone(),
                note: Some(note.clone()),
            }).collect();
            for line in lines(["A", "B"], &rows, Some(terminal)) {
                prop_assert!(line.width() <= terminal, "{line:?}");
            }
        }
    }
}
