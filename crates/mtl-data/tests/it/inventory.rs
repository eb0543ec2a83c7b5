//! Inventories: facts by hand, facts reused by later openings, and only the wanted facts.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use image::{GrayImage, Luma, Rgba, RgbaImage};
use mtl_data::inventory::{DenseFacts, LabelFacts};
use mtl_data::split::{self, Duplicates};
use mtl_data::{Dataset, Inventory, OpenOptions, Scenes, Splits, Wanted, open, scenes};
use mtl_rng::Seed;
use mtl_task::Target;

use crate::folders::{colour, left, opened, save};

/// Six rows: two classes, yes or no, a mask on three, a depth map on one; rows 4 and 5 are the same image.
fn folder(root: &Path) {
    let mut table = "image,kind,ripe,mask,depth\n".to_owned();
    for at in 0..6_u8 {
        save(root, &format!("images/{at}.png"), colour(if at == 5 { 4 } else { at } * 9));
        let mask = if at < 3 { format!("masks/{at}.png") } else { String::new() };
        let depth = if at == 3 { "depth/3.png" } else { "" };
        table += &format!(
            "images/{at}.png,{},{},{mask},{depth}\n",
            ["apple", "pear"][usize::from(at % 2)],
            ["no", "yes", ""][usize::from(at % 3)]
        );
    }
    for at in 0..3_u8 {
        save(root, &format!("masks/{at}.png"), left(u32::from(at) + 1, 255));
    }
    save(root, "depth/3.png", GrayImage::from_fn(6, 4, |x, _| Luma([if x < 3 { 0 } else { 51 }])));
    fs::write(root.join("manifest.csv"), table).unwrap();
}

fn column(data: &dyn Dataset, name: &str) -> usize {
    data.schema().tasks.iter().position(|task| task.name == name).unwrap()
}

fn known(root: &Path, inventory: Inventory) -> Box<dyn Dataset> {
    open(root, &OpenOptions { known: Some(Arc::new(inventory)), ..OpenOptions::default() }).unwrap()
}

#[test]
fn facts_by_hand() {
    let temp = tempfile::tempdir().unwrap();
    folder(temp.path());
    let data = opened(temp.path());
    let inventory = Inventory::new(&*data, Wanted::ALL).unwrap();
    let rows: Vec<usize> = (0..6).collect();
    let [kind, mask, depth] = ["kind", "mask", "depth"].map(|name| column(&*data, name));
    assert_eq!(inventory.class_counts(kind, &rows), [3, 3]);
    assert_eq!(inventory.class_counts(kind, &[0, 2, 3]), [2, 1]);
    // Masks of 24 pixels with 4, 8 and 12 of the foreground: 1024 * (1 / 6 + 1 / 3 + 1 / 2) = 1024 of 3072.
    assert_eq!(inventory.class_counts(mask, &rows), [2048, 1024]);
    assert_eq!(inventory.rows()[1].labels[mask], LabelFacts::Mask { pixels: vec![16, 8], unlabelled: 0 });
    assert_eq!([kind, mask, depth].map(|column| inventory.labelled(column, &rows)), [6, 3, 1]);
    assert_eq!(inventory.class_counts(depth, &rows), [0; 0]);
    let LabelFacts::Dense(DenseFacts { pixels, known, sum, square, range, groups }) = inventory.rows()[3].labels[depth]
    else {
        panic!()
    };
    assert_eq!((pixels, known, range, groups), (24, 12, Some([51.0, 51.0]), Some([51.0; 32])));
    assert_eq!((sum, square), (12.0 * 51.0, 12.0 * 51.0 * 51.0));
    assert_eq!(inventory.target(3, depth), Target::Dense(vec![51.0; 512]));
    let statistics = inventory.value_statistics(depth, &rows).unwrap();
    assert_eq!((statistics.images, statistics.mean, statistics.std, statistics.constant()), (1, 51.0, 0.0, true));
    assert_eq!(inventory.value_statistics(kind, &rows), None);
    assert_eq!(inventory.target(0, kind), Target::Class(vec![0]));
    assert_eq!(inventory.target(5, mask).present(), 0);
    let contents: Vec<_> = inventory.rows().iter().map(|row| row.content.unwrap()).collect();
    assert_eq!(contents[4], contents[5]);
    assert_ne!(contents[3], contents[4]);
    assert!((0..6).all(|row| data.content_hash(row).unwrap() == Some(contents[row])));
}

#[test]
fn unverified_folders_have_the_same_facts() {
    let temp = tempfile::tempdir().unwrap();
    folder(temp.path());
    let verified = Inventory::new(&*opened(temp.path()), Wanted::ALL).unwrap();
    let data = open(temp.path(), &OpenOptions { verify: false, ..OpenOptions::default() }).unwrap();
    assert_eq!(Inventory::new(&*data, Wanted::ALL).unwrap().rows(), verified.rows());
    let hashes = Inventory::new(&*data, Wanted::CONTENT).unwrap();
    assert!(
        hashes.rows().iter().all(|row| row.content.is_some() && row.fingerprint.is_none() && row.labels.is_empty())
    );
}

