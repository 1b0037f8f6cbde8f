//! `--format json`: one cell, or the matrix as an array of cells.
//! Must not know: what a key means.

use super::cell::Cell;
use serde::Serialize;

/// `value` as indented JSON with a line end.
pub fn pretty(value: &impl Serialize) -> String {
    let mut text = serde_json::to_string_pretty(value).expect("reports have string keys only");
    text.push('\n');
    text
}

/// `value` as one line of JSON.
pub fn line(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("reports have string keys only") + "\n"
}

/// All of `cells`, in order.
pub fn matrix(cells: &[Cell]) -> String {
    pretty(&cells)
}
