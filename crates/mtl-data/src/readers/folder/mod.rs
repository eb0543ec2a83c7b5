//! The generic layout: class folders, images with masks, or both.
//!
//! | layout | example |
//! |---|---|
//! | class folders | `cat/*.jpg`, `dog/*.jpg`; images may lie deeper |
//! | images and masks | `images/*`, `masks/*` by path or stem (`image`, `imgs`, `JPEGImages` ...; `mask`, `labels`, `annotations`, `gt` ...) |
//! | masks next to images | `x.png`, `x_mask.png` (`_seg`, `-label`, `.gt` ...; `_mask_1`, `_mask_2` are united), or `x.jpg`, `x.png` |
//! | one folder per case | `ID/images/x.png`, `ID/masks/*.png` (united), or `ID/image.png`, `ID/mask.png` |
//! | subsets around or below any of these | `train/`, `Validation/`, `test_set/` ...; `unlabeled/`; `trainannot/` next to `train/` |
//!
//! Masks are indexed or grey PNG, or colours named in `palette.csv`. Without masks, alpha is the mask if every image has an
//! alpha channel. Tasks: `class` for two or more class folders, `mask` for masks. Class names in the order of numbers if all are
//! numbers, else sorted.

mod cases;
mod pairs;
pub(super) mod parts;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use mtl_task::{Task, TaskKind};

use self::cases::Case;
use self::pairs::{Beside, Masks};
use self::parts::Part;
use super::files::{Draft, Meaning, mask_task, palette_file};
use super::row::{Label, Row};
use super::{OpenOptions, ReaderFns, names, walk};
use crate::dataset::{Dataset, Subset};
use crate::error::Error;
use crate::reading::Reading;

pub(super) const READER: ReaderFns = ReaderFns { detect, open };

fn detect(root: &Path) -> bool {
    root.is_dir() && walk::any_image(root)
}

struct Found {
    image: PathBuf,
    class: Option<String>,
    masks: Vec<PathBuf>,
    subset: Option<Subset>,
}

fn open(root: &Path, options: &OpenOptions) -> Result<Box<dyn Dataset>, Error> {
    let mut reading = Reading::default();
    let (mut found, mut left) = (Vec::new(), BTreeMap::new());
    let parts = parts::parts(root)?;
    describe(&parts, root, &mut reading);
    for part in &parts {
        read_part(part, &mut found, &mut left, &mut reading)?;
    }
    merge_cases(&mut found, root, &mut reading)?;
    let rows_of = counts(found.iter().filter_map(|found| found.class.as_ref()));
    if options.reader.is_none() {
        suspect(&rows_of, root)?;
    }
    let classes = in_order(rows_of.keys().cloned().collect());
    if classes.len() == 1 {
        reading.guess(format!("only one class folder (`{}`): no classification task", classes[0]));
    }
    let with_class = classes.len() > 1;
    let has_masks = parts.iter().any(|part| part.masks.is_some()) || found.iter().any(|found| !found.masks.is_empty());
    let united = found.iter().any(|found| found.masks.len() > 1);
    let rows = found.into_iter().map(|found| {
        let class = found.class.and_then(|name| classes.iter().position(|class| *class == name));
        let mask = if found.masks.is_empty() { Label::Missing } else { Label::Mask(found.masks) };
        let labels = [(with_class, class.map_or(Label::Missing, Label::Class)), (has_masks, mask)];
        let labels = labels.into_iter().filter(|(has, _)| *has).map(|(_, label)| label).collect();
        Row { image: found.image, labels, subset: found.subset }
    });
    let rows = rows.collect();
    let mut tasks = Vec::new();
    if with_class {
        tasks.push(Task::new("class", TaskKind::Classification { classes }));
    }
    if has_masks {
        tasks.push(mask_task("mask"));
    }
    let mut places = vec![root];
    places.extend(parts.iter().filter_map(|part| part.masks.as_deref()));
    let inferred = if united { Meaning::Binary } else { Meaning::Discover };
    let tables = places.iter().map(|folder| folder.join("palette.csv")).collect();
    let meaning = palette_file(&places)?.map_or(inferred, Meaning::Known);
    Draft {
        root: root.to_owned(),
        tasks,
        rows,
        meaning,
        alpha_as_mask: !has_masks,
        tables,
        left,
        count_rest: true,
        reading,
    }
    .build(options)
}

/// Says which folders are subsets and which hold masks.
fn describe(parts: &[Part], root: &Path, reading: &mut Reading) {
    let name = |path: &Path| match walk::relative(path, root) {
        name if name.is_empty() => ".".to_owned(),
        name => format!("{name}/"),
    };
    for part in parts {
        let images = name(&part.images);
        if part.unlabelled {
            reading.guess(format!("{images} holds training images without labels"));
        } else if let Some(subset) = part.subset {
            reading.guess(format!("{images} is the {} subset", subset.name()));
        }
        if let Some(masks) = &part.masks {
            reading.guess(format!("{} holds the masks of the images in {images}", name(masks)));
        }
    }
}

