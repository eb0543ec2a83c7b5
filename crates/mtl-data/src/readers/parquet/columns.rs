//! The columns of a parquet file: the encoded images, and labels as text.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use ::parquet::basic::{ConvertedType, LogicalType, Type as PhysicalType};
use ::parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use ::parquet::data_type::{ByteArray, DataType};
use ::parquet::errors::ParquetError;
use ::parquet::file::reader::{FileReader, SerializedFileReader};
use ::parquet::schema::types::ColumnDescriptor;

use crate::error::Error;
use crate::reading::Reading;

/// `features.COLUMN.names` of all columns of classes in the hub's metadata.
pub(super) fn class_names(reader: &SerializedFileReader<File>) -> BTreeMap<String, Vec<String>> {
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

/// The cells of one file.
pub(super) struct Columns {
    /// The encoded images.
    pub images: Vec<Option<ByteArray>>,
    /// The paths beside the images; blank where there is none.
    pub paths: Vec<String>,
    /// Columns of labels as text.
    pub labels: Vec<(String, Vec<String>)>,
}

pub(super) fn read(reader: &SerializedFileReader<File>, path: &Path, reading: &mut Reading) -> Result<Columns, Error> {
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
    let structs: Vec<&str> =
        (0..columns.len()).filter(|&at| is_image_struct(columns, at)).map(|at| start(&names[at])).collect();
    let path_name = format!("{}path", start(&names[image]));
    let path_column = names.iter().position(|name| *name == path_name && structs.contains(&start(name)));
    for other in structs.iter().filter(|other| **other != start(&names[image])) {
        reading.warn(format!(
            "column `{}` holds images too and is not read: `{}` is the image; for masks, save them as PNG files and write a \
             table with the columns `image` and `mask`",
            other.trim_end_matches('.'),
            names[image].trim_end_matches(".bytes")
        ));
    }
    let mut labels = Vec::new();
    for (at, column) in columns.iter().enumerate() {
        if at == image || structs.contains(&start(&names[at])) {
            continue;
        }
        match not_read(column) {
            Some(what) => reading.guess(format!("column `{}` holds {what}: it is not read", names[at])),
            None => labels.push((at, Vec::new())),
        }
    }
    let (mut images, mut paths) = (Vec::new(), Vec::new());
    for group in 0..reader.num_row_groups() {
        let group = reader.get_row_group(group).map_err(fail)?;
        let rows = usize::try_from(group.metadata().num_rows()).unwrap_or(0);
        if let ColumnReader::ByteArrayColumnReader(mut column) = group.get_column_reader(image).map_err(fail)? {
            images.extend(read_column(&mut column, columns[image].max_def_level(), rows).map_err(fail)?);
        }
        if let Some(at) = path_column {
            let column = group.get_column_reader(at).map_err(fail)?;
            paths.extend(texts(column, columns[at].max_def_level(), rows).map_err(fail)?);
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
    paths.resize(images.len(), String::new());
    let labels = labels.into_iter().map(|(at, cells)| (names[at].clone(), cells)).collect();
    Ok(Columns { images, paths, labels })
}

/// `image.` of `image.bytes`: the struct of a column, empty for a column of its own.
fn start(name: &str) -> &str {
    name.rfind('.').map_or("", |end| &name[..=end])
}

/// Whether a column holds the encoded images of a struct.
fn is_image_struct(columns: &[Arc<ColumnDescriptor>], at: usize) -> bool {
    let column = &columns[at];
    is_bytes(column) && column.max_rep_level() == 0 && column.path().string().ends_with(".bytes")
}

/// The column of encoded images: `bytes` in a struct, else a column of bytes, `image` and `img` first.
fn image_column(columns: &[Arc<ColumnDescriptor>]) -> Option<usize> {
    let plain = |at: &usize| is_bytes(&columns[*at]) && columns[*at].max_rep_level() == 0;
    let named = |words: &[&str]| {
        let is = |at: &usize| words.contains(&columns[*at].path().string().to_lowercase().as_str());
        (0..columns.len()).filter(plain).find(is)
    };
    let in_struct = (0..columns.len()).find(|&at| is_image_struct(columns, at));
    named(&["image.bytes", "img.bytes", "picture.bytes"])
        .or(in_struct)
        .or_else(|| named(&["image", "img", "picture", "bytes"]))
        .or_else(|| (0..columns.len()).find(plain))
}

/// The contents of a column that gives no labels.
fn not_read(column: &ColumnDescriptor) -> Option<&'static str> {
    let logical = column.logical_type_ref();
    let converted = column.converted_type();
    let is_time = matches!(logical, Some(LogicalType::Date | LogicalType::Time { .. } | LogicalType::Timestamp { .. }))
        || matches!(
            converted,
            ConvertedType::DATE
                | ConvertedType::TIME_MILLIS
                | ConvertedType::TIME_MICROS
                | ConvertedType::TIMESTAMP_MILLIS
                | ConvertedType::TIMESTAMP_MICROS
        );
    if column.max_rep_level() > 0 {
        Some("lists")
    } else if is_time || column.physical_type() == PhysicalType::INT96 {
        Some("dates or times")
    } else if matches!(logical, Some(LogicalType::Decimal { .. })) || converted == ConvertedType::DECIMAL {
        Some("decimal numbers of fixed precision (store them as float or double)")
    } else if matches!(logical, Some(LogicalType::Float16)) {
        Some("numbers of 16 bits (store them as float)")
    } else if column.physical_type() == PhysicalType::FIXED_LEN_BYTE_ARRAY {
        Some("bytes of a fixed length")
    } else {
        is_bytes(column).then_some("bytes")
    }
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
        // `not_read` names the others.
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
