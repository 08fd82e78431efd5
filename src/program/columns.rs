//! Tables for terminals.

use std::fmt::Write;

/// A line for each row, its cells in columns: texts on the left, and on the right what `is_number`.
pub(crate) fn columns(rows: &[Vec<String>], is_number: impl Fn(usize) -> bool) -> String {
    let length = |cell: &String| cell.chars().count();
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(length).max().unwrap_or_default();
    let widths: Vec<_> = (0..rows.first().map_or(0, Vec::len)).map(width).collect();
    let mut lines = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, (cell, &width)) in row.iter().zip(&widths).enumerate() {
            let gap = if column == 0 { "" } else { "  " };
            let _ = if is_number(column) {
                write!(line, "{gap}{cell:>width$}")
            } else {
                write!(line, "{gap}{cell:<width$}")
            };
        }
        lines.push_str(line.trim_end());
        lines.push('\n');
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["Name", "Calls", "Text"], ["é", "12345678", ""]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(columns(&rows, |column| column == 1), "Name     Calls  Text\né     12345678\n");
    }
}
