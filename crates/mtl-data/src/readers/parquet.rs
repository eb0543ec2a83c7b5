//! The hub's parquet layout: `train-*.parquet` and `test-*.parquet` (in the folder, `data/` or `plain_text/`), with a
//! struct column of `bytes` (an encoded image) and `path`, and an integer column `label`.
//!
//! Images stay encoded in memory (CIFAR-10: 21 MB) and are decoded one at a time on request; opening only checks
//! that each row has image bytes. Class names come from the `huggingface` metadata where present; CIFAR-10 has known
//! ones; else the numbers are the names. A blank label is a missing one.

use std::fs::File;
use std::path::{Path, PathBuf};

use ::parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use ::parquet::data_type::{ByteArray, DataType};
use ::parquet::errors::ParquetError;
use ::parquet::file::reader::{FileReader, SerializedFileReader};
use mtl_task::{Target, Task, TaskKind};

use super::cifar10;
use super::names::subset_named;
use super::{OpenOptions, ReaderFns, walk};
use crate::dataset::{Dataset, Labels, Sample, Schema, Subset};
use crate::error::Error;
use crate::error::Problem;
use crate::image::fingerprint::hash;
use crate::image::resize;
use crate::image::{decode, range};
use crate::reading::Reading;
use crate::size::Size;

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
    let (mut rows, mut names) = (Vec::new(), None);
    for (path, subset) in files {
        let packed = |error: ParquetError| Error::Packed { path: path.clone(), reason: error.to_string() };
        let file = File::open(&path).map_err(|source| Error::Io { path: path.clone(), source })?;
        let reader = SerializedFileReader::new(file).map_err(packed)?;
        names = names.or_else(|| class_names(&reader));
        let (images, labels) = read(&reader, &path)?;
        let stem = path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
        for (at, (image, label)) in images.into_iter().zip(labels).enumerate() {
            let name = format!("{stem} row {at}");
            let Some(image) = image.filter(|image| !image.is_empty()) else {
                return Err(Error::Image { path: path.join(name), problem: Problem::Empty });
            };
            if label.is_some_and(|label| !(0..=i64::from(u16::MAX)).contains(&label)) {
                return Err(Error::Packed {
                    path: path.clone(),
                    reason: format!("row {at}: impossible label {label:?}"),
                });
            }
            rows.push(Row { name, image, class: label.map(|label| label as usize), subset });
        }
    }
    let (Some(first), Some(last)) = (rows.first(), rows.last()) else {
        return Err(Error::Empty { path: root.to_owned(), reason: "the parquet files have no rows".into() });
    };
    // Grey or colour by the first and last image: reading one header costs nothing, decoding all would.
    let mut grey = true;
    for row in [first, last] {
        let fail = |problem| Error::Image { path: root.join(&row.name), problem };
        grey &= decode::is_grey(&decode::decode(row.image.data()).map_err(fail)?);
    }
    let classes = rows.iter().filter_map(|row| row.class).max().map_or(0, |largest| largest + 1);
    let name = walk::dataset_name(root);
    let names = names.filter(|names| names.len() >= classes).unwrap_or_else(|| {
        let known = classes == 10 && name.to_lowercase().replace(['-', '_'], "").contains("cifar10");
        (0..classes).map(|c| if known { cifar10::CLASSES[c].to_owned() } else { c.to_string() }).collect()
    });
    let tasks = if names.len() > 1 {
        vec![Task::new("class", TaskKind::Classification { classes: names })]
    } else {
        Vec::new()
    };
    let channels = options.channels.unwrap_or(if grey { 1 } else { 3 });
    Ok(Box::new(EncodedImages {
        schema: Schema { name, channels, tasks },
        root: root.to_owned(),
        rows,
        reading: Reading::default(),
    }))
}

/// `features.label.names` of the first label feature in the hub's metadata.
fn class_names(reader: &SerializedFileReader<File>) -> Option<Vec<String>> {
    let entries = reader.metadata().file_metadata().key_value_metadata()?;
    let text = entries.iter().find(|entry| entry.key == "huggingface")?.value.as_ref()?;
    let info: serde_json::Value = serde_json::from_str(text).ok()?;
    let names = info.get("info")?.get("features")?.get("label")?.get("names")?.as_array()?;
    names.iter().map(|name| name.as_str().map(str::to_owned)).collect()
}

type Columns = (Vec<Option<ByteArray>>, Vec<Option<i64>>);

