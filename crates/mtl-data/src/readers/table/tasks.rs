//! Columns of labels to tasks.

use std::collections::{BTreeMap, BTreeSet};

use mtl_task::{Task, TaskKind};

use super::super::OpenOptions;
use super::super::draft::mask_task;
use super::super::names::in_order;
use super::super::row::Label;
use super::choices::{Choice, choices};
use super::column::Column;
use super::contents::{Table, rows_words};
use super::declared::{Declared, Labelled};
use super::doubts;
use super::forms::number;
use super::lists::Lists;
use super::not_labels;
use super::numbers::{Look, is_class_name, is_identifier, is_quantity, look, regression};
use super::paths::{Kind, Paths};
use super::roles::Roles;
use super::values::{Values, is_missing, spellings};
use super::yes_no;
use crate::error::Error;
use crate::reading::Reading;

/// The tasks in the order of their (first) columns, then masks and depth maps.
pub(super) fn columns(
    table: &Table,
    roles: &Roles,
    declared: &Declared,
    paths: &mut Paths,
    options: &OpenOptions,
    reading: &mut Reading,
) -> Result<Vec<Column>, Error> {
    let mut columns = label_columns(table, &roles.labels, declared, options, reading)?;
    let name = |task: &str, at: usize| {
        let taken = columns.iter().any(|column: &Column| column.task.name == task);
        if taken { table.header[at].clone() } else { task.to_owned() }
    };
    let mask = roles.mask.map(|at| (mask_task(&name("mask", at)), at));
    let depth =
        roles.depth.map(|at| (Task::new(name("depth", at), TaskKind::Dense { unit: options.depth_unit.clone() }), at));
    columns.extend(mask.map(|(task, at)| files(table, task, at, paths, |path| Label::Mask(vec![path]))));
    columns.extend(depth.map(|(task, at)| files(table, task, at, paths, Label::Depth)));
    check_names(table, &columns, reading)?;
    Ok(columns)
}

/// The tasks of the columns at `labels`.
pub(super) fn label_columns(
    table: &Table,
    labels: &[usize],
    declared: &Declared,
    options: &OpenOptions,
    reading: &mut Reading,
) -> Result<Vec<Column>, Error> {
    let names: Vec<&str> = labels.iter().map(|&at| table.header[at].as_str()).collect();
    let mut chosen = choices(&names, options, reading)?;
    let one_hot = yes_no::one_hot(&names, options, reading)?;
    for (choice, name) in chosen.iter_mut().zip(&names).filter(|(choice, _)| choice.is_none()) {
        // A few numbers look like classes: a column that is a regression in the model is one here too.
        *choice = match options.expects(name) {
            Some(TaskKind::Regression { .. }) => Some(Choice::Regression),
            _ => None,
        };
    }
    let is_class = |at: usize| {
        declared.has(names[at]) || matches!(options.expects(names[at]), Some(TaskKind::Classification { .. }))
    };
    let read = |at: usize| {
        let choice = if is_class(at) { Some(Choice::Classification) } else { chosen[at] };
        Values::read(table, labels[at], choice)
    };
    let values: Vec<Values> = (0..labels.len()).map(read).collect();
    let is_free = |at: usize| chosen[at].is_none() && !is_class(at);
    let in_one_hot = |at: usize| one_hot.iter().find(|group| group.members.contains(&at));
    let is_yes_no = |&at: &usize| {
        let expected = options.expects_label(&values[at].name).is_some();
        is_free(at)
            && in_one_hot(at).is_none()
            && (expected || !is_identifier(&values[at].name))
            && values[at].yes_no().is_some()
    };
    let mut kept: Vec<usize> = (0..values.len()).collect();
    not_labels::leave(&mut kept, &values, |at| is_free(at) && in_one_hot(at).is_none(), reading);
    let yes_no: Vec<usize> = kept.iter().copied().filter(is_yes_no).collect();
    let expected = yes_no.iter().find_map(|&at| options.expects_label(&values[at].name));
    let mut columns = Vec::new();
    for (at, column) in kept.into_iter().map(|at| (at, &values[at])) {
        if let Some(group) = in_one_hot(at) {
            if group.members.first() == Some(&at) {
                columns.push(group.column(&values, table, reading)?);
            }
        } else if let Some(Labelled { classes, labels }) = declared.labels(table, labels[at])? {
            let labels = labels.into_iter().map(|class| class.map_or(Label::Missing, Label::Class)).collect();
            columns.push(Column { task: Task::new(&column.name, TaskKind::Classification { classes }), labels });
        } else if (yes_no.len() > 1 || expected.is_some()) && yes_no.contains(&at) {
            if yes_no.first() == Some(&at) {
                columns.push(yes_no::multi_label(&values, &yes_no, expected, reading));
            }
        } else if is_class(at) && column.present().next().is_some() {
            columns.push(classification(column, reading));
        } else {
            columns.extend(single(column, chosen[at], table, reading)?);
        }
    }
    doubts::say_same(&columns, reading);
    Ok(columns)
}

