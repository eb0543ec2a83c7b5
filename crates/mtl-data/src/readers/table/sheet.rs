//! One text table: its encoding, its separator, its lines.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::super::names::plain;
use super::json_lines::{self, Objects};
use crate::error::Error;

/// Names of the column of images, the surest first, without `_` and in lower case.
pub(super) const IMAGE_NAMES: [&str; 22] = [
    "image",
    "images",
    "file",
    "filename",
    "filepath",
    "path",
    "imagepath",
    "img",
    "imagename",
    "imagefile",
    "imagefilename",
    "imgpath",
    "imgname",
    "imgfile",
    "imageid",
    "imageindex",
    "idcode",
    "filepaths",
    "filenames",
    "imagepaths",
    "id",
    "name",
];

/// Separators of columns, the usual one first.
const SEPARATORS: [u8; 4] = [b',', b';', b'\t', b'|'];
/// Bytes and lines that are looked at to recognise a table.
const HEAD_BYTES: u64 = 1 << 16;
const HEAD_LINES: usize = 20;
/// Places that are named where several have one fault.
const NAMED: usize = 3;

/// A line of a table.
#[derive(Clone, Debug)]
pub(super) struct Line {
    /// The place of its table in the data set's list of tables.
    pub table: usize,
    /// Counted from 1, in the text file.
    pub number: u64,
    /// As many as the header has, without spaces around.
    pub cells: Vec<String>,
}

/// The contents of one file.
#[derive(Debug)]
pub(super) struct Sheet {
    pub separator: u8,
    pub header: Vec<String>,
    pub lines: Vec<Line>,
    /// Lines without any text in their cells, which are passed over.
    pub blank: usize,
    /// Whether the text was UTF-16.
    pub utf16: bool,
    /// What else was inferred, one sentence each.
    pub said: Vec<String>,
}

impl Sheet {
    /// Reads the whole file.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let bytes = std::fs::read(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
        let text = decode(&bytes).map_err(|(line, reason)| fail(path, line, reason))?;
        let sheet = Self::parse(path, &text, usize::MAX)?;
        if !is_json_lines(path)
            && text.matches('"').count() % 2 == 1
            && let Some(line) = sheet.lines.iter().find(|line| line.cells.iter().any(|cell| cell.contains('\n')))
        {
            return Err(fail(path, line.number, "a quote (\") opens here or below and is never closed".into()));
        }
        sheet.even(path, is_utf16(&bytes))
    }

    /// The first lines of the file, if it is text; for recognising tables.
    pub fn head(path: &Path) -> Option<Self> {
        let mut bytes = Vec::new();
        std::fs::File::open(path).ok()?.take(HEAD_BYTES).read_to_end(&mut bytes).ok()?;
        if bytes.len() as u64 == HEAD_BYTES {
            let end = bytes.iter().rposition(|&byte| byte == b'\n')?;
            bytes.truncate(end);
        }
        let text = decode(&bytes).ok()?;
        let mut sheet = Self::parse(path, &text, HEAD_LINES).ok()?;
        sheet.lines.iter_mut().for_each(|line| line.cells.resize(sheet.header.len(), String::new()));
        Some(sheet)
    }

    fn parse(path: &Path, text: &str, limit: usize) -> Result<Self, Error> {
        if is_json_lines(path) {
            let objects = json_lines::parse(text, limit).map_err(|(line, reason)| fail(path, line, reason))?;
            return Ok(Self::of_objects(objects));
        }
        let (text, named, skipped) = separator_line(text);
        let separator = named.unwrap_or_else(|| find_separator(text));
        let mut records = reader(text, separator).into_records();
        let csv_fail = |error: csv::Error| {
            let line = error.position().map_or(1, csv::Position::line) + skipped;
            fail(path, line, error.to_string())
        };
        let cells = |record: csv::StringRecord| record.iter().map(str::to_owned).collect::<Vec<String>>();
        let header = records.next().transpose().map_err(csv_fail)?.map(cells).unwrap_or_default();
        let mut lines = Vec::new();
        let mut blank = 0;
        for record in records.take(limit) {
            let record = record.map_err(csv_fail)?;
            let number = record.position().map_or(0, csv::Position::line) + skipped;
            let cells = cells(record);
            if cells.iter().all(String::is_empty) {
                blank += 1;
            } else {
                lines.push(Line { table: 0, number, cells });
            }
        }
        Ok(Self { separator, header, lines, blank, utf16: false, said: Vec::new() })
    }

    fn of_objects(objects: Objects) -> Self {
        let Objects { header, lines, nested, missing } = objects;
        let all = lines.len();
        let of_nested = nested
            .into_iter()
            .map(|(key, lines)| format!("key `{key}` holds lists or objects ({}): it is not read", places(lines)));
        let of_missing = missing
            .into_iter()
            .map(|(key, count)| format!("key `{key}` is missing in {count} of {all} lines: its cells there are blank"));
        let said = of_nested.chain(of_missing).collect();
        let lines = lines.into_iter().map(|(number, cells)| Line { table: 0, number, cells }).collect();
        Self { separator: b',', header, lines, blank: 0, utf16: false, said }
    }

    /// Checks that every line has as many cells as the header; blank cells may follow if they do in half of
    /// the lines or more. In a few lines, a cell too many before them has shifted the others.
    fn even(mut self, path: &Path, utf16: bool) -> Result<Self, Error> {
        let columns = self.header.len();
        let longer = self.lines.iter().filter(|line| line.cells.len() > columns).count();
        let usual = 2 * longer >= self.lines.len();
        let uneven = |line: &&Line| match line.cells.get(columns..) {
            Some(more) => (!usual && !more.is_empty()) || more.iter().any(|cell| !cell.is_empty()),
            None => true,
        };
        let faults: Vec<&Line> = self.lines.iter().filter(uneven).collect();
        if let Some(first) = faults.first() {
            let all = places(faults.iter().map(|line| line.number));
            let reason = format!(
                "{} fields, but the header has {columns} ({all}); put a cell that holds the separator `{}` in quotes",
                first.cells.len(),
                separator_name(self.separator)
            );
            return Err(fail(path, first.number, reason));
        }
        self.lines.iter_mut().for_each(|line| line.cells.truncate(columns));
        self.utf16 = utf16;
        Ok(self)
    }
}

