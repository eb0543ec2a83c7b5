//! Oxford-IIIT Pet (Parkhi et al., CVPR 2012) as published: `images/*.jpg`, `annotations/list.txt`.
//!
//! Tasks: `breed` (37 classes named after the files), `species` (cat, dog), and `trimap` (background, pet, border) if
//! `annotations/trimaps/` is there; a photo without a trimap has no such label. `annotations/test.txt`, if present,
//! gives the test subset of the split.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use mtl_task::{Task, TaskKind};

use super::draft::{Draft, mask_task};
use super::masks::Meaning;
use super::row::{Label, Row};
use super::{OpenOptions, ReaderFns, walk};
use crate::dataset::{Dataset, Subset};
use crate::error::Error;
use crate::image::palette::Palette;
use crate::reading::Reading;

pub(super) const READER: ReaderFns = ReaderFns { detect, open };

/// More breeds than this are a damaged list.
const MAX_BREEDS: usize = 1000;

fn detect(root: &Path) -> bool {
    root.join("annotations/list.txt").is_file() && root.join("images").is_dir()
}

fn open(root: &Path, options: &OpenOptions) -> Result<Box<dyn Dataset>, Error> {
    let list = root.join("annotations/list.txt");
    let trimaps = Some(root.join("annotations/trimaps")).filter(|folder| folder.is_dir());
    let test = stems_in(&root.join("annotations/test.txt"))?;
    let mut breeds: BTreeMap<usize, String> = BTreeMap::new();
    let mut rows = Vec::new();
    let mut listed = BTreeSet::new();
    for (number, line) in read_text(&list)?.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let fail = |reason: String| Error::Table { path: list.clone(), line: number as u64 + 1, reason };
        let cells: Vec<&str> = line.split_whitespace().collect();
        let numbers: Vec<usize> = cells[1..].iter().filter_map(|cell| cell.parse().ok()).collect();
        let &[class, species, _] = &numbers[..] else {
            return Err(fail(format!("`{line}`: expected a name and three numbers (class, species, breed)")));
        };
        if !(1..=MAX_BREEDS).contains(&class) || !(1..=2).contains(&species) {
            return Err(fail(format!("class {class} or species {species} out of range (1 to 37; 1 cat, 2 dog)")));
        }
        let stem = cells[0];
        let breed = stem.rsplit_once('_').map_or(stem, |(breed, _)| breed);
        let known = breeds.entry(class).or_insert_with(|| breed.to_owned());
        if known != breed {
            return Err(fail(format!("class {class} is `{known}` in earlier lines and `{breed}` here")));
        }
        let mut labels = vec![Label::Class(class - 1), Label::Class(species - 1)];
        if let Some(folder) = &trimaps {
            let file = folder.join(format!("{stem}.png"));
            labels.push(if file.is_file() { Label::Mask(vec![file]) } else { Label::Missing });
        }
        let subset = test.as_ref().map(|test| if test.contains(stem) { Subset::Test } else { Subset::Train });
        rows.push(Row { image: root.join("images").join(format!("{stem}.jpg")), labels, subset, ..Row::default() });
        listed.insert(stem.to_owned());
    }
    let most = breeds.keys().next_back().copied().unwrap_or(0);
    let classes = (1..=most).map(|id| breeds.get(&id).cloned().unwrap_or_else(|| format!("class {id}"))).collect();
    let mut tasks = vec![
        Task::new("breed", TaskKind::Classification { classes }),
        Task::new("species", TaskKind::Classification { classes: vec!["cat".into(), "dog".into()] }),
    ];
    tasks.extend(trimaps.map(|_| mask_task("trimap")));
    let reading = Reading::default();
    let images = walk::images(&root.join("images"))?;
    let unlisted = images.into_iter().filter(|path| !listed.contains(&walk::stem(path)));
    let tables =
        ["list.txt", "test.txt", "trainval.txt", "README"].map(|name| root.join("annotations").join(name)).into();
    let left = unlisted.map(|path| (path, "not in annotations/list.txt")).collect();
    // Trimap values as published: 1 pet, 2 background, 3 border.
    let meaning = Meaning::Known(Palette::of(&[(2, "background"), (1, "pet"), (3, "border")]));
    Draft { root: root.to_owned(), tasks, rows, meaning, alpha_as_mask: false, tables, left, count_rest: true, reading }
        .build(options)
}

fn stems_in(path: &Path) -> Result<Option<BTreeSet<String>>, Error> {
    if !path.is_file() {
        return Ok(None);
    }
    let text = read_text(path)?;
    Ok(Some(text.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()))
}

fn read_text(path: &Path) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(|source| Error::Io { path: path.to_owned(), source })
}