fn files(table: &Table, task: Task, at: usize, paths: &mut Paths, label: fn(std::path::PathBuf) -> Label) -> Column {
    let labels = table.lines.iter().map(|line| {
        paths.enter(table.folder(line));
        let cell = &line.cells[at];
        if is_missing(cell) { Label::Missing } else { label(paths.path(cell, Kind::Label, None)) }
    });
    Column { task, labels: labels.collect() }
}

/// The task of one column; `None`, with the reason said, if it is none.
fn single(
    values: &Values,
    chosen: Option<Choice>,
    table: &Table,
    reading: &mut Reading,
) -> Result<Option<Column>, Error> {
    let name = &values.name;
    let counts = values.counts();
    let (distinct, labelled) = (counts.len(), values.present().count());
    let measured = |reading: &mut Reading| {
        let (task, labels) = regression(values, table, chosen.is_some(), reading)?;
        Ok(Some(Column { task, labels }))
    };
    if chosen == Some(Choice::Regression) && labelled > 0 {
        return measured(reading);
    }
    if distinct < 2 {
        let blank = values.cells.len() - labelled;
        let what = counts.keys().next().map_or("is blank".to_owned(), |value| match blank {
            0 => format!("holds only `{value}`"),
            _ => format!("holds only `{value}` and {blank} blank cells, which are missing labels (if they mean no, write 0 and 1)"),
        });
        reading.guess(format!("column `{name}` {what}: no task"));
        return Ok(None);
    }
    if chosen == Some(Choice::Classification) {
        return Ok(Some(classification(values, reading)));
    }
    if is_identifier(name) {
        let rows = rows_words(labelled);
        reading.guess(format!(
            "column `{name}` is an identifier by its name ({distinct} different values in {rows}): no task \
             (data.open.classification = [\"{name}\"] makes it one)"
        ));
        return Ok(None);
    }
    if let Some(reason) = &values.unclear {
        reading.warn(format!("{reason}; the column is no task"));
        return Ok(None);
    }
    if let Some(lists) = Lists::of(values) {
        return Ok(Some(multi_label(values, &lists, reading)));
    }
    let look = look(values);
    if let Some(Look::Measured) = look {
        return measured(reading);
    }
    if matches!(look, Some(Look::Identifier)) || (distinct > 2 && 2 * distinct > labelled) {
        let rows = rows_words(labelled);
        let hint = regression_hint(values);
        reading.extend(values.said.clone());
        reading.guess(format!("column `{name}` has {distinct} different values in {rows}: no task{hint}"));
        return Ok(None);
    }
    match look {
        Some(Look::Classes(true)) if is_class_name(name) => reading.guess(format!(
            "column `{name}` is classes by its name: {distinct} whole numbers (data.open.regression = [\"{name}\"] makes it a \
             regression)"
        )),
        Some(Look::Classes(true)) => {
            reading.guess(format!("column `{name}` counts up without gaps: its {distinct} numbers are read as classes"));
        }
        _ => {}
    }
    if look.is_some() && distinct > 2 && is_quantity(name) {
        reading.guess(format!(
            "column `{name}` is a quantity by its name, and its {distinct} whole numbers are classes: data.open.regression = \
             [\"{name}\"] makes it a regression"
        ));
    }
    Ok(Some(classification(values, reading)))
}

