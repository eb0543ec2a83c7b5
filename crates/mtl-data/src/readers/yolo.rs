//! YOLO segmentation (Ultralytics): `images/**/x.jpg` with `labels/**/x.txt`, one outline per line, and `data.yaml` with the names.
//!
//! A line is `CLASS x1 y1 x2 y2 x3 y3 ...`, coordinates as shares of width and height. Task: `mask`, background and one class per
//! name; later lines cover earlier ones. `CLASS x y w h` is a box: boxes are not learned, and a data set of boxes alone is
//! refused. An image without a label file has no mask; an empty file is a mask of background.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::draft::{Draft, mask_task};
use super::folder::parts;
use super::masks::Meaning;
use super::row::{Label, Row};
use super::{OpenOptions, ReaderFns, walk};
use crate::dataset::Dataset;
use crate::error::Error;
use crate::image::palette::Palette;
use crate::image::polygon::Outline;
use crate::reading::Reading;

pub(super) const READER: ReaderFns = ReaderFns { detect, open };

/// More classes than this are a damaged file.
const MAX_CLASSES: usize = 254;
/// Label files that are looked for before a folder is taken for another layout.
const LOOKED_FOR: usize = 50;

fn detect(root: &Path) -> bool {
    if !root.is_dir() {
        return false;
    }
    let images = parts::parts(root).unwrap_or_default().into_iter().map(|part| part.images);
    let mut images = images.flat_map(|folder| {
        let inside = walk::images_below(&folder).unwrap_or_default();
        inside.into_iter().map(move |image| (image, folder.clone()))
    });
    images.by_ref().take(LOOKED_FOR).any(|(image, folder)| {
        let text = std::fs::read_to_string(label_of(&image, &folder, root)).unwrap_or_default();
        text.lines().next().is_some_and(|line| parse(line).is_ok())
    })
}

fn open(root: &Path, options: &OpenOptions) -> Result<Box<dyn Dataset>, Error> {
    let mut reading = Reading::default();
    let (mut rows, mut tables) = (Vec::new(), Vec::new());
    let (mut boxes, mut boxed, mut drawn, mut unlabelled, mut largest) = (0, 0, false, 0, 0);
    for part in parts::parts(root)? {
        for image in walk::images_below(&part.images)? {
            let file = label_of(&image, &part.images, root);
            let label = match std::fs::read_to_string(&file) {
                Ok(text) => {
                    let (mut outlines, mut own_boxes) = (Vec::new(), 0);
                    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
                        let fail = |reason| Error::Table { path: file.clone(), line: at as u64 + 1, reason };
                        let (class, outline) = parse(line).map_err(fail)?;
                        largest = largest.max(class);
                        match outline.len() {
                            2 => own_boxes += 1,
                            _ => outlines.push((class as u8 + 1, outline)),
                        }
                    }
                    tables.push(file);
                    boxes += own_boxes;
                    boxed += usize::from(own_boxes > 0);
                    drawn |= !outlines.is_empty();
                    // What lies in a box is not background: without its outline the mask is unknown.
                    if own_boxes > 0 { Label::Missing } else { Label::Outlines(outlines) }
                }
                Err(source) if source.kind() == std::io::ErrorKind::NotFound => {
                    unlabelled += 1;
                    Label::Missing
                }
                Err(source) => return Err(Error::Io { path: file, source }),
            };
            rows.push(Row { image, labels: vec![label], subset: part.subset, ..Row::default() });
        }
        if let Some(subset) = part.subset {
            reading.guess(format!("{} is the {} subset", part.images.display(), subset.name()));
        }
    }
    if boxes > 0 && !drawn {
        return Err(Error::Layout {
            path: root.to_owned(),
            reason: format!(
                "the label files hold {boxes} boxes and no outlines: boxes are not learned. To learn which classes an image \
                 shows, write a manifest.csv with a column `image` and one column of 0 and 1 per class; for masks, export \
                 the data set as segmentation"
            ),
        });
    }
    if boxes > 0 {
        reading.warn(format!(
            "boxes are not learned: {boxes} in the labels of {boxed} images, whose masks are missing labels"
        ));
    }
    if unlabelled > 0 {
        reading.guess(format!("images without a label file: {unlabelled}; their masks are missing labels"));
    }
    let yaml = ["data.yaml", "dataset.yaml", "data.yml"].map(|name| root.join(name));
    let names = yaml.iter().find_map(|path| std::fs::read_to_string(path).ok()).map(|text| names(&text));
    let classes = class_names(&names.unwrap_or_default(), largest, &mut reading);
    tables.extend(yaml);
    let entries: Vec<(u16, &str)> =
        (0..).zip(std::iter::once("background").chain(classes.iter().map(String::as_str))).collect();
    let meaning = Meaning::Known(Palette::of(&entries));
    let (tasks, left) = (vec![mask_task("mask")], BTreeMap::new());
    Draft { root: root.to_owned(), tasks, rows, meaning, alpha_as_mask: false, tables, left, count_rest: true, reading }
        .build(options)
}

/// The label file of an image: `labels` in place of the last folder called `images` below the root, else beside the image.
fn label_of(image: &Path, folder: &Path, root: &Path) -> PathBuf {
    // A root that is itself the folder of images stands next to its labels.
    let root = if folder == root { root.parent().unwrap_or(root) } else { root };
    let below = image.strip_prefix(root).unwrap_or(image);
    let mut parts: Vec<std::ffi::OsString> = below.components().map(|part| part.as_os_str().to_owned()).collect();
    if let Some(images) = parts.iter_mut().rev().skip(1).find(|part| part.eq_ignore_ascii_case("images")) {
        *images = "labels".into();
    }
    root.join(parts.iter().collect::<PathBuf>()).with_extension("txt")
}

