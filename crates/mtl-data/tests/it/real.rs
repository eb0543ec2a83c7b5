//! Counts on real data sets; each test says so and ends where the data is not at hand.

use std::path::PathBuf;

use mtl_data::{Dataset, Labels, OpenOptions, Part, Size, open};
use mtl_task::Target;

fn real(name: &str) -> Option<Box<dyn Dataset>> {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data")).join(name);
    if !path.is_dir() {
        println!("skipped: {} is not there", path.display());
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
    assert_eq!((data.skipped(), data.notes()), (&[][..], &[][..]));
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
    let test = (0..60_000).filter(|&row| data.part(row) == Some(Part::Test)).count();
    assert_eq!(test, 10_000);
    assert_eq!([3, 9].map(|class| count(&*data, 0, &Labels::Class(class))), [6000, 6000]);
    assert_eq!(data.sample(59_999, Size { height: 32, width: 32 }).unwrap().image.len(), 3072);
}
