//! Published layouts with lists or label files of their own: PASCAL VOC, nnU-Net, YOLO.

use std::fs;

use mtl_data::Labels;

use crate::folders::{colour, left, opened, save};
use crate::layouts::{place, refused, shape};

#[test]
fn voc_lists_are_subsets() {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path();
    for stem in ["a", "b", "c", "d"] {
        save(root, &format!("JPEGImages/{stem}.jpg"), colour(3));
    }
    for stem in ["a", "b", "e"] {
        let mask = image::GrayImage::from_fn(6, 4, |x, _| image::Luma([[0, 15, 255][(x % 3) as usize]]));
        save(root, &format!("SegmentationClass/{stem}.png"), mask);
    }
    assert_eq!(shape(&*opened(root)), (4, vec!["mask: background 15".to_owned()], [0; 3]));
    fs::create_dir_all(root.join("ImageSets/Segmentation")).unwrap();
    fs::write(root.join("ImageSets/Segmentation/train.txt"), "a\n").unwrap();
    fs::write(root.join("ImageSets/Segmentation/val.txt"), "b\nc\n").unwrap();
    let data = opened(root);
    assert_eq!(shape(&*data), (3, vec!["mask: background 15".to_owned()], [1, 2, 0]));
    assert_eq!(data.labels(2), [Labels::Missing]);
    let unread = data.reading().unread;
    assert_eq!(unread["in no list of ImageSets/Segmentation"].count, 1);
    assert_eq!(unread["a mask that belongs to no image of the lists"].count, 1);
    fs::write(root.join("ImageSets/Segmentation/val.txt"), "b\na\n").unwrap();
    let words = refused(root);
    assert!(words.contains("val.txt:2:") && words.contains("`a` is in the training subset"), "{words}");
}

#[test]
fn nnunet_cases_and_channels() {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path();
    for case in ["c_001", "c_002"] {
        save(root, &format!("imagesTr/{case}_0000.png"), colour(3));
        save(root, &format!("labelsTr/{case}.png"), left(2, 1));
    }
    save(root, "imagesTr/c_001_0001.png", colour(4));
    save(root, "imagesTs/c_003_0000.png", colour(5));
    fs::write(root.join("dataset.json"), r#"{"labels": {"background": 0, "tumour": 1}}"#).unwrap();
    let data = opened(root);
    assert_eq!(shape(&*data), (2, vec!["mask: background tumour".to_owned()], [0; 3]));
    assert_eq!(data.reading().unread["a further channel: only channel 0000 is read"].count, 1);
    save(root, "labelsTs/c_003.png", left(1, 1));
    assert_eq!(shape(&*opened(root)), (3, vec!["mask: background tumour".to_owned()], [2, 0, 1]));
}

#[test]
fn yolo_outlines_are_masks_and_boxes_are_refused() {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path();
    let label = |path: &str, text: &str| {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    place(root, &["images/train/1.png", "images/train/2.png", "images/train/3.png", "images/val/4.png"]);
    fs::write(root.join("data.yaml"), "names:\n  0: cup\n  1: jar\n").unwrap();
    // The left half is a jar; its upper half is covered by a cup.
    label("labels/train/1.txt", "1 0 0 0.5 0 0.5 1 0 1\n0 0 0 0.5 0 0.5 0.5 0 0.5\n");
    label("labels/train/2.txt", "");
    label("labels/val/4.txt", "0 0.5 0.5 0.1 0.1\n");
    let data = opened(root);
    assert_eq!(shape(&*data), (4, vec!["mask: background cup jar".to_owned()], [3, 1, 0]));
    assert_eq!(data.reading().reader, "yolo");
    let warning = "boxes are not learned: 1 in the labels of 1 images, whose masks are missing labels";
    assert!(data.reading().warnings.iter().any(|line| line == warning), "{:?}", data.reading().warnings);
    let size = mtl_data::Size { height: 4, width: 6 };
    let mask = |row: usize| match data.sample(row, size).unwrap().targets.remove(0) {
        mtl_task::Target::Mask(mask) => mask,
        other => panic!("{other:?}"),
    };
    let (cup, jar) = ([1, 1, 1, 0, 0, 0], [2, 2, 2, 0, 0, 0]);
    assert_eq!(mask(0), [cup, cup, jar, jar].concat());
    assert_eq!(mask(1), [0; 24]);
    // No label file, and one with a box.
    assert_eq!([2, 3].map(|row| data.labels(row)[0].clone()), [Labels::Missing, Labels::Missing]);
    label("labels/val/4.txt", "0 0.5 0.5 0.1\n");
    let words = refused(root);
    assert!(words.contains("4.txt:1:") && words.contains("3 numbers"), "{words}");
    for file in ["train/1", "train/2", "val/4"] {
        label(&format!("labels/{file}.txt"), "0 0.5 0.5 0.1 0.1\n");
    }
    let words = refused(root);
    assert!(words.contains("3 boxes and no outlines") && words.contains("manifest.csv"), "{words}");
}
