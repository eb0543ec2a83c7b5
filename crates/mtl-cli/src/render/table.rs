//! Tables: with lines around a bordered one, and plain columns.

use comfy_table::{CellAlignment, LineStyle, Row, Table, TableStyle};

/// A line above, below, and under the column names.
const STYLE: TableStyle = {
    let line = LineStyle::none().fill('─').junction('─');
    TableStyle::new().top_border(line).header_separator(line).bottom_border(line)
};

/// An empty table with these column names; the columns at `right` are aligned to the right.
pub fn bordered(names: impl Into<Row>, right: impl IntoIterator<Item = usize>) -> Table {
    let mut table = Table::new();
    table.load_style(STYLE);
    table.set_header(names);
    for column in right {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// Lines of plain columns, two spaces apart, as wide as their widest cell.
pub fn columns<const N: usize>(rows: impl IntoIterator<Item = [String; N]>) -> Vec<String> {
    let mut table = Table::new();
    table.load_style(TableStyle::new());
    table.add_rows(rows);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt().lines().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["a", "long", "c"], ["bcd", "e", ""], ["é", "", "f"]].map(|row| row.map(str::to_owned));
        assert_eq!(columns(rows), ["a    long  c", "bcd  e", "é          f"]);
        assert!(columns::<2>([]).is_empty());
    }
}
