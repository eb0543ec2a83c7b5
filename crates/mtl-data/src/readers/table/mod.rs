//! Tables of images and labels: `manifest.csv`, or another name, separator or way of writing that is common.
//!
//! A column names the images (`image`; paths relative to the table). Masks, depth maps, the split and groups have columns of
//! their own; every other column is a task. A blank cell is a missing label. Two or more columns of yes and no form one
//! multi-label task `labels` together; a column whose cells hold lists is a multi-label task of its own; other columns are
//! classifications, their classes the different values, sorted (as numbers if all are whole numbers). A column with one
//! value, or with a different value in almost every row, is no task; one of measured numbers is a regression. The options
//! `regression` and `classification` name columns that are to be one or the other.
//!
//! | file | contents |
//! |---|---|
//! | `find` | which files are the table |
//! | `sheet`, `json_lines` | text to lines of cells |
//! | `paths` | cells to files |
//! | `roles`, `splits` | the purpose of each column |
//! | `values`, `forms`, `units`, `lists`, `numbers`, `yes_no`, `tasks` | cells to labels |
//! | `not_labels`, `doubts` | boxes and run lengths; classes that look wrong |
//! | `beside` | images that the table does not name |
//! | `choices` | settings for columns |
//! | `declared` | `classes.csv`: the classes of columns |
//! | `rows`, `subset_folders` | lines to rows; repeated images, groups, generated images, subsets by folders |

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

#[cfg(feature = "parquet")]
use mtl_task::Task;

use super::draft::Draft;
use super::masks::{self, Meaning};
#[cfg(feature = "parquet")]
use super::row::Label;
use super::{OpenOptions, ReaderFns};
use crate::dataset::Dataset;
#[cfg(feature = "parquet")]
use crate::dataset::Subset;
use crate::error::Error;
use crate::reading::Reading;

mod beside;
mod choices;
mod column;
mod contents;
mod declared;
mod doubts;
mod find;
mod forms;
mod json_lines;
mod lists;
mod not_labels;
mod numbers;
mod paths;
mod roles;
mod rows;
mod sheet;
mod splits;
mod subset_folders;
mod tasks;
mod units;
mod values;
mod yes_no;

use self::contents::Table;
#[cfg(feature = "parquet")]
use self::sheet::Line;

pub(super) const READER: ReaderFns = ReaderFns { detect: find::any, open };

/// The tasks with a label per row, and the subset of each row.
#[cfg(feature = "parquet")]
type TasksAndSubsets = (Vec<(Task, Vec<Label>)>, Vec<Option<Subset>>);

/// The tasks of columns of another kind of file, by the same rules: name and cells as text, blank where the label is missing, and
/// the classes of columns where they are known. With the subset of each row that a column assigns.
#[cfg(feature = "parquet")]
pub(super) fn tasks_of(
    file: &Path,
    columns: Vec<(String, Vec<String>)>,
    classes: BTreeMap<String, Vec<String>>,
    options: &OpenOptions,
    reading: &mut Reading,
) -> Result<TasksAndSubsets, Error> {
    let rows = columns.first().map_or(0, |(_, cells)| cells.len());
    let (header, cells): (Vec<String>, Vec<Vec<String>>) = columns.into_iter().unzip();
    let line = |row: usize| Line {
        table: 0,
        number: row as u64 + 1,
        cells: cells.iter().map(|column| column[row].clone()).collect(),
    };
    let root = file.parent().unwrap_or(Path::new("")).to_owned();
    let lines = (0..rows).map(line).collect();
    let table =
        Table { files: vec![(file.to_owned(), None)], root, separator: b',', decimal_commas: false, header, lines };
    let mut free: Vec<usize> = (0..table.header.len()).collect();
    let split = splits::SplitColumns::of(&table, &mut free, reading)?;
    let (groups, labels): (Vec<usize>, Vec<usize>) =
        free.into_iter().partition(|&at| roles::is_group(&table.header[at]));
    for at in groups {
        reading.guess(format!("column `{}` names groups: no task", table.header[at]));
    }
    let columns = tasks::label_columns(&table, &labels, &declared::Declared::of(classes), options, reading)?;
    let tasks = columns.into_iter().map(|column| (column.task, column.labels)).collect();
    Ok((tasks, table.lines.iter().map(|line| split.subset(&line.cells)).collect()))
}

fn open(path: &Path, options: &OpenOptions) -> Result<Box<dyn Dataset>, Error> {
    let (mut reading, mut left) = (Reading::default(), BTreeMap::new());
    let files = find::tables(path, &mut left, &mut reading)?;
    let root = if path.is_dir() { path } else { path.parent().unwrap_or(Path::new("")) };
    let mut table = Table::read(files, root, &mut reading)?;
    let mut paths = paths::Paths::new(&table.root);
    let declared = declared::Declared::read(&table.root)?;
    let roles = roles::Roles::of(&table, &declared, &mut paths, &mut reading)?;
    rows::blank_absent(&mut table, &roles, &mut paths);
    let columns = tasks::columns(&table, &roles, &declared, &mut paths, options, &mut reading)?;
    let rows = rows::rows(&table, &roles, &columns, &mut paths, &mut reading)?;
    paths.say(&mut reading);
    beside::say_folders(&table, &rows, &mut reading);
    if path.is_dir() {
        let beside = beside::Beside::of(path, &rows)?;
        beside.judge(&table, rows.len(), roles.mask.is_some(), options.reader.is_some(), &mut reading)?;
    }
    let tasks = columns.into_iter().map(|column| column.task).collect();
    let mut tables: Vec<PathBuf> = table.files.into_iter().map(|(file, _)| file).collect();
    let mut meaning = None;
    match roles.mask {
        Some(_) => {
            let labels: BTreeSet<&Path> =
                rows.iter().flat_map(|row| row.files().skip(1)).filter_map(|path| path.parent()).collect();
            let folders: Vec<&Path> = std::iter::once(&*table.root).chain(labels).collect();
            meaning = masks::named(&folders, false, &mut tables, &mut reading)?;
        }
        None => tables.push(table.root.join("palette.csv")),
    }
    let meaning = meaning.unwrap_or(Meaning::Discover);
    tables.extend(declared.path().map(Path::to_owned));
    left.retain(|path, _| !tables.contains(path));
    // Next to a table that is named by its own path anything may lie.
    let count_rest = path.is_dir();
    let draft =
        Draft { root: table.root, tasks, rows, meaning, alpha_as_mask: false, tables, left, count_rest, reading };
    draft.build(options)
}
