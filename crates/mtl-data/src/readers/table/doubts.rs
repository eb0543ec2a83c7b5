//! What looks wrong in columns of classes although they can be used.

use std::collections::{BTreeMap, BTreeSet};

use mtl_task::TaskKind;

use super::super::row::Label;
use super::column::Column;
use super::forms::number;
use crate::reading::Reading;

/// Warns of classes that are one number, and of names that look like several labels.
pub(super) fn say_classes(column: &str, classes: &[String], reading: &mut Reading) {
    let mut numbers: BTreeMap<u64, Vec<&str>> = BTreeMap::new();
    for class in classes {
        if let Some(number) = number(class) {
            numbers.entry(number.to_bits()).or_default().push(class);
        }
    }
    let equal: Vec<String> =
        numbers.values().filter(|same| same.len() > 1).map(|same| format!("`{}`", same.join("` and `"))).collect();
    if let Some(first) = equal.first() {
        let more = if equal.len() > 1 { format!(" (and {} more)", equal.len() - 1) } else { String::new() };
        reading.warn(format!("column `{column}`: {first} are equal as numbers and are different classes{more}"));
    }
    for separator in ["+", "&", " "] {
        let several = combinations(classes, separator);
        if let Some(first) = several.first() {
            let names = if several.len() == 1 { "1 name is" } else { &format!("{} names are", several.len()) };
            reading.warn(format!(
                "column `{column}`: {names} one class each, such as `{first}`, although the parts occur in other names: for a \
                 multi-label task write `|` between the labels of one image"
            ));
            return;
        }
    }
}

/// The names all of whose parts occur in other names. Between words of names there are spaces too: some part must then be a
/// name of its own, or names have different numbers of parts.
fn combinations<'a>(classes: &'a [String], separator: &str) -> Vec<&'a str> {
    let parts =
        |class: &'a str| class.split(separator).map(str::trim).filter(|part| !part.is_empty()).collect::<BTreeSet<_>>();
    let all: Vec<BTreeSet<&str>> = classes.iter().map(|class| parts(class)).collect();
    let recurs = |part: &str| all.iter().filter(|other| other.contains(part)).count() > 1;
    let several: Vec<usize> =
        (0..all.len()).filter(|&at| all[at].len() > 1 && all[at].iter().all(|part| recurs(part))).collect();
    let alone = |part: &&str| classes.iter().any(|class| class == part);
    let sizes: BTreeSet<usize> = all.iter().map(BTreeSet::len).filter(|&size| size > 1).collect();
    let sound = separator != " " || sizes.len() > 1 || several.iter().any(|&at| all[at].iter().any(alone));
    several.into_iter().filter(|_| sound).map(|at| classes[at].as_str()).collect()
}

/// Says which classifications are the same in all rows under different names of classes.
pub(super) fn say_same(columns: &[Column], reading: &mut Reading) {
    let classes = |column: &Column| -> Option<Vec<Option<usize>>> {
        let of = |label: &Label| if let Label::Class(class) = label { Some(*class) } else { None };
        matches!(column.task.kind, TaskKind::Classification { .. }).then(|| column.labels.iter().map(of).collect())
    };
    let all: Vec<(&str, Vec<Option<usize>>)> =
        columns.iter().filter_map(|column| Some((column.task.name.as_str(), classes(column)?))).collect();
    for (at, (name, own)) in all.iter().enumerate() {
        if let Some((first, _)) = all[..at].iter().find(|(_, other)| one_to_one(own, other)) {
            reading.guess(format!(
                "columns `{first}` and `{name}` say the same in all rows and are two tasks: data.tasks leaves one out"
            ));
        }
    }
}

fn one_to_one(a: &[Option<usize>], b: &[Option<usize>]) -> bool {
    let pairs: BTreeSet<(Option<usize>, Option<usize>)> = a.iter().copied().zip(b.iter().copied()).collect();
    let of_a: BTreeSet<Option<usize>> = pairs.iter().map(|pair| pair.0).collect();
    let of_b: BTreeSet<Option<usize>> = pairs.iter().map(|pair| pair.1).collect();
    pairs.len() == of_a.len() && pairs.len() == of_b.len() && pairs.iter().all(|(a, b)| a.is_some() == b.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_several_labels_have_parts_that_recur() {
        let of = |classes: &[&str], separator: &str| {
            let classes: Vec<String> = classes.iter().map(|&class| class.to_owned()).collect();
            combinations(&classes, separator).len()
        };
        assert_eq!(of(&["rust", "scab", "rust + scab"], "+"), 1);
        assert_eq!(of(&["clear primary", "agriculture clear primary", "cloudy"], " "), 1);
        assert_eq!(of(&["scab", "scab spot", "spot rust"], " "), 1);
        assert_eq!(of(&["red car", "red truck", "blue car", "blue truck"], " "), 0, "words of names");
        assert_eq!(of(&["air hockey", "ice hockey", "archery"], " "), 0);
    }
}
