//! `classes.csv` next to a table (`task,class`): the classes of its columns, in their order.
//!
//! A column that it names is a classification for any cells, and keeps classes that no image has. So a part of
//! a data set, or images generated for one, has the tasks of the whole.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::contents::Table;
use super::sheet::{fail, places};
use super::values::is_missing;
use crate::error::Error;

/// The classes of columns; see the module's documentation.
pub(super) struct Declared {
    path: Option<PathBuf>,
    classes: BTreeMap<String, Vec<String>>,
}

impl Declared {
    /// Reads `classes.csv` in a folder. A file with other columns is none of this kind.
    ///
    /// # Errors
    /// A class that is blank or listed twice.
    pub(super) fn read(root: &Path) -> Result<Self, Error> {
        let path = root.join("classes.csv");
        let mut declared = Self { path: None, classes: BTreeMap::new() };
        let Ok(mut reader) = csv::ReaderBuilder::new().trim(csv::Trim::All).from_path(&path) else {
            return Ok(declared);
        };
        let header = reader.headers().map(|header| header.iter().map(str::to_owned).collect::<Vec<_>>());
        if !header.is_ok_and(|header| header == ["task", "class"]) {
            return Ok(declared);
        }
        for record in reader.records() {
            let line = |position: Option<&csv::Position>| position.map_or(1, csv::Position::line);
            let record = record.map_err(|error| fail(&path, line(error.position()), error.to_string()))?;
            let (task, class) = (&record[0], &record[1]);
            let classes = declared.classes.entry(task.to_owned()).or_default();
            let problem = if task.is_empty() || class.is_empty() {
                "write a task and one of its classes".to_owned()
            } else if classes.iter().any(|known| known == class) {
                format!("class `{class}` of `{task}` is listed twice: remove one of the lines")
            } else {
                classes.push(class.to_owned());
                continue;
            };
            return Err(fail(&path, line(record.position()), problem));
        }
        declared.path = Some(path);
        Ok(declared)
    }

    /// Classes that are known from elsewhere.
    #[cfg(feature = "parquet")]
    pub(super) fn of(classes: BTreeMap<String, Vec<String>>) -> Self {
        Self { path: None, classes }
    }

    /// The file, if it was read.
    pub(super) fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Whether a column is named there.
    pub(super) fn has(&self, column: &str) -> bool {
        self.classes.contains_key(column)
    }

    /// The classes of a column and the class of each line; `None` for a column that is not named there.
    ///
    /// # Errors
    /// Cells that are no class of the column, and not blank.
    pub(super) fn labels(&self, table: &Table, at: usize) -> Result<Option<Labelled>, Error> {
        let name = &table.header[at];
        let Some(classes) = self.classes.get(name) else { return Ok(None) };
        let place: BTreeMap<&str, usize> = classes.iter().map(String::as_str).zip(0..).collect();
        let unknown = |cell: &str| !place.contains_key(cell) && !is_missing(cell);
        let faults: Vec<_> = table.lines.iter().filter(|line| unknown(&line.cells[at])).collect();
        if let Some(first) = faults.first() {
            let (cell, all) = (&first.cells[at], places(faults.iter().map(|line| line.number)));
            let place = if self.path.is_some() { " in classes.csv" } else { "" };
            let classes = classes.join(", ");
            return Err(table.fail(first, format!("`{cell}` is no class of `{name}`{place} ({classes}) ({all})")));
        }
        let labels = table.cells(at).map(|cell| place.get(cell).copied()).collect();
        Ok(Some(Labelled { classes: classes.clone(), labels }))
    }
}

/// The classes of a column, and the class of each line.
pub(super) struct Labelled {
    pub classes: Vec<String>,
    pub labels: Vec<Option<usize>>,
}
