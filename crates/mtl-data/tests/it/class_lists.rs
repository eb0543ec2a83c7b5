//! Names of the classes of masks in files beside them.

use std::fs;
use std::path::Path;

use image::{GrayImage, Luma, Rgb, RgbImage};
use mtl_data::check::check;
use mtl_data::{OpenOptions, Size};
use mtl_task::Target;

use crate::folders::{colour, opened, save};
use crate::layouts::refused;

/// Four images with masks of these values, one per column.
fn values(root: &Path, values: [u8; 6]) {
    for at in 0..4 {
        save(root, &format!("images/{at}.png"), colour(at));
        save(root, &format!("masks/{at}.png"), GrayImage::from_fn(6, 4, |x, _| Luma([values[x as usize]])));
    }
}

/// The same with colours.
fn colours(root: &Path, colours: [[u8; 3]; 6]) {
    for at in 0..4 {
        save(root, &format!("images/{at}.png"), colour(at));
        save(root, &format!("masks/{at}.png"), RgbImage::from_fn(6, 4, |x, _| Rgb(colours[x as usize])));
    }
}

const BLACK: [u8; 3] = [0; 3];
const RED: [u8; 3] = [200, 0, 0];
const GREEN: [u8; 3] = [0, 180, 0];

/// The classes, and the class of each column of the first mask.
fn read(root: &Path) -> (String, Vec<u8>) {
    let data = opened(root);
    let sample = data.sample(0, Size { height: 4, width: 6 }).unwrap();
    let Some(Target::Mask(mask)) = sample.targets.last() else { panic!("no mask") };
    (data.schema().tasks.last().unwrap().kind.classes().join(" "), mask[..6].to_vec())
}

fn said(root: &Path) -> String {
    opened(root).reading().lines().join("\n")
}

#[test]
fn colours_are_named_by_a_class_dict_or_a_labelmap() {
    let dict = "Name, R, G, B\nsky,0,0,0\ntree,0,180,0\nroad,200,0,0\n";
    let map = "# label:color_rgb:parts:actions\nsky:0,0,0::\ntree:0,180,0::\nroad:200,0,0::\n";
    for (file, text) in [("class_dict.csv", dict), ("masks/Class_Dict.csv", dict), ("labelmap.txt", map)] {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path();
        colours(root, [BLACK, BLACK, GREEN, GREEN, RED, RED]);
        fs::write(root.join(file), text).unwrap();
        assert_eq!(read(root), ("sky tree road".to_owned(), vec![0, 0, 1, 1, 2, 2]), "{file}");
        assert!(said(root).contains("names 3 classes of the masks: sky, tree, road"), "{}", said(root));
        assert!(opened(root).reading().unread.is_empty(), "{:?}", opened(root).reading().unread);
        // A colour that the file does not name.
        colours(root, [BLACK, BLACK, GREEN, GREEN, RED, [1, 2, 3]]);
        let report = check(root, &OpenOptions::default()).to_string();
        assert!(report.contains("mask values \"1,2,3\" belong to no class"), "{report}");
    }
    let temp = tempfile::tempdir().unwrap();
    colours(temp.path(), [BLACK, BLACK, GREEN, GREEN, RED, RED]);
    fs::write(temp.path().join("class_dict.csv"), dict.replace("sky", "Void")).unwrap();
    assert_eq!(read(temp.path()), ("tree road".to_owned(), vec![255, 255, 0, 0, 1, 1]));
    assert!(said(temp.path()).contains("`ignore` or `void` are unlabelled"), "{}", said(temp.path()));
    for (text, words) in [
        ("name,r,g\nsky,0,0\n", "class_dict.csv:1: the columns are `name,r,g`, expected `name,r,g,b`"),
        ("name,r,g,b\nsky,0,0,0\ntree,0,300,0\n", "class_dict.csv:3: `0,300,0` is no colour"),
        ("name,r,g,b\nsky,0,0,0\ntree,0,0,0\n", "class_dict.csv:3: value 0 is named twice"),
    ] {
        fs::write(temp.path().join("class_dict.csv"), text).unwrap();
        assert!(refused(temp.path()).contains(words), "{}", refused(temp.path()));
    }
}

#[test]
fn lists_of_names_count_from_0_where_that_is_certain() {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path();
    values(root, [0, 0, 1, 1, 2, 255]);
    for (file, text, classes, first) in [
        ("masks/classes.txt", "background\nleaf\nrust\n", "background leaf rust", 0),
        ("labels.txt", "sky\nleaf\nrust\n", "sky leaf rust", 0),
        ("classes.txt", "leaf\nrust\n", "background leaf rust", 0),
        ("classes.txt", "0 sky\n2: rust\n1 leaf\n255 void\n", "sky rust leaf", 1),
        ("classes.txt", "__ignore__\n_background_\nleaf\nrust\n", "_background_ leaf rust", 0),
    ] {
        fs::write(root.join(file), text).unwrap();
        let expected = if first == 0 { vec![0, 0, 1, 1, 2, 255] } else { vec![0, 0, 2, 2, 1, 255] };
        assert_eq!(read(root), (classes.to_owned(), expected), "{file}: {text}");
        assert!(said(root).contains("classes of the masks"), "{}", said(root));
        fs::remove_file(root.join(file)).unwrap();
    }
    for (text, words) in [
        ("a\nb\nc\nd\n", "whether 0 is `a` or the background is not known"),
        ("background\na\n", "the masks hold 3 classes (background, 1, 2), and the file names background, a"),
        ("a\nb\nb\n", "classes.txt:3: `b` is in line 2 already"),
    ] {
        fs::write(root.join("classes.txt"), text).unwrap();
        assert!(refused(root).contains(words), "{}", refused(root));
    }
    values(root, [0, 0, 1, 1, 9, 9]);
    fs::write(root.join("classes.txt"), "background\na\nb\n").unwrap();
    assert!(refused(root).contains("the masks hold values up to 9, and there are 3 names"), "{}", refused(root));
}

#[test]
fn a_foreground_has_the_name_of_the_list() {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path();
    values(root, [0, 0, 0, 255, 255, 255]);
    for text in ["tumour\n", "background\ntumour\n"] {
        fs::write(root.join("classes.txt"), text).unwrap();
        assert_eq!(read(root), ("background tumour".to_owned(), vec![0, 0, 0, 1, 1, 1]));
    }
    fs::write(root.join("classes.txt"), "cat\ndog\n").unwrap();
    assert!(refused(root).contains("the masks hold 0 and 255 only, and there are 2 names"), "{}", refused(root));
    // Names of the class folders are no names of masks, nor is a list of files.
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path();
    for class in ["cat", "dog"] {
        save(root, &format!("{class}/1.png"), colour(9));
        save(root, &format!("{class}/1_mask.png"), GrayImage::from_fn(6, 4, |x, _| Luma([u8::from(x > 2)])));
    }
    for text in ["cat\ndog\n", "cat/1.png\ndog/1.png\n"] {
        fs::write(root.join("classes.txt"), text).unwrap();
        assert_eq!(read(root).0, "background foreground");
        assert_eq!(opened(root).reading().unread["no image"].count, 1);
    }
}
