//! Cells that hold several labels, such as `cat|dog`.
//!
//! A separator is taken as one if every part occurs alone in some cell; or if there are fewer different parts than
//! different cells and some part occurs at different places of its lists. So `rust, severe` and `mite, mild` stay names of
//! classes: their parts do not occur alone, and each has its place. Parts that are numbers must all occur alone.

use std::collections::{BTreeMap, BTreeSet};

use super::forms::number;
use super::values::Values;

/// Separators, the surest first.
const SEPARATORS: [char; 3] = ['|', ';', ','];

/// Cells read as lists.
pub(super) struct Lists {
    pub separator: char,
    /// The parts of each cell.
    pub cells: Vec<Option<Vec<String>>>,
    /// How many cells hold more than one part.
    pub several: usize,
}

impl Lists {
    /// The cells of a column as lists, if a separator is found.
    pub fn of(values: &Values) -> Option<Self> {
        SEPARATORS.into_iter().find_map(|separator| Self::with(values, separator))
    }

    fn with(values: &Values, separator: char) -> Option<Self> {
        let cells = values.cells.iter().map(|cell| cell.as_deref().map(|cell| parts(cell, separator)));
        let cells: Vec<Option<Vec<String>>> = cells.collect();
        let several = cells.iter().flatten().filter(|parts| parts.len() > 1).count();
        let lists = Self { separator, cells, several };
        let bracketed = values.present().all(|cell| cell.starts_with('[') && cell.ends_with(']'));
        (several > 0 && (bracketed || lists.is_sound())).then_some(lists)
    }

    fn is_sound(&self) -> bool {
        let cells: BTreeSet<&Vec<String>> = self.cells.iter().flatten().collect();
        let mut places: BTreeMap<&str, BTreeSet<usize>> = BTreeMap::new();
        let mut alone = BTreeSet::new();
        for cell in &cells {
            let different: BTreeSet<&String> = cell.iter().collect();
            if different.len() < cell.len() || cell.iter().any(String::is_empty) {
                return false;
            }
            cell.iter().enumerate().for_each(|(at, part)| {
                places.entry(part).or_default().insert(at);
            });
            alone.extend(cell.first().filter(|_| cell.len() == 1).map(String::as_str));
        }
        if places.keys().all(|part| alone.contains(part)) {
            return places.len() > 1;
        }
        let numbers = places.keys().any(|part| number(part).is_some());
        !numbers && places.len() < cells.len() && places.values().any(|at| at.len() > 1)
    }
}

/// The parts of a cell; brackets and quotes as in `['cat', 'dog']` are taken off.
fn parts(cell: &str, separator: char) -> Vec<String> {
    let inner = cell.strip_prefix('[').and_then(|cell| cell.strip_suffix(']'));
    let text = inner.unwrap_or(cell);
    if inner.is_some() && text.trim().is_empty() {
        return Vec::new();
    }
    let quotes: &[char] = if inner.is_some() { &['\'', '"'] } else { &[] };
    let trimmed = text.trim_matches(separator);
    trimmed.split(separator).map(|part| part.trim().trim_matches(quotes).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn separator(cells: &[&str]) -> Option<char> {
        let cells = cells.iter().map(|cell| Some((*cell).to_owned())).collect();
        Lists::of(&Values { cells, ..Values::default() }).map(|lists| lists.separator)
    }

    #[test]
    fn lists_have_parts_that_recur() {
        assert_eq!(separator(&["cat", "dog", "cat|dog"]), Some('|'));
        assert_eq!(separator(&["cat", "dog", "dog, cat"]), Some(','));
        assert_eq!(separator(&["['cat']", "['dog']", "['cat', 'dog']", "[]"]), Some(','));
        assert_eq!(
            separator(&["['cat', 'dog']", "['cat']", "[]"]),
            Some(','),
            "in brackets they are lists in any case"
        );
        assert_eq!(separator(&["cat|", "|dog", "cat|dog"]), Some('|'));
        assert_eq!(separator(&["1;2", "2", "1"]), Some(';'));
        // No part is alone, but they move: genres.
        assert_eq!(separator(&["a|b", "b|c", "a|c", "a|b|c"]), Some('|'));
    }

    #[test]
    fn names_with_commas_are_no_lists() {
        assert_eq!(separator(&["rust, severe", "mite", "leaf"]), None);
        let crossed = ["rust, severe", "rust, mild", "rust, none", "mite, severe", "mite, mild", "mite, none", "sound"];
        assert_eq!(separator(&crossed), None, "every part has its place");
        assert_eq!(separator(&["1,234", "1,500", "2,234", "1"]), None, "numbers with separators of thousands");
        assert_eq!(separator(&["cat", "dog"]), None);
    }
}
