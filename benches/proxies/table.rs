//! Prints a Markdown table row by row, with columns of fixed width.

pub(crate) struct Table {
    widths: Vec<usize>,
    /// How many of the first columns are text; the others are numbers.
    words: usize,
}

impl Table {
    /// Prints the header with these column titles and widths.
    pub(crate) fn begin(columns: &[(&str, usize)], words: usize) -> Self {
        let table = Self { widths: columns.iter().map(|(_, width)| *width).collect(), words };
        let rule =
            |(at, width): (usize, &usize)| if at < words { "-".repeat(*width) } else { "-".repeat(width - 1) + ":" };
        table.row(columns.iter().map(|(title, _)| (*title).to_owned()));
        table.row(table.widths.iter().enumerate().map(rule));
        table
    }

    pub(crate) fn row(&self, cells: impl IntoIterator<Item = String>) {
        let pad = |(at, (cell, width)): (usize, (String, &usize))| {
            if at < self.words { format!("{cell:width$}") } else { format!("{cell:>width$}") }
        };
        let cells: Vec<_> = cells.into_iter().zip(&self.widths).enumerate().map(pad).collect();
        println!("| {} |", cells.join(" | "));
    }
}
