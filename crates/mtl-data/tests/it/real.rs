//! Counts on real data sets. Where a data set is not downloaded its tests are skipped, with a line that is always shown.

use std::io::Write;
use std::path::PathBuf;

use mtl_data::check::check_dataset;
use mtl_data::split::duplicates::{Likeness, pairs};
use mtl_data::split::{Config, Duplicates};
use mtl_data::{Dataset, Labels, OpenOptions, Size, Splits, Subset, Wanted, open};
use mtl_rng::Seed;
use mtl_task::Target;

fn real(name: &str) -> Option<Box<dyn Dataset>> {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data")).join(name);
    if !path.is_dir() {
        // The test harness captures `print` and `eprint`, not the stream itself.
        let line = format!("SKIPPED, not tested: data set `{name}` is not downloaded\n");
        std::io::stderr().write_all(line.as_bytes()).unwrap();
        return None;
    }
    Some(open(&path, &OpenOptions::default()).unwrap())
}

fn tasks(data: &dyn Dataset) -> Vec<(String, usize)> {
    data.schema().tasks.iter().map(|task| (task.name.clone(), task.kind.outputs())).collect()
}

fn count(data: &dyn Dataset, task: usize, label: &Labels) -> usize {
    (0..data.len()).filter(|&row| data.labels(row)[task] == *label).count()
}

fn named(tasks: &[(&str, usize)]) -> Vec<(String, usize)> {
    tasks.iter().map(|(name, outputs)| ((*name).to_owned(), *outputs)).collect()
}

#[test]
fn coffee_leaf_is_a_partially_labelled_manifest() {
    let Some(data) = real("coffee-leaf") else { return };
    assert_eq!((data.len(), data.schema().channels), (1402, 3));
    assert_eq!(tasks(&*data), named(&[("stress", 5), ("severity", 5), ("labels", 4), ("mask", 3)]));
    assert_eq!(data.schema().tasks[0].kind.classes(), ["cercospora", "healthy", "miner", "phoma", "rust"]);
    assert_eq!(data.schema().tasks[3].kind.classes(), ["background", "leaf", "symptom"]);
    assert_eq!((count(&*data, 0, &Labels::Missing), count(&*data, 3, &Labels::Pixels)), (50, 402));
    assert!(data.skipped().is_empty());
    let lines = data.reading().lines();
    assert!(lines.len() == 1 && lines[0].contains("one multi-label task `labels`: `miner`, `rust`"), "{lines:?}");
    let sample = data.sample(0, Size { height: 64, width: 128 }).unwrap();
    assert_eq!(sample.image.len(), 3 * 64 * 128);
    assert_eq!(sample.targets[0], Target::Class(vec![1]));
    let Target::Mask(mask) = &sample.targets[3] else { panic!("{:?}", sample.targets[3]) };
    let leaf = mask.iter().filter(|&&class| class == 1).count();
    assert!(leaf > 500 && mask.iter().all(|&class| class < 3), "{leaf} leaf pixels");
}

#[test]
fn busi_has_class_folders_with_masks_beside() {
    let Some(data) = real("busi") else { return };
    assert_eq!((data.len(), data.schema().channels), (625, 1));
    assert_eq!(tasks(&*data), named(&[("class", 3), ("mask", 2)]));
    assert_eq!(data.schema().tasks[0].kind.classes(), ["benign", "malignant", "normal"]);
    assert_eq!([0, 1, 2].map(|class| count(&*data, 0, &Labels::Class(class))), [350, 168, 107]);
    assert_eq!(count(&*data, 1, &Labels::Pixels), 625);
    let normal = (0..625).find(|&row| data.labels(row)[0] == Labels::Class(2)).unwrap();
    let size = Size { height: 64, width: 64 };
    assert_eq!(data.sample(normal, size).unwrap().targets[1], Target::Mask(vec![0; 4096]));
    let Target::Mask(lesion) = &data.sample(0, size).unwrap().targets[1] else { panic!() };
    assert!(lesion.contains(&1) && lesion.iter().all(|&class| class <= 1));
}

#[test]
fn pets_have_breed_and_species_and_no_invented_trimaps() {
    let Some(data) = real("oxford-iiit-pet") else { return };
    assert_eq!((data.len(), data.schema().channels), (6435, 3));
    assert_eq!(tasks(&*data), named(&[("breed", 37), ("species", 2)]));
    assert_eq!(data.schema().tasks[0].kind.classes()[0], "Abyssinian");
    assert_eq!(count(&*data, 1, &Labels::Missing), 0);
}

#[test]
fn emoji_use_alpha_as_their_mask() {
    let Some(data) = real("emoji") else { return };
    assert_eq!((data.len(), data.schema().channels), (1109, 3));
    assert_eq!(tasks(&*data), named(&[("class", 8), ("mask", 2)]));
    let sample = data.sample(0, Size { height: 64, width: 64 }).unwrap();
    let Target::Mask(mask) = &sample.targets[1] else { panic!() };
    // Outside the object the picture is white.
    let outside = mask.iter().zip(&sample.image).filter(|(class, _)| **class == 0);
    let white = outside.clone().filter(|(_, red)| **red > 120).count();
    assert!(white * 10 > outside.count() * 9);
}

#[cfg(feature = "parquet")]
#[test]
fn cifar10_is_read_from_parquet_with_its_own_split() {
    let Some(data) = real("cifar10") else { return };
    assert_eq!((data.len(), data.schema().channels), (60_000, 3));
    assert_eq!(tasks(&*data), named(&[("class", 10)]));
    assert_eq!(data.schema().tasks[0].kind.classes()[0], "airplane");
    let test = (0..60_000).filter(|&row| data.subset(row) == Some(Subset::Test)).count();
    assert_eq!(test, 10_000);
    assert_eq!([3, 9].map(|class| count(&*data, 0, &Labels::Class(class))), [6000, 6000]);
    assert_eq!(data.sample(59_999, Size { height: 32, width: 32 }).unwrap().image.len(), 3072);
}

#[test]
fn busi_holds_near_duplicates_that_a_split_can_keep_together() {
    let Some(data) = real("busi") else { return };
    let report = check_dataset(&*data);
    assert_eq!((report.exact_pairs, report.tasks[1].empty_masks), (1, 107), "{report}");
    assert!(report.near_pairs > 100, "{report}");
    assert!(report.crossing.iter().any(|pair| pair.likeness == Likeness::Exact), "one image is benign and malignant");
    let config = Config { duplicates: Duplicates::Near, ..Config::default() };
    let split = Splits::new(&*data, &config, Seed::new(0)).unwrap();
    let prints: Vec<_> = (0..data.len()).map(|row| data.facts(row, Wanted::FINGERPRINT).unwrap().fingerprint).collect();
    let side = |row: usize| [&split.train, &split.validation, &split.test].map(|side| side.contains(&row));
    for (first, second, _) in pairs(&prints) {
        assert_eq!(side(first), side(second), "{} and {}", data.row_name(first), data.row_name(second));
    }
    assert!(
        split.sizes().iter().zip([437, 94, 94]).all(|(&size, wanted)| size.abs_diff(wanted) < 10),
        "{:?}",
        split.sizes()
    );
}

#[test]
fn a_check_of_the_manifest_finds_nothing_wrong() {
    let Some(data) = real("coffee-leaf") else { return };
    let report = check_dataset(&*data);
    assert_eq!((report.problems(), report.tasks[3].missing), (0, 1000), "{report}");
    let shares: f64 = report.tasks[3].classes.iter().filter_map(|class| class.pixels).sum();
    assert!((shares - 1.0).abs() < 1e-9);
}
