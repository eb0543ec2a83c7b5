//! Columns of yes and no: one multi-label task together, or one classification of those that exclude each other.

use std::collections::{BTreeMap, BTreeSet};

use mtl_task::{Task, TaskKind};

use super::super::OpenOptions;
use super::super::row::Label;
use super::choices::matches;
use super::column::Column;
use super::contents::{Table, rows_words};
use super::sheet::{Line, places};
use super::values::Values;
use crate::error::Error;
use crate::reading::Reading;

/// Names that are listed in a sentence.
const NAMED: usize = 8;

/// Columns that `data.open.one_hot` makes one classification.
pub(super) struct OneHot {
    /// Places of the columns among the columns of labels.
    pub members: Vec<usize>,
    name: String,
    classes: Vec<String>,
}

/// The groups of `data.open.one_hot`: one per pattern with `*`, and one of all names without.
///
/// # Errors
/// A group of one column.
pub(super) fn one_hot(names: &[&str], options: &OpenOptions, reading: &mut Reading) -> Result<Vec<OneHot>, Error> {
    let (patterns, plain): (Vec<&String>, Vec<&String>) = options.one_hot.iter().partition(|name| name.contains('*'));
    let mut groups: Vec<Vec<&String>> = patterns.into_iter().map(|pattern| vec![pattern]).collect();
    groups.extend((!plain.is_empty()).then_some(plain));
    let mut found: Vec<OneHot> = Vec::new();
    for group in groups {
        let of_group = |name: &str| group.iter().any(|pattern| matches(pattern, name));
        let members: Vec<usize> = (0..names.len()).filter(|&at| of_group(names[at])).collect();
        let text = group.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
        let reason = match &members[..] {
            [] => {
                reading.warn(format!(
                    "data.open.one_hot: `{text}` is no column of labels (columns: {})",
                    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
                ));
                continue;
            }
            [_] => "two or more columns of 0 and 1, as `kind_*` or with all their names",
            _ if found.iter().any(|other| members.iter().any(|at| other.members.contains(at))) => {
                "columns that no other entry names"
            }
            _ => {
                let (name, classes) = named(group[0], &members, names);
                found.push(OneHot { members, name, classes });
                continue;
            }
        };
        return Err(Error::Option { key: "one_hot", value: text, reason: reason.into() });
    }
    Ok(found)
}

/// `kind` with the classes `cat` and `dog` for `kind_*`; else `class` with the columns' names.
fn named(pattern: &str, members: &[usize], names: &[&str]) -> (String, Vec<String>) {
    let separators = ['_', '-', '.', ' '];
    let prefix = pattern.strip_suffix('*').filter(|prefix| !prefix.contains('*')).unwrap_or_default();
    let task = prefix.trim_end_matches(separators);
    let short: Option<Vec<&str>> = members.iter().map(|&at| names[at].strip_prefix(prefix)).collect();
    let short = short.filter(|short| !task.is_empty() && short.iter().all(|name| !name.is_empty()));
    let full = || members.iter().map(|&at| names[at]).collect();
    let name = match &short {
        Some(_) => task,
        None if names.contains(&"class") => "one_hot",
        None => "class",
    };
    (name.to_owned(), short.unwrap_or_else(full).into_iter().map(str::to_owned).collect())
}

impl OneHot {
    /// The classification; the class of a row is the column that is yes.
    ///
    /// # Errors
    /// Cells other than yes and no; rows with several yes, or with no only.
    pub fn column(&self, values: &[Values], table: &Table, reading: &mut Reading) -> Result<Column, Error> {
        let mut cells = Vec::new();
        for &at in &self.members {
            let column = &values[at];
            cells.push(column.yes_no().ok_or_else(|| {
                let word = column.present().next().unwrap_or_default();
                table.fail_in_header(format!(
                    "column `{}` is named by data.open.one_hot and does not hold yes and no (such as `{word}`)",
                    column.name
                ))
            })?);
            reading.extend(column.said.clone());
        }
        let (mut labels, mut wrong, mut unknown) = (Vec::new(), Vec::<&Line>::new(), 0);
        for (at, line) in table.lines.iter().enumerate() {
            let row: Vec<Option<bool>> = cells.iter().map(|column| column[at]).collect();
            let mut yes = (0..row.len()).filter(|&column| row[column] == Some(true));
            let blank = row.iter().filter(|cell| cell.is_none()).count();
            labels.push(match (yes.next(), yes.next()) {
                (Some(class), None) => Label::Class(class),
                (None, _) if blank > 0 => {
                    unknown += usize::from(blank < row.len());
                    Label::Missing
                }
                _ => {
                    wrong.push(line);
                    Label::Missing
                }
            });
        }
        if let Some(first) = wrong.first() {
            let all = places(wrong.iter().map(|line| line.number));
            return Err(table.fail(
                first,
                format!(
                    "of the columns that data.open.one_hot makes the task `{}` not exactly one is yes ({all}): correct the line, \
                     blank its cells, or leave out the setting for a multi-label task",
                    self.name
                ),
            ));
        }
        if unknown > 0 {
            let rows = rows_words(unknown);
            reading.guess(format!("task `{}`: no label in {rows} with blank cells and without a yes", self.name));
        }
        reading.guess(format!(
            "{} columns are one classification `{}` (data.open.one_hot): its classes are {}",
            self.members.len(),
            self.name,
            list(&self.classes)
        ));
        Ok(Column { task: Task::new(&self.name, TaskKind::Classification { classes: self.classes.clone() }), labels })
    }
}

