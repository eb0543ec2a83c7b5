//! Parquet with other columns than one integer label.

use std::fs::File;
use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;

use image::{ImageBuffer, ImageFormat, Luma, Rgb, RgbImage};
use mtl_data::{Labels, OpenOptions, Size, open};
use mtl_task::{Target, TaskKind};
use parquet::data_type::{
    ByteArray, ByteArrayType, DoubleType, FixedLenByteArray, FixedLenByteArrayType, Int64Type, Int96, Int96Type,
};
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
pub fn write(root: &Path, schema: &str, metadata: Option<&str>) {
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

/// A column of a parquet file: its type, and its values.
enum Cells<'a> {
    Bytes(&'a str, Vec<ByteArray>),
    Whole(&'a str, Vec<i64>),
    Fixed(&'a str, Vec<FixedLenByteArray>),
    Old(&'a str, Vec<Int96>),
}

fn write_columns(root: &Path, columns: &[Cells]) {
    let types = columns.iter().map(|column| match column {
        Cells::Bytes(text, _) | Cells::Whole(text, _) | Cells::Fixed(text, _) | Cells::Old(text, _) => *text,
    });
    let schema = format!("message rows {{ {} }}", types.map(|text| format!("required {text};")).collect::<String>());
    let file = File::create(root.join("train.parquet")).unwrap();
    let schema = Arc::new(parse_message_type(&schema).unwrap());
    let mut writer = SerializedFileWriter::new(file, schema, Arc::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    for cells in columns {
        let mut column = group.next_column().unwrap().unwrap();
        match cells {
            Cells::Bytes(_, values) => column.typed::<ByteArrayType>().write_batch(values, None, None),
            Cells::Whole(_, values) => column.typed::<Int64Type>().write_batch(values, None, None),
            Cells::Fixed(_, values) => column.typed::<FixedLenByteArrayType>().write_batch(values, None, None),
            Cells::Old(_, values) => column.typed::<Int96Type>().write_batch(values, None, None),
        }
        .unwrap();
        column.close().unwrap();
    }
    group.close().unwrap();
    writer.close().unwrap();
}

const IMAGE: &str = "binary image";

fn deep(value: u16) -> ByteArray {
    let mut bytes = Cursor::new(Vec::new());
    ImageBuffer::from_pixel(4, 4, Luma([value])).write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner().into()
}

#[test]
fn images_of_12_bits_have_their_own_range() {
    let temp = tempfile::tempdir().unwrap();
    let images = [0, 2048, 4000, 4095].map(deep).to_vec();
    write_columns(temp.path(), &[Cells::Bytes(IMAGE, images), Cells::Whole("int64 label", vec![0, 1, 0, 1])]);
    let data = opened(temp.path());
    assert_eq!((data.schema().channels, data.largest_value()), (1, Some(4095.0)));
    assert_eq!(data.sample(1, Size { height: 2, width: 2 }).unwrap().image, [128; 4]);
    let said = data.reading().lines().join("\n");
    assert!(said.contains("4 of 4 images have more than 8 bits: their values are divided by 4095"), "{said}");
}

#[test]
fn a_blank_or_broken_image_leaves_out_its_row() {
    let temp = tempfile::tempdir().unwrap();
    let mut images: Vec<ByteArray> = (0..8).map(png).collect();
    images[2] = Vec::new().into();
    images[5] = b"no image".to_vec().into();
    let labels = || Cells::Whole("int64 label", vec![0, 1, 2, 0, 1, 2, 0, 1]);
    write_columns(temp.path(), &[Cells::Bytes(IMAGE, images.clone()), labels()]);
    let words = refused(temp.path());
    assert!(words.contains("2 of 8 rows") && words.contains("train row 2"), "{words}");
    let lenient = OpenOptions { max_broken: 0.25, ..OpenOptions::default() };
    let data = open(temp.path(), &lenient).unwrap();
    assert_eq!((data.len(), data.skipped().len()), (6, 2));
    assert_eq!((data.row_name(2), data.labels(2)), ("train row 3".to_owned(), vec![Labels::Class(0)]));
    images[5] = png(5);
    write_columns(temp.path(), &[Cells::Bytes(IMAGE, images), labels()]);
    assert_eq!(opened(temp.path()).len(), 7, "one row may be broken");
}

#[test]
fn columns_that_are_not_read_are_named() {
    let temp = tempfile::tempdir().unwrap();
    let fixed = |at: u8| FixedLenByteArray::from(vec![at; 4]);
    let columns = [
        Cells::Bytes(IMAGE, (0..4).map(png).collect()),
        Cells::Whole("int64 taken (TIMESTAMP_MILLIS)", vec![1, 2, 3, 4]),
        Cells::Fixed("fixed_len_byte_array(4) code", (0..4).map(fixed).collect()),
        Cells::Old("int96 when", vec![Int96::new(); 4]),
        Cells::Whole("int64 price (DECIMAL(9,2))", vec![1, 2, 3, 4]),
    ];
    write_columns(temp.path(), &columns);
    let data = opened(temp.path());
    assert!(data.schema().tasks.is_empty());
    let said = data.reading().lines().join("\n");
    for words in [
        "column `taken` holds dates or times: it is not read",
        "column `code` holds bytes of a fixed length",
        "column `when` holds dates or times",
        "column `price` holds decimal numbers of fixed precision",
    ] {
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn several_columns_of_labels_keep_their_names() {
    let temp = tempfile::tempdir().unwrap();
    let columns = [
        Cells::Bytes(IMAGE, (0..4).map(png).collect()),
        Cells::Whole("int64 fine_label", vec![0, 1, 2, -1]),
        Cells::Whole("int64 coarse_label", vec![0, 0, 1, 1]),
    ];
    write_columns(temp.path(), &columns);
    let data = opened(temp.path());
    assert_eq!(shape(&*data).1, ["fine_label: 0 1 2", "coarse_label: 0 1"]);
    assert_eq!(data.labels(3), [Labels::Missing, Labels::Class(1)]);
    let said = data.reading().lines().join("\n");
    assert!(said.contains("column `fine_label`: -1 means that the label is missing (1 times)"), "{said}");
}

/// A row: encoded image and path, where they are not null, and the subset.
type Linked<'a> = (Option<ByteArray>, Option<&'a str>, &'a str);

/// A file as the hub writes it: a struct `image`, a second one `annotation`, a label and the subset of each row.
fn write_structs(root: &Path, rows: &[Linked]) {
    let text = "message rows { optional group image { optional binary bytes; optional binary path (UTF8); } \
                optional group annotation { optional binary bytes; optional binary path (UTF8); } \
                required int64 label; required binary split (UTF8); }";
    let file = File::create(root.join("part.0.parquet")).unwrap();
    let mut writer =
        SerializedFileWriter::new(file, Arc::new(parse_message_type(text).unwrap()), Arc::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let cells = |cells: Vec<Option<ByteArray>>| {
        let levels: Vec<i16> = cells.iter().map(|cell| if cell.is_some() { 2 } else { 0 }).collect();
        (cells.into_iter().flatten().collect::<Vec<_>>(), levels)
    };
    let paths = rows.iter().map(|(_, path, _)| path.map(ByteArray::from)).collect();
    let columns = [
        cells(rows.iter().map(|(image, ..)| image.clone()).collect()),
        cells(paths),
        cells(rows.iter().map(|_| Some(png(1))).collect()),
        cells(vec![None; rows.len()]),
    ];
    for (values, levels) in columns {
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(&values, Some(&levels), None).unwrap();
        column.close().unwrap();
    }
    let mut column = group.next_column().unwrap().unwrap();
    let labels: Vec<i64> = (0..rows.len() as i64).map(|row| row % 2).collect();
    column.typed::<Int64Type>().write_batch(&labels, None, None).unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    let subsets: Vec<ByteArray> = rows.iter().map(|(.., subset)| ByteArray::from(*subset)).collect();
    column.typed::<ByteArrayType>().write_batch(&subsets, None, None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
}

#[test]
fn null_images_are_read_from_their_path_or_leave_out_their_row() {
    let temp = tempfile::tempdir().unwrap();
    crate::folders::save(temp.path(), "i/7.png", crate::folders::colour(7));
    let mut rows: Vec<Linked> = (0..6).map(|row| (Some(png(row)), Some("x.png"), "train")).collect();
    rows[1] = (None, Some("i/7.png"), "test");
    rows[4] = (None, Some("gone.png"), "train");
    write_structs(temp.path(), &rows);
    let data = opened(temp.path());
    assert_eq!(shape(&*data), (5, vec!["class: 0 1".to_owned()], [4, 0, 1]), "the column `split` is the split");
    assert_eq!(data.skipped()[0].reason, "the cell of the image is blank, and its path `gone.png` is no file here");
    data.sample(1, Size { height: 2, width: 2 }).unwrap();
    let said = data.reading().lines().join("\n");
    for words in [
        "the images of 1 of 6 rows are files that the parquet file names",
        "column `annotation` holds images too and is not read: `image` is the image",
    ] {
        assert!(said.contains(words), "{said}");
    }
    assert!(!said.contains("annotation.path"), "{said}");
    rows.iter_mut().for_each(|row| (row.0, row.1) = (None, None));
    write_structs(temp.path(), &rows);
    assert!(refused(temp.path()).contains("the cell of the image is blank"), "{}", refused(temp.path()));
}
