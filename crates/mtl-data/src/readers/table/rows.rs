//! Lines to rows; images that are named twice, groups across subsets.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use super::super::row::Row;
use super::column::Column;
use super::contents::{Table, rows_words};
use super::paths::{Kind, Paths};
use super::roles::Roles;
use super::sheet::{Line, places};
use super::subset_folders;
use super::values::{is_missing, yes_no};
use crate::dataset::Subset;
use crate::error::Error;
use crate::reading::Reading;
use crate::row_notes::{NotedColumn, RowNotes};

/// The rows of all lines.
pub(super) fn rows(
    table: &Table,
    roles: &Roles,
    columns: &[Column],
    paths: &mut Paths,
    reading: &mut Reading,
) -> Result<Vec<Row>, Error> {
    refuse_blank_images(table, roles)?;
    let noted = noted_columns(table, roles);
    let mut moved = 0;
    let mut lines: Vec<Row> = table
        .lines
        .iter()
        .enumerate()
        .map(|(at, line)| {
            let mut subset = roles.split.subset(&line.cells).or_else(|| table.subset(line));
            let generated = roles.generated.is_some_and(|at| yes_no(&line.cells[at]) == Some(true));
            if generated && subset.is_some_and(|subset| subset != Subset::Train) {
                (subset, moved) = (Some(Subset::Train), moved + 1);
            }
            let cells = line.cells.iter().enumerate().filter(|(at, _)| *at != roles.image);
            let cells = cells.map(|(_, cell)| (!is_missing(cell)).then(|| cell.clone())).collect();
            let notes = RowNotes::new(generated, Arc::clone(&noted), cells);
            paths.enter(table.folder(line));
            let image = paths.path(&line.cells[roles.image], Kind::Image, subset);
            Row { image, labels: columns.iter().map(|column| column.labels[at].clone()).collect(), subset, notes }
        })
        .collect();
    subset_folders::assign(table, roles.split.is_empty(), &mut lines, reading);
    if moved > 0 {
        let (rows, verb) = (rows_words(moved), if moved == 1 { "is" } else { "are" });
        reading.warn(format!("{rows} of generated images {verb} moved from validation or test to training"));
    }
    for &at in &roles.groups {
        say_groups(table, at, reading);
    }
    without_repeated(table, lines, reading)
}

/// Blanks the labels of lines whose image is no file: they become no rows, so that they give no classes and no ranges.
pub(super) fn blank_absent(table: &mut Table, roles: &Roles, paths: &mut Paths) {
    let found: Vec<bool> = table
        .lines
        .iter()
        .map(|line| {
            paths.enter(table.folder(line));
            paths.finds(&line.cells[roles.image], Kind::Image)
        })
        .collect();
    for (line, _) in table.lines.iter_mut().zip(found).filter(|(_, found)| !found) {
        roles.labels.iter().for_each(|&at| line.cells[at].clear());
    }
}

/// All columns but that of the images.
fn noted_columns(table: &Table, roles: &Roles) -> Arc<[NotedColumn]> {
    let others = table.header.iter().enumerate().filter(|(at, _)| *at != roles.image);
    others.map(|(at, name)| NotedColumn { name: name.clone(), names_groups: roles.groups.contains(&at) }).collect()
}

fn refuse_blank_images(table: &Table, roles: &Roles) -> Result<(), Error> {
    let blank: Vec<&Line> = table.lines.iter().filter(|line| is_missing(&line.cells[roles.image])).collect();
    let Some(first) = blank.first() else { return Ok(()) };
    let (name, all) = (&table.header[roles.image], places(blank.iter().map(|line| line.number)));
    Err(table.fail(
        first,
        format!("the cell in column `{name}` is blank ({all}): write the image's path, or remove the line"),
    ))
}

/// Leaves out lines that repeat another; refuses those with other labels for the same image.
fn without_repeated(table: &Table, rows: Vec<Row>, reading: &mut Reading) -> Result<Vec<Row>, Error> {
    let mut first_of: HashMap<PathBuf, usize> = HashMap::new();
    let (mut repeated, mut different) = (Vec::new(), Vec::new());
    for (at, row) in rows.iter().enumerate() {
        let first = *first_of.entry(row.image.clone()).or_insert(at);
        if first != at {
            let same = rows[first].labels == row.labels && rows[first].subset == row.subset;
            if same { &mut repeated } else { &mut different }.push((first, at));
        }
    }
    if let Some(&(first, second)) = different.first() {
        return Err(refuse_different(table, &rows, first, second, different.len()));
    }
    if !repeated.is_empty() {
        let all = places(repeated.iter().map(|&(_, at)| table.lines[at].number));
        let what = if repeated.len() == 1 {
            "1 line names an image"
        } else {
            &format!("{} lines name images", repeated.len())
        };
        reading.warn(format!("{what} of an earlier line with the same labels ({all}): left out"));
    }
    let left_out: BTreeSet<usize> = repeated.into_iter().map(|(_, at)| at).collect();
    Ok(rows.into_iter().enumerate().filter(|(at, _)| !left_out.contains(at)).map(|(_, row)| row).collect())
}

fn refuse_different(table: &Table, rows: &[Row], first: usize, second: usize, count: usize) -> Error {
    let (earlier, later) = (&table.lines[first], &table.lines[second]);
    let file = &table.files[earlier.table].0;
    let place = if earlier.table == later.table {
        format!("line {}", earlier.number)
    } else {
        format!("{}:{}", file.display(), earlier.number)
    };
    let what = if rows[first].labels == rows[second].labels { "is in another subset" } else { "has other labels" };
    let more = if count > 1 { format!(" (and {} more lines like this)", count - 1) } else { String::new() };
    let is_box = |name: &String| matches!(name.to_lowercase().as_str(), "xmin" | "x_min" | "bbox" | "x1");
    let remedy = if table.header.iter().any(is_box) {
        "boxes are not learned, one line per image is expected"
    } else {
        "keep one line per image; several labels go into one cell, as `cat|dog`"
    };
    table.fail(later, format!("this image {what} in {place}{more}: {remedy}"))
}

/// Says that a column names groups.
fn say_groups(table: &Table, at: usize, reading: &mut Reading) {
    let name = &table.header[at];
    let cells: Vec<&str> = table.cells(at).filter(|cell| !is_missing(cell)).collect();
    let groups = cells.iter().collect::<BTreeSet<_>>().len();
    reading.guess(format!("column `{name}` names groups ({groups} groups in {}): no task", rows_words(cells.len())));
}
