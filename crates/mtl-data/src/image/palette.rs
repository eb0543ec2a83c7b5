//! Palettes: the class of each mask value.
//!
//! A `palette.csv` in the data's folder lists them (`value,name`; the value a grey number, or a colour as `"r,g,b"` or `#rrggbb`). Several
//! values may share a name; a value named `ignore` or `void` marks unlabelled pixels. Without a file the classes follow
//! from the values in the masks: see [`Palette::discover`].

use std::collections::BTreeSet;
use std::path::Path;

use mtl_task::Target;

use crate::error::Error;
use crate::image::mask::Code;
use crate::size::Size;

/// Codes, their classes and the classes' names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Palette {
    /// Sorted by code.
    entries: Vec<(Code, u8)>,
    classes: Vec<String>,
    /// Grey values from 128 on are class 1, the others class 0; there are no entries.
    from_half: bool,
}

/// Masks with more values than this are taken for pictures, not for masks.
const MAX_DISCOVERED: usize = 64;

impl Palette {
    /// Reads a `value,name` file; classes are numbered in the file's order, the first is the background.
    ///
    /// # Errors
    /// [`Error::Table`] with the line.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let fail = |line: u64, reason: String| Error::Table { path: path.to_owned(), line, reason };
        let csv_fail = |error: csv::Error| fail(error.position().map_or(1, csv::Position::line), error.to_string());
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_path(path).map_err(csv_fail)?;
        let header = reader.headers().map_err(csv_fail)?;
        if header.iter().map(|name| name.trim_start_matches('\u{feff}')).ne(["value", "name"]) {
            return Err(fail(
                1,
                format!("the columns are `{}`, expected `value,name`", header.iter().collect::<Vec<_>>().join(",")),
            ));
        }
        let mut palette = Self { entries: Vec::new(), classes: Vec::new(), from_half: false };
        for record in reader.records() {
            let record = record.map_err(csv_fail)?;
            let line = record.position().map_or(0, csv::Position::line);
            let (value, name) = (&record[0], &record[1]);
            let code = parse_code(value).ok_or_else(|| {
                fail(
                    line,
                    format!("`{value}` is neither a grey value (0 to 65535) nor a colour like \"255,0,0\" or #ff0000"),
                )
            })?;
            palette.name(code, name, matches!(name, "ignore" | "void")).map_err(|reason| fail(line, reason))?;
        }
        palette.finished().map_err(|reason| fail(1, reason))
    }

    /// From codes with their names, in the order of the classes, each with the number of its line. `ignored`: whether a name
    /// marks unlabelled pixels.
    ///
    /// # Errors
    /// The line, and what is wrong there: no name, a value that is named twice, fewer than two classes or more than 255.
    pub(crate) fn named(
        entries: impl IntoIterator<Item = (u64, Code, String)>,
        ignored: fn(&str) -> bool,
    ) -> Result<Self, (u64, String)> {
        let mut palette = Self { entries: Vec::new(), classes: Vec::new(), from_half: false };
        for (line, code, name) in entries {
            palette.name(code, &name, ignored(&name)).map_err(|reason| (line, reason))?;
        }
        palette.finished().map_err(|reason| (1, reason))
    }

    /// Names one more value.
    fn name(&mut self, code: Code, name: &str, ignored: bool) -> Result<(), String> {
        if name.is_empty() {
            return Err(format!("value {code} has no name"));
        }
        if self.entries.iter().any(|(known, _)| *known == code) {
            return Err(format!("value {code} is named twice"));
        }
        let class = if ignored {
            Target::NO_PIXEL
        } else if let Some(class) = self.classes.iter().position(|known| known == name) {
            class as u8
        } else {
            self.classes.push(name.to_owned());
            self.classes.len().wrapping_sub(1) as u8
        };
        if self.classes.len() > usize::from(Target::NO_PIXEL) {
            return Err("more than 255 classes".into());
        }
        self.entries.push((code, class));
        Ok(())
    }

    fn finished(mut self) -> Result<Self, String> {
        if self.classes.len() < 2 {
            return Err(format!("{} named classes; a mask needs at least two", self.classes.len()));
        }
        self.entries.sort_unstable();
        Ok(self)
    }

    /// The same with other names for its classes.
    #[must_use]
    pub(crate) fn renamed(mut self, classes: [&str; 2]) -> Self {
        self.classes = classes.map(str::to_owned).to_vec();
        self
    }

    /// From fixed codes, in class order.
    pub fn of(entries: &[(u16, &str)]) -> Self {
        let mut codes: Vec<(Code, u8)> =
            entries.iter().enumerate().map(|(class, (value, _))| (Code::grey(*value), class as u8)).collect();
        codes.sort_unstable();
        Self { entries: codes, classes: entries.iter().map(|(_, name)| (*name).to_owned()).collect(), from_half: false }
    }

    /// The same, with one more value that marks unlabelled pixels.
    #[must_use]
    pub fn ignoring(mut self, value: u16) -> Self {
        self.entries.push((Code::grey(value), Target::NO_PIXEL));
        self.entries.sort_unstable();
        self
    }

    /// Background 0 and one foreground value.
    pub fn binary(foreground: u16) -> Self {
        Self::of(&[(0, "background"), (foreground, "foreground")])
    }

    /// Background 0, and several values of one foreground.
    pub fn foregrounds(values: impl IntoIterator<Item = Code>) -> Self {
        let mut palette = Self::of(&[(0, "background")]);
        palette.classes.push("foreground".into());
        palette.entries.extend(values.into_iter().map(|value| (value, 1)));
        palette.entries.sort_unstable();
        palette
    }

    /// Background below 128, foreground from there on: masks that were smoothed or saved with loss.
    pub fn from_half() -> Self {
        Self { entries: Vec::new(), from_half: true, ..Self::binary(255) }
    }

    /// The classes of masks without a palette file, from all values in them: `{0, 1}` and `{0, 255}` are background and
    /// foreground; each other grey value or index is a class, in order, 0 being the background; 255 together with values
    /// that are all below 64 marks unlabelled pixels, as in PASCAL VOC.
    ///
    /// # Errors
    /// Messages for colours, or too many values.
    pub fn discover(values: &BTreeSet<Code>) -> Result<Self, String> {
        let advice = "name the values in a palette.csv (`value,name`) next to the images";
        if let Some(colour) = values.iter().find(|code| code.as_grey().is_none()) {
            return Err(format!("masks hold colours such as {colour}: {advice}"));
        }
        if values.len() > MAX_DISCOVERED {
            return Err(format!(
                "masks hold {} different values: either they are not masks or they were resized or compressed with \
                 loss; {advice} if they are",
                values.len()
            ));
        }
        let mut greys: Vec<u16> = values.iter().filter_map(|code| code.as_grey()).collect();
        if greys.iter().all(|&value| value == 0 || value == 255) {
            return Ok(Self::binary(255));
        }
        if greys.iter().all(|&value| value <= 1) {
            return Ok(Self::binary(1));
        }
        let ignore = greys.contains(&255) && greys.iter().all(|&value| value < 64 || value == 255);
        greys.retain(|&value| !(ignore && value == 255));
        let names: Vec<String> =
            greys.iter().map(|value| if *value == 0 { "background".to_owned() } else { value.to_string() }).collect();
        let mut palette = if greys == [0, 1] {
            Self::binary(1)
        } else {
            Self::of(&greys.iter().copied().zip(names.iter().map(String::as_str)).collect::<Vec<_>>())
        };
        if ignore {
            palette.entries.push((Code::grey(255), Target::NO_PIXEL));
        }
        Ok(palette)
    }

    /// Class names; the first is the background.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// True if any value is a colour: indexed files then stand for their colours.
    pub fn has_colours(&self) -> bool {
        self.entries.iter().any(|(code, _)| code.as_grey().is_none())
    }

    /// Whether a value marks unlabelled pixels.
    pub(crate) fn ignores(&self) -> bool {
        self.entries.iter().any(|(_, class)| *class == Target::NO_PIXEL)
    }

    /// The class of one code; [`Target::NO_PIXEL`] if it is to be ignored, `None` if it is unknown.
    pub fn class(&self, code: Code) -> Option<u8> {
        if self.from_half {
            return code.as_grey().map(|value| u8::from(value >= 128));
        }
        self.entries.binary_search_by_key(&code, |entry| entry.0).ok().map(|at| self.entries[at].1)
    }

    /// Classes of all pixels.
    ///
    /// # Errors
    /// A message with the unknown values.
    pub fn apply(&self, codes: &[Code]) -> Result<Vec<u8>, String> {
        let mut last = (Code::grey(0), self.class(Code::grey(0)));
        let mut unknown = BTreeSet::new();
        let classes = codes
            .iter()
            .map(|&code| {
                if code != last.0 {
                    last = (code, self.class(code));
                }
                last.1.unwrap_or_else(|| {
                    unknown.insert(code);
                    Target::NO_PIXEL
                })
            })
            .collect();
        if unknown.is_empty() { Ok(classes) } else { Err(self.unknown_message(&unknown)) }
    }

    /// The message about values without a class.
    pub(crate) fn unknown_message(&self, unknown: &BTreeSet<Code>) -> String {
        let list = |codes: &mut dyn Iterator<Item = Code>, total: usize| {
            let shown: Vec<String> = codes.take(8).map(|code| code.to_string()).collect();
            shown.join(", ") + if total > 8 { " ..." } else { "" }
        };
        format!(
            "mask values {} belong to no class (known: {})",
            list(&mut unknown.iter().copied(), unknown.len()),
            list(&mut self.entries.iter().map(|entry| entry.0), self.entries.len())
        )
    }
}

