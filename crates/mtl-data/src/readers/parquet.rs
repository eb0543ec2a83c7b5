//! The hub's parquet layout: `train-*.parquet` and `test-*.parquet` (in the folder, `data/` or `plain_text/`), with a column of
//! encoded images (a struct of `bytes` and `path`, or plain bytes) and columns of labels.
//!
//! Images stay encoded in memory (CIFAR-10: 21 MB) and are decoded one at a time on request; opening only checks
//! that each row has image bytes. An integer column `label` is the task `class`; its class names come from the `huggingface`
//! metadata where present; CIFAR-10 has known ones; else the numbers are the names. Other columns become tasks by the rules of
//! text tables. A blank label is a missing one. Columns of lists are not read.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::parquet::basic::{ConvertedType, LogicalType, Type as PhysicalType};
use ::parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use ::parquet::data_type::{ByteArray, DataType};
use ::parquet::errors::ParquetError;
use ::parquet::file::reader::{FileReader, SerializedFileReader};
use ::parquet::schema::types::ColumnDescriptor;
use mtl_task::Task;

use super::cifar10;
use super::names::subset_named;
use super::row::Label;
use super::table::tasks_of;
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
    let mut reading = Reading::default();
    let (mut rows, mut named) = (Vec::new(), BTreeMap::new());
    let mut columns: Vec<(String, Vec<String>)> = Vec::new();
    for (path, subset) in &files {
        let packed = |error: ParquetError| Error::Packed { path: path.clone(), reason: error.to_string() };
        let file = File::open(path).map_err(|source| Error::Io { path: path.clone(), source })?;
        let reader = SerializedFileReader::new(file).map_err(packed)?;
        named.extend(class_names(&reader));
        let (images, labels) = read(&reader, path, &mut reading)?;
        let stem = path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
        for (at, image) in images.into_iter().enumerate() {
            let name = format!("{stem} row {at}");
            let Some(image) = image.filter(|image| !image.is_empty()) else {
                return Err(Error::Image { path: path.join(name), problem: Problem::Empty });
            };
            rows.push(Row { name, image, labels: Vec::new(), subset: *subset });
        }
        append(&mut columns, labels, rows.len());
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
    let name = walk::dataset_name(root);
    let columns = columns.into_iter().filter(|(_, cells)| cells.iter().any(|cell| !cell.is_empty())).collect();
    let columns = with_class_names(columns, &mut named, &name, &files[0].0)?;
    let tasks = tasks_of(&files[0].0, columns, named, options, &mut reading)?;
    for (_, labels) in &tasks {
        rows.iter_mut().zip(labels).for_each(|(row, label)| row.labels.push(label.clone()));
    }
    let tasks = tasks.into_iter().map(|(task, _)| task).collect();
    let channels = options.channels.unwrap_or(if grey { 1 } else { 3 });
    Ok(Box::new(EncodedImages {
        schema: Schema { name, channels, tasks },
        root: root.to_owned(),
        rows,
        largest: options.largest_value,
        reading,
    }))
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

/// Replaces numbers by the names of their classes. The integer column of labels becomes `class`, with a class for every number from
/// 0 to the largest.
fn with_class_names(
    mut columns: Vec<(String, Vec<String>)>,
    named: &mut BTreeMap<String, Vec<String>>,
    dataset: &str,
    path: &Path,
) -> Result<Vec<(String, Vec<String>)>, Error> {
    for (name, cells) in &mut columns {
        let numbers: Option<Vec<Option<i64>>> =
            cells.iter().map(|cell| if cell.is_empty() { Some(None) } else { cell.parse().ok().map(Some) }).collect();
        let is_label = LABELS.contains(&name.as_str());
        let Some(mut numbers) = numbers.filter(|_| is_label || named.contains_key(name)) else { continue };
        // The hub writes -1 for a missing label of a named column.
        numbers.iter_mut().filter(|number| **number == Some(-1)).for_each(|number| *number = None);
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
        if is_label {
            *name = "class".into();
        }
        if names.len() > 1 {
            named.insert(name.clone(), names);
        }
    }
    Ok(columns)
}

/// Names of the column of classes.
const LABELS: [&str; 3] = ["label", "labels", "fine_label"];

/// `features.COLUMN.names` of all columns of classes in the hub's metadata.
fn class_names(reader: &SerializedFileReader<File>) -> BTreeMap<String, Vec<String>> {
    let read = || -> Option<BTreeMap<String, Vec<String>>> {
        let entries = reader.metadata().file_metadata().key_value_metadata()?;
        let text = entries.iter().find(|entry| entry.key == "huggingface")?.value.as_ref()?;
        let info: serde_json::Value = serde_json::from_str(text).ok()?;
        let features = info.get("info")?.get("features")?.as_object()?;
        let names = |feature: &serde_json::Value| -> Option<Vec<String>> {
            feature.get("names")?.as_array()?.iter().map(|name| name.as_str().map(str::to_owned)).collect()
        };
        Some(features.iter().filter_map(|(column, feature)| Some((column.clone(), names(feature)?))).collect())
    };
    read().unwrap_or_default()
}

/// Images, and the cells of each column of labels as text.
type Columns = (Vec<Option<ByteArray>>, Vec<(String, Vec<String>)>);

fn read(reader: &SerializedFileReader<File>, path: &Path, reading: &mut Reading) -> Result<Columns, Error> {
    let columns = reader.metadata().file_metadata().schema_descr().columns();
    let names: Vec<String> = columns.iter().map(|column| column.path().string()).collect();
    let fail = |error: ParquetError| Error::Packed { path: path.to_owned(), reason: error.to_string() };
    let image = image_column(columns).ok_or_else(|| Error::Packed {
        path: path.to_owned(),
        reason: format!(
            "no column of images: a struct with `bytes`, or bytes called `image` or `img` (columns: {})",
            names.join(", ")
        ),
    })?;
    let of_image = names[image].strip_suffix("bytes").filter(|start| start.ends_with('.'));
    let mut labels = Vec::new();
    for (at, column) in columns.iter().enumerate() {
        let in_image = of_image.is_some_and(|start| names[at].starts_with(start));
        if at == image || in_image {
            continue;
        }
        if column.max_rep_level() > 0 {
            reading.guess(format!("column `{}` holds lists: it is not read", names[at]));
        } else if is_bytes(column) {
            reading.guess(format!("column `{}` holds bytes: it is not read", names[at]));
        } else {
            labels.push((at, Vec::new()));
        }
    }
    let mut images = Vec::new();
    for group in 0..reader.num_row_groups() {
        let group = reader.get_row_group(group).map_err(fail)?;
        let rows = usize::try_from(group.metadata().num_rows()).unwrap_or(0);
        if let ColumnReader::ByteArrayColumnReader(mut column) = group.get_column_reader(image).map_err(fail)? {
            images.extend(read_column(&mut column, columns[image].max_def_level(), rows).map_err(fail)?);
        }
        for (at, cells) in &mut labels {
            let column = group.get_column_reader(*at).map_err(fail)?;
            cells.extend(texts(column, columns[*at].max_def_level(), rows).map_err(fail)?);
        }
    }
    if let Some((at, cells)) = labels.iter().find(|(_, cells)| cells.len() != images.len()) {
        let reason = format!("{} images and {} cells of `{}`", images.len(), cells.len(), names[*at]);
        return Err(Error::Packed { path: path.to_owned(), reason });
    }
    Ok((images, labels.into_iter().map(|(at, cells)| (names[at].clone(), cells)).collect()))
}

/// The column of encoded images: `bytes` in a struct, else a column of bytes, `image` and `img` first.
fn image_column(columns: &[Arc<ColumnDescriptor>]) -> Option<usize> {
    let plain = |at: &usize| is_bytes(&columns[*at]) && columns[*at].max_rep_level() == 0;
    let named = |words: &[&str]| {
        let is = |at: &usize| words.contains(&columns[*at].path().string().to_lowercase().as_str());
        (0..columns.len()).filter(plain).find(is)
    };
    let in_struct = (0..columns.len()).filter(plain).find(|&at| columns[at].path().string().ends_with(".bytes"));
    in_struct.or_else(|| named(&["image", "img", "picture", "bytes"])).or_else(|| (0..columns.len()).find(plain))
}

/// Whether a column holds bytes that are no text.
fn is_bytes(column: &ColumnDescriptor) -> bool {
    let text = matches!(column.logical_type_ref(), Some(LogicalType::String | LogicalType::Enum | LogicalType::Json))
        || matches!(column.converted_type(), ConvertedType::UTF8 | ConvertedType::ENUM | ConvertedType::JSON);
    column.physical_type() == PhysicalType::BYTE_ARRAY && !text
}

/// The cells of a column as text, blank where they are null.
fn texts(column: ColumnReader, full: i16, rows: usize) -> Result<Vec<String>, ParquetError> {
    fn written<T: ToString>(cells: Vec<Option<T>>) -> Vec<String> {
        cells.into_iter().map(|cell| cell.map_or_else(String::new, |value| value.to_string())).collect()
    }
    // Missing numbers are often written as NaN.
    fn number(text: String) -> String {
        if text == "NaN" { String::new() } else { text }
    }
    Ok(match column {
        ColumnReader::BoolColumnReader(mut column) => written(read_column(&mut column, full, rows)?),
        ColumnReader::Int32ColumnReader(mut column) => written(read_column(&mut column, full, rows)?),
        ColumnReader::Int64ColumnReader(mut column) => written(read_column(&mut column, full, rows)?),
        ColumnReader::FloatColumnReader(mut column) => {
            written(read_column(&mut column, full, rows)?).into_iter().map(number).collect()
        }
        ColumnReader::DoubleColumnReader(mut column) => {
            written(read_column(&mut column, full, rows)?).into_iter().map(number).collect()
        }
        ColumnReader::ByteArrayColumnReader(mut column) => {
            let cells = read_column(&mut column, full, rows)?;
            let text = |cell: Option<ByteArray>| {
                cell.map_or_else(String::new, |cell| String::from_utf8_lossy(cell.data()).trim().to_owned())
            };
            cells.into_iter().map(text).collect()
        }
        _ => vec![String::new(); rows],
    })
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
    labels: Vec<Label>,
    subset: Option<Subset>,
}

struct EncodedImages {
    schema: Schema,
    root: PathBuf,
    rows: Vec<Row>,
    /// End of the range of images of more than 8 bits.
    largest: Option<f32>,
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
        let image = decode::decode(row.image.data())
            .map_err(|problem| Error::Image { path: self.root.join(&row.name), problem })?;
        let target = |(task, label): (&Task, &Label)| {
            label.image_target().unwrap_or_else(|| task.kind.missing(1, size.height, size.width))
        };
        let targets = self.schema.tasks.iter().zip(&row.labels).map(target).collect();
        let image = range::eight_bits(image, self.largest);
        Ok(Sample { image: resize::planes(&image, self.schema.channels, size), targets })
    }

    fn content_hash(&self, row: usize) -> Result<Option<u64>, Error> {
        Ok(Some(hash(self.rows[row].image.data())))
    }

    fn native_size(&self, row: usize) -> Option<Size> {
        decode::inspect(self.rows.get(row)?.image.data()).ok().map(|header| header.size)
    }
}
