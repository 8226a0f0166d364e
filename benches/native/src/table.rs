//! What is printed.

/// Prints rows with columns of the same width.
pub fn print(rows: &[Vec<String>]) {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or_default()
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in rows {
        let cells = row.iter().zip(&widths).enumerate();
        let line: Vec<String> = cells
            .map(|(column, (cell, &width))| match column {
                0 => format!("{cell:<width$}"),
                _ => format!("{cell:>width$}"),
            })
            .collect();
        println!("{}", line.join("  "));
    }
    println!();
}

/// Prints a ratio and whether it is what it should be.
pub fn goal(what: &str, ratio: f64, at_least: f64) {
    let met = if ratio >= at_least { "met" } else { "MISSED" };
    println!("{what}: {ratio:.2} (goal {at_least}: {met})");
}
