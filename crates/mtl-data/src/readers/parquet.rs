//! The hub's parquet layout: `train-*.parquet` and `test-*.parquet` (in the folder, `data/` or `plain_text/`), with a column of
//! encoded images (a struct of `bytes` and `path`, or plain bytes) and columns of labels.
//!
//! Images stay encoded in memory (CIFAR-10: 21 MB) and are decoded one at a time on request; opening decodes each once, as for
//! files. An integer column `label` is the task `class`; its class names come from the `huggingface` metadata where present;
//! CIFAR-10 has known ones; else the numbers are the names. Several such columns (`fine_label`, `coarse_label`) are tasks of
//! their own names. Other columns become tasks by the rules of text tables. A blank label is a missing one. Columns of lists,
//! bytes, dates and times are not read.

use std::collections::BTreeMap;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use ::parquet::data_type::ByteArray;
use ::parquet::file::reader::SerializedFileReader;
use mtl_task::Task;
use rayon::prelude::*;

use self::columns::{Columns, class_names, read};
use super::cifar10;
use super::draft::allowed_broken;
use super::names::subset_named;
use super::row::Label;
use super::scan::{ScannedRow, packed_image};
use super::summary::Summary;
use super::table::tasks_of;
use super::{OpenOptions, ReaderFns, walk};
use crate::dataset::{Dataset, Labels, Sample, Schema, Subset};
use crate::error::{Error, Skipped};
use crate::image::decode;
use crate::image::fingerprint::hash;
use crate::image::picture::Picture;
use crate::reading::Reading;
use crate::size::Size;

mod columns;

pub(super) const READER: ReaderFns = ReaderFns { detect, open };

fn detect(root: &Path) -> bool {
    !files(root).is_empty()
}

/// Parquet files, training subset first, with their subset if it is in their name.
fn files(root: &Path) -> Vec<(PathBuf, Option<Subset>)> {
    let inside = |folder: PathBuf| {
        let mut found: Vec<_> = walk::entries(&folder)
            .unwrap_or_default()
            .into_iter()
            .filter(|path| path.extension().is_some_and(|end| end == "parquet"))
            .map(|path| (walk::name(&path).split(['-', '.']).next().and_then(subset_named), path))
            .map(|(subset, path)| (path, subset))
            .collect();
        found.sort_by_key(|(_, subset)| match subset {
            Some(Subset::Train) | None => 0,
            Some(Subset::Validation) => 1,
            Some(Subset::Test) => 2,
        });
        found
    };
    let places = [root.to_owned(), root.join("data"), root.join("plain_text")];
    places.into_iter().map(inside).find(|found| !found.is_empty()).unwrap_or_default()
}