/// `line 4`, or `lines 4, 7, 9 and 12 more`.
pub(super) fn places(lines: impl IntoIterator<Item = u64>) -> String {
    let lines: Vec<u64> = lines.into_iter().collect();
    let shown: Vec<String> = lines.iter().take(NAMED).map(u64::to_string).collect();
    let more = lines.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{} {}{more}", if lines.len() == 1 { "line" } else { "lines" }, shown.join(", "))
}

pub(super) fn separator_name(separator: u8) -> &'static str {
    match separator {
        b';' => ";",
        b'\t' => "tab",
        b'|' => "|",
        _ => ",",
    }
}

pub(super) fn fail(path: &Path, line: u64, reason: String) -> Error {
    Error::Table { path: PathBuf::from(path), line, reason }
}

fn is_json_lines(path: &Path) -> bool {
    path.extension().is_some_and(|end| end.eq_ignore_ascii_case("jsonl"))
}

fn reader(text: &str, separator: u8) -> csv::Reader<&[u8]> {
    csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(csv::Trim::All)
        .delimiter(separator)
        .from_reader(text.as_bytes())
}

fn is_utf16(bytes: &[u8]) -> bool {
    matches!(bytes, [0xff, 0xfe, ..] | [0xfe, 0xff, ..])
}

/// Text from UTF-8, or from UTF-16 that says so in its first two bytes. The error names the line.
fn decode(bytes: &[u8]) -> Result<String, (u64, String)> {
    if is_utf16(bytes) {
        let unit = |pair: &[u8]| match bytes[0] {
            0xff => u16::from_le_bytes([pair[0], pair[1]]),
            _ => u16::from_be_bytes([pair[0], pair[1]]),
        };
        let text: Result<String, _> = char::decode_utf16(bytes[2..].chunks_exact(2).map(unit)).collect();
        return text.map_err(|_| (1, "damaged UTF-16 text; save the table as UTF-8".to_owned()));
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.trim_start_matches('\u{feff}').to_owned()),
        Err(error) => {
            let line = 1 + bytes[..error.valid_up_to()].iter().filter(|&&byte| byte == b'\n').count() as u64;
            Err((line, "the text is not UTF-8; save the table as UTF-8 (in Excel: `CSV UTF-8`)".to_owned()))
        }
    }
}

/// Takes off the line `sep=;` that Excel writes; its separator, and how many lines were taken off.
fn separator_line(text: &str) -> (&str, Option<u8>, u64) {
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    match first.trim_end_matches('\r').strip_prefix("sep=").map(str::as_bytes) {
        Some(&[separator]) if SEPARATORS.contains(&separator) => (rest, Some(separator), 1),
        _ => (text, None, 0),
    }
}

/// The separator that gives a column of images, then one that gives every line as many cells, then the most columns.
fn find_separator(text: &str) -> u8 {
    let score = |separator: u8| {
        let records: Vec<csv::StringRecord> =
            reader(text, separator).into_records().take(HEAD_LINES).filter_map(Result::ok).collect();
        let columns = records.first().map_or(0, csv::StringRecord::len);
        let image = records.first().is_some_and(|header| header.iter().any(is_image_column));
        let even = columns > 1 && records.iter().all(|record| record.len() == columns);
        (image, even, columns)
    };
    // `max_by_key` takes the last of equals, so the usual separator comes last.
    SEPARATORS.into_iter().rev().max_by_key(|&separator| score(separator)).unwrap_or(b',')
}

pub(super) fn is_image_column(name: &str) -> bool {
    IMAGE_NAMES.contains(&plain(name).as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_are_found_from_the_first_lines() {
        for (text, separator) in [
            ("image,labels\na.png,cat;dog\n", b','),
            ("image;labels\na.png;cat,dog\n", b';'),
            ("file\tclass\na b.png\tx, y\n", b'\t'),
            ("image|class\na.png|x\n", b'|'),
            ("image\na.png\n", b','),
            ("picture;kind\na.png;x\n", b';'),
            ("", b','),
        ] {
            assert_eq!(find_separator(text), separator, "{text}");
        }
    }

    #[test]
    fn utf16_is_decoded_and_other_bytes_are_refused_with_their_line() {
        let units: Vec<u16> = "image,a\nü.png,1\n".encode_utf16().collect();
        let little: Vec<u8> =
            [0xff, 0xfe].into_iter().chain(units.iter().flat_map(|unit| unit.to_le_bytes())).collect();
        let big: Vec<u8> = [0xfe, 0xff].into_iter().chain(units.iter().flat_map(|unit| unit.to_be_bytes())).collect();
        assert_eq!(decode(&little).unwrap(), decode(&big).unwrap());
        assert!(decode(&little).unwrap().contains("ü.png"));
        assert_eq!(decode(b"image,a\nx.png,\xfc\n").unwrap_err().0, 2);
    }

    #[test]
    fn a_few_places_are_named() {
        assert_eq!(places([4]), "line 4");
        assert_eq!(places([4, 7, 9, 10, 11]), "lines 4, 7, 9 and 2 more");
    }
}