/// One multi-label task of all columns of yes and no.
pub(super) fn multi_label(
    values: &[Values],
    yes_no: &[usize],
    expected: Option<&str>,
    reading: &mut Reading,
) -> Column {
    let cells: Vec<Vec<Option<bool>>> = yes_no.iter().filter_map(|&at| values[at].yes_no()).collect();
    let labels: Vec<String> = yes_no.iter().map(|&at| values[at].name.clone()).collect();
    yes_no.iter().for_each(|&at| reading.extend(values[at].said.clone()));
    let free = if values.iter().any(|column| column.name == "labels") { "multi_label" } else { "labels" };
    let name = expected.unwrap_or(free);
    let words: BTreeSet<&str> = yes_no.iter().flat_map(|&at| values[at].present()).collect();
    let words = words.into_iter().collect::<Vec<_>>().join("`, `");
    let columns = if labels.len() == 1 { "1 column holds" } else { &format!("{} columns hold", labels.len()) };
    reading.guess(format!("{columns} yes and no (`{words}`) and are one multi-label task `{name}`: {}", list(&labels)));
    for exclusive in exclusive(&labels, &cells) {
        reading.guess(exclusive);
    }
    let lines = cells.first().map_or(0, Vec::len);
    let rows = (0..lines).map(|line| Label::YesNo(cells.iter().map(|column| column[line]).collect()));
    Column { task: Task::new(name, TaskKind::MultiLabel { labels }), labels: rows.collect() }
}

/// A sentence about columns of which exactly one is yes in every labelled row: all of them, or those with one first word.
fn exclusive(names: &[String], cells: &[Vec<Option<bool>>]) -> Vec<String> {
    let prefix = |name: &str| name.find(['_', '-', '.']).map(|end| name[..=end].to_owned());
    let mut groups: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (at, name) in names.iter().enumerate() {
        if let Some(prefix) = prefix(name) {
            groups.entry(prefix).or_default().push(at);
        }
    }
    let all: Vec<usize> = (0..names.len()).collect();
    let sentence = |members: &[usize], setting: String| {
        let rows = exclusive_rows(members, cells)?;
        Some(format!(
            "exactly one of {} is yes in each of {}: data.open.one_hot = [{setting}] makes them one classification",
            list(&members.iter().map(|&at| names[at].clone()).collect::<Vec<_>>()),
            rows_words(rows)
        ))
    };
    let whole = groups.values().all(|members| *members != all);
    let quoted: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
    let of_all = whole.then(|| sentence(&all, quoted.join(", "))).flatten();
    if let Some(sentence) = of_all {
        return vec![sentence];
    }
    groups.iter().filter_map(|(prefix, members)| sentence(members, format!("\"{prefix}*\""))).collect()
}

/// Rows with a label, if exactly one of the columns is yes in all of them, and each column in one.
fn exclusive_rows(members: &[usize], cells: &[Vec<Option<bool>>]) -> Option<usize> {
    let lines = cells.first().map_or(0, Vec::len);
    let mut rows = 0;
    let mut seen = BTreeSet::new();
    let all = (0..lines).map(|line| members.iter().map(|&at| cells[at][line]).collect::<Vec<Option<bool>>>());
    for row in all {
        if row.iter().all(Option::is_none) {
            continue;
        }
        let row: Vec<bool> = row.into_iter().collect::<Option<_>>()?;
        let mut yes = (0..row.len()).filter(|&at| row[at]);
        let (Some(only), None) = (yes.next(), yes.next()) else { return None };
        seen.insert(only);
        rows += 1;
    }
    (members.len() > 1 && seen.len() == members.len()).then_some(rows)
}

/// `a`, `b` and 3 more.
fn list(names: &[String]) -> String {
    let more = names.len().saturating_sub(NAMED);
    let shown = names[..names.len() - more].join("`, `");
    if more > 0 { format!("`{shown}` and {more} more") } else { format!("`{shown}`") }
}
