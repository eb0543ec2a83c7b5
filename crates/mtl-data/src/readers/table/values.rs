//! The cells of a column as labels: missing words, numbers, yes and no, spellings.

use std::collections::{BTreeMap, HashMap};

use unicode_normalization::UnicodeNormalization;

use super::choices::Choice;
use super::contents::{Table, rows_words};
use super::forms::{self, Around, Written, number};
use crate::reading::Reading;

/// Words that are classes as written, although they often mean that the label is missing.
const DOUBTFUL: [&str; 7] = ["none", "unknown", "missing", "unlabeled", "unlabelled", "undefined", "unspecified"];
/// Errors of spreadsheets.
const SHEET_ERRORS: [&str; 7] = ["#DIV/0!", "#VALUE!", "#REF!", "#NAME?", "#NUM!", "#NULL!", "#ERROR!"];
/// Values that are named in a sentence.
const NAMED: usize = 3;

/// A column's cells, `None` where the label is missing.
#[derive(Default)]
pub(super) struct Values {
    pub name: String,
    pub cells: Vec<Option<String>>,
    /// The unit that all cells have; empty without one.
    pub unit: String,
    /// Whether the cells are measured numbers by the way they are written: with a unit, or separators of thousands.
    pub measured: bool,
    /// Why cells that look like numbers are not read as such.
    pub unclear: Option<String>,
    /// What to say if the column becomes a task.
    pub said: Reading,
}

impl Values {
    /// Reads the column at `at`. As numbers, -1 is one, also next to 0 and 1; as classes, cells stay as they are written.
    pub fn read(table: &Table, at: usize, choice: Option<Choice>) -> Self {
        let has_plus = table.cells(at).any(|cell| cell == "+");
        let others_have_digits = table.cells(at).any(|cell| number(cell).is_some())
            && table.cells(at).all(|cell| is_missing(cell) || is_infinite(cell) || cell.contains(char::is_numeric));
        let missing =
            |cell: &str| (is_missing(cell) && !(cell == "-" && has_plus)) || (others_have_digits && is_infinite(cell));
        let cells = table.cells(at).map(|cell| (!missing(cell)).then(|| cell.to_owned())).collect();
        let mut values = Self { name: table.header[at].clone(), cells, ..Self::default() };
        values.say_missing(table.cells(at).filter(|cell| !cell.is_empty() && missing(cell)));
        if choice != Some(Choice::Classification) {
            values.read_form(table, choice == Some(Choice::Regression));
        }
        if values.numbers().is_some() {
            if choice != Some(Choice::Regression) {
                values.leave_minus_one();
            }
            values.write_whole_numbers();
        }
        values
    }

    /// Labels that are present.
    pub fn present(&self) -> impl Iterator<Item = &str> {
        self.cells.iter().flatten().map(String::as_str)
    }

    /// How often each value occurs.
    pub fn counts(&self) -> BTreeMap<&str, usize> {
        let mut counts = BTreeMap::new();
        self.present().for_each(|value| *counts.entry(value).or_default() += 1);
        counts
    }

    /// All values as numbers, if all are.
    pub fn numbers(&self) -> Option<Vec<f64>> {
        self.present().map(number).collect()
    }

    /// Every cell as yes or no, if all are: 0 and 1, words, or -1 and 1.
    pub fn yes_no(&self) -> Option<Vec<Option<bool>>> {
        let signed = self.counts().into_keys().eq(["-1", "1"]);
        let read = |value: &str| if signed { Some(value == "1") } else { yes_no(value) };
        self.present().next()?;
        self.cells.iter().map(|cell| cell.as_deref().map_or(Some(None), |value| read(value).map(Some))).collect()
    }

    fn say_missing<'a>(&mut self, words: impl Iterator<Item = &'a str>) {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        words.for_each(|word| *counts.entry(word).or_default() += 1);
        if counts.is_empty() {
            return;
        }
        let (name, total) = (&self.name, counts.values().sum::<usize>());
        let words: Vec<String> = counts.iter().map(|(word, count)| format!("`{word}` {count}")).collect();
        let hint = if counts.contains_key("None") { "; give it another name if it is a class" } else { "" };
        let cells = if total == 1 { "1 cell means" } else { &format!("{total} cells mean") };
        self.said.guess(format!("column `{name}`: {cells} that the label is missing ({}){hint}", words.join(", ")));
    }

    /// Writes numbers with a unit, separators of thousands or a decimal comma plainly.
    fn read_form(&mut self, table: &Table, numbers: bool) {
        let around = Around { semicolons: table.separator == b';', decimal_commas: table.decimal_commas, numbers };
        let column = format!("column `{}`", self.name);
        match forms::read(&self.cells, around) {
            Written::AsIs => {}
            Written::Words(reason) => self.said.guess(format!("{column}: {reason}")),
            Written::Unclear(reason) => self.unclear = Some(format!("{column}: {reason}")),
            Written::Numbers { cells, unit, thousands, said } => {
                self.measured = thousands || !unit.is_empty();
                (self.cells, self.unit) = (cells, unit);
                said.into_iter().for_each(|sentence| self.said.guess(format!("{column}: {sentence}")));
            }
        }
    }

    /// In a column of 0 and 1, -1 is no label.
    fn leave_minus_one(&mut self) {
        let is = |cell: &str, wanted: f64| number(cell) == Some(wanted);
        let count = |wanted| self.present().filter(|cell| is(cell, wanted)).count();
        let (minus, zeros, ones) = (count(-1.0), count(0.0), count(1.0));
        if minus == 0 || zeros == 0 || ones == 0 || minus + zeros + ones < self.present().count() {
            return;
        }
        self.cells
            .iter_mut()
            .filter(|cell| cell.as_deref().is_some_and(|cell| is(cell, -1.0)))
            .for_each(|cell| *cell = None);
        let name = &self.name;
        self.said.guess(format!(
            "column `{name}`: -1 means that the label is missing, as all others are 0 or 1 ({minus} times)"
        ));
    }

    /// Writes `1.0` as `1` if all numbers are whole.
    fn write_whole_numbers(&mut self) {
        let whole = |cell: &str| number(cell).filter(|number| number.fract() == 0.0 && number.abs() < 1e15);
        let written = |cell: &str| cell.contains(['.', 'e', 'E']);
        let count = self.present().filter(|cell| written(cell)).count();
        if count == 0 || !self.present().all(|cell| whole(cell).is_some()) {
            return;
        }
        let example = self.present().find(|cell| written(cell)).unwrap_or_default().to_owned();
        for cell in self.cells.iter_mut().flatten().filter(|cell| written(cell)) {
            if let Some(number) = whole(cell) {
                *cell = format!("{}", number as i64);
            }
        }
        let name = &self.name;
        self.said.guess(format!(
            "column `{name}`: whole numbers such as `{example}` are read without the point ({count} cells)"
        ));
    }
}

