//! Parquet with other columns than one integer label.

use std::fs::File;
use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;

use image::{ImageFormat, Rgb, RgbImage};
use mtl_data::{Labels, Size};
use mtl_task::{Target, TaskKind};
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use crate::folders::opened;
use crate::layouts::{refused, shape};

fn png(level: u8) -> ByteArray {
    let mut bytes = Cursor::new(Vec::new());
    RgbImage::from_pixel(4, 4, Rgb([level, 90, 10])).write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner().into()
}

/// Eight rows: image, integer label, text, number (with a gap).
fn write(root: &Path, schema: &str, metadata: Option<&str>) {
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let pairs = metadata.map(|text| vec![KeyValue::new("huggingface".to_owned(), text.to_owned())]);
    let properties = Arc::new(WriterProperties::builder().set_key_value_metadata(pairs).build());
    let file = File::create(root.join("train-00000-of-00001.parquet")).unwrap();
    let mut writer = SerializedFileWriter::new(file, schema, properties).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut at = 0;
    while let Some(mut column) = group.next_column().unwrap() {
        match at {
            0 => {
                let images: Vec<ByteArray> = (0..8).map(png).collect();
                column.typed::<ByteArrayType>().write_batch(&images, None, None).unwrap();
            }
            1 => {
                let labels: Vec<i64> = (0..8).map(|row| row % 2).collect();
                column.typed::<Int64Type>().write_batch(&labels, None, None).unwrap();
            }
            2 => {
                let words: Vec<ByteArray> = (0..8).map(|row| ["oak", "fir"][usize::from(row > 3)].into()).collect();
                column.typed::<ByteArrayType>().write_batch(&words, None, None).unwrap();
            }
            _ => {
                let numbers: Vec<f64> = (0..7).map(|row| f64::from(row) / 4.0).collect();
                let levels = [1, 1, 1, 1, 1, 1, 1, 0];
                column.typed::<DoubleType>().write_batch(&numbers, Some(&levels), None).unwrap();
            }
        }
        column.close().unwrap();
        at += 1;
    }
    group.close().unwrap();
    writer.close().unwrap();
}

#[test]
fn every_column_of_labels_is_a_task() {
    let temp = tempfile::tempdir().unwrap();
    let schema = "message rows { required binary image; required int64 label; required binary tree (UTF8); \
                  optional double height_m; }";
    write(temp.path(), schema, Some(r#"{"info":{"features":{"label":{"names":["no","yes","maybe"]}}}}"#));
    let data = opened(temp.path());
    let tasks = ["class: no yes maybe", "tree: fir oak", "height_m: "].map(str::to_owned);
    assert_eq!(shape(&*data), (8, tasks.to_vec(), [8, 0, 0]));
    assert_eq!(data.schema().tasks[2].kind, TaskKind::Regression { unit: "m".into() });
    assert_eq!(data.labels(1), [Labels::Class(1), Labels::Class(1), Labels::Value(0.25)]);
    assert_eq!(data.labels(7), [Labels::Class(1), Labels::Class(0), Labels::Missing]);
    let targets = data.sample(5, Size { height: 2, width: 2 }).unwrap().targets;
    assert_eq!(targets, [Target::Class(vec![1]), Target::Class(vec![0]), Target::Value(vec![1.25])]);
}

#[test]
fn a_file_without_images_is_refused() {
    let temp = tempfile::tempdir().unwrap();
    let schema = "message rows { required binary name (UTF8); required int64 label; required binary tree (UTF8); \
                  optional double height_m; }";
    write(temp.path(), schema, None);
    let words = refused(temp.path());
    assert!(words.contains("no column of images") && words.contains("columns: name, label"), "{words}");
}
