//! Columns that are no labels of an image: boxes, and masks as run lengths.

use super::super::names::plain;
use super::forms::number;
use super::values::Values;
use crate::reading::Reading;

/// Names of the four columns of a box.
const BOXES: [[&str; 4]; 3] =
    [["xmin", "ymin", "xmax", "ymax"], ["x1", "y1", "x2", "y2"], ["bboxx", "bboxy", "bboxw", "bboxh"]];
/// Names of columns of run lengths.
const RUNS: [&str; 7] = ["rle", "rlemask", "maskrle", "encodedpixels", "encodedmask", "rlemasks", "segmentationrle"];

/// Takes the places of such columns out of `labels`; `free`: no setting names the column.
pub(super) fn leave(labels: &mut Vec<usize>, values: &[Values], free: impl Fn(usize) -> bool, reading: &mut Reading) {
    let names: Vec<String> = values.iter().map(|column| plain(&column.name)).collect();
    let (mut boxes, mut runs) = (Vec::new(), Vec::new());
    labels.retain(|&at| {
        let part = BOXES.iter().any(|names_of| {
            names_of.contains(&names[at].as_str())
                && names_of.iter().all(|name| names.iter().any(|known| known == name))
        });
        let is_box = (part && values[at].numbers().is_some())
            || values[at].present().next().is_some() && is_box_cells(&values[at]);
        let is_runs = !is_box && is_run_lengths(&values[at], &names[at]);
        if is_box && free(at) {
            boxes.push(values[at].name.as_str());
        } else if is_runs && free(at) {
            runs.push(values[at].name.as_str());
        } else {
            return true;
        }
        false
    });
    if !boxes.is_empty() {
        reading.guess(format!("boxes are not learned: `{}` is no task", boxes.join("`, `")));
    }
    if !runs.is_empty() {
        reading.warn(format!(
            "masks as run lengths are not read from a table: `{}` is no task; save the masks as PNG files and name them in a \
             column `mask`, or export COCO",
            runs.join("`, `")
        ));
    }
}

/// `[12.0, 3, 50, 40]` in all cells.
fn is_box_cells(values: &Values) -> bool {
    values.present().all(|cell| {
        let inner = cell.strip_prefix(['[', '(']).and_then(|cell| cell.strip_suffix([']', ')']));
        inner.is_some_and(|inner| {
            let parts: Vec<&str> = inner.split(',').map(str::trim).collect();
            parts.len() == 4 && parts.iter().all(|part| number(part).is_some())
        })
    })
}

/// Pairs of whole numbers such as `1 3 10 4`; under another name than usual, at least two pairs per cell.
fn is_run_lengths(values: &Values, name: &str) -> bool {
    let least = if RUNS.contains(&name) { 2 } else { 4 };
    let pairs = |cell: &str| {
        let words: Vec<&str> = cell.split_whitespace().collect();
        words.len() >= least && words.len().is_multiple_of(2) && words.iter().all(|word| word.parse::<u64>().is_ok())
    };
    values.present().next().is_some() && values.present().all(pairs)
}