/// Class and outline of a line; two points (centre and size) for a box.
fn parse(line: &str) -> Result<(usize, Outline), String> {
    let mut words = line.split_whitespace();
    let class = words.next().and_then(|word| word.parse::<usize>().ok()).filter(|class| *class < MAX_CLASSES);
    let class =
        class.ok_or_else(|| format!("`{line}` does not begin with a class number from 0 to {}", MAX_CLASSES - 1))?;
    let numbers: Option<Vec<f64>> =
        words.map(|word| word.parse().ok().filter(|number: &f64| number.is_finite())).collect();
    let numbers = numbers.ok_or_else(|| format!("`{line}` holds a word that is no number"))?;
    if numbers.iter().any(|number| !(-0.01..=1.01).contains(number)) {
        return Err("a coordinate is not a share of width or height from 0 to 1".into());
    }
    if numbers.len() < 4 || numbers.len() % 2 != 0 {
        return Err(format!(
            "{} numbers after the class: an outline has pairs, at least three; a box has four numbers",
            numbers.len()
        ));
    }
    Ok((class, numbers.chunks_exact(2).map(|pair| [pair[0], pair[1]]).collect()))
}

/// `names` of a `data.yaml`, by number: a list in brackets, a list of dashes, or numbers with names.
fn names(text: &str) -> BTreeMap<usize, String> {
    let mut lines = text.lines().map(|line| line.split(" #").next().unwrap_or_default().trim_end());
    let Some(rest) = lines.by_ref().find_map(|line| line.strip_prefix("names:")) else { return BTreeMap::new() };
    let rest = rest.trim();
    let entries: Vec<String> = if rest.starts_with(['[', '{']) {
        let mut list = rest.to_owned();
        while !list.ends_with([']', '}']) {
            let Some(line) = lines.next() else { break };
            list += line.trim();
        }
        list.trim_matches(['[', ']', '{', '}']).split(',').map(str::to_owned).collect()
    } else {
        let lines = lines.filter(|line| !line.trim().is_empty() && !line.trim().starts_with('#'));
        lines.take_while(|line| line.starts_with([' ', '-'])).map(str::to_owned).collect()
    };
    let plain = |word: &str| word.trim().trim_matches(['"', '\'']).to_owned();
    let named = entries.iter().enumerate().map(|(at, entry)| {
        let entry = entry.trim();
        let numbered = entry.split_once(':').and_then(|(key, name)| Some((key.trim().parse().ok()?, plain(name))));
        numbered.unwrap_or_else(|| (at, plain(entry.strip_prefix("- ").unwrap_or(entry))))
    });
    named.filter(|(_, name)| !name.is_empty()).collect()
}

/// The name of each class, and its number for a class without one.
fn class_names(names: &BTreeMap<usize, String>, largest: usize, reading: &mut Reading) -> Vec<String> {
    let count = names.keys().next_back().map_or(0, |last| last + 1).clamp(largest + 1, MAX_CLASSES);
    let unnamed = (0..count).filter(|class| !names.contains_key(class)).count();
    if unnamed > 0 {
        reading.warn(format!(
            "classes without a name in data.yaml: {unnamed} of {count}; they are called by their number"
        ));
    }
    (0..count).map(|class| names.get(&class).cloned().unwrap_or_else(|| class.to_string())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_every_form() {
        for text in [
            "path: .\nnames: [cat, 'dog']\n",
            "names:\n  - cat\n  - dog\ntrain: x\n",
            "names:\n- cat\n- \"dog\"\n",
            "nc: 2\nnames:\n  0: cat\n  1: dog\n",
            "names: {0: cat, 1: dog}\n",
            "names: [cat,\n  dog]  \n",
        ] {
            assert_eq!(names(text).into_values().collect::<Vec<_>>(), ["cat", "dog"], "{text}");
        }
        let mixed = names("names:\n  1: dog # brown\n\n  # more\n  0: cat\n  3: cow\n");
        assert_eq!(mixed, BTreeMap::from([(0, "cat".into()), (1, "dog".into()), (3, "cow".into())]));
        assert!(names("train: images\n").is_empty());
        let mut reading = Reading::default();
        assert_eq!(class_names(&BTreeMap::from([(0, "cat".into())]), 1, &mut reading), ["cat", "1"]);
        assert_eq!(reading.warnings.len(), 1);
    }

    #[test]
    fn lines() {
        assert_eq!(parse("2 0.5 0.5 0.1 0.2").unwrap(), (2, vec![[0.5, 0.5], [0.1, 0.2]]));
        assert_eq!(parse("0 0 0 1 0 1 1").unwrap().1.len(), 3);
        for wrong in [
            "",
            "a 1 2 3 4",
            "0 0.1 0.2 0.3",
            "0 0.1 0.2 0.3 x",
            "0 5 0.2 0.3 0.4",
            "0 0.1 0.2 0.3 0.4 0.5",
            "999 0 0 0 0",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        let label =
            |image: &str, folder: &str, root: &str| label_of(Path::new(image), Path::new(folder), Path::new(root));
        assert_eq!(label("d/images/train/a.b.png", "d/images/train", "d"), Path::new("d/labels/train/a.b.txt"));
        assert_eq!(label("images/d/train/a.png", "images/d/train", "images/d"), Path::new("images/d/train/a.txt"));
        assert_eq!(label("d/images/a.png", "d/images", "d/images"), Path::new("d/labels/a.txt"));
    }
}
