//! Labels that are numbers: columns of tables, and depth maps.

use std::fs;
use std::path::Path;

use image::{ImageBuffer, Luma, Rgb, RgbImage};
use mtl_data::check::check;
use mtl_data::{Dataset, Inventory, Labels, OpenOptions, Size, Wanted, open};
use mtl_task::{Target, TaskKind, ValueStatistics};

use crate::folders::{colour, opened, save};
use crate::tables::says;

/// A table of these lines, the image before each.
pub fn table(root: &Path, columns: &str, lines: &[&str]) {
    let mut text = format!("image,{columns}\n");
    for (at, line) in lines.iter().enumerate() {
        save(root, &format!("{at}.png"), colour(at as u8));
        text += &format!("{at}.png,{line}\n");
    }
    fs::write(root.join("manifest.csv"), text).unwrap();
}

fn with(root: &Path, regression: &[&str], classification: &[&str]) -> Result<Box<dyn Dataset>, mtl_data::Error> {
    let names = |list: &[&str]| list.iter().map(|&name| name.to_owned()).collect();
    let options =
        OpenOptions { regression: names(regression), classification: names(classification), ..Default::default() };
    open(root, &options)
}

pub fn kinds(data: &dyn Dataset) -> Vec<(String, &'static str)> {
    data.schema().tasks.iter().map(|task| (task.name.clone(), task.kind.name())).collect()
}

pub fn refusal(found: Result<Box<dyn Dataset>, mtl_data::Error>) -> String {
    found.err().unwrap().to_string()
}

#[test]
fn a_column_of_numbers_is_a_regression_with_its_unit() {
    let temp = tempfile::tempdir().unwrap();
    table(temp.path(), "yield_kg", &["0.5", "1.25", "", "10.25", "nan", "-2"]);
    let data = opened(temp.path());
    assert_eq!(data.schema().tasks[0].kind, TaskKind::Regression { unit: "kg".into() });
    let labels: Vec<Labels> = (0..6).map(|row| data.labels(row)[0].clone()).collect();
    let value = |value| Labels::Value(value);
    assert_eq!(labels, [value(0.5), value(1.25), Labels::Missing, value(10.25), Labels::Missing, value(-2.0)]);
    let size = Size { height: 4, width: 6 };
    assert_eq!(data.sample(3, size).unwrap().targets, [Target::Value(vec![10.25])]);
    assert_eq!(data.sample(2, size).unwrap().targets[0].present(), 0);
    let inventory = Inventory::new(&*data, Wanted::LABELS).unwrap();
    let expected = ValueStatistics { images: 2, mean: 0.875, std: 0.375, min: 0.5, max: 1.25 };
    assert_eq!(inventory.value_statistics(0, &[0, 1, 2]), Some(expected));
    assert_eq!(inventory.value_statistics(0, &[2, 4]), None);
    assert_eq!(inventory.class_counts(0, &[0, 1]), [0; 0]);
    assert_eq!(inventory.labelled(0, &[0, 1, 2, 3, 4, 5]), 4);
    says(
        &data.reading().lines().join("\n"),
        &["`yield_kg` holds 4 different numbers from -2 to 10.25 kg: a regression task", "data.open.classification"],
    );
    let report = check(temp.path(), &OpenOptions::default());
    let task = &report.tasks[0];
    assert_eq!((task.kind, &*task.unit, task.missing, report.problems()), ("regression", "kg", 2, 0));
    assert_eq!(
        task.values.map(|values| (values.images, values.mean, values.min, values.max)),
        Some((4, 2.5, -2.0, 10.25))
    );
    says(&report.to_string(), &["yield_kg (regression): 4 rows labelled, 2 not", "values -2 to 10.25 kg, mean 2.5000"]);
}