fn open(root: &Path, options: &OpenOptions) -> Result<Box<dyn Dataset>, Error> {
    let files = files(root);
    if files.is_empty() {
        let reason = "no *.parquet here, in data/ or in plain_text/".into();
        return Err(Error::Layout { path: root.to_owned(), reason });
    }
    let mut reading = Reading::default();
    let (mut rows, mut named) = (Vec::new(), BTreeMap::new());
    let mut columns: Vec<(String, Vec<String>)> = Vec::new();
    let mut from_files = 0;
    for (path, subset) in &files {
        let (names, Columns { images, paths, labels }) = read_file(path, &mut reading)?;
        named.extend(names);
        let stem = walk::stem(path);
        for (at, (image, own_path)) in images.into_iter().zip(paths).enumerate() {
            let present = image.filter(|image| !image.data().is_empty());
            let (image, fault) = match present {
                Some(image) => (image, None),
                None => match linked(&own_path, path, root) {
                    Ok(bytes) => {
                        from_files += 1;
                        (bytes.into(), None)
                    }
                    Err(reason) => (Vec::new().into(), Some(reason)),
                },
            };
            rows.push(Row { name: format!("{stem} row {at}"), image, fault, labels: Vec::new(), subset: *subset });
        }
        append(&mut columns, labels, rows.len());
    }
    if rows.is_empty() {
        return Err(Error::Empty { path: root.to_owned(), reason: "the parquet files have no rows".into() });
    }
    if from_files > 0 {
        reading
            .guess(format!("the images of {from_files} of {} rows are files that the parquet file names", rows.len()));
    }
    let pass = options.progress.pass("reading images", rows.len());
    let scan = |row: &Row| {
        let path = root.join(&row.name);
        let scanned = match &row.fault {
            Some(reason) => {
                ScannedRow { image: None, labels: Vec::new(), broken: vec![Skipped { path, reason: reason.clone() }] }
            }
            None => packed_image(&path, row.image.data(), options.verify, options.channels.unwrap_or(3)),
        };
        pass.tick();
        scanned
    };
    let scanned: Vec<ScannedRow> = rows.par_iter().map(scan).collect();
    let mut images = Summary::default();
    rows.iter().zip(&scanned).for_each(|(row, scanned)| images.add(Path::new(&row.name), scanned));
    let skipped: Vec<Skipped> = scanned.iter().flat_map(|scanned| scanned.broken.iter().cloned()).collect();
    let allowed = allowed_broken(rows.len(), options.max_broken);
    if skipped.len() > allowed || skipped.len() == rows.len() {
        let (broken_rows, rows) = (skipped.len(), rows.len());
        return Err(Error::TooManyBroken { path: root.to_owned(), broken: skipped, broken_rows, rows, allowed });
    }
    let largest = options.largest_value.or_else(|| images.largest());
    images.say(largest, options, &mut reading);
    images.say_transparent(&mut reading);
    let name = walk::dataset_name(root);
    let columns = columns.into_iter().filter(|(_, cells)| cells.iter().any(|cell| !cell.is_empty())).collect();
    let columns = with_class_names(columns, &mut named, &name, &files[0].0, &mut reading)?;
    let (tasks, subsets) = tasks_of(&files[0].0, columns, named, options, &mut reading)?;
    rows.iter_mut().zip(subsets).for_each(|(row, subset)| row.subset = subset.or(row.subset));
    for (_, labels) in &tasks {
        rows.iter_mut().zip(labels).for_each(|(row, label)| row.labels.push(label.clone()));
    }
    let tasks = tasks.into_iter().map(|(task, _)| task).collect();
    let channels = options.channels.unwrap_or(if images.grey { 1 } else { 3 });
    let sound = rows.into_iter().zip(scanned).filter(|(_, scanned)| scanned.broken.is_empty());
    Ok(Box::new(EncodedImages {
        schema: Schema { name, channels, tasks },
        root: root.to_owned(),
        rows: sound.map(|(row, _)| row).collect(),
        largest,
        skipped,
        reading,
    }))
}