/// Whether a cell has no label whatever its column: blank, or a word that no class is called by.
pub(super) fn is_missing(cell: &str) -> bool {
    let lower = cell.to_ascii_lowercase();
    matches!(lower.as_str(), "" | "nan" | "-nan" | "n/a" | "#n/a" | "#na" | "<na>" | "null" | "?" | "-")
        || matches!(cell, "NA" | "None" | "NaT")
        || SHEET_ERRORS.contains(&cell)
}

/// Infinity in its usual words: no label among numbers, and a word among words.
fn is_infinite(cell: &str) -> bool {
    let words = cell.trim_start_matches(['+', '-']).to_ascii_lowercase();
    matches!(words.as_str(), "inf" | "infinity" | "∞" | "1.#inf" | "1.#ind" | "1.#qnan")
}

/// Yes or no in its usual words.
pub(super) fn yes_no(cell: &str) -> Option<bool> {
    match cell.to_ascii_lowercase().as_str() {
        "1" | "1.0" | "true" | "yes" | "y" => Some(true),
        "0" | "0.0" | "false" | "no" | "n" => Some(false),
        _ => None,
    }
}

/// The spelling that stands for each value: of those that differ in case or Unicode form only, the most frequent one.
/// Says which spellings are merged, and which classes may be missing labels.
pub(super) fn spellings<'a>(
    column: &str,
    values: impl Iterator<Item = &'a str>,
    reading: &mut Reading,
) -> HashMap<String, String> {
    let mut groups: BTreeMap<String, BTreeMap<&str, usize>> = BTreeMap::new();
    for value in values {
        let same = value.nfc().collect::<String>().to_lowercase();
        *groups.entry(same).or_default().entry(value).or_default() += 1;
    }
    let (mut chosen, mut merged) = (HashMap::new(), Vec::new());
    for group in groups.values() {
        let most = group.iter().max_by_key(|(value, count)| (**count, std::cmp::Reverse(**value)));
        let Some((most, _)) = most else { continue };
        chosen.extend(group.keys().map(|value| ((*value).to_owned(), (*most).to_owned())));
        if group.len() > 1 {
            let counts: Vec<String> = group.iter().map(|(value, count)| format!("`{value}` {count}")).collect();
            merged.push(format!("`{most}` ({})", counts.join(", ")));
        }
    }
    if !merged.is_empty() {
        let more = merged.len().saturating_sub(NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        merged.truncate(NAMED);
        let merged = merged.join("; ");
        reading.warn(format!(
            "column `{column}`: names that differ in upper and lower case only are one class: {merged}{more}"
        ));
    }
    for (doubtful, group) in groups.iter().filter(|(same, _)| DOUBTFUL.contains(&same.as_str())) {
        let rows = rows_words(group.values().sum());
        reading.warn(format!(
            "column `{column}`: `{doubtful}` is a class ({rows}); leave the cell blank where the label is missing"
        ));
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_could_be_classes_are_not_missing() {
        ["", "nan", "NaN", "NA", "N/A", "n/a", "null", "None", "-", "?", "#DIV/0!", "#N/A"]
            .iter()
            .for_each(|word| assert!(is_missing(word)));
        ["none", "unknown", "missing", "na", "0", "-1", "no"]
            .iter()
            .for_each(|word| assert!(!is_missing(word), "{word}"));
    }

    #[test]
    fn numbers_are_finite_and_have_digits() {
        assert_eq!(["1.5", "-2", "1e3"].map(number), [Some(1.5), Some(-2.0), Some(1000.0)]);
        assert_eq!(["inf", "nan", "1,5", "x1", ""].map(number), [None; 5]);
    }

    #[test]
    fn the_most_frequent_spelling_stands_for_all() {
        let mut reading = Reading::default();
        let chosen = spellings("kind", ["Cat", "cat", "cat", "dog", "e\u{301}", "é"].into_iter(), &mut reading);
        assert_eq!((&*chosen["Cat"], &*chosen["cat"], &*chosen["dog"]), ("cat", "cat", "dog"));
        assert_eq!(chosen["e\u{301}"], chosen["é"]);
        assert!(reading.warnings[0].contains("`cat` (`Cat` 1, `cat` 2)"), "{:?}", reading.warnings);
    }
}
