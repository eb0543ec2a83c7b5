//! The meaning of mask values: each file is judged on its own before all are judged together.
//!
//! | files hold | classes |
//! |---|---|
//! | values of `palette.csv` | those; any other value makes the file broken |
//! | 0 and one of 1, 255, 65535 (not the same in all files) | background and foreground |
//! | values between 0 and 255 at edges only (JPEG, smoothed) | background, and foreground from 128 on |
//! | 255 in most files and another value in a few | 255 is the foreground, the few files are broken |
//! | 255 beside values below 64 | 255 is unlabelled, as in PASCAL VOC |
//! | other whole numbers, at most 64 | one class each |
//!
//! Everything but one meaning of all values is said in a sentence.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::class_list::{self, ClassList, Named};
use super::scan::ScannedRow;
use crate::error::{Error, Skipped};
use crate::facts::MaskFacts;
use crate::image::mask::Code;
use crate::image::palette::Palette;
use crate::reading::Reading;

/// Where the meaning of mask values comes from.
pub(super) enum Meaning {
    Known(Palette),
    /// Zero and one other value.
    Binary,
    /// One binary file per class: the classes after the background.
    Layers(Vec<String>),
    /// From all masks together.
    Discover,
    /// The same, with names for the values.
    Named(ClassList),
}

/// The meaning that a file in one of the folders gives to the values of masks; see [`class_list::find`].
pub(super) fn named(
    folders: &[&Path],
    lists: bool,
    used: &mut Vec<PathBuf>,
    reading: &mut Reading,
) -> Result<Option<Meaning>, Error> {
    Ok(class_list::find(folders, lists, used, reading)?.map(|named| match named {
        Named::Values(palette) => Meaning::Known(palette),
        Named::Names(list) => Meaning::Named(list),
    }))
}

/// Values that stand for the foreground where they are the only one beside 0.
const FOREGROUND: [u16; 3] = [1, 255, u16::MAX];
const UNLABELLED: u16 = 255;

struct File<'a> {
    path: &'a Path,
    facts: &'a MaskFacts,
    /// Grey values that are not 0.
    greys: BTreeSet<u16>,
}

impl File<'_> {
    /// The only value beside 0.
    fn single(&self) -> Option<u16> {
        self.greys.first().copied().filter(|_| self.greys.len() == 1)
    }
}

/// Gives mask values their classes, marks rows with unknown values as broken, and says what was inferred.
pub(super) fn settle(
    meaning: &Meaning,
    rows: &mut [ScannedRow],
    root: &Path,
    reading: &mut Reading,
) -> Result<Palette, Error> {
    let (palette, odd) = {
        let sound = rows.iter().filter(|row| row.broken.is_empty()).flat_map(ScannedRow::masks);
        let files: Vec<File> = sound.map(file).collect();
        say_alpha(&files, reading);
        match meaning {
            Meaning::Known(palette) => (palette.clone(), BTreeSet::new()),
            Meaning::Named(list) if list.is_long() => {
                let values = files.iter().flat_map(|file| file.facts.codes.iter().map(|(code, _)| *code)).collect();
                (list.palette(&values, reading)?, BTreeSet::new())
            }
            Meaning::Binary | Meaning::Layers(_) | Meaning::Discover | Meaning::Named(_) => {
                let union = !matches!(meaning, Meaning::Discover | Meaning::Named(_));
                infer(&files, union, reading)
                    .map_err(|(path, reason)| Error::Mask { path: path.unwrap_or_else(|| root.to_owned()), reason })?
            }
        }
    };
    let palette = if let Meaning::Named(list) = meaning { list.rename(palette, reading)? } else { palette };
    for row in rows {
        let unknown = |(path, facts): (&PathBuf, &MaskFacts)| {
            let is_odd = odd.contains(path);
            let known = |code: Code| match is_odd {
                true => matches!(code.as_grey(), Some(0 | UNLABELLED)),
                false => palette.class(code).is_some(),
            };
            let unknown: BTreeSet<Code> =
                facts.codes.iter().map(|(code, _)| *code).filter(|&code| !known(code)).collect();
            let pixels: u64 =
                facts.codes.iter().filter(|(code, _)| unknown.contains(code)).map(|(_, count)| count).sum();
            let mut reason = palette.unknown_message(&unknown);
            if is_odd {
                reason = format!("{pixels} pixels with {} in a mask whose other masks hold 0 and 255", list(&unknown));
            }
            (!unknown.is_empty()).then(|| Skipped { path: path.clone(), reason })
        };
        let broken: Vec<Skipped> = row.masks().filter_map(unknown).collect();
        row.broken.extend(broken);
    }
    Ok(palette)
}

