//! The generic layout: `images/<class>/*`, `images/*`, or `<class>/*` without `images/`.
//!
//! Masks are looked for in `masks/`, under the image's path below `images/` or under its bare stem (`_mask` may follow):
//! indexed or grey PNG, or colours named in `palette.csv`. Without `masks/`, if every image has an alpha
//! channel, alpha is the mask. Folders called `train`, `validation` (`val`, `valid`) and `test` above the classes are
//! taken as the split. Tasks: `class` for two or more class folders, `mask` for masks.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use mtl_task::{Task, TaskKind};

use super::files::{Draft, Meaning, mask_task, palette_file};
use super::row::{Label, Row};
use super::{OpenOptions, ReaderFns, walk};
use crate::dataset::{Dataset, Subset};
use crate::error::Error;
use crate::reading::Reading;

pub(super) const READER: ReaderFns = ReaderFns { detect, open };

fn detect(root: &Path) -> bool {
    root.is_dir() && walk::any_image(root)
}

/// One folder of images and where their masks would be.
struct Source {
    images: PathBuf,
    masks: Option<PathBuf>,
    subset: Option<Subset>,
}

struct Found {
    image: PathBuf,
    class: Option<String>,
    mask: Option<PathBuf>,
    subset: Option<Subset>,
}

fn open(root: &Path, options: &OpenOptions) -> Result<Box<dyn Dataset>, Error> {
    let mut reading = Reading::by("folder");
    let mut found = Vec::new();
    let mut has_masks = false;
    let mut sources = Vec::new();
    collect_sources(root, None, &mut sources)?;
    for source in &sources {
        has_masks |= source.masks.is_some();
        read_source(source, &mut found, &mut reading)?;
    }
    let mut classes: Vec<String> = found.iter().filter_map(|found| found.class.clone()).collect();
    classes.sort();
    classes.dedup();
    if classes.len() == 1 {
        reading.guess(format!("only one class folder (`{}`): no classification task", classes[0]));
    }
    let with_class = classes.len() > 1;
    let rows = found.into_iter().map(|found| {
        let class = found.class.and_then(|name| classes.binary_search(&name).ok()).map_or(Label::Missing, Label::Class);
        let mask = found.mask.map_or(Label::Missing, |path| Label::Mask(vec![path]));
        let labels = [(with_class, class), (has_masks, mask)].into_iter().filter(|(has, _)| *has);
        Row { image: found.image, labels: labels.map(|(_, label)| label).collect(), subset: found.subset }
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
    places.extend(sources.iter().filter_map(|source| source.masks.as_deref()));
    let meaning = palette_file(&places)?.map_or(Meaning::Discover, Meaning::Known);
    Draft { root: root.to_owned(), tasks, rows, meaning, alpha_as_mask: !has_masks, reading }.build(options)
}

/// Splits `folder` into its subsets, above or below `images/`.
fn collect_sources(folder: &Path, subset: Option<Subset>, sources: &mut Vec<Source>) -> Result<(), Error> {
    if let (None, Some(subsets)) = (subset, subset_folders(folder)?) {
        for (subset, inner) in subsets {
            collect_sources(&inner, Some(subset), sources)?;
        }
        return Ok(());
    }
    let inner = folder.join("images");
    let images = if inner.is_dir() { inner } else { folder.to_owned() };
    let masks = Some(folder.join("masks")).filter(|masks| masks.is_dir());
    match subset_folders(&images)?.filter(|_| subset.is_none()) {
        Some(subsets) => sources.extend(subsets.into_iter().map(|(subset, images)| {
            let of_subset = masks.as_ref().map(|masks| masks.join(walk::name(&images))).filter(|masks| masks.is_dir());
            Source { images, masks: of_subset.or_else(|| masks.clone()), subset: Some(subset) }
        })),
        None => sources.push(Source { images, masks, subset }),
    }
    Ok(())
}

/// The subsets, if the folder holds two or more folders and all are called like subsets of a split.
fn subset_folders(folder: &Path) -> Result<Option<Vec<(Subset, PathBuf)>>, Error> {
    let folders = walk::folders(folder)?;
    let subsets: Option<Vec<_>> =
        folders.iter().map(|path| Some((subset_named(&walk::name(path))?, path.clone()))).collect();
    Ok(subsets.filter(|subsets| subsets.len() > 1))
}

/// The subset with this name, in a table or as a folder.
pub(super) fn subset_named(word: &str) -> Option<Subset> {
    match word.to_ascii_lowercase().as_str() {
        "train" | "training" => Some(Subset::Train),
        "validation" | "val" | "valid" => Some(Subset::Validation),
        "test" => Some(Subset::Test),
        _ => None,
    }
}

fn read_source(source: &Source, found: &mut Vec<Found>, reading: &mut Reading) -> Result<(), Error> {
    let mut images: Vec<(PathBuf, Option<String>)> =
        walk::images(&source.images)?.into_iter().map(|path| (path, None)).collect();
    walk::unread(&source.images, reading)?;
    for folder in walk::folders(&source.images)? {
        if source.masks.as_ref() == Some(&folder) {
            continue;
        }
        let inside = walk::images_below(&folder)?;
        walk::unread(&folder, reading)?;
        images.extend(inside.into_iter().map(|path| (path, Some(walk::name(&folder)))));
    }
    let mut masks = Masks::read(source.masks.as_deref())?;
    let mut stems: BTreeMap<String, usize> = BTreeMap::new();
    images.iter().for_each(|(image, _)| *stems.entry(walk::stem(image)).or_default() += 1);
    for (image, class) in images {
        let unique = stems.get(&walk::stem(&image)) == Some(&1);
        let mask = masks.take(&walk::relative(&image.with_extension(""), &source.images), unique);
        found.push(Found { image, class, mask, subset: source.subset });
    }
    for mask in masks.by_path.values() {
        reading.leave("a mask that belongs to no image, or to several of one name", mask);
    }
    Ok(())
}

/// Mask files by their path below `masks/` without extension, and by stem where that is unique.
struct Masks {
    by_path: BTreeMap<String, PathBuf>,
    by_stem: BTreeMap<String, Option<String>>,
}

impl Masks {
    fn read(folder: Option<&Path>) -> Result<Self, Error> {
        let mut masks = Self { by_path: BTreeMap::new(), by_stem: BTreeMap::new() };
        let Some(folder) = folder else { return Ok(masks) };
        for path in walk::images_below(folder)? {
            let key = walk::relative(&path.with_extension(""), folder);
            let key = key.strip_suffix("_mask").unwrap_or(&key).to_owned();
            let stem = key.rsplit('/').next().unwrap_or(&key).to_owned();
            masks.by_stem.entry(stem).and_modify(|other| *other = None).or_insert_with(|| Some(key.clone()));
            masks.by_path.insert(key, path);
        }
        Ok(masks)
    }

    fn take(&mut self, path: &str, stem_is_unique: bool) -> Option<PathBuf> {
        let stem = path.rsplit('/').next().unwrap_or(path);
        let by_stem = self.by_stem.get(stem).cloned().flatten().filter(|_| stem_is_unique);
        self.by_path.remove(path).or_else(|| self.by_path.remove(&by_stem?))
    }
}