#[test]
fn settings_make_a_column_one_or_the_other() {
    let temp = tempfile::tempdir().unwrap();
    let lines = ["0,0.5,1,-1", "1,0.5,0,0", "2,1.5,1,1", "4,1.5,0,-1", "4,0.5,1,0", "0,1.5,0,1"];
    table(temp.path(), "severity,dose_mg,sick,mood", &[lines, lines].concat());
    let plain = opened(temp.path());
    let names =
        |list: &[(&str, &'static str)]| list.iter().map(|(name, kind)| ((*name).to_owned(), *kind)).collect::<Vec<_>>();
    assert_eq!(
        kinds(&*plain),
        names(&[("severity", "classification"), ("dose_mg", "regression"), ("labels", "multi_label")])
    );
    let data = with(temp.path(), &["sev*", "mood"], &["dose_mg"]).unwrap();
    let expected =
        [("severity", "regression"), ("dose_mg", "classification"), ("sick", "classification"), ("mood", "regression")];
    assert_eq!(kinds(&*data), names(&expected));
    assert_eq!(data.schema().tasks[1].kind.classes(), ["0.5", "1.5"]);
    // The column of 0 and 1 with -1 for "missing" is one of numbers now.
    assert_eq!(
        (plain.labels(0)[2].clone(), data.labels(0)[3].clone()),
        (Labels::MultiLabel(vec![Some(true), None]), Labels::Value(-1.0))
    );
    says(
        &data.reading().lines().join("\n"),
        &["`severity` is a regression task (data.open.regression): numbers from 0 to 4"],
    );
    says(
        &with(temp.path(), &["severty"], &[]).unwrap().reading().warnings.join("\n"),
        &["`severty` is no column of labels"],
    );
    says(&refusal(with(temp.path(), &["severity"], &["*"])), &["severity", "classification"]);
}

#[test]
fn cells_that_cannot_be_numbers_are_named_with_their_line() {
    let temp = tempfile::tempdir().unwrap();
    table(temp.path(), "weight", &["0.5", "n.d.", "3.5", "7.25", "9", "11"]);
    let data = opened(temp.path());
    assert!(data.schema().tasks.is_empty());
    says(
        &data.reading().lines().join("\n"),
        &["6 different values in 6 rows: no task; 1 cell is no number, such as `n.d.`"],
    );
    says(
        &refusal(with(temp.path(), &["weight"], &[])),
        &["manifest.csv:3", "`weight` holds `n.d.`, which is no number"],
    );
    table(temp.path(), "weight", &["0.5", "1e39", "3.5"]);
    says(&refusal(open(temp.path(), &OpenOptions::default())), &["manifest.csv:3", "1e39", "32 bits"]);
}

#[test]
fn identifiers_are_no_task_and_numbers_for_missing_are_warned_of() {
    let temp = tempfile::tempdir().unwrap();
    let lines: Vec<String> =
        (0..48).map(|at| format!("{},{},{},{}", at * 3, at % 24 * 10, at / 2 * 5, at % 40)).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    table(temp.path(), "serial,image_id,height_cm,shade", &lines);
    let data = opened(temp.path());
    assert_eq!(kinds(&*data), [("height_cm".to_owned(), "regression")]);
    says(
        &data.reading().lines().join("\n"),
        &[
            "`serial` has 48 different values in 48 rows: no task (data.open.regression = [\"serial\"]",
            "`image_id` is an identifier by its name (24 different values",
        ],
    );
    let temp = tempfile::tempdir().unwrap();
    table(temp.path(), "weight", &["-99", "1.5", "-99", "0", "2.5", "1.5"]);
    says(&opened(temp.path()).reading().warnings.join("\n"), &["-99 is learned as a number (2 rows)"]);
    // Only tables have columns.
    let temp = tempfile::tempdir().unwrap();
    ["1/a.png", "2/b.png"].iter().for_each(|name| save(temp.path(), name, colour(1)));
    says(&with(temp.path(), &["class"], &[]).unwrap().reading().warnings.join("\n"), &["`class`", "`folder` has none"]);
}

/// Two images with 16-bit depth maps: the left half 1000 and 3000, the right one 0 and 65535.
fn depths(root: &Path) {
    table(root, "depth", &["d0.png", "d1.png"]);
    for (name, left, right) in [("d0.png", 1000_u16, 0_u16), ("d1.png", 3000, 65535)] {
        save(root, name, ImageBuffer::<Luma<u16>, _>::from_fn(6, 4, |x, _| Luma([if x < 3 { left } else { right }])));
    }
}

fn values(data: &dyn Dataset, row: usize) -> [f32; 2] {
    let sample = data.sample(row, Size { height: 4, width: 6 }).unwrap();
    let Target::Dense(values) = &sample.targets[0] else { panic!("{sample:?}") };
    [values[0], values[5]]
}

#[test]
fn depths_keep_their_stored_numbers() {
    let temp = tempfile::tempdir().unwrap();
    depths(temp.path());
    let data = opened(temp.path());
    assert_eq!(data.schema().tasks[0].kind, TaskKind::Dense { unit: String::new() });
    assert!(values(&*data, 0)[0] == 1000.0 && values(&*data, 0)[1].is_nan());
    assert_eq!(values(&*data, 1), [3000.0, 65535.0]);
    says(
        &data.reading().lines().join("\n"),
        &[
            "2 depth maps: values from 1000 to 65535 (as stored); 0 means \"not measured\", 25.00 % of the pixels",
            "[0, 65535]",
        ],
    );
    let metres = OpenOptions {
        depth_invalid: vec![0.0, 65535.0],
        depth_scale: 0.001,
        depth_unit: "m".into(),
        ..Default::default()
    };
    let scaled = open(temp.path(), &metres).unwrap();
    assert_eq!(scaled.schema().tasks[0].kind, TaskKind::Dense { unit: "m".into() });
    assert!(values(&*scaled, 1)[0] == 3.0 && values(&*scaled, 1)[1].is_nan());
    says(
        &scaled.reading().lines().join("\n"),
        &["values from 1 to 3 m (the stored numbers times 0.001); 0 or 65535 means", "50.00 %"],
    );
    let inventory = Inventory::new(&*scaled, Wanted::LABELS).unwrap();
    let expected = ValueStatistics { images: 2, mean: 2.0, std: 1.0, min: 1.0, max: 3.0 };
    assert_eq!(inventory.value_statistics(0, &[0, 1]), Some(expected));
    // Facts of another encoding are not taken over.
    let known = OpenOptions { known: Some(std::sync::Arc::new(inventory)), ..OpenOptions::default() };
    let again = Inventory::new(&*open(temp.path(), &known).unwrap(), Wanted::LABELS).unwrap();
    assert_eq!(again.value_statistics(0, &[0]).map(|values| values.mean), Some(1000.0));
    let error = open(temp.path(), &OpenOptions { depth_scale: 0.0, ..Default::default() }).err().unwrap().to_string();
    says(&error, &["depth_scale", "above 0"]);
    let relative = OpenOptions { depth_unit: "relative".into(), ..Default::default() };
    says(
        &open(temp.path(), &relative).unwrap().reading().warnings.join("\n"),
        &["values from 0 to 1", "set depth_scale"],
    );
}

#[test]
fn depths_in_colours_are_refused() {
    let temp = tempfile::tempdir().unwrap();
    depths(temp.path());
    for name in ["d0.png", "d1.png"] {
        save(temp.path(), name, RgbImage::from_fn(6, 4, |x, _| Rgb([x as u8 * 40, 30, 255 - x as u8 * 40])));
    }
    says(&refusal(open(temp.path(), &OpenOptions::default())), &["d0.png", "a colour picture", "grey PNG"]);
}