#[test]
fn hashes_alone_decode_nothing() {
    let temp = tempfile::tempdir().unwrap();
    for at in 0..8_u8 {
        save(temp.path(), &format!("images/{}/{at}.png", ["a", "b"][usize::from(at % 2)]), colour(at * 9));
    }
    let data = open(temp.path(), &OpenOptions { verify: false, ..OpenOptions::default() }).unwrap();
    // Damaged afterwards: decoding fails, hashing does not.
    fs::write(temp.path().join("images/a/0.png"), b"no image any more").unwrap();
    let config = split::Config { duplicates: Duplicates::Content, ..split::Config::default() };
    Splits::new(&*data, &config, Seed::new(0)).unwrap();
    let config = split::Config { duplicates: Duplicates::Pixels, ..config };
    Splits::new(&*data, &config, Seed::new(0)).unwrap_err();
}

#[test]
fn unchanged_files_are_not_read_again() {
    let temp = tempfile::tempdir().unwrap();
    folder(temp.path());
    let first = opened(temp.path());
    let inventory = Inventory::new(&*first, Wanted::ALL).unwrap();
    let file = temp.path().join("inventory.json");
    inventory.write(&file).unwrap();
    let read = Inventory::read(&file).unwrap();
    assert_eq!(read.rows().len(), 6);
    assert_eq!(read.class_counts(0, &[0, 1, 2]), inventory.class_counts(0, &[0, 1, 2]));

    // Facts of an unchanged file are taken from the inventory: here those of another image.
    let place = |name: &str| temp.path().join("images").join(name).to_string_lossy().into_owned();
    let mut json: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    let fingerprint = "/content/image/decoded/fingerprint";
    let other = json["files"][place("1.png")].pointer(fingerprint).unwrap().clone();
    *json["files"][place("0.png")].pointer_mut(fingerprint).unwrap() = other;
    fs::write(&file, json.to_string()).unwrap();
    let again = known(temp.path(), Inventory::read(&file).unwrap());
    assert_eq!((again.len(), again.schema()), (6, first.schema()));
    let again = Inventory::new(&*again, Wanted::ALL).unwrap();
    let fingerprints = |inventory: &Inventory| [0, 1].map(|row| inventory.rows()[row].fingerprint.clone());
    let ([a, b], [before, _]) = (fingerprints(&again), fingerprints(&inventory));
    assert!(a == b && a != before);
    let sides = |data: &dyn Dataset| Splits::new(data, &split::Config::default(), Seed::new(3)).unwrap();
    assert_eq!(sides(&*known(temp.path(), read.clone())), sides(&*first));

    // Other bytes of the same size, with the time of the content set back (`cp -p`): the file is read, and it is broken.
    let image = temp.path().join("images/0.png");
    let (bytes, modified) = (fs::read(&image).unwrap(), fs::metadata(&image).unwrap().modified().unwrap());
    fs::write(&image, vec![0; bytes.len()]).unwrap();
    fs::File::options().write(true).open(&image).unwrap().set_modified(modified).unwrap();
    if cfg!(unix) {
        assert_eq!(known(temp.path(), read.clone()).skipped().len(), 1);
    }
    fs::write(&image, vec![0; bytes.len() + 1]).unwrap();
    assert_eq!(known(temp.path(), read).skipped().len(), 1);
}

#[test]
fn united_masks_and_alpha_are_counted() {
    let temp = tempfile::tempdir().unwrap();
    save(temp.path(), "a/1.png", colour(1));
    save(temp.path(), "b/2.png", colour(2));
    save(temp.path(), "a/1_mask.png", left(2, 255));
    save(temp.path(), "a/1_mask_1.png", left(3, 255));
    let data = opened(temp.path());
    let facts = data.facts(0, Wanted::LABELS).unwrap();
    assert_eq!(
        facts.labels[1],
        LabelFacts::Mask { pixels: vec![12, 12], unlabelled: 0 },
        "the larger holds the smaller"
    );

    let temp = tempfile::tempdir().unwrap();
    for at in 0..2_u8 {
        let image = RgbaImage::from_fn(6, 4, |x, _| Rgba([at * 50, 20, 30, if x < 2 { 255 } else { 0 }]));
        save(temp.path(), &format!("images/{at}.png"), image);
    }
    for verify in [true, false] {
        let data = open(temp.path(), &OpenOptions { verify, ..OpenOptions::default() }).unwrap();
        let facts = data.facts(1, Wanted::LABELS).unwrap();
        assert_eq!(facts.labels, [LabelFacts::Mask { pixels: vec![16, 8], unlabelled: 0 }]);
    }
}

#[test]
fn drawn_scenes_have_facts_too() {
    let data = Scenes::new(scenes::Config { count: 5, ..scenes::Config::default() }).unwrap();
    let inventory = Inventory::new(&data, Wanted::LABELS).unwrap();
    let classes: u64 = inventory.class_counts(0, &[0, 1, 2, 3, 4]).iter().sum();
    let parts: u64 = inventory.class_counts(1, &[0, 1, 2, 3, 4]).iter().sum();
    assert_eq!((classes, parts), (5, 5 * 1024));
    assert!(inventory.target(2, 2).present() == 1024);
}