fn file<'a>((path, facts): (&'a PathBuf, &'a MaskFacts)) -> File<'a> {
    let greys = facts.codes.iter().filter_map(|(code, _)| code.as_grey()).filter(|&value| value != 0).collect();
    File { path, facts, greys }
}

fn say_alpha(files: &[File], reading: &mut Reading) {
    let from_alpha: Vec<&File> = files.iter().filter(|file| file.facts.from_alpha).collect();
    if let Some(first) = from_alpha.first() {
        reading.guess(format!(
            "{} masks are read from their alpha channel, because their colour is the same everywhere, such as {}",
            from_alpha.len(),
            first.path.display()
        ));
    }
}

/// A palette, and the files with values beside those of all others.
type Inferred = (Palette, BTreeSet<PathBuf>);

fn infer(files: &[File], binary: bool, reading: &mut Reading) -> Result<Inferred, (Option<PathBuf>, String)> {
    let values: BTreeSet<Code> = files.iter().flat_map(|file| file.facts.codes.iter().map(|(code, _)| *code)).collect();
    let one_foreground = smoothed_edges(files, reading)
        .or_else(|| one_colour(&values, reading))
        .or_else(|| one_value_each(files, binary, reading));
    if let Some(palette) = one_foreground {
        return Ok((palette, BTreeSet::new()));
    }
    if let Some(odd) = odd_files(files)? {
        reading.warn(format!(
            "{} of {} masks hold other values than 0 and 255, such as {}: 255 is taken as the foreground, and those masks are \
             not used",
            odd.len(),
            files.len(),
            odd.first().map(|path| path.display().to_string()).unwrap_or_default()
        ));
        return Ok((Palette::binary(UNLABELLED), odd));
    }
    Ok((one_class_per_value(files, &values, reading)?, BTreeSet::new()))
}

/// Masks that were saved with loss, or smoothed when they were resized.
fn smoothed_edges(files: &[File], reading: &mut Reading) -> Option<Palette> {
    let smooth = |file: &File| file.facts.smoothed && file.greys.last().is_some_and(|&largest| largest > 223);
    let plain =
        |file: &File| file.greys.iter().all(|&value| value == 255) || file.greys.iter().all(|&value| value <= 32);
    let smoothed: Vec<&File> = files.iter().filter(|file| smooth(file) && !plain(file)).collect();
    let between: BTreeSet<u16> = smoothed.iter().flat_map(|file| file.greys.iter().copied()).collect();
    let ends_only = |file: &File| file.greys.iter().all(|&value| value >= 223 || value <= 32);
    let fits = files.iter().all(|file| smooth(file) || plain(file) || ends_only(file));
    let both_sides =
        between.iter().any(|value| (33..128).contains(value)) && between.iter().any(|value| (128..223).contains(value));
    let lossy = smoothed.iter().filter(|file| file.facts.lossy).count();
    if !fits || smoothed.is_empty() || (lossy == 0 && !(both_sides && between.len() > 4)) {
        return None;
    }
    let how = if lossy > 0 { format!(" ({lossy} of them JPEG, which changes values)") } else { String::new() };
    reading.guess(format!(
        "{} of {} masks hold values between 0 and 255 at their edges only{how}: values from 128 on are taken as the \
         foreground",
        smoothed.len(),
        files.len()
    ));
    Some(Palette::from_half())
}

/// Black and one colour.
fn one_colour(values: &BTreeSet<Code>, reading: &mut Reading) -> Option<Palette> {
    let colour = values.last().copied().filter(|last| last.as_grey().is_none())?;
    if values.iter().any(|&code| code != colour && code != Code::grey(0)) {
        return None;
    }
    reading.guess(format!("all masks hold black and {colour} only: black is the background, {colour} the foreground"));
    Some(Palette::foregrounds([colour]))
}

/// Masks that hold 0 and one value each; `binary`: any value will do.
fn one_value_each(files: &[File], binary: bool, reading: &mut Reading) -> Option<Palette> {
    let singles: BTreeSet<u16> = files.iter().filter_map(File::single).collect();
    let of_two = files.iter().all(|file| file.greys.len() <= 1 && file.facts.codes.len() <= 2);
    let usual = singles.iter().all(|value| FOREGROUND.contains(value));
    let only = singles.first().copied()?;
    if singles.len() > 1 && of_two && usual {
        let groups: Vec<String> = singles
            .iter()
            .map(|&value| {
                let of: Vec<&File> = files.iter().filter(|file| file.single() == Some(value)).collect();
                let first = of.first().map(|file| file.path.display().to_string()).unwrap_or_default();
                format!("{} masks hold 0 and {value}, such as {first}", of.len())
            })
            .collect();
        reading.guess(format!("{}: each stands for the same foreground", groups.join("; ")));
        return Some(Palette::foregrounds(FOREGROUND.map(Code::grey)));
    }
    if files.iter().any(|file| file.greys.len() > 1) {
        return None;
    }
    if singles.len() == 1 {
        return (binary || (of_two && usual)).then(|| Palette::binary(only));
    }
    if !binary {
        return None;
    }
    let words: Vec<String> = singles.iter().map(u16::to_string).collect();
    reading
        .guess(format!("each mask has one value besides 0 (one of {}): it is what the mask shows", words.join(", ")));
    Some(Palette::foregrounds(singles.into_iter().map(Code::grey)))
}

