//! Names of the classes of masks, in files beside the masks.
//!
//! | file | contents |
//! |---|---|
//! | `palette.csv` | `value,name`; see [`Palette::read`] |
//! | `class_dict.csv` | `name,r,g,b` |
//! | `labelmap.txt` | `name:r,g,b:parts:actions` (CVAT) |
//! | `classes.txt`, `labels.txt` | one name per line, in the order of the values from 0; `3 name` names the value 3 |
//!
//! A list of names does not say whether the value 0 is the first name or the background. It is the first name if that is called
//! `background`, or if the masks hold every value from 0 to the last name; it is the background if the largest value is the
//! number of names. Anything else is refused.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{names, walk};
use crate::error::Error;
use crate::image::mask::Code;
use crate::image::palette::Palette;
use crate::reading::Reading;

/// The mark of unlabelled pixels where other values are below it.
const UNLABELLED: u16 = 255;
const MOST_NAMES: usize = 254;

/// What a file says about the values of masks.
pub(super) enum Named {
    /// The class of each value.
    Values(Palette),
    /// Names alone.
    Names(ClassList),
}

/// Names in the order of the values of masks.
pub(super) struct ClassList {
    path: PathBuf,
    names: Vec<String>,
}

/// Whether a file has the name of one that says the classes of masks.
pub(super) fn is_named(path: &Path) -> bool {
    ["palette.csv", "class_dict.csv", "labelmap.txt", "classes.txt", "labels.txt"]
        .iter()
        .any(|known| walk::name(path).eq_ignore_ascii_case(known))
}

/// What the first file with names of classes in one of the folders says about masks, if there is one. `lists`: whether files of
/// names alone count. The files that are read are added to `used`.
///
/// # Errors
/// Files that are not as they should be.
pub(super) fn find(
    folders: &[&Path],
    lists: bool,
    used: &mut Vec<PathBuf>,
    reading: &mut Reading,
) -> Result<Option<Named>, Error> {
    let all: Vec<PathBuf> = folders
        .iter()
        .filter(|folder| folder.is_dir())
        .map(|folder| walk::entries(folder))
        .collect::<Result<Vec<_>, _>>()?
        .concat();
    let named =
        |name: &str| all.iter().find(|path| path.is_file() && walk::name(path).eq_ignore_ascii_case(name)).cloned();
    let found = if let Some(path) = named("palette.csv") {
        used.push(path.clone());
        return Ok(Some(Named::Values(Palette::read(&path)?)));
    } else if let Some(path) = named("class_dict.csv") {
        Named::Values(say(&path, class_dict(&path)?, reading, used))
    } else if let Some(path) = named("labelmap.txt") {
        Named::Values(say(&path, labelmap(&path)?, reading, used))
    } else if let Some((path, lines)) = ["classes.txt", "labels.txt"]
        .iter()
        .filter(|_| lists)
        .find_map(|name| named(name).and_then(|path| name_lines(&path).map(|lines| (path, lines))))
    {
        if let Some(entries) = numbered(&lines) {
            let palette = Palette::named(entries, is_ignored).map_err(|(line, reason)| fail(&path, line, reason))?;
            Named::Values(say(&path, palette, reading, used))
        } else {
            Named::Names(ClassList::of(path, lines)?)
        }
    } else {
        return Ok(None);
    };
    Ok(Some(found))
}

fn fail(path: &Path, line: u64, reason: String) -> Error {
    Error::Table { path: path.to_owned(), line, reason }
}

fn is_ignored(name: &str) -> bool {
    matches!(&*names::plain(name), "ignore" | "void")
}

fn say(path: &Path, palette: Palette, reading: &mut Reading, used: &mut Vec<PathBuf>) -> Palette {
    let (classes, name) = (palette.classes(), walk::name(path));
    let ignored = if palette.ignores() { "; pixels that it calls `ignore` or `void` are unlabelled" } else { "" };
    reading.guess(format!("`{name}` names {} classes of the masks: {}{ignored}", classes.len(), classes.join(", ")));
    used.push(path.to_owned());
    palette
}

