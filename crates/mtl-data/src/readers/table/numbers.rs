//! Columns of numbers: which are measured, and in what unit.

use std::collections::BTreeSet;

use mtl_task::{Task, TaskKind};

use super::super::row::Label;
use super::contents::{Table, rows_words};
use super::forms::{MAX_NUMBERS, number};
use super::units::unit_of;
use super::values::Values;
use crate::error::Error;
use crate::reading::Reading;

/// Numbers that often stand for a missing label where all others are at least 0.
const SENTINELS: [f64; 6] = [-1.0, -9.0, -99.0, -999.0, -9999.0, -32768.0];
/// Numbers that often stand for a missing label where they recur far from all others.
const FAR: [f64; 7] = [-99.0, -999.0, -9999.0, -32768.0, 999.0, 9999.0, 99999.0];

/// What the numbers of a column look like.
pub(super) enum Look {
    /// Measured: a regression.
    Measured,
    /// Whole numbers that name classes; more than a few count up without gaps (`true`).
    Classes(bool),
    /// Whole numbers that tell rows apart.
    Identifier,
}

/// The look of a column of numbers; `None` for other columns.
pub(super) fn look(values: &Values) -> Option<Look> {
    let numbers = values.numbers()?;
    let different: BTreeSet<u64> = numbers.iter().map(|number| number.to_bits()).collect();
    if values.measured || numbers.iter().any(|number| number.fract() != 0.0) {
        return Some(Look::Measured);
    }
    let many = different.len() > MAX_NUMBERS;
    let nearly_all = different.len() > 2 && 2 * different.len() > numbers.len();
    if (many || nearly_all) && !unit_of(&values.name).is_empty() {
        return Some(Look::Measured);
    }
    let identifier = different.len() == numbers.len() || is_number_of_row(&values.name);
    Some(match (many, counts_up(&numbers) || is_class_name(&values.name)) {
        (true, false) if identifier => Look::Identifier,
        (true, false) => Look::Measured,
        (many, _) => Look::Classes(many),
    })
}

/// Whether the different whole numbers are all from 0 or 1 up to the largest.
fn counts_up(numbers: &[f64]) -> bool {
    let different: BTreeSet<i64> = numbers.iter().map(|&number| number as i64).collect();
    let (Some(&first), Some(&last)) = (different.first(), different.last()) else { return false };
    matches!(first, 0 | 1)
        && usize::try_from(last.saturating_sub(first)).is_ok_and(|range| range == different.len() - 1)
}

/// `index`, `serial no`: numbers that tell rows apart, if there are many.
fn is_number_of_row(name: &str) -> bool {
    matches!(words(name).last().map_or("", String::as_str), "index" | "idx" | "no" | "nr" | "number" | "serial")
}

/// `id`, `image_id`, `ImageID`, `id_plot`, `uuid`; not `class_id`, whose numbers are classes.
pub(super) fn is_identifier(name: &str) -> bool {
    let words = words(name);
    let is_id = |word: Option<&String>| word.is_some_and(|word| matches!(word.as_str(), "id" | "ids"));
    let by_case = name.ends_with("ID") || name.ends_with("Id");
    let of_class = words.iter().any(|word| LABEL_WORDS.iter().any(|label| word.trim_end_matches("id") == *label));
    let unique = words.iter().any(|word| matches!(word.as_str(), "uuid" | "guid"));
    (is_id(words.first()) || is_id(words.last()) || by_case || unique) && !of_class
}

/// Words of columns whose identifiers are those of classes.
const LABEL_WORDS: [&str; 6] = ["class", "label", "category", "target", "cls", "cat"];

/// `label`, `class`, `category`, `target`, `leaf_label`: whole numbers in such a column are classes.
pub(super) fn is_class_name(name: &str) -> bool {
    let words = words(name);
    match &words[..] {
        [only] => matches!(only.as_str(), "label" | "labels" | "class" | "classes" | "category" | "target"),
        [.., last] => last == "label",
        [] => false,
    }
}

/// `age`, `cell_count`, `score`: numbers that are more and less.
pub(super) fn is_quantity(name: &str) -> bool {
    const WORDS: [&str; 14] = [
        "age", "count", "counts", "number", "num", "score", "year", "years", "amount", "total", "rating", "weight",
        "height", "size",
    ];
    words(name).iter().any(|word| WORDS.contains(&word.as_str()))
}

