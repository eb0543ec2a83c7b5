//! Tables of images and labels: `manifest.csv`, or another name, separator or way of writing that is common.
//!
//! A column names the images (`image`; paths relative to the table). Masks, depth maps, the split and groups have columns of
//! their own; every other column is a task. A blank cell is a missing label. Two or more columns of yes and no form one
//! multi-label task `labels` together; a column whose cells hold lists is a multi-label task of its own; other columns are
//! classifications, their classes the different values, sorted (as numbers if all are whole numbers). A column with one
//! value, or with a different value in almost every row, is no task, and neither is one of measured numbers.
//!
//! | file | contents |
//! |---|---|
//! | `find` | which files are the table |
//! | `sheet` | text to lines of cells |
//! | `paths` | cells to files |
//! | `roles`, `splits` | the purpose of each column |
//! | `values`, `lists`, `tasks` | cells to labels |
//! | `rows` | lines to rows; repeated images, groups, subsets without labels |

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::files::{Draft, Meaning, palette_file};
use super::{OpenOptions, ReaderFns, walk};
use crate::dataset::{Dataset, Subset};
use crate::error::Error;
use crate::reading::Reading;

mod find;
mod lists;
mod paths;
mod roles;
mod rows;
mod sheet;
mod splits;
mod tasks;
mod values;

use self::sheet::{Line, Sheet};

pub(super) const READER: ReaderFns = ReaderFns { detect: find::any, open };

fn open(path: &Path, options: &OpenOptions) -> Result<Box<dyn Dataset>, Error> {
    let (mut reading, mut left) = (Reading::default(), BTreeMap::new());
    let files = find::tables(path, &mut left, &mut reading)?;
    let table = Table::read(files, &mut reading)?;
    let mut paths = paths::Paths::new(&table.root);
    let roles = roles::Roles::of(&table, &mut paths, &mut reading)?;
    let columns = tasks::columns(&table, &roles, &mut paths, &mut reading)?;
    let rows = rows::rows(&table, &roles, &columns, &mut paths, &mut reading)?;
    paths.say(&mut reading);
    let tasks = columns.into_iter().map(|column| column.task).collect();
    let meaning = palette_file(&[&table.root])?.map_or(Meaning::Discover, Meaning::Known);
    let mut tables: Vec<PathBuf> = table.files.into_iter().map(|(file, _)| file).collect();
    tables.push(table.root.join("palette.csv"));
    // Next to a table that is named by its own path anything may lie.
    let count_rest = path.is_dir();
    let draft =
        Draft { root: table.root, tasks, rows, meaning, alpha_as_mask: false, tables, left, count_rest, reading };
    draft.build(options)
}

/// One or more text tables, one below the other.
struct Table {
    /// The files, and the subsets that their names give.
    files: Vec<find::Named>,
    /// The folder of the tables.
    root: PathBuf,
    separator: u8,
    header: Vec<String>,
    lines: Vec<Line>,
}

impl Table {
    fn read(files: Vec<find::Named>, reading: &mut Reading) -> Result<Self, Error> {
        let root = files.first().and_then(|(path, _)| path.parent()).unwrap_or(Path::new("")).to_owned();
        let mut table = Self { files, root, separator: b',', header: Vec::new(), lines: Vec::new() };
        for at in 0..table.files.len() {
            let path = table.files[at].0.clone();
            let sheet = Sheet::read(&path)?;
            refuse_repeated(&path, &sheet.header)?;
            say_form(&walk::name(&path), &sheet, reading);
            table.append(at, sheet, reading);
        }
        Ok(table)
    }

    /// Adds the lines of a file below the others; cells of columns that it lacks are blank.
    fn append(&mut self, at: usize, sheet: Sheet, reading: &mut Reading) {
        let name = walk::name(&self.files[at].0);
        if at == 0 {
            self.separator = sheet.separator;
            self.header = sheet.header;
            self.lines = sheet.lines;
            return;
        }
        let places: HashMap<&String, usize> = sheet.header.iter().zip(0..).collect();
        let lacking: Vec<&str> =
            self.header.iter().filter(|column| !places.contains_key(column)).map(String::as_str).collect();
        if !lacking.is_empty() {
            let lacking = lacking.join("`, `");
            reading.guess(format!("`{name}` has no column `{lacking}`: its cells there are blank"));
        }
        let added: Vec<String> = sheet.header.iter().filter(|column| !self.header.contains(column)).cloned().collect();
        if !added.is_empty() {
            let columns = added.join("`, `");
            reading.guess(format!("only `{name}` has the column `{columns}`: the cells of the others are blank there"));
        }
        self.header.extend(added);
        self.lines.iter_mut().for_each(|line| line.cells.resize(self.header.len(), String::new()));
        let order: Vec<Option<usize>> = self.header.iter().map(|column| places.get(column).copied()).collect();
        self.lines.extend(sheet.lines.iter().map(|line| {
            let cells = order.iter().map(|at| at.map_or(String::new(), |at| line.cells[at].clone())).collect();
            Line { table: at, number: line.number, cells }
        }));
    }

    /// The cells of a column.
    fn cells(&self, at: usize) -> impl Iterator<Item = &str> {
        self.lines.iter().map(move |line| line.cells[at].as_str())
    }

    /// The subset that a line's file gives it by its name.
    fn subset(&self, line: &Line) -> Option<Subset> {
        self.files[line.table].1
    }

    fn fail(&self, line: &Line, reason: String) -> Error {
        sheet::fail(&self.files[line.table].0, line.number, reason)
    }

    fn fail_in_header(&self, reason: String) -> Error {
        sheet::fail(self.files.first().map_or(Path::new(""), |(path, _)| path), 1, reason)
    }
}

fn refuse_repeated(path: &Path, header: &[String]) -> Result<(), Error> {
    let repeated = header.iter().enumerate().find(|(at, name)| !name.is_empty() && header[..*at].contains(name));
    repeated.map_or(Ok(()), |(_, name)| {
        Err(sheet::fail(path, 1, format!("two columns are called `{name}`: rename or remove one")))
    })
}

/// Says what is unusual about a file's text.
fn say_form(name: &str, sheet: &Sheet, reading: &mut Reading) {
    if sheet.separator != b',' {
        let separator = sheet::separator_name(sheet.separator);
        reading.guess(format!("`{name}`: columns are separated by `{separator}`"));
    }
    if sheet.utf16 {
        reading.guess(format!("`{name}`: the text is UTF-16"));
    }
    if sheet.blank > 0 {
        let lines = if sheet.blank == 1 { "1 line has" } else { &format!("{} lines have", sheet.blank) };
        reading.guess(format!("`{name}`: {lines} blank cells only: left out"));
    }
}

/// `1 row` or `7 rows`.
fn rows_words(count: usize) -> String {
    if count == 1 { "1 row".to_owned() } else { format!("{count} rows") }
}