fn read(reader: &SerializedFileReader<File>, path: &Path) -> Result<Columns, Error> {
    let columns = reader.metadata().file_metadata().schema_descr().columns();
    let find = |test: &dyn Fn(&str) -> bool| columns.iter().position(|column| test(&column.path().string()));
    let names: Vec<String> = columns.iter().map(|column| column.path().string()).collect();
    let missing = |what: &str| Error::Packed {
        path: path.to_owned(),
        reason: format!("no column {what} (columns: {})", names.join(", ")),
    };
    let image = find(&|name| name.ends_with(".bytes")).ok_or_else(|| missing("of image structs (`<name>.bytes`)"))?;
    let label = find(&|name| matches!(name, "label" | "labels" | "fine_label")).ok_or_else(|| missing("`label`"))?;
    let fail = |error: ParquetError| Error::Packed { path: path.to_owned(), reason: error.to_string() };
    let kind = |column: usize| Error::Packed {
        path: path.to_owned(),
        reason: format!("column `{}` has an unexpected type", names[column]),
    };
    let (mut images, mut labels) = (Vec::new(), Vec::new());
    for group in 0..reader.num_row_groups() {
        let group = reader.get_row_group(group).map_err(fail)?;
        let rows = usize::try_from(group.metadata().num_rows()).unwrap_or(0);
        match group.get_column_reader(image).map_err(fail)? {
            ColumnReader::ByteArrayColumnReader(mut column) => {
                let cells = read_column(&mut column, columns[image].max_def_level(), rows).map_err(fail)?;
                images.extend(cells);
            }
            _ => return Err(kind(image)),
        }
        let levels = columns[label].max_def_level();
        match group.get_column_reader(label).map_err(fail)? {
            ColumnReader::Int64ColumnReader(mut column) => {
                labels.extend(read_column(&mut column, levels, rows).map_err(fail)?);
            }
            ColumnReader::Int32ColumnReader(mut column) => {
                let cells = read_column(&mut column, levels, rows).map_err(fail)?;
                labels.extend(cells.into_iter().map(|cell| cell.map(i64::from)));
            }
            _ => return Err(kind(label)),
        }
    }
    if images.len() != labels.len() {
        let reason = format!("{} images and {} labels", images.len(), labels.len());
        return Err(Error::Packed { path: path.to_owned(), reason });
    }
    Ok((images, labels))
}

/// All cells of a column that is not repeated; `None` where a value (or a struct around it) is null.
fn read_column<T: DataType>(
    column: &mut ColumnReaderImpl<T>,
    full: i16,
    rows: usize,
) -> Result<Vec<Option<T::T>>, ParquetError> {
    let (mut values, mut levels) = (Vec::new(), Vec::new());
    let mut read = 0;
    while read < rows {
        let (records, ..) = column.read_records(rows - read, Some(&mut levels), None, &mut values)?;
        if records == 0 {
            break;
        }
        read += records;
    }
    let mut values = values.into_iter();
    if full == 0 {
        return Ok(values.map(Some).collect());
    }
    Ok(levels.into_iter().map(|level| if level == full { values.next() } else { None }).collect())
}

struct Row {
    name: String,
    image: ByteArray,
    class: Option<usize>,
    subset: Option<Subset>,
}

struct EncodedImages {
    schema: Schema,
    root: PathBuf,
    rows: Vec<Row>,
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
        let label = self.rows[row].class.map_or(Labels::Missing, Labels::Class);
        self.schema.tasks.iter().map(|_| label.clone()).collect()
    }

    fn subset(&self, row: usize) -> Option<Subset> {
        self.rows[row].subset
    }

    fn sample(&self, row: usize, size: Size) -> Result<Sample, Error> {
        let row = &self.rows[row];
        let image = decode::decode(row.image.data())
            .map_err(|problem| Error::Image { path: self.root.join(&row.name), problem })?;
        let class = row.class.map_or(Target::NO_CLASS, |class| class as i32);
        let targets = self.schema.tasks.iter().map(|_| Target::Class(vec![class])).collect();
        let image = range::eight_bits(image, None);
        Ok(Sample { image: resize::planes(&image, self.schema.channels, size), targets })
    }

    fn content_hash(&self, row: usize) -> Result<Option<u64>, Error> {
        Ok(Some(hash(self.rows[row].image.data())))
    }

    fn native_size(&self, row: usize) -> Option<Size> {
        decode::inspect(self.rows.get(row)?.image.data()).ok().map(|header| header.size)
    }
}
