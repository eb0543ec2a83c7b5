//! Class folders that are masks, parts of a layout or groups are refused; sound class folders are not.

use std::path::Path;

use image::{GrayImage, Luma, Rgb, RgbImage};
use mtl_data::{Dataset, OpenOptions, open};
use tempfile::TempDir;

use crate::folders::{opened, save};

/// A picture of many values, different for each `shade`.
pub fn photograph(side: u32, shade: u8) -> RgbImage {
    let value = |x: u32, y: u32| (x * 37 + y * 91 + x * y * 13 + u32::from(shade) * 7) as u8;
    RgbImage::from_fn(side, side, |x, y| Rgb([value(x, y), value(y, x + 3), shade]))
}

pub fn disc(side: u32, radius: u32, value: u8) -> GrayImage {
    let inside = |x: u32, y: u32| x.abs_diff(side / 2).pow(2) + y.abs_diff(side / 2).pow(2) < radius * radius;
    GrayImage::from_fn(side, side, |x, y| Luma([if inside(x, y) { value } else { 0 }]))
}

/// Eight photographs in each of `images` and eight masks of the same names in each of `masks`.
fn placed(images: &[&str], masks: &[&str]) -> TempDir {
    let temp = tempfile::tempdir().unwrap();
    for at in 0..8 {
        for (folder, nth) in images.iter().zip(0..) {
            save(temp.path(), &format!("{folder}/{at}.png"), photograph(24, 20 * nth + at));
        }
        for folder in masks {
            save(temp.path(), &format!("{folder}/{at}.png"), disc(24, 3 + u32::from(at), 255));
        }
    }
    temp
}

fn refusal(root: &Path) -> String {
    open(root, &OpenOptions::default()).map(|_| ()).expect_err("refused").to_string()
}

fn as_classes(root: &Path) -> Box<dyn Dataset> {
    open(root, &OpenOptions { reader: Some("folder".into()), ..OpenOptions::default() }).unwrap()
}

#[test]
fn a_class_folder_of_masks_is_refused_with_the_settings() {
    for (images, masks, wanted) in [
        (&["X"][..], &["y"][..], "y/ holds few values per file, as masks do, and 8 of its 8 files"),
        (&["data/a", "data/b"], &["segmented/a", "segmented/b"], "data.open.masks = \"segmented/**/*\""),
        (
            &["train/A", "train/B", "test/A", "test/B"],
            &["train/label", "test/label"],
            "data.open.masks = \"**/label/**/*\"",
        ),
        (
            &["healthy", "sick"],
            &["heatmaps"],
            "data.open.images = \"healthy/**/*\" and data.open.masks = \"heatmaps/**/*\"",
        ),
    ] {
        let temp = placed(images, masks);
        let reason = refusal(temp.path());
        assert!(reason.contains(wanted), "{reason}");
        assert!(as_classes(temp.path()).schema().tasks[0].name == "class");
    }
    let temp = placed(&["X"], &["y"]);
    let patterns =
        OpenOptions { images: Some("X/**/*".into()), masks: Some("y/**/*".into()), ..OpenOptions::default() };
    let data = open(temp.path(), &patterns).unwrap();
    assert_eq!((data.len(), &*data.schema().tasks[0].name), (8, "mask"), "the advice works");
}

#[test]
fn class_folders_of_the_same_names_are_sound() {
    // Photographs of two classes; drawings of two classes; masks beside photographs of other names.
    let others = placed(&["cat"], &["silhouette"]);
    for at in 0..8 {
        let from = others.path().join(format!("silhouette/{at}.png"));
        std::fs::rename(from, others.path().join(format!("silhouette/s{at}.png"))).unwrap();
    }
    for temp in [placed(&["cat", "dog"], &[]), placed(&[], &["circle", "spot"]), others] {
        let data = opened(temp.path());
        assert_eq!((data.len(), &*data.schema().tasks[0].name), (16, "class"));
        assert!(data.reading().warnings.is_empty(), "{:?}", data.reading().warnings);
    }
}

#[test]
fn the_same_images_at_two_sizes_are_said() {
    let temp = tempfile::tempdir().unwrap();
    for at in 0..5 {
        save(temp.path(), &format!("HR/{at}.png"), photograph(24, at));
        save(temp.path(), &format!("LR_x4/{at}.png"), photograph(6, at));
    }
    let data = opened(temp.path());
    let warnings = data.reading().warnings;
    assert!(
        warnings[0].contains("all 5 files of HR/ have the names of files in LR_x4/ and 4 times their size"),
        "{warnings:?}"
    );
}

#[test]
fn parts_of_a_layout_below_class_folders_are_refused() {
    let temp = placed(&["bottle/train/good", "bottle/test/good", "cable/train/good", "cable/test/good"], &[]);
    for object in ["bottle", "cable"] {
        save(temp.path(), &format!("{object}/ground_truth/broken/000_mask.png"), disc(24, 5, 255));
    }
    let reason = refusal(temp.path());
    assert!(
        reason.contains("bottle/ holds test/, train/") || reason.contains("bottle/ holds ground_truth/, test/, train/"),
        "{reason}"
    );
    assert!(reason.contains("give it as the folder"), "{reason}");
}

#[test]
fn folders_of_the_same_names_below_class_folders_are_refused_once() {
    for (folders, wanted) in [
        (
            &["photo/dog", "photo/horse", "sketch/dog", "sketch/horse"][..],
            "the 2 folders photo/, sketch/ hold folders of the same 2 names, dog/, horse/",
        ),
        (
            &["8863/0", "8863/1", "8864/0", "8864/1", "8865/0", "8865/1"],
            "the 3 folders 8863/, 8864/, 8865/ hold folders of the same 2 names, 0/, 1/",
        ),
    ] {
        let temp = placed(folders, &[]);
        let reason = refusal(temp.path());
        assert!(reason.contains(wanted), "{reason}");
        let notes = as_classes(temp.path()).reading().guesses;
        assert_eq!(notes.iter().filter(|line| line.contains("no classes of their own")).count(), 1, "{notes:?}");
    }
    // Sessions, magnifications and folders of one class are no classes.
    for folders in [
        &["cat/2020", "cat/2021", "dog/2020", "dog/2021"][..],
        &["dog/day_1", "dog/day_2", "horse/day_1", "horse/day_2"][..],
        &["benign/40X", "benign/100X", "malignant/40X", "malignant/100X"],
        &["animal/cat", "animal/dog", "vehicle/bus", "vehicle/car"],
    ] {
        assert_eq!(opened(placed(folders, &[]).path()).len(), 32, "{folders:?}");
    }
}