/// Masks of several classes.
fn one_class_per_value(
    files: &[File],
    values: &BTreeSet<Code>,
    reading: &mut Reading,
) -> Result<Palette, (Option<PathBuf>, String)> {
    if let Some(file) = files.iter().find(|file| file.facts.lossy && file.facts.codes.len() > 2) {
        let reason = format!(
            "a JPEG mask of {} values: JPEG changes values, and only masks of dark background and light foreground survive \
             it; save masks as PNG",
            file.facts.codes.len()
        );
        return Err((Some(file.path.to_owned()), reason));
    }
    let palette = Palette::discover(values).map_err(|reason| {
        let of = |file: &&File| Palette::discover(&file.facts.codes.iter().map(|(code, _)| *code).collect()).is_err();
        let first = files.iter().find(of).or(files.iter().max_by_key(|file| file.greys.len()));
        (first.map(|file| file.path.to_owned()), reason)
    })?;
    if palette.classes().len() > 2 {
        let classes = palette.classes().join(", ");
        reading.guess(format!(
            "the masks' values are taken as {} classes: {classes}; a palette.csv (`value,name`) next to the images \
             names them, and any other value is then an error",
            palette.classes().len()
        ));
    }
    let counts_up = |file: &File| file.greys.iter().copied().eq(1..=file.greys.len() as u16);
    let most = files.iter().map(|file| file.greys.len()).max().unwrap_or(0);
    if most > 1 && files.iter().all(counts_up) && files.iter().any(|file| file.greys.len() < most) {
        reading.warn(format!(
            "every mask counts up from 1 without gaps, to {most} at most: if its values number the objects of the image, they are \
             no classes; give all objects of a class one value (instances are not told apart)"
        ));
    }
    if palette.class(Code::grey(UNLABELLED)) == Some(mtl_task::Target::NO_PIXEL) {
        let with = files.iter().filter(|file| file.greys.contains(&UNLABELLED)).count();
        reading.guess(format!(
            "the value 255, in {with} of {} masks, marks unlabelled pixels; a palette.csv (`value,name`) with a line for 255 makes it \
             a class",
            files.len()
        ));
    }
    Ok(palette)
}

/// Where 255 is the foreground of most masks, the files that hold another value too: a pixel by accident, a border. `None`
/// where 255 occurs as the mark of unlabelled pixels, beside the values of classes.
fn odd_files(files: &[File]) -> Result<Option<BTreeSet<PathBuf>>, (Option<PathBuf>, String)> {
    let alone: Vec<&File> = files.iter().filter(|file| file.single() == Some(UNLABELLED)).collect();
    let others: Vec<&File> =
        files.iter().filter(|file| !file.greys.is_empty() && file.single() != Some(UNLABELLED)).collect();
    let beside = others.iter().filter(|file| file.greys.contains(&UNLABELLED)).count();
    let coloured = files.iter().any(|file| file.facts.codes.iter().any(|(code, _)| code.as_grey().is_none()));
    let deep = others.iter().any(|file| file.greys.iter().any(|&value| value > UNLABELLED));
    if alone.is_empty() || others.is_empty() || coloured || deep {
        return Ok(None);
    }
    if beside == others.len() && alone.len() >= 4 * others.len() {
        return Ok(Some(others.iter().map(|file| file.path.to_owned()).collect()));
    }
    // 255 alone in about as many masks as beside other values: it may be either.
    if alone.len() >= beside.max(1) && others.iter().all(|file| file.greys.iter().all(|&v| v < 64 || v == UNLABELLED)) {
        let name = |file: Option<&&File>| file.map(|file| file.path.display().to_string()).unwrap_or_default();
        return Err((
            None,
            format!(
                "{} masks hold 0 and 255, such as {}, and {} hold other values, such as {}: 255 may be a foreground or mark \
                 unlabelled pixels; name the values in a palette.csv (`value,name`) next to the images",
                alone.len(),
                name(alone.first()),
                others.len(),
                name(others.first())
            ),
        ));
    }
    Ok(None)
}

fn list(codes: &BTreeSet<Code>) -> String {
    let shown: Vec<String> = codes.iter().take(8).map(|code| code.to_string()).collect();
    let values = if codes.len() == 1 { "value" } else { "values" };
    format!("{values} {}{}", shown.join(", "), if codes.len() > 8 { " ..." } else { "" })
}