/// How a column that is no task becomes a regression, if most of its cells are numbers.
fn regression_hint(values: &Values) -> String {
    let name = &values.name;
    let words: Vec<&str> = values.present().filter(|cell| number(cell).is_none()).collect();
    match words.first() {
        None => format!(" (data.open.regression = [\"{name}\"] makes it a regression)"),
        Some(first) if 2 * words.len() < values.present().count() => {
            let cells =
                if words.len() == 1 { "1 cell is no number" } else { &format!("{} cells are no numbers", words.len()) };
            format!("; {cells}, such as `{first}`: blank them for a regression")
        }
        Some(_) => String::new(),
    }
}

fn classification(values: &Values, reading: &mut Reading) -> Column {
    reading.extend(values.said.clone());
    let chosen = spellings(&values.name, values.present(), reading);
    let classes = in_order(chosen.values().cloned().collect::<BTreeSet<_>>());
    say_separators(&values.name, &classes, reading);
    doubts::say_classes(&values.name, &classes, reading);
    let place: BTreeMap<&str, usize> = classes.iter().map(String::as_str).zip(0..).collect();
    let label = |value: &String| place.get(chosen.get(value)?.as_str()).map(|&class| Label::Class(class));
    let labels = values.cells.iter().map(|cell| cell.as_ref().and_then(label).unwrap_or(Label::Missing)).collect();
    Column { task: Task::new(&values.name, TaskKind::Classification { classes }), labels }
}

/// Says that names which look like lists are read as one class each.
fn say_separators(column: &str, classes: &[String], reading: &mut Reading) {
    for separator in ["|", ";", ","] {
        let with: Vec<&String> = classes.iter().filter(|class| class.contains(separator)).collect();
        if let Some(first) = with.first() {
            let names = if with.len() == 1 { "1 name holds" } else { &format!("{} names hold", with.len()) };
            reading.guess(format!(
                "column `{column}`: {names} `{separator}`, such as `{first}`, and each is one class: the parts do not occur \
                 as labels of their own"
            ));
            return;
        }
    }
}

fn multi_label(values: &Values, lists: &Lists, reading: &mut Reading) -> Column {
    reading.extend(values.said.clone());
    let parts = lists.cells.iter().flatten().flatten();
    let chosen = spellings(&values.name, parts.map(String::as_str), reading);
    let labels = in_order(chosen.values().cloned().collect::<BTreeSet<_>>());
    let (name, separator, several) = (&values.name, lists.separator, rows_words(lists.several));
    reading.guess(format!(
        "column `{name}` holds several labels separated by `{separator}` in {several}: a multi-label task of {} labels",
        labels.len()
    ));
    let yes_no = |parts: &Vec<String>| {
        let of_cell: BTreeSet<&String> = parts.iter().filter_map(|part| chosen.get(part)).collect();
        Label::YesNo(labels.iter().map(|label| Some(of_cell.contains(label))).collect())
    };
    let rows = lists.cells.iter().map(|cell| cell.as_ref().map_or(Label::Missing, yes_no)).collect();
    Column { task: Task::new(name, TaskKind::MultiLabel { labels: labels.clone() }), labels: rows }
}

/// Refuses tasks whose results would be written to one file, and warns of names that differ in case only.
fn check_names(table: &Table, columns: &[Column], reading: &mut Reading) -> Result<(), Error> {
    for (at, Column { task, .. }) in columns.iter().enumerate() {
        let (name, file_name) = (&task.name, task.file_name());
        for Column { task, .. } in &columns[..at] {
            let (other, other_file) = (&task.name, task.file_name());
            if file_name == other_file {
                return Err(table.fail_in_header(format!(
                    "the columns `{other}` and `{name}` would be written to files of one name (`{file_name}`): rename one"
                )));
            }
            if file_name.to_lowercase() == other_file.to_lowercase() {
                reading.warn(format!(
                    "the columns `{other}` and `{name}` differ in upper and lower case only: rename one, as some systems \
                     take the names of their files for equal"
                ));
            }
        }
    }
    Ok(())
}
