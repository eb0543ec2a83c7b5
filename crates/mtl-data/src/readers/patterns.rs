//! Images and masks by patterns of paths (`data.open.images`, `data.open.masks`), for layouts that no reader finds.
//!
//! Patterns are those of shells (`scans/**/*.tif`), relative to the folder. A mask belongs to the image of its path below the part
//! of the pattern without wildcards, else to the only image of its stem (also without `_mask` and the like, or without the text
//! around the wildcards of the name: `*_L.png`). Two or more folders below that part of the images' pattern are classes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use mtl_task::{Task, TaskKind};

use super::draft::{Draft, mask_task};
use super::folder::pairs::Masks;
use super::masks::{self, Meaning};
use super::row::{Label, Row};
use super::wildcard::Wildcard;
use super::{OpenOptions, ReaderFns, names, walk};
use crate::dataset::Dataset;
use crate::error::Error;
use crate::reading::Reading;
use crate::row_notes::RowNotes;

/// Chosen by the settings, never by the folder.
pub(super) const READER: ReaderFns = ReaderFns { detect: |_| false, open };

fn open(root: &Path, options: &OpenOptions) -> Result<Box<dyn Dataset>, Error> {
    let mut reading = Reading::default();
    let images = options.images.as_deref().map(|text| Wildcard::new("images", text)).transpose()?;
    let masks = options.masks.as_deref().map(|text| Wildcard::new("masks", text)).transpose()?;
    let all = walk::images_below(root)?;
    let is = |wanted: &Option<Wildcard>, path: &Path| {
        wanted.as_ref().is_some_and(|pattern| pattern.matches(&walk::relative(path, root)))
    };
    let (mask_files, rest): (Vec<PathBuf>, Vec<PathBuf>) = all.into_iter().partition(|path| is(&masks, path));
    let image_files: Vec<PathBuf> = rest.into_iter().filter(|path| images.is_none() || is(&images, path)).collect();
    for (key, given, found) in
        [("images", &options.images, image_files.len()), ("masks", &options.masks, mask_files.len())]
    {
        let Some(text) = given else { continue };
        if found == 0 {
            let reason = format!("no file that data.open.{key} = \"{text}\" matches");
            return Err(Error::Empty { path: root.to_owned(), reason });
        }
        reading.guess(format!("data.open.{key} = \"{text}\" matches {found} files"));
    }
    let base = |pattern: &Option<Wildcard>| root.join(pattern.as_ref().map(Wildcard::fixed).unwrap_or_default());
    let (image_base, mask_base) = (base(&images), base(&masks));
    let bare = |pattern: &Option<Wildcard>, path: &str| {
        let bare = pattern.as_ref()?.without_affixes(path).into_owned();
        (bare != path).then_some(bare)
    };
    let first_mask = mask_files.first().cloned();
    let mut pairs = Masks::of(mask_files, &mask_base, |path| bare(&masks, path));
    let below = |image: &Path| {
        let path = walk::relative(&image.with_extension(""), &image_base);
        bare(&images, &path).unwrap_or(path)
    };
    let (mut paths, mut stems) = (BTreeMap::<String, usize>::new(), BTreeMap::<String, usize>::new());
    let stem = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    for path in image_files.iter().map(|image| below(image)) {
        *stems.entry(stem(&path)).or_default() += 1;
        *paths.entry(path).or_default() += 1;
    }
    // Folders below the part without wildcards: subsets by their names, else the first is the class.
    let folders = |image: &Path| {
        let path = walk::relative(image, &image_base);
        let mut folders: Vec<String> = path.split('/').map(str::to_owned).collect();
        folders.pop();
        folders
    };
    let class_of = |image: &Path| folders(image).into_iter().find(|name| names::subset_named(name).is_none());
    let subset_of = |image: &Path| folders(image).iter().find_map(|name| names::subset_named(name));
    let classes: BTreeSet<String> = image_files.iter().filter_map(|image| class_of(image)).collect();
    let classes = names::in_order(classes);
    if let (true, Some(part)) = (classes.len() > 1, classes.iter().find(|name| names::is_layout(name))) {
        let reason = format!(
            "the folders {} would become classes, and {part}/ is called like a part of a layout: data.open.images leaves out the \
             folders that hold no images of the task, and its part without wildcards ends above the folders of classes",
            classes.join(", ")
        );
        return Err(Error::Layout { path: root.to_owned(), reason });
    }
    // A numbered folder per image, as of one case each, is no class.
    let numbered = classes.iter().all(|name| name.contains(|c: char| c.is_ascii_digit()));
    let with_class = classes.len() > 1 && !(numbered && classes.len() == image_files.len());
    if classes.len() > 1 && !with_class {
        reading.guess(format!(
            "the {} numbered folders of one image each, such as {}/, are no classes",
            classes.len(),
            classes[0]
        ));
    }
    if with_class {
        reading.guess(format!("the folders {} are classes", classes.join(", ")));
    }
    let place: BTreeMap<&String, usize> = classes.iter().zip(0..).collect();
    let rows = image_files.into_iter().map(|image| {
        let path = below(&image);
        let own = pairs.take(&path, paths.get(&path) == Some(&1), stems.get(&stem(&path)) == Some(&1));
        let class = class_of(&image).and_then(|class| place.get(&class).copied());
        let subset = subset_of(&image);
        let mask = if own.is_empty() { Label::Missing } else { Label::Mask(own) };
        let labels = [(with_class, class.map_or(Label::Missing, Label::Class)), (masks.is_some(), mask)];
        Row {
            image,
            labels: labels.into_iter().filter(|(has, _)| *has).map(|(_, label)| label).collect(),
            subset,
            notes: RowNotes::default(),
        }
    });
    let rows: Vec<Row> = rows.collect();
    if let (Some(mask), Some(image)) = (&first_mask, rows.first().map(|row| &row.image))
        && !rows.iter().any(|row| row.labels.iter().any(|label| matches!(label, Label::Mask(_))))
    {
        let reason = format!(
            "none of the {} masks belongs to one of the {} images: {} has the name of no image, such as {}, or of several. Write what \
             only the masks have in their names into the pattern, such as data.open.masks = \"**/*_suffix.png\"",
            pairs.left().count(),
            rows.len(),
            walk::relative(mask, root),
            walk::relative(image, root)
        );
        return Err(Error::Layout { path: root.to_owned(), reason });
    }
    let left = pairs.left().map(|path| (path.clone(), super::folder::ORPHAN)).collect();
    let mut tasks = Vec::new();
    if with_class {
        tasks.push(Task::new("class", TaskKind::Classification { classes }));
    }
    if masks.is_some() {
        tasks.push(mask_task("mask"));
    }
    let mut tables = Vec::new();
    let meaning = masks::named(&[root, &mask_base], false, &mut tables, &mut reading)?.unwrap_or(Meaning::Discover);
    Draft { root: root.to_owned(), tasks, rows, meaning, alpha_as_mask: false, tables, left, count_rest: true, reading }
        .build(options)
}
