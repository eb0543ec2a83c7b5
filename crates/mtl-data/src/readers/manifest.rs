//! A table of images and labels: `manifest.csv`.
//!
//! The column `image` is needed (paths relative to the table); `mask`, `depth` and `split` (train, validation, test) are
//! optional; every other column is a task. A blank cell is a missing label. Columns that hold only 0 and 1 form one
//! multi-label task `labels` together if there are two or more of them; other columns are classifications, their
//! classes the different values, sorted (as numbers if all are whole numbers). A column with one value, or with a
//! different value in almost every row, is no task: it is left out with a note.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use mtl_registry::nearest;
use mtl_task::{Task, TaskKind};

use super::files::{Draft, Meaning, mask_task, palette_file};
use super::names::subset_named;
use super::row::{Label, Row};
use super::{OpenOptions, ReaderFns};
use crate::dataset::Dataset;
use crate::error::Error;
use crate::reading::Reading;

pub(super) const READER: ReaderFns = ReaderFns { detect, open };

/// Columns with a purpose of their own.
const RESERVED: [&str; 4] = ["image", "mask", "depth", "split"];

fn detect(path: &Path) -> bool {
    path.join("manifest.csv").is_file() || (path.is_file() && path.extension().is_some_and(|end| end == "csv"))
}

fn open(path: &Path, options: &OpenOptions) -> Result<Box<dyn Dataset>, Error> {
    let file = if path.is_dir() { path.join("manifest.csv") } else { path.to_owned() };
    let root = file.parent().unwrap_or(Path::new("")).to_owned();
    let table = Table::read(&file)?;
    let mut reading = Reading::default();
    let (columns, tasks) = columns(&table, &mut reading);
    let mut tasks: Vec<Task> = tasks;
    let (mask, depth, split) = (table.column("mask"), table.column("depth"), table.column("split"));
    tasks.extend(mask.map(|_| mask_task("mask")));
    tasks.extend(depth.map(|_| Task::new("depth", TaskKind::Dense { unit: "relative".into() })));
    let mut rows = Vec::with_capacity(table.rows.len());
    for (line, cells) in &table.rows {
        let fail = |reason: String| Error::Table { path: file.clone(), line: *line, reason };
        let image = &cells[table.image];
        if image.is_empty() {
            return Err(fail("the cell in column `image` is blank".into()));
        }
        let subset = match split.map(|column| cells[column].as_str()) {
            None | Some("") => None,
            Some(word) => Some(
                subset_named(word)
                    .ok_or_else(|| fail(format!("split `{word}`: expected train, validation or test")))?,
            ),
        };
        let mut labels: Vec<Label> = columns.iter().map(|column| column.label(cells)).collect();
        let file_label = |column: usize, label: fn(PathBuf) -> Label| match cells[column].as_str() {
            "" => Label::Missing,
            name => label(root.join(name)),
        };
        labels.extend(mask.map(|column| file_label(column, |path| Label::Mask(vec![path]))));
        labels.extend(depth.map(|column| file_label(column, Label::Depth)));
        rows.push(Row { image: root.join(image), labels, subset });
    }
    let tables = vec![file.clone(), root.join("palette.csv")];
    let meaning = palette_file(&[&root])?.map_or(Meaning::Discover, Meaning::Known);
    Draft { root, tasks, rows, meaning, alpha_as_mask: false, tables, left: BTreeMap::new(), reading }.build(options)
}

struct Table {
    header: Vec<String>,
    /// Line number and cells, trimmed.
    rows: Vec<(u64, Vec<String>)>,
    image: usize,
}