/// Unites several binary masks of one image (a pixel is foreground if it is in any); unlabelled pixels stay so only if
/// no mask has foreground.
pub(crate) fn unite(into: &mut [u8], other: &[u8]) {
    for (a, &b) in into.iter_mut().zip(other) {
        *a = match (*a, b) {
            (0, b) => b,
            (Target::NO_PIXEL, b) if b != 0 => b,
            (a, _) => a,
        };
    }
}

/// Mask classes in `from` size to a target in `to` size.
pub(crate) fn target(classes: &[u8], from: Size, to: Size) -> Target {
    Target::Mask(crate::image::area::majority(classes, from, to))
}

fn parse_code(text: &str) -> Option<Code> {
    if let Some(digits) = text.strip_prefix('#').filter(|digits| digits.len() == 6) {
        let [_, r, g, b] = u32::from_str_radix(digits, 16).ok()?.to_be_bytes();
        return Some(Code::rgb([r, g, b]));
    }
    if let Ok(value) = text.parse::<u16>() {
        return Some(Code::grey(value));
    }
    let parts: Vec<u8> =
        text.split([',', ' ']).filter(|part| !part.is_empty()).map(str::parse).collect::<Result<_, _>>().ok()?;
    Some(Code::rgb(parts.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Palette, Error> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("palette.csv");
        std::fs::write(&path, text).unwrap();
        Palette::read(&path)
    }

    fn greys(values: &[u16]) -> BTreeSet<Code> {
        values.iter().map(|&value| Code::grey(value)).collect()
    }

    #[test]
    fn files_name_greys_and_colours() {
        let palette =
            read("value,name\n\"0,0,0\",background\n\"0,176,0\",leaf\n255 0 0,symptom\n7,void\n8,leaf\n").unwrap();
        assert_eq!(palette.classes(), ["background", "leaf", "symptom"]);
        let codes = [Code::grey(0), Code::rgb([0, 176, 0]), Code::rgb([255, 0, 0]), Code::grey(7), Code::grey(8)];
        assert_eq!(palette.apply(&codes).unwrap(), [0, 1, 2, 255, 1]);
        assert!(palette.has_colours());
        let words = palette.apply(&[Code::grey(9), Code::rgb([1, 2, 3])]).unwrap_err();
        assert!(words.contains("9, \"1,2,3\" belong to no class"), "{words}");
    }

    #[test]
    fn mistakes_in_a_file_name_their_line() {
        for (text, line, word) in [
            ("name,value\n0,a\n1,b\n", 1, "expected `value,name`"),
            ("value,name\n0,a\n300000,b\n", 3, "neither a grey value"),
            ("value,name\n0,a\n0,b\n", 3, "twice"),
            ("value,name\n0,a\n1\n", 3, "fields"),
            ("value,name\n0,a\n", 1, "at least two"),
            ("value,name\n0,\n", 2, "no name"),
            ("value,name\n0,void\n1,a\n", 1, "at least two"),
        ] {
            match read(text) {
                Err(Error::Table { line: at, reason, .. }) => {
                    assert!(at == line && reason.contains(word), "{text:?}: line {at}: {reason}");
                }
                other => panic!("{text:?}: {other:?}"),
            }
        }
    }

    #[test]
    fn classes_are_discovered_from_values() {
        let names = |values: &[u16]| Palette::discover(&greys(values)).unwrap().classes().to_vec();
        assert_eq!(names(&[0, 255]), ["background", "foreground"]);
        assert_eq!(names(&[0, 1]), ["background", "foreground"]);
        assert_eq!(names(&[0]), ["background", "foreground"]);
        assert_eq!(names(&[0, 1, 255]), ["background", "foreground"]);
        assert_eq!(names(&[0, 3, 7]), ["background", "3", "7"]);
        assert_eq!(names(&[1, 2, 3]), ["1", "2", "3"]);
        assert_eq!(names(&[0, 128, 255]), ["background", "128", "255"]);
        let voc = Palette::discover(&greys(&[0, 5, 255])).unwrap();
        assert_eq!((voc.classes().len(), voc.class(Code::grey(255))), (2, Some(Target::NO_PIXEL)));
        assert!(Palette::discover(&(0..200).map(Code::grey).collect()).unwrap_err().contains("200 different values"));
        assert!(Palette::discover(&[Code::rgb([1, 0, 0])].into()).unwrap_err().contains("palette.csv"));
    }

    #[test]
    fn masks_unite() {
        let mut a = [0, 1, 0, 255, 255, 1];
        unite(&mut a, &[0, 0, 1, 0, 1, 255]);
        assert_eq!(a, [0, 1, 1, 255, 1, 1]);
    }
}