fn read(path: &Path) -> Result<String, Error> {
    let bytes = std::fs::read(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
    let text = String::from_utf8(bytes).map_err(|_| fail(path, 1, "the text is not UTF-8".into()))?;
    Ok(text.trim_start_matches('\u{feff}').to_owned())
}

/// `name,r,g,b`.
fn class_dict(path: &Path) -> Result<Palette, Error> {
    let csv_fail = |error: csv::Error| fail(path, error.position().map_or(1, csv::Position::line), error.to_string());
    let text = read(path)?;
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
    let header: Vec<String> = reader.headers().map_err(csv_fail)?.iter().map(names::plain).collect();
    let place = |known: &[&str]| header.iter().position(|name| known.contains(&name.as_str()));
    let columns = [
        place(&["name", "class", "label", "classname"]),
        place(&["r", "red"]),
        place(&["g", "green"]),
        place(&["b", "blue"]),
    ];
    let [Some(name), Some(r), Some(g), Some(b)] = columns else {
        let reason = format!("the columns are `{}`, expected `name,r,g,b`", header.join(","));
        return Err(fail(path, 1, reason));
    };
    let mut entries = Vec::new();
    for record in reader.records() {
        let record = record.map_err(csv_fail)?;
        let line = record.position().map_or(0, csv::Position::line);
        let colour = [r, g, b].map(|at| record[at].to_owned());
        entries.push((line, colour_of(&colour).map_err(|reason| fail(path, line, reason))?, record[name].to_owned()));
    }
    Palette::named(entries, is_ignored).map_err(|(line, reason)| fail(path, line, reason))
}

fn colour_of(parts: &[String]) -> Result<Code, String> {
    let numbers: Result<Vec<u8>, _> = parts.iter().map(|part| part.trim().parse()).collect();
    let colour: Option<[u8; 3]> = numbers.ok().and_then(|numbers| numbers.try_into().ok());
    colour.map(Code::rgb).ok_or_else(|| format!("`{}` is no colour of three numbers from 0 to 255", parts.join(",")))
}

/// `name:r,g,b:parts:actions`.
fn labelmap(path: &Path) -> Result<Palette, Error> {
    let mut entries = Vec::new();
    for (line, text) in
        (1..).zip(read(path)?.lines()).filter(|(_, text)| !text.trim().is_empty() && !text.starts_with('#'))
    {
        let mut fields = text.split(':');
        let (name, colour) = (fields.next().unwrap_or_default().trim(), fields.next().unwrap_or_default());
        let parts: Vec<String> = colour.split(',').map(str::to_owned).collect();
        let code = colour_of(&parts)
            .map_err(|reason| fail(path, line, format!("{reason}; expected `name:r,g,b:parts:actions`")))?;
        entries.push((line, code, name.to_owned()));
    }
    Palette::named(entries, is_ignored).map_err(|(line, reason)| fail(path, line, reason))
}

/// The lines of a list of names; `None` for a text of another kind, such as a list of files.
fn name_lines(path: &Path) -> Option<Vec<(u64, String)>> {
    let text = read(path).ok()?;
    let lines: Vec<(u64, String)> = (1..)
        .zip(text.lines())
        .map(|(line, text)| (line, text.trim().to_owned()))
        .filter(|(_, text)| !text.is_empty())
        .collect();
    let is_name =
        |text: &str| !text.contains('/') && !text.split_whitespace().any(|word| walk::is_image_name(Path::new(word)));
    let fits = (1..=MOST_NAMES + 2).contains(&lines.len()) && lines.iter().all(|(_, text)| is_name(text));
    fits.then_some(lines)
}

/// Lines such as `3 name` or `3: name`, if all are.
fn numbered(lines: &[(u64, String)]) -> Option<Vec<(u64, Code, String)>> {
    let of = |(line, text): &(u64, String)| {
        let (number, name) = text.split_once([' ', ':', '\t', ',', '='])?;
        let name = name.trim_start_matches([' ', ':', '\t', ',', '=']);
        Some((*line, Code::grey(number.parse().ok()?), name.to_owned())).filter(|(_, _, name)| !name.is_empty())
    };
    lines.iter().map(of).collect()
}

impl ClassList {
    fn of(path: PathBuf, lines: Vec<(u64, String)>) -> Result<Self, Error> {
        for (at, (line, name)) in lines.iter().enumerate() {
            if let Some((first, _)) = lines[..at].iter().find(|(_, other)| other == name) {
                return Err(fail(
                    &path,
                    *line,
                    format!("`{name}` is in line {first} already: remove one of the lines"),
                ));
            }
        }
        // The numbers of labelme begin with -1.
        let names = lines.into_iter().map(|(_, name)| name).filter(|name| name != "__ignore__").collect();
        Ok(Self { path, names })
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether these are the names, in any order.
    pub(super) fn is(&self, names: &[String]) -> bool {
        names.iter().collect::<BTreeSet<_>>() == self.names.iter().collect()
    }

    /// Whether more than a foreground is named.
    pub(super) fn is_long(&self) -> bool {
        self.names.len() > 2 || (self.names.len() == 2 && !self.begins_with_background())
    }

    fn begins_with_background(&self) -> bool {
        self.names.first().is_some_and(|name| is_background(name) || is_ignored(name))
    }

    /// The class of each of these values of masks.
    ///
    /// # Errors
    /// Values without a name, colours, or names that fit the values in two ways.
    pub(super) fn palette(&self, values: &BTreeSet<Code>, reading: &mut Reading) -> Result<Palette, Error> {
        let (count, file) = (self.names.len(), walk::name(&self.path));
        let fail = |reason: String| Err(Error::Layout { path: self.path.clone(), reason });
        let advice = "name the values in a palette.csv (`value,name`) beside it";
        if let Some(colour) = values.iter().find(|code| code.as_grey().is_none()) {
            return fail(format!("the masks hold colours such as {colour}, and the {count} names have none: {advice}"));
        }
        let mut greys: BTreeSet<u16> = values.iter().filter_map(|code| code.as_grey()).collect();
        if greys.iter().copied().eq([0, UNLABELLED]) {
            return fail(format!("the masks hold 0 and 255 only, and there are {count} names: {advice}"));
        }
        let marked =
            count < usize::from(UNLABELLED) && greys.iter().all(|&v| usize::from(v) <= count || v == UNLABELLED);
        let marked = marked && greys.remove(&UNLABELLED);
        let largest = greys.last().copied().map_or(0, usize::from);
        let every = greys.iter().copied().eq(0..count as u16);
        let first = match (self.begins_with_background(), largest) {
            (_, largest) if largest > count || (self.begins_with_background() && largest == count) => {
                return fail(format!("the masks hold values up to {largest}, and there are {count} names: {advice}"));
            }
            (true, _) => 0,
            (false, largest) if largest == count => 1,
            (false, _) if every => 0,
            (false, _) => {
                return fail(format!(
                    "the masks hold values up to {largest}, and there are {count} names: whether 0 is `{}` or the background is \
                     not known. Write `background` as the first name if it is, or {advice}",
                    self.names[0]
                ));
            }
        };
        let background = (first == 1 && greys.contains(&0)).then(|| (0, "background".to_owned()));
        let entries: Vec<(u16, String)> =
            background.into_iter().chain((first..).zip(self.names.iter().cloned())).collect();
        let shown: Vec<String> = entries.iter().take(4).map(|(value, name)| format!("{value} is {name}")).collect();
        let more = if entries.len() > 4 { " ..." } else { "" };
        let mark = if marked { "; 255 marks unlabelled pixels" } else { "" };
        reading.guess(format!(
            "`{file}` names the {count} classes of the masks in their order: {}{more}{mark}",
            shown.join(", ")
        ));
        let entries = entries.into_iter().map(|(value, name)| (0, Code::grey(value), name));
        let palette = Palette::named(entries, is_ignored)
            .map_err(|(_, reason)| Error::Layout { path: self.path.clone(), reason })?;
        Ok(if marked { palette.ignoring(UNLABELLED) } else { palette })
    }

    /// Gives the two classes of a palette of background and foreground their names.
    ///
    /// # Errors
    /// More classes.
    pub(super) fn rename(&self, palette: Palette, reading: &mut Reading) -> Result<Palette, Error> {
        if self.is_long() {
            return Ok(palette);
        }
        let (background, name) = match &self.names[..] {
            [background, name] => (background.as_str(), name),
            [name, ..] => ("background", name),
            [] => return Ok(palette),
        };
        if palette.classes() != ["background", "foreground"] {
            let reason = format!(
                "the masks hold {} classes ({}), and the file names {}",
                palette.classes().len(),
                palette.classes().join(", "),
                self.names.join(", ")
            );
            return Err(Error::Layout { path: self.path.clone(), reason });
        }
        reading.guess(format!("`{}` names the foreground of the masks: `{name}`", walk::name(&self.path)));
        Ok(palette.renamed([background, name]))
    }
}

fn is_background(name: &str) -> bool {
    matches!(&*names::plain(name), "background" | "bg" | "back" | "unlabeled" | "unlabelled" | "none")
}
