//! Class folders that are probably none: parts of a layout that was not recognised, masks, folders around classes. They are
//! refused with what decides; the reader `folder`, if it is set, takes them as classes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::cases::{MOST_CLASSES, numbers_classes};
use super::{Found, looks};
use crate::error::Error;
use crate::readers::{names, subsets, walk};
use crate::reading::Reading;

/// Fewer files of the same names are no sign.
const FEWEST: usize = 3;

const AS_CLASSES: &str = "set data.open.reader to \"folder\" if they are classes";

/// Refuses classes that are probably none. Folders of the same images at two sizes are said.
///
/// # Errors
/// The first reason.
pub(super) fn refuse(
    rows_of: &BTreeMap<String, usize>,
    found: &[Found],
    root: &Path,
    reading: &mut Reading,
) -> Result<(), Error> {
    if rows_of.is_empty() {
        return Ok(());
    }
    let below = Below::of(found, root);
    let files = Files::of(found);
    let reason = parts(rows_of)
        .or_else(|| files.masks(root))
        .or_else(|| below.iter().find_map(|(class, below)| below.parts(class)))
        .or_else(|| repeated(&below));
    if let Some(reason) = reason {
        return Err(Error::Layout { path: root.to_owned(), reason });
    }
    reading.warnings.extend(files.scaled());
    Ok(())
}

fn list<'a>(names: impl IntoIterator<Item = &'a String>) -> String {
    let names: Vec<&String> = names.into_iter().collect();
    let shown = names.iter().take(6).map(|name| format!("{name}/")).collect::<Vec<_>>().join(", ");
    format!("{shown}{}", if names.len() > 6 { " ..." } else { "" })
}

/// Classes that are probably parts of a layout.
fn parts(rows_of: &BTreeMap<String, usize>) -> Option<String> {
    let all = names::are_parts(rows_of.keys());
    let (suspects, others): (Vec<&String>, Vec<&String>) =
        rows_of.keys().partition(|name| all || names::is_layout(name));
    if rows_of.len() < 2 {
        return None;
    }
    if let Some(doubt) = subsets::doubt(&rows_of.keys().collect::<Vec<_>>()) {
        return Some(format!("{doubt}; or {AS_CLASSES}"));
    }
    let beside = if others.is_empty() { String::new() } else { format!(" beside {}", list(others)) };
    (!suspects.is_empty()).then(|| {
        format!(
            "{}{beside}: these are names of subsets, images or masks, and would become classes. Arrange the folder as \
             train/CLASS/*, images/* with masks/*, or CLASS/*; or {AS_CLASSES}",
            list(suspects)
        )
    })
}

/// The files of each class by their stem.
struct Files<'a>(BTreeMap<&'a str, BTreeMap<String, &'a PathBuf>>);

/// Files of one name in two class folders.
type Pairs<'a> = Vec<(&'a PathBuf, &'a PathBuf)>;

impl<'a> Files<'a> {
    fn of(found: &'a [Found]) -> Self {
        let mut files: BTreeMap<&str, BTreeMap<String, &PathBuf>> = BTreeMap::new();
        for row in found {
            if let Some(class) = &row.class {
                files.entry(class).or_default().insert(walk::stem(&row.image), &row.image);
            }
        }
        Self(files)
    }

    /// The files of `images` and those of the same names in `masks`.
    fn common(&self, images: &str, masks: &str) -> Pairs<'a> {
        let (Some(images), Some(masks)) = (self.0.get(images), self.0.get(masks)) else { return Vec::new() };
        masks.iter().filter_map(|(stem, mask)| Some((*images.get(stem)?, *mask))).collect()
    }

    /// A class whose folder holds the masks of another one by its name (`scans_mask` beside `scans`) or by its content, in files of
    /// the same names.
    fn masks(&self, root: &Path) -> Option<String> {
        let few = self.0.len() <= MOST_CLASSES;
        self.0.iter().find_map(|(name, own)| {
            let named = names::image_of_mask(name);
            let others = self.0.keys().filter(|other| *other != name && (few || named == Some(other)));
            others.into_iter().find_map(|images| {
                let pairs = self.common(images, name);
                if pairs.is_empty() || 2 * pairs.len() < own.len() {
                    return None;
                }
                let looks = || pairs.len() >= FEWEST && looks::are_images_and_masks(&pairs);
                let how = match named == Some(images) {
                    true => format!("is named like the masks of {images}/"),
                    false if looks() => "holds few values per file, as masks do".to_owned(),
                    false => return None,
                };
                let pattern = |class: &str, path: &Path| match walk::relative(path, root).starts_with(class) {
                    true => format!("{class}/**/*"),
                    false => format!("**/{class}/**/*"),
                };
                let (image, mask) = pairs[0];
                Some(format!(
                    "{name}/ {how}, and {} of its {} files have the names of files in {images}/: they would become classes. If they \
                     are masks, set data.open.images = \"{}\" and data.open.masks = \"{}\"; or {AS_CLASSES}",
                    pairs.len(),
                    own.len(),
                    pattern(images, image),
                    pattern(name, mask)
                ))
            })
        })
    }

    /// Two class folders with files of the same names, the ones a multiple of the others' size.
    fn scaled(&self) -> Option<String> {
        let same = |a: &str, b: &str| self.0[a].len() >= FEWEST && self.0[a].keys().eq(self.0[b].keys());
        let names: Vec<&str> = self.0.keys().copied().filter(|_| self.0.len() <= MOST_CLASSES).collect();
        names.iter().find_map(|large| {
            let small = names.iter().filter(|small| *small != large && same(large, small));
            small.into_iter().find_map(|small| {
                let scale = looks::scale(&self.common(large, small))?;
                Some(format!(
                    "all {} files of {large}/ have the names of files in {small}/ and {scale} times their size: if these are the \
                     same images at two sizes, the folders are no classes",
                    self.0[large].len()
                ))
            })
        })
    }
}