impl Table {
    fn read(path: &Path) -> Result<Self, Error> {
        let fail = |line: u64, reason: String| Error::Table { path: path.to_owned(), line, reason };
        let csv_fail = |error: csv::Error| fail(error.position().map_or(1, csv::Position::line), error.to_string());
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_path(path).map_err(csv_fail)?;
        let header = reader.headers().map_err(csv_fail)?.iter();
        let header: Vec<String> = header.map(|name| name.trim_start_matches('\u{feff}').to_owned()).collect();
        for (at, name) in header.iter().enumerate() {
            if name.is_empty() {
                return Err(fail(1, format!("column {} has no name", at + 1)));
            }
            if header[..at].contains(name) {
                return Err(fail(1, format!("two columns are called `{name}`")));
            }
        }
        let image = header.iter().position(|name| name == "image").ok_or_else(|| {
            let near = nearest("image", header.iter().map(String::as_str));
            let hint = near.map_or(String::new(), |name| format!("; is it `{name}`?"));
            fail(1, format!("no column `image` (columns: {}){hint}", header.join(", ")))
        })?;
        let mut rows = Vec::new();
        for record in reader.records() {
            let record = record.map_err(csv_fail)?;
            let line = record.position().map_or(0, csv::Position::line);
            rows.push((line, record.iter().map(str::to_owned).collect()));
        }
        Ok(Self { header, rows, image })
    }

    fn column(&self, name: &str) -> Option<usize> {
        self.header.iter().position(|known| known == name)
    }
}

/// How one task is read from a row.
enum Column {
    Class { at: usize, classes: Vec<String> },
    Labels { at: Vec<usize> },
}

impl Column {
    fn label(&self, cells: &[String]) -> Label {
        match self {
            Self::Class { at, classes } => {
                classes.iter().position(|class| *class == cells[*at]).map_or(Label::Missing, Label::Class)
            }
            Self::Labels { at } => {
                let cell = |at: &usize| match cells[*at].as_str() {
                    "0" => Some(false),
                    "1" => Some(true),
                    _ => None,
                };
                Label::YesNo(at.iter().map(cell).collect())
            }
        }
    }
}

/// Tasks in the order of their (first) columns.
fn columns(table: &Table, reading: &mut Reading) -> (Vec<Column>, Vec<Task>) {
    let free = || (0..table.header.len()).filter(|&at| !RESERVED.contains(&table.header[at].as_str()));
    let cells = |at: usize| table.rows.iter().map(move |(_, cells)| cells[at].as_str()).filter(|cell| !cell.is_empty());
    let yes_no: Vec<usize> =
        free().filter(|&at| cells(at).next().is_some() && cells(at).all(|cell| matches!(cell, "0" | "1"))).collect();
    let (mut columns, mut tasks) = (Vec::new(), Vec::new());
    for at in free() {
        let name = &table.header[at];
        if yes_no.len() > 1 && yes_no.contains(&at) {
            if yes_no[0] == at {
                let labels = yes_no.iter().map(|&at| table.header[at].clone()).collect();
                let name = if free().any(|at| table.header[at] == "labels") { "multi_label" } else { "labels" };
                tasks.push(Task::new(name, TaskKind::MultiLabel { labels }));
                columns.push(Column::Labels { at: yes_no.clone() });
            }
            continue;
        }
        let values: BTreeSet<&str> = cells(at).collect();
        let (distinct, labelled) = (values.len(), cells(at).count());
        if distinct < 2 {
            let what = values.first().map_or("is blank".to_owned(), |value| format!("holds only `{value}`"));
            reading.guess(format!("column `{name}` {what}: no task"));
        } else if distinct > 2 && 2 * distinct > labelled {
            reading.guess(format!("column `{name}` has {distinct} different values in {labelled} rows: no task"));
        } else {
            let classes = sorted(values);
            tasks.push(Task::new(name, TaskKind::Classification { classes: classes.clone() }));
            columns.push(Column::Class { at, classes });
        }
    }
    (columns, tasks)
}

fn sorted(values: BTreeSet<&str>) -> Vec<String> {
    let mut classes: Vec<String> = values.iter().map(|&value| value.to_owned()).collect();
    if let Some(numbers) = values.iter().map(|value| value.parse::<i64>().ok()).collect::<Option<Vec<_>>>() {
        let mut order: Vec<usize> = (0..classes.len()).collect();
        order.sort_by_key(|&at| numbers[at]);
        classes = order.into_iter().map(|at| classes[at].clone()).collect();
    }
    classes
}
