//! Class folders with mask files next to the images, the layout of the BUSI breast-ultrasound set (Al-Dhabyani et al. 2020):
//! `benign/benign (1).png`, `benign (1)_mask.png`, and `_mask_1.png`, `_mask_2.png` ... for further lesions.
//!
//! Tasks: `class` (folder names, sorted) and `mask` (background and foreground, all masks of an image united; or as
//! `palette.csv` says). An image without a mask file has no mask label; a black mask file is a label without foreground.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use mtl_task::{Task, TaskKind};

use super::files::{Draft, Meaning, mask_task, palette_file};
use super::row::{Label, Row};
use super::{OpenOptions, ReaderFns, walk};
use crate::dataset::Dataset;
use crate::error::Error;
use crate::reading::Reading;

pub(super) const READER: ReaderFns = ReaderFns { detect, open };

fn detect(root: &Path) -> bool {
    let classes = walk::folders(root).unwrap_or_default();
    classes.iter().any(|class| {
        let files = walk::images(class).unwrap_or_default();
        let stems: Vec<String> = files.iter().map(|file| walk::stem(file)).collect();
        stems.iter().any(|stem| mask_of(stem).is_some_and(|image| stems.iter().any(|other| other == image)))
    })
}

fn open(root: &Path, options: &OpenOptions) -> Result<Box<dyn Dataset>, Error> {
    let mut classes = Vec::new();
    let mut rows = Vec::new();
    let mut reading = Reading::by("busi");
    for folder in walk::folders(root)? {
        let (masks, images): (Vec<PathBuf>, Vec<PathBuf>) =
            walk::images(&folder)?.into_iter().partition(|path| mask_of(&walk::stem(path)).is_some());
        walk::unread(&folder, &mut reading)?;
        if images.is_empty() {
            continue;
        }
        let mut masks_of: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
        for path in masks {
            let stem = walk::stem(&path);
            masks_of.entry(mask_of(&stem).unwrap_or(&stem).to_owned()).or_default().push(path);
        }
        for image in images {
            let mask = masks_of.remove(&walk::stem(&image)).map_or(Label::Missing, Label::Mask);
            rows.push(Row { image, labels: vec![Label::Class(classes.len()), mask], subset: None });
        }
        masks_of.values().flatten().for_each(|mask| reading.leave("a mask that belongs to no image", mask));
        classes.push(walk::name(&folder));
    }
    let mut tasks = vec![Task::new("class", TaskKind::Classification { classes }), mask_task("mask")];
    if tasks[0].kind.outputs() == 1 {
        reading.guess("only one class folder: no classification task");
        tasks.remove(0);
        rows.iter_mut().for_each(|row| drop(row.labels.remove(0)));
    }
    let meaning = palette_file(&[root])?.map_or(Meaning::Binary, Meaning::Known);
    Draft { root: root.to_owned(), tasks, rows, meaning, alpha_as_mask: false, reading }.build(options)
}

/// The stem of the image a mask's stem belongs to: `x` for `x_mask` and `x_mask_3`.
fn mask_of(stem: &str) -> Option<&str> {
    let (image, rest) = stem.rsplit_once("_mask")?;
    let number = rest.strip_prefix('_').unwrap_or("0");
    ((rest.is_empty() || rest.starts_with('_')) && number.bytes().all(|b| b.is_ascii_digit()) && !number.is_empty())
        .then_some(image)
}

#[cfg(test)]
mod tests {
    use super::mask_of;

    #[test]
    fn mask_names() {
        assert_eq!(mask_of("benign (1)_mask"), Some("benign (1)"));
        assert_eq!(mask_of("benign (1)_mask_12"), Some("benign (1)"));
        assert_eq!(mask_of("benign (1)"), None);
        assert_eq!(mask_of("a_masked"), None);
        assert_eq!(mask_of("a_mask_"), None);
        assert_eq!(mask_of("a_mask_b"), None);
    }
}
