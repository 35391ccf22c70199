//! Tables for people at a terminal.

use serde_json::Value;

/// Prints columns of rows, each as wide as its longest cell.
pub fn print(columns: &[&str], rows: &[Value]) {
    let text = |row: &Value, column: &str| match &row[column] {
        Value::String(text) => text.clone(),
        Value::Null => "–".to_owned(),
        other => other.to_string(),
    };
    let width = |column: &&str| {
        let longest = rows.iter().map(|row| text(row, column).chars().count()).max().unwrap_or(0);
        longest.max(column.chars().count())
    };
    let widths: Vec<_> = columns.iter().map(width).collect();
    let line = |cells: Vec<String>| {
        let padded = cells.iter().zip(&widths).map(|(cell, w)| format!("{cell:<w$}"));
        println!("{}", padded.collect::<Vec<_>>().join("  ").trim_end());
    };
    line(columns.iter().map(|c| c.to_uppercase().replace('_', " ")).collect());
    for row in rows {
        line(columns.iter().map(|c| text(row, c)).collect());
    }
}
