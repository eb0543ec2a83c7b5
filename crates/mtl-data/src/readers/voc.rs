//! PASCAL VOC segmentation (Everingham et al. 2010): `JPEGImages/*.jpg`, `SegmentationClass/*.png`, and the lists
//! `ImageSets/Segmentation/{train,val,test}.txt` as subsets.
//!
//! Task: `mask`, an index per pixel, 255 without a label. With lists, images that stand in none of them are left out; without
//! lists every image is a row. Boxes (`Annotations/*.xml`) are not read.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::draft::{Draft, mask_task};
use super::masks::{self, Meaning};
use super::row::{Label, Row};
use super::{OpenOptions, ReaderFns, walk};
use crate::dataset::{Dataset, Subset};
use crate::error::Error;
use crate::reading::Reading;

pub(super) const READER: ReaderFns = ReaderFns { detect, open };

const IMAGES: &str = "JPEGImages";
const MASKS: &str = "SegmentationClass";
const LISTS: [(&str, Subset); 3] = [("train", Subset::Train), ("val", Subset::Validation), ("test", Subset::Test)];

fn detect(root: &Path) -> bool {
    root.join(IMAGES).is_dir() && root.join(MASKS).is_dir()
}

fn open(root: &Path, options: &OpenOptions) -> Result<Box<dyn Dataset>, Error> {
    let mut reading = Reading::default();
    let by_stem = |folder: &str| -> Result<BTreeMap<String, PathBuf>, Error> {
        Ok(walk::images(&root.join(folder))?.into_iter().map(|path| (walk::stem(&path), path)).collect())
    };
    let (images, mut masks) = (by_stem(IMAGES)?, by_stem(MASKS)?);
    let mut rows = Vec::new();
    let mut listed: BTreeMap<String, Subset> = BTreeMap::new();
    let mut tables = Vec::new();
    let mut repeated = 0;
    for (name, subset) in LISTS {
        let list = root.join("ImageSets/Segmentation").join(format!("{name}.txt"));
        if !list.is_file() {
            continue;
        }
        let text = std::fs::read_to_string(&list).map_err(|source| Error::Io { path: list.clone(), source })?;
        for (number, stem) in
            text.lines().enumerate().filter_map(|(at, line)| Some((at, line.split_whitespace().next()?)))
        {
            let known = listed.insert(stem.to_owned(), subset);
            if known == Some(subset) {
                repeated += 1;
                continue;
            }
            if let Some(other) = known {
                let reason = format!("`{stem}` is in the {} subset and in the {} subset", other.name(), subset.name());
                return Err(Error::Table { path: list, line: number as u64 + 1, reason });
            }
            let image = images.get(stem).cloned().unwrap_or_else(|| root.join(IMAGES).join(format!("{stem}.jpg")));
            let mask = masks.remove(stem).map_or(Label::Missing, |path| Label::Mask(vec![path]));
            rows.push(Row { image, labels: vec![mask], subset: Some(subset), ..Row::default() });
        }
        reading.guess(format!("ImageSets/Segmentation/{name}.txt lists the {} subset", subset.name()));
        tables.push(list);
    }
    if repeated > 0 {
        reading.warn(format!("names that a list repeats count once: {repeated} repeated"));
    }
    if listed.is_empty() {
        rows.extend(images.iter().map(|(stem, image)| {
            let mask = masks.remove(stem).map_or(Label::Missing, |path| Label::Mask(vec![path]));
            Row { image: image.clone(), labels: vec![mask], subset: None, ..Row::default() }
        }));
    }
    let used: BTreeSet<&PathBuf> = rows.iter().map(|row| &row.image).collect();
    let mut left: BTreeMap<PathBuf, &'static str> = BTreeMap::new();
    let unlisted = images.values().filter(|path| !used.contains(path)).cloned();
    left.extend(unlisted.map(|path| (path, "in no list of ImageSets/Segmentation")));
    left.extend(masks.into_values().map(|path| (path, "a mask that belongs to no image of the lists")));
    let places = [root, &root.join(MASKS)];
    let meaning = masks::named(&places, false, &mut tables, &mut reading)?.unwrap_or(Meaning::Discover);
    let tasks = vec![mask_task("mask")];
    Draft { root: root.to_owned(), tasks, rows, meaning, alpha_as_mask: false, tables, left, count_rest: true, reading }
        .build(options)
}
