//! Checks of a small folder with one of each trouble.

use std::fs;
use std::path::Path;

use image::{GrayImage, Luma, Rgb, RgbImage};

use super::*;

fn picture(seed: u32) -> RgbImage {
    let wave = |x: u32, y: u32, k: u32| {
        (127.0 + 120.0 * ((x * (seed + k) + y * 3) as f64 * 0.11 + f64::from(seed * seed)).sin()) as u8
    };
    RgbImage::from_fn(24, 16, |x, y| Rgb([wave(x, y, 1), wave(y, x, 2), wave(x, y, 3)]))
}

fn folder(root: &Path) {
    for (class, seeds) in [("a", 0..6), ("b", 10..16)] {
        fs::create_dir_all(root.join("images").join(class)).unwrap();
        seeds.for_each(|seed| picture(seed).save(root.join(format!("images/{class}/{seed}.png"))).unwrap());
    }
    fs::create_dir_all(root.join("masks")).unwrap();
    let mut mask = GrayImage::new(24, 16);
    mask.save(root.join("masks/0.png")).unwrap();
    (0..12).for_each(|x| (0..16).for_each(|y| mask.put_pixel(x, y, Luma([255]))));
    mask.save(root.join("masks/1.png")).unwrap();
}

#[test]
fn a_sound_folder_has_no_problems() {
    let temp = tempfile::tempdir().unwrap();
    folder(temp.path());
    let report = check(temp.path(), &OpenOptions::default());
    assert_eq!((report.rows, report.channels, report.problems()), (12, 3, 0), "{report}");
    let [class, mask] = &report.tasks[..] else { panic!("{report}") };
    assert_eq!((class.missing, class.classes[0].rows, class.classes[1].rows), (0, 6, 6));
    assert_eq!((mask.missing, mask.empty_masks), (10, 1));
    // One of two masks is half foreground.
    assert_eq!((mask.classes[1].rows, mask.classes[1].pixels), (1, Some(0.25)));
    let sizes = Sizes { distinct: 1, height: [16; 3], width: [24; 3] };
    assert_eq!(report.sizes, Some(sizes));
    let text = report.to_string();
    for words in ["no problems", "background", "25.00 %", "all 24 x 16", "1 masks are empty"] {
        assert!(text.contains(words), "{words} in\n{text}");
    }
    assert!(serde_json::to_string(&report).unwrap().contains("\"empty_masks\":1"));
}

#[test]
fn every_trouble_is_listed_at_once() {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path();
    folder(root);
    fs::write(root.join("images/a/zero.png"), b"").unwrap();
    fs::write(root.join("images/a/text.jpg"), b"this is no image at all").unwrap();
    GrayImage::new(5, 5).save(root.join("masks/2.png")).unwrap();
    picture(3).save(root.join("images/b/copy.bmp")).unwrap(); // equal pixels, other class
    fs::create_dir_all(root.join("images/c")).unwrap();
    picture(40).save(root.join("images/c/only.png")).unwrap();
    let report = check(root, &OpenOptions::default());
    let reasons: Vec<&str> = report.broken.iter().map(|skipped| skipped.reason.as_str()).collect();
    assert_eq!(reasons.len(), 3, "{reasons:?}");
    for words in ["empty (0 bytes)", "not an image", "5 x 5"] {
        assert!(reasons.iter().any(|reason| reason.contains(words)), "{words} in {reasons:?}");
    }
    assert!(report.refused.as_ref().is_some_and(|words| words.contains("3 rows have missing or broken files")));
    assert_eq!((report.exact_pairs, report.crossing.len()), (1, 1), "{report}");
    assert_eq!(report.crossing[0].classes, ["class: a / b"]);
    assert!(report.small_classes[0].contains("`c` of `class` has 1 image;"));
    assert_eq!(report.problems(), 3 + 1 + 1 + 1);
    // One broken file may be skipped; a class with one image cannot be split.
    fs::remove_file(root.join("images/a/zero.png")).unwrap();
    fs::remove_file(root.join("masks/2.png")).unwrap();
    assert!(check(root, &OpenOptions::default()).refused.is_some_and(|words| words.contains("one image only")));
    fs::remove_dir_all(root.join("images/c")).unwrap();
    assert_eq!(check(root, &OpenOptions::default()).refused, None);
}

#[test]
fn folders_no_reader_opens_are_still_looked_at() {
    let temp = tempfile::tempdir().unwrap();
    fs::write(temp.path().join("manifest.csv"), "picture,label\na.png,1\n").unwrap();
    picture(1).save(temp.path().join("a.png")).unwrap();
    fs::write(temp.path().join("b.png"), b"").unwrap();
    let report = check(temp.path(), &OpenOptions::default());
    assert!(report.refused.as_ref().is_some_and(|words| words.contains("no column `image`")), "{report}");
    assert_eq!((report.broken.len(), report.problems()), (1, 2));
    assert!(check(&temp.path().join("nowhere"), &OpenOptions::default()).refused.is_some());
}

#[test]
fn mean_and_std_are_over_all_pixels() {
    let temp = tempfile::tempdir().unwrap();
    RgbImage::from_pixel(2, 2, Rgb([0, 51, 255])).save(temp.path().join("a.png")).unwrap();
    RgbImage::from_pixel(2, 6, Rgb([255, 51, 255])).save(temp.path().join("b.png")).unwrap();
    let report = check(temp.path(), &OpenOptions::default());
    // 12 of 16 pixels are 1, 4 are 0: mean 3/4, variance 3/16.
    let close = |a: f64, b: f64| (a - b).abs() < 1e-9;
    assert!(close(report.mean[0], 0.75) && close(report.mean[1], 0.2) && close(report.mean[2], 1.0), "{report}");
    assert!(close(report.std[0], (3.0_f64 / 16.0).sqrt()) && report.std[1] < 1e-6);
}
