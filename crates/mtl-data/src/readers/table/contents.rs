//! The contents of one or more text tables, one below the other.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::super::walk;
use super::find::Named;
use super::sheet::{self, Line, Sheet};
use crate::dataset::Subset;
use crate::error::Error;
use crate::reading::Reading;

/// One or more text tables, one below the other.
pub(super) struct Table {
    /// The files, and the subsets that their names give.
    pub(super) files: Vec<Named>,
    /// The folder of the tables.
    pub(super) root: PathBuf,
    pub(super) separator: u8,
    /// Whether some cell is a number with a decimal comma.
    pub(super) decimal_commas: bool,
    pub(super) header: Vec<String>,
    pub(super) lines: Vec<Line>,
}

impl Table {
    /// `root`: the folder of all files.
    pub(super) fn read(files: Vec<Named>, root: &Path, reading: &mut Reading) -> Result<Self, Error> {
        let root = root.to_owned();
        let mut table =
            Self { files, root, separator: b',', decimal_commas: false, header: Vec::new(), lines: Vec::new() };
        for at in 0..table.files.len() {
            let path = table.files[at].0.clone();
            let mut sheet = Sheet::read(&path)?;
            refuse_repeated(&path, &sheet.header)?;
            leave_headers(&walk::relative(&path, &table.root), &mut sheet, reading);
            say_form(&walk::relative(&path, &table.root), &sheet, reading);
            table.append(at, sheet, reading);
        }
        table.decimal_commas = table.lines.iter().flat_map(|line| &line.cells).any(|cell| has_decimal_comma(cell));
        Ok(table)
    }

    /// Adds the lines of a file below the others; cells of columns that it lacks are blank.
    fn append(&mut self, at: usize, sheet: Sheet, reading: &mut Reading) {
        let name = walk::relative(&self.files[at].0, &self.root);
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
    pub(super) fn cells(&self, at: usize) -> impl Iterator<Item = &str> {
        self.lines.iter().map(move |line| line.cells[at].as_str())
    }

    /// The subset that a line's file gives it by its name.
    pub(super) fn subset(&self, line: &Line) -> Option<Subset> {
        self.files[line.table].1
    }

    /// The folder of a line's file: its paths are relative to it.
    pub(super) fn folder(&self, line: &Line) -> &Path {
        self.files[line.table].0.parent().unwrap_or(&self.root)
    }

    pub(super) fn fail(&self, line: &Line, reason: String) -> Error {
        sheet::fail(&self.files[line.table].0, line.number, reason)
    }

    pub(super) fn fail_in_header(&self, reason: String) -> Error {
        sheet::fail(self.files.first().map_or(Path::new(""), |(path, _)| path), 1, reason)
    }
}

/// `12,5`; not `1,234`, which may be a number of thousands.
fn has_decimal_comma(cell: &str) -> bool {
    let Some((whole, fraction)) = cell.split_once(',') else { return false };
    let digits = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    digits(whole.trim_start_matches(['-', '+'])) && digits(fraction) && (fraction.len() != 3 || whole == "0")
}

fn refuse_repeated(path: &Path, header: &[String]) -> Result<(), Error> {
    let repeated = header.iter().enumerate().find(|(at, name)| !name.is_empty() && header[..*at].contains(name));
    repeated.map_or(Ok(()), |(_, name)| {
        Err(sheet::fail(path, 1, format!("two columns are called `{name}`: rename or remove one")))
    })
}

/// Leaves out lines that repeat the header, as joined files have them.
fn leave_headers(name: &str, sheet: &mut Sheet, reading: &mut Reading) {
    let (repeated, lines): (Vec<Line>, Vec<Line>) =
        std::mem::take(&mut sheet.lines).into_iter().partition(|line| line.cells == sheet.header);
    sheet.lines = lines;
    if !repeated.is_empty() {
        let verb = if repeated.len() == 1 { "repeats" } else { "repeat" };
        let all = sheet::places(repeated.iter().map(|line| line.number));
        reading.warn(format!("`{name}`: {all} {verb} the header: left out"));
    }
}

/// Says how a file's text differs from the usual form.
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
    sheet.said.iter().for_each(|said| reading.guess(format!("`{name}`: {said}")));
}

/// `1 row` or `7 rows`.
pub(super) fn rows_words(count: usize) -> String {
    if count == 1 { "1 row".to_owned() } else { format!("{count} rows") }
}