fn read_part(
    part: &Part,
    found: &mut Vec<Found>,
    left: &mut BTreeMap<PathBuf, &'static str>,
    reading: &mut Reading,
) -> Result<(), Error> {
    if !part.unlabelled
        && part.masks.is_none()
        && let Some(cases) = cases::cases(&part.images)?
    {
        let masks: usize = cases.iter().map(|case| case.masks.len()).sum();
        let united =
            if masks > cases.len() { ": those of one image are united, its instances are not told apart" } else { "" };
        reading.guess(format!("{} folders hold one image with its masks each ({masks} masks){united}", cases.len()));
        let row = |case: Case| Found { image: case.image, class: None, masks: case.masks, subset: part.subset };
        found.extend(cases.into_iter().map(row));
        return Ok(());
    }
    let mut images = walk::images(&part.images)?;
    let mut class_of: BTreeMap<PathBuf, String> = BTreeMap::new();
    for folder in walk::folders(&part.images)? {
        if part.masks.as_ref() == Some(&folder) {
            continue;
        }
        let inside = walk::images_below(&folder)?;
        if inside.is_empty() {
            reading.warn(format!("folder {} holds no images: it is no class", folder.display()));
        }
        class_of.extend(inside.iter().map(|path| (path.clone(), walk::name(&folder))));
        images.extend(inside);
    }
    let mut beside =
        if part.masks.is_none() && !part.unlabelled { Beside::take(&mut images) } else { Beside::default() };
    if !beside.of.is_empty() {
        let how = if beside.by_values {
            "have the stem of their image and hold few values"
        } else {
            "are named after their image"
        };
        let count: usize = beside.of.values().map(Vec::len).sum();
        reading.guess(format!("{count} files next to {} images {how}: they are read as masks", beside.of.len()));
    }
    let mut masks = Masks::read(part.masks.as_deref())?;
    let mut stems: BTreeMap<String, usize> = BTreeMap::new();
    images.iter().for_each(|image| *stems.entry(walk::stem(image)).or_default() += 1);
    for image in images {
        let unique = stems.get(&walk::stem(&image)) == Some(&1);
        let mut own = masks.take(&walk::relative(&image.with_extension(""), &part.images), unique);
        own.extend(beside.of.remove(&image).unwrap_or_default());
        let class = class_of.remove(&image).filter(|_| !part.unlabelled);
        found.push(Found { class, masks: own, subset: part.subset, image });
    }
    let orphans = masks.left().chain(&beside.left).cloned();
    left.extend(orphans.map(|mask| (mask, "a mask that belongs to no image, or to several of one name")));
    Ok(())
}

fn counts<'a>(names: impl Iterator<Item = &'a String>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    names.for_each(|name| *counts.entry(name.clone()).or_default() += 1);
    counts
}

/// Classes whose names differ in case only are one class if they are in different subsets, and a mistake in one folder.
fn merge_cases(found: &mut [Found], root: &Path, reading: &mut Reading) -> Result<(), Error> {
    let mut spellings: BTreeMap<String, BTreeMap<String, BTreeSet<Option<Subset>>>> = BTreeMap::new();
    for row in found.iter() {
        let Some(class) = &row.class else { continue };
        let known = spellings.entry(class.to_lowercase()).or_default();
        known.entry(class.clone()).or_default().insert(row.subset);
    }
    for known in spellings.into_values().filter(|known| known.len() > 1) {
        let names: Vec<&String> = known.keys().collect();
        let all: usize = known.values().map(BTreeSet::len).sum();
        let different: BTreeSet<&Option<Subset>> = known.values().flatten().collect();
        let shown = names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        if different.len() < all {
            let reason =
                format!("the class folders {shown} differ in case only; merge them, or give them different names");
            return Err(Error::Layout { path: root.to_owned(), reason });
        }
        let Some(first) = names.first().map(|name| (*name).clone()) else { continue };
        let mut changed = 0;
        for class in found.iter_mut().filter_map(|row| row.class.as_mut()).filter(|class| known.contains_key(*class)) {
            changed += usize::from(*class != first);
            class.clone_from(&first);
        }
        reading.warn(format!(
            "the class folders {shown} of different subsets differ in case only: they are one class `{first}` ({changed} rows renamed)"
        ));
    }
    Ok(())
}

/// Refuses classes that are probably parts of a layout that was not recognised.
fn suspect(rows_of: &BTreeMap<String, usize>, root: &Path) -> Result<(), Error> {
    let suspects: Vec<&String> = rows_of.keys().filter(|name| names::is_layout(name)).collect();
    if suspects.is_empty() || rows_of.len() < 2 {
        return Ok(());
    }
    let list = |names: &[&String]| names.iter().take(6).map(|name| format!("{name}/")).collect::<Vec<_>>().join(", ");
    let others: Vec<&String> = rows_of.keys().filter(|name| !names::is_layout(name)).collect();
    let beside = if others.is_empty() { String::new() } else { format!(" beside {}", list(&others)) };
    Err(Error::Layout {
        path: root.to_owned(),
        reason: format!(
            "{}{beside}: these are names of subsets, images or masks, and would become classes. Arrange the folder as \
             train/CLASS/*, images/* with masks/*, or CLASS/*; or set data.open.reader to \"folder\" if they are classes",
            list(&suspects)
        ),
    })
}

/// Numbers in numeric order if all names are numbers, else sorted.
pub(super) fn in_order(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    let number = |name: &String| name.parse::<f64>().ok().filter(|number| number.is_finite());
    if names.iter().all(|name| number(name).is_some()) {
        names.sort_by(|a, b| number(a).unwrap_or(0.0).total_cmp(&number(b).unwrap_or(0.0)));
    }
    names
}