/// The folders below a class folder that hold images without masks, and how many images.
#[derive(Default)]
struct Below {
    /// Without those of a subset that was recognised.
    folders: BTreeMap<String, usize>,
    images: usize,
}

impl Below {
    fn of(found: &[Found], root: &Path) -> BTreeMap<String, Self> {
        let mut all: BTreeMap<String, Self> = BTreeMap::new();
        for row in found.iter().filter(|row| row.masks.is_empty() && row.layers.is_empty()) {
            let Some(class) = &row.class else { continue };
            let below = all.entry(class.clone()).or_default();
            below.images += 1;
            let path = walk::relative(&row.image, root);
            let mut folders = path.split('/').skip_while(|part| part != class).skip(1).peekable();
            if let (Some(folder), Some(_)) = (folders.next(), folders.next())
                && (row.subset.is_none() || names::subset_named(folder).is_none())
            {
                *below.folders.entry(folder.to_owned()).or_default() += 1;
            }
        }
        all
    }

    /// Folders that are parts of a layout by their names.
    fn parts(&self, class: &str) -> Option<String> {
        let is_part = |name: &&String| {
            names::subset_named(name).is_some()
                || names::is_unlabelled(name)
                || names::is_images(name, false)
                || names::is_masks(name, true)
        };
        let parts: Vec<&String> = self.folders.keys().filter(is_part).collect();
        (parts.len() > 1).then(|| {
            format!(
                "{class}/ holds {}: these are names of subsets, images or masks, and all their images would be of the class \
                 `{class}`. If {class}/ is a data set of its own, give it as the folder; or {AS_CLASSES}",
                list(parts)
            )
        })
    }
}

/// Folders of the same names below nearly all class folders: the ones may be the classes or the others.
fn repeated(below: &BTreeMap<String, Below>) -> Option<String> {
    let mut classes_of: BTreeMap<&String, usize> = BTreeMap::new();
    below.values().flat_map(|below| below.folders.keys()).for_each(|name| *classes_of.entry(name).or_default() += 1);
    let most = |count: usize, all: usize| 10 * count >= 9 * all;
    let repeated: BTreeSet<&String> =
        classes_of.iter().filter(|(_, count)| most(**count, below.len())).map(|(name, _)| *name).collect();
    // `session_1`, `40X`: no names of classes.
    let plausible = repeated.iter().any(|name| !name.contains(|c: char| c.is_ascii_digit()) || numbers_classes(name));
    let images: usize = below.values().map(|below| below.images).sum();
    let inside: usize = below
        .values()
        .flat_map(|below| &below.folders)
        .filter(|(name, _)| repeated.contains(name))
        .map(|(_, count)| count)
        .sum();
    // `cat/2023`, `dog/2023`: words around numbers are the classes. Numbers around numbers, as `8863/0`, may be patients.
    let has_digit = |name: &String| name.contains(|c: char| c.is_ascii_digit());
    let words_around_numbers = repeated.iter().all(|name| has_digit(name)) && !below.keys().all(has_digit);
    if below.len() < 2 || repeated.len() < 2 || !plausible || words_around_numbers || !most(inside, images) {
        return None;
    }
    let (outer, inner) = (list(below.keys()), list(repeated.iter().copied()));
    let (first, name) = (below.keys().next()?, repeated.first()?);
    Some(format!(
        "the {} folders {outer} hold folders of the same {} names, {inner}: whether the outer or the inner folders are the classes is \
         not known. If the outer ones are, set data.open.reader to \"folder\". If the inner ones are, move them up, as \
         {name}/{first}/*, and set it too; or give each outer folder as a data set of its own",
        below.len(),
        repeated.len()
    ))
}