/// The words of a name, in lower case.
fn words(name: &str) -> Vec<String> {
    let parts = name.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    parts.map(str::to_lowercase).collect()
}

/// How often a number occurs, if it recurs and lies further from all others than three times their range.
fn far_from_others(far: f64, numbers: &[f64]) -> Option<usize> {
    let (same, others): (Vec<f64>, Vec<f64>) = numbers.iter().partition(|&&number| number == far);
    let low = others.iter().copied().fold(f64::INFINITY, f64::min);
    let high = others.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let gap = (low - far).max(far - high);
    (same.len() > 1 && others.len() > 1 && gap > 3.0 * (high - low)).then_some(same.len())
}

/// The regression task of a column whose cells are all numbers; `chosen` by a setting.
pub(super) fn regression(
    values: &Values,
    table: &Table,
    chosen: bool,
    reading: &mut Reading,
) -> Result<(Task, Vec<Label>), Error> {
    let name = &values.name;
    let mut labels = Vec::with_capacity(values.cells.len());
    for (cell, line) in values.cells.iter().zip(&table.lines) {
        let Some(cell) = cell else {
            labels.push(Label::Missing);
            continue;
        };
        let fail = |reason: &str| {
            table.fail(line, format!("column `{name}` holds `{cell}`, {reason}: correct it, or leave the cell blank"))
        };
        let value = number(cell).ok_or_else(|| match &values.unclear {
            Some(reason) => table.fail_in_header(format!("{reason} (data.open.regression)")),
            None => fail("which is no number, and is to be a regression"),
        })? as f32;
        if !value.is_finite() {
            return Err(fail("which is beyond the numbers of 32 bits"));
        }
        labels.push(Label::Value(value));
    }
    let numbers = values.numbers().unwrap_or_default();
    let (low, high) =
        numbers.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &n| (low.min(n), high.max(n)));
    let of_name = unit_of(name);
    let unit = if values.unit.is_empty() { of_name.clone() } else { values.unit.clone() };
    reading.extend(values.said.clone());
    if !of_name.is_empty() && of_name != unit {
        reading.warn(format!(
            "column `{name}`: its cells have the unit `{unit}`, its name has `{of_name}`: `{unit}` is taken"
        ));
    }
    let range = format!("from {low} to {high}{}{unit}", if unit.is_empty() { "" } else { " " });
    if chosen {
        reading.guess(format!("column `{name}` is a regression task (data.open.regression): numbers {range}"));
    } else {
        reading.guess(format!(
            "column `{name}` holds {} different numbers {range}: a regression task (data.open.classification = [\"{name}\"] makes \
             them classes, data.tasks leaves the task out)",
            values.counts().len()
        ));
    }
    let sentinel = SENTINELS.iter().find(|&&sentinel| low == sentinel && numbers.iter().all(|&n| n == low || n >= 0.0));
    if let Some(sentinel) = sentinel {
        let rows = rows_words(numbers.iter().filter(|number| *number == sentinel).count());
        reading.warn(format!(
            "column `{name}`: {sentinel} is learned as a number ({rows}), although no other one is below 0: leave the cell blank \
             where the label is missing"
        ));
    } else if let Some((far, count)) = FAR.iter().find_map(|&far| Some((far, far_from_others(far, &numbers)?))) {
        reading.warn(format!(
            "column `{name}`: {far} is learned as a number ({}) and is far from all others: leave the cell blank where the label \
             is missing",
            rows_words(count)
        ));
    }
    Ok((Task::new(name, TaskKind::Regression { unit }), labels))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_identifiers() {
        let identifiers = ["id", "image_id", "ImageID", "id_plot", "uuid", "row_uuid", "Site ID"];
        identifiers.iter().for_each(|name| assert!(is_identifier(name), "{name}"));
        let others = ["width", "paid", "height_cm", "grid", "class_id", "CategoryID", "idle", "Serial No"];
        others.iter().for_each(|name| assert!(!is_identifier(name), "{name}"));
        assert!(is_number_of_row("Serial No") && !is_number_of_row("width"));
    }
}
