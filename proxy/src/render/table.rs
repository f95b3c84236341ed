//! Text tables: columns as wide as their widest cell.

use std::fmt::Write as _;

/// Lays out rows under a heading. Columns are two spaces apart, lines have no space at their end.
#[must_use]
pub fn table<const N: usize>(heading: [&str; N], rows: &[[String; N]]) -> String {
    let mut widths = heading.map(width);
    for row in rows {
        for (widest, cell) in widths.iter_mut().zip(row) {
            *widest = (*widest).max(width(cell));
        }
    }
    let mut text = line(heading.map(str::to_owned).as_ref(), &widths);
    for row in rows {
        text.push_str(&line(row, &widths));
    }
    text
}

fn width(cell: &str) -> usize {
    cell.chars().count()
}

fn line(cells: &[String], widths: &[usize]) -> String {
    let mut line = String::new();
    for (cell, width) in cells.iter().zip(widths) {
        // Writing to a String cannot fail.
        let _ = write!(line, "{cell:width$}  ");
    }
    line.truncate(line.trim_end().len());
    line + "\n"
}

#[cfg(test)]
mod tests {
    use super::table;

    #[test]
    fn columns_line_up() {
        let rows = [["shop".into(), "a".into()], ["s".into(), "é".into()]];
        assert_eq!(table(["NS", "NAME"], &rows), "NS    NAME\nshop  a\ns     é\n");
    }
}
