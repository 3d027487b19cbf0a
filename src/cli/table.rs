//! Rows in aligned columns.

use super::Output;

/// Writes `rows` under `head`, indented, each column as wide as its widest cell.
pub(super) fn write<const N: usize>(head: [&str; N], rows: &[[String; N]], out: &mut Output) {
    let mut widths = head.map(|cell| cell.chars().count());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    line(head, widths, out);
    for row in rows {
        line(row.each_ref().map(String::as_str), widths, out);
    }
}

fn line<const N: usize>(cells: [&str; N], widths: [usize; N], out: &mut Output) {
    let padded: Vec<_> = cells
        .iter()
        .zip(widths)
        .map(|(cell, width)| format!("{cell:width$}"))
        .collect();
    out.line(format_args!("  {}", padded.join("  ").trim_end()));
}