/// Names of classes, images and labels of one file.
fn read_file(path: &Path, reading: &mut Reading) -> Result<(BTreeMap<String, Vec<String>>, Columns), Error> {
    let fail = |reason: String| Error::Packed { path: path.to_owned(), reason };
    let file = File::open(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
    let read = || -> Result<_, Error> {
        let reader = SerializedFileReader::new(file).map_err(|error| fail(error.to_string()))?;
        Ok((class_names(&reader), read(&reader, path, reading)?))
    };
    // The decoder panics on some damaged pages.
    catch_unwind(AssertUnwindSafe(read))
        .unwrap_or_else(|_| Err(fail("a page is damaged: copy or download it again".into())))
}

/// The encoded image of a row without bytes: the file that its path names, relative to the parquet file or the data set's folder.
fn linked(own_path: &str, file: &Path, root: &Path) -> Result<Vec<u8>, String> {
    if own_path.is_empty() {
        return Err("the cell of the image is blank".into());
    }
    let places = [file.parent().unwrap_or(root), root].map(|folder| folder.join(own_path));
    match places.iter().find(|path| path.is_file()) {
        Some(path) => decode::read_file(path).map_err(|error| error.to_string()),
        None => Err(format!("the cell of the image is blank, and its path `{own_path}` is no file here")),
    }
}

/// Adds the cells of one file below those of the others; `rows`: how many there are then.
fn append(columns: &mut Vec<(String, Vec<String>)>, file: Vec<(String, Vec<String>)>, rows: usize) {
    for (name, cells) in file {
        let at = columns.iter().position(|(known, _)| *known == name).unwrap_or_else(|| {
            columns.push((name, Vec::new()));
            columns.len() - 1
        });
        columns[at].1.resize(rows - cells.len(), String::new());
        columns[at].1.extend(cells);
    }
    columns.iter_mut().for_each(|(_, cells)| cells.resize(rows, String::new()));
}

/// Replaces numbers by the names of their classes. The only integer column of labels becomes `class`; several keep their names.
/// A class for every number from 0 to the largest.
fn with_class_names(
    mut columns: Vec<(String, Vec<String>)>,
    named: &mut BTreeMap<String, Vec<String>>,
    dataset: &str,
    path: &Path,
    reading: &mut Reading,
) -> Result<Vec<(String, Vec<String>)>, Error> {
    let alone = columns.iter().filter(|(name, _)| name == "class" || LABELS.contains(&name.as_str())).count() == 1;
    for (name, cells) in &mut columns {
        let numbers: Option<Vec<Option<i64>>> =
            cells.iter().map(|cell| if cell.is_empty() { Some(None) } else { cell.parse().ok().map(Some) }).collect();
        let is_label = LABELS.contains(&name.as_str());
        let Some(mut numbers) = numbers.filter(|_| is_label || named.contains_key(name)) else { continue };
        // The hub writes -1 for a missing label of a named column.
        let minus_one = numbers.iter_mut().filter(|number| **number == Some(-1));
        let missing = minus_one.map(|number| *number = None).count();
        if missing > 0 {
            reading.guess(format!("column `{name}`: -1 means that the label is missing ({missing} times)"));
        }
        if let Some(wrong) = numbers.iter().flatten().find(|number| !(0..=i64::from(u16::MAX)).contains(*number)) {
            let reason = format!("column `{name}`: impossible label {wrong}");
            return Err(Error::Packed { path: path.to_owned(), reason });
        }
        let count = numbers.iter().flatten().max().map_or(0, |largest| *largest as usize + 1);
        let known = count == 10 && dataset.to_lowercase().replace(['-', '_'], "").contains("cifar10");
        let names = named.remove(name).filter(|names| names.len() >= count).unwrap_or_else(|| {
            (0..count).map(|c| if known { cifar10::CLASSES[c].to_owned() } else { c.to_string() }).collect()
        });
        *cells =
            numbers.iter().map(|number| number.map_or_else(String::new, |at| names[at as usize].clone())).collect();
        if is_label && alone {
            *name = "class".into();
        }
        if names.len() > 1 {
            named.insert(name.clone(), names);
        }
    }
    Ok(columns)
}

/// Names of columns of classes.
const LABELS: [&str; 4] = ["label", "labels", "fine_label", "coarse_label"];

struct Row {
    name: String,
    /// The encoded image.
    image: ByteArray,
    /// Why there is no image.
    fault: Option<String>,
    labels: Vec<Label>,
    subset: Option<Subset>,
}

struct EncodedImages {
    schema: Schema,
    root: PathBuf,
    rows: Vec<Row>,
    /// End of the range of images of more than 8 bits.
    largest: Option<f32>,
    skipped: Vec<Skipped>,
    reading: Reading,
}

impl Dataset for EncodedImages {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn reading(&self) -> Reading {
        self.reading.clone()
    }

    fn reading_mut(&mut self) -> Option<&mut Reading> {
        Some(&mut self.reading)
    }

    fn len(&self) -> usize {
        self.rows.len()
    }

    fn row_name(&self, row: usize) -> String {
        self.rows[row].name.clone()
    }

    fn labels(&self, row: usize) -> Vec<Labels> {
        self.rows[row].labels.iter().map(Label::labels).collect()
    }

    fn subset(&self, row: usize) -> Option<Subset> {
        self.rows[row].subset
    }

    fn sample(&self, row: usize, size: Size) -> Result<Sample, Error> {
        let row = &self.rows[row];
        let image = Picture::decode(row.image.data(), self.schema.channels)
            .map_err(|problem| Error::Image { path: self.root.join(&row.name), problem })?;
        let target = |(task, label): (&Task, &Label)| {
            label.image_target().unwrap_or_else(|| task.kind.missing(1, size.height, size.width))
        };
        let targets = self.schema.tasks.iter().zip(&row.labels).map(target).collect();
        Ok(Sample { image: image.planes(self.schema.channels, size, self.largest), targets })
    }

    fn largest_value(&self) -> Option<f32> {
        self.largest
    }

    fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }

    fn content_hash(&self, row: usize) -> Result<Option<u64>, Error> {
        Ok(Some(hash(self.rows[row].image.data())))
    }

    fn native_size(&self, row: usize) -> Option<Size> {
        decode::inspect(self.rows.get(row)?.image.data()).ok().map(|header| header.size)
    }
}
