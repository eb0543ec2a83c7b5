//! Images in the folder of a table that no line names: class folders, masks. And folders' names that are no labels.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::super::names::{image_of_mask, is_images, is_masks, is_unlabelled, subset_named};
use super::super::row::Row;
use super::super::walk;
use super::contents::Table;
use crate::error::Error;
use crate::reading::Reading;

/// Folders that are listed in a sentence.
const NAMED: usize = 3;

/// What stands beside the images of a table.
pub(super) struct Beside {
    /// Images in folders like those of classes, which no line names, by folder.
    classes: BTreeMap<PathBuf, usize>,
    /// Images in folders of masks, which no line names, by folder.
    masks: BTreeMap<PathBuf, usize>,
}

impl Beside {
    /// Looks through the table's folder.
    pub fn of(root: &Path, rows: &[Row]) -> Result<Self, Error> {
        let used: BTreeSet<&Path> = rows.iter().flat_map(Row::files).map(PathBuf::as_path).collect();
        let stems: BTreeSet<String> = rows.iter().map(|row| walk::stem(&row.image)).collect();
        let mut folders: BTreeMap<PathBuf, Vec<String>> = BTreeMap::new();
        for image in walk::images_below(root)?.iter().filter(|image| !used.contains(image.as_path())) {
            let folder = image.parent().unwrap_or(root);
            folders.entry(folder.to_owned()).or_default().push(walk::stem(image));
        }
        let mut beside = Self { classes: BTreeMap::new(), masks: BTreeMap::new() };
        for (folder, own) in folders {
            let below = walk::relative(&folder, root);
            let of_image =
                |stem: &String| stems.contains(stem) || image_of_mask(stem).is_some_and(|stem| stems.contains(stem));
            let matching = own.iter().filter(|stem| of_image(stem)).count();
            if 2 * matching > own.len() && below.split('/').any(is_masks_word) {
                beside.masks.insert(folder, own.len());
            } else if is_class_folder(&folder, root) && matching < own.len().min(stems.len()) {
                beside.classes.insert(folder, own.len());
            }
        }
        if beside.classes.len() < 2 {
            beside.classes.clear();
        }
        Ok(beside)
    }

    /// Refuses a table that names fewer images than lie in class folders beside them, unless a setting chose it (`chosen`);
    /// warns of class folders and masks that are not read.
    pub fn judge(
        self,
        table: &Table,
        rows: usize,
        mask: bool,
        chosen: bool,
        reading: &mut Reading,
    ) -> Result<(), Error> {
        let count: usize = self.classes.values().sum();
        let tables: Vec<String> = table.files.iter().map(|(file, _)| walk::relative(file, &table.root)).collect();
        let named = tables.join("`, `");
        if count > 0 {
            let folders = list(self.classes.keys(), &table.root);
            let what =
                format!("`{named}` names {rows} images, and {count} others lie in folders like classes ({folders})");
            if count > rows && !chosen {
                return Err(Error::Layout {
                    path: table.root.clone(),
                    reason: format!(
                        "{what}: data.open.reader = \"folder\" reads the folders, data.open.labels = \"{}\" reads the table",
                        tables.first().map_or("", String::as_str)
                    ),
                });
            }
            reading
                .warn(format!("{what}, which are not read: data.open.reader = \"folder\" reads the folders instead"));
        }
        if !mask && !self.masks.is_empty() {
            let count: usize = self.masks.values().sum();
            let folders = list(self.masks.keys(), &table.root);
            reading.warn(format!(
                "{count} images in {folders} have the names of images of the table and are not read: if they are masks, add a \
                 column `mask` that names the mask of each image"
            ));
        }
        Ok(())
    }
}

/// Says that images lie in folders whose names are no labels; not where a column holds these names.
pub(super) fn say_folders(table: &Table, rows: &[Row], reading: &mut Reading) {
    let own: Vec<Option<String>> = rows
        .iter()
        .map(|row| row.image.parent().filter(|folder| is_class_folder(folder, &table.root)).map(walk::name))
        .collect();
    let names: BTreeSet<&String> = own.iter().flatten().collect();
    if names.len() < 2 || own.iter().any(Option::is_none) || 2 * names.len() > rows.len() {
        return;
    }
    let holds = |at: usize| {
        let known: BTreeSet<String> = table.cells(at).map(str::to_lowercase).collect();
        names.iter().all(|name| known.contains(&name.to_lowercase()))
    };
    if (0..table.header.len()).any(holds) {
        return;
    }
    let shown: Vec<&str> = names.iter().take(NAMED).map(|name| name.as_str()).collect();
    reading.guess(format!(
        "the images lie in {} folders (`{}`{}), whose names are no labels beside a table: a column `class` makes them labels",
        names.len(),
        shown.join("`, `"),
        if names.len() > NAMED { " ..." } else { "" }
    ));
}

/// Whether a folder may be a class: below the root, and not named like images, masks or a subset.
fn is_class_folder(folder: &Path, root: &Path) -> bool {
    let name = walk::name(folder);
    let other = is_images(&name, true) || is_masks(&name, true) || is_masks_word(&name) || is_unlabelled(&name);
    folder != root && !other && subset_named(name.trim_end_matches("images").trim_end_matches("jpg")).is_none()
}

/// `masks`, `train_masks`, `masks_human`, `GroundTruth`.
fn is_masks_word(name: &str) -> bool {
    let mut words = name.split(['_', '-', ' ', '.']);
    is_masks(name, true) || words.any(|word| is_masks(word, false))
}

fn list<'a>(folders: impl ExactSizeIterator<Item = &'a PathBuf>, root: &Path) -> String {
    let more = if folders.len() > NAMED { " ..." } else { "" };
    let shown: Vec<String> = folders.take(NAMED).map(|folder| format!("{}/", walk::relative(folder, root))).collect();
    format!("{}{more}", shown.join(", "))
}
