//! COCO annotations: masks, labels, subsets, and refusals.

use std::fs;
use std::path::Path;

use image::RgbImage;
use mtl_data::{Labels, OpenOptions, Size, open};
use mtl_task::Target;
use serde_json::{Value, json};

use crate::folders::{opened, save};
use crate::layouts::{refused, shape};

const SIZE: Size = Size { height: 4, width: 6 };

fn annotations(images: &[&str], of: Value) -> Value {
    let images: Vec<Value> =
        (1..).zip(images).map(|(id, name)| json!({"id": id, "file_name": name, "width": 6, "height": 4})).collect();
    let categories = json!([{"id": 7, "name": "dog"}, {"id": 3, "name": "cat"}]);
    json!({"images": images, "categories": categories, "annotations": of})
}

fn write(root: &Path, name: &str, content: &Value) {
    fs::create_dir_all(root.join(name).parent().unwrap()).unwrap();
    fs::write(root.join(name), content.to_string()).unwrap();
}

fn one(id: u32, image: u32, category: u32, drawn: Value) -> Value {
    json!({"id": id, "image_id": image, "category_id": category, "segmentation": drawn, "bbox": [0, 0, 2, 2], "iscrowd": 0})
}

#[test]
fn polygons_and_runs_become_masks_and_labels() {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path();
    for name in ["train2017/a.png", "train2017/b.png", "val2017/c.png"] {
        save(root, name, RgbImage::from_pixel(6, 4, image::Rgb([9, 80, 200])));
    }
    let square = json!([[0.0, 0.0, 3.0, 0.0, 3.0, 2.0, 0.0, 2.0]]);
    let runs = json!({"size": [4, 6], "counts": [20, 4]}); // the last column
    write(
        root,
        "annotations/instances_train2017.json",
        &annotations(&["a.png", "b.png"], json!([one(1, 1, 3, square.clone()), one(2, 1, 7, runs)])),
    );
    write(root, "annotations/instances_val2017.json", &annotations(&["c.png"], json!([one(1, 1, 7, square)])));
    write(root, "annotations/captions_val2017.json", &annotations(&["c.png"], json!([])));
    let data = opened(root);
    let tasks = ["mask: background cat dog".to_owned(), "labels: cat dog".to_owned()];
    assert_eq!(shape(&*data), (3, tasks.to_vec(), [2, 1, 0]));
    let (cat, dog) = (1, 2);
    let row = [cat, cat, cat, 0, 0, dog];
    let below = [0, 0, 0, 0, 0, dog];
    assert_eq!(data.sample(0, SIZE).unwrap().targets[0], Target::Mask([row, row, below, below].concat()));
    assert_eq!(data.sample(1, SIZE).unwrap().targets[0], Target::Mask(vec![0; 24]), "no annotation: background");
    let labels: Vec<Labels> = (0..3).map(|row| data.labels(row)[1].clone()).collect();
    let cells = |cat, dog| Labels::MultiLabel(vec![Some(cat), Some(dog)]);
    assert_eq!(labels, [cells(true, true), cells(false, false), cells(false, true)]);
    let lines = data.reading().lines().join("\n");
    for words in ["2 images of the training subset", "images without annotations: 1", "another annotation file"] {
        assert!(lines.contains(words), "{words} in\n{lines}");
    }
}

#[test]
fn files_per_folder_and_boxes_alone() {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path();
    for (at, subset) in ["train", "valid"].iter().enumerate() {
        save(root, &format!("{subset}/same.png"), RgbImage::from_pixel(6, 4, image::Rgb([at as u8, 2, 200])));
        let boxes = json!([one(1, 1, 3, json!([]))]);
        write(root, &format!("{subset}/_annotations.coco.json"), &annotations(&["same.png"], boxes));
    }
    let data = opened(root);
    assert_eq!(shape(&*data), (2, vec!["labels: cat dog".to_owned()], [1, 1, 0]));
    assert!(data.reading().warnings.iter().any(|line| line.contains("boxes are not learned")));
    assert_eq!(data.row_name(1), "valid/same.png");
}

#[test]
fn a_name_that_two_folders_have_is_that_of_no_image() {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path();
    for (at, name) in ["images/a/x.png", "images/b/x.png", "images/a/y.png"].iter().enumerate() {
        save(root, name, RgbImage::from_pixel(6, 4, image::Rgb([at as u8, 2, 200])));
    }
    let square = json!([[0.0, 0.0, 3.0, 0.0, 3.0, 2.0, 0.0, 2.0]]);
    write(root, "labels.json", &annotations(&["x.png", "y.png"], json!([one(1, 1, 3, square.clone())])));
    let options = OpenOptions { max_broken: 1.0, ..OpenOptions::default() };
    let data = open(root, &options).unwrap();
    assert_eq!((data.len(), data.row_name(0)), (1, "images/a/y.png".to_owned()));
    assert!(data.skipped()[0].path.ends_with("x.png"), "{:?}", data.skipped());
    let words = "names of images that several files have: 1, such as x.png (2 files, such as images/a/x.png)";
    assert!(data.reading().warnings.iter().any(|line| line.contains(words)), "{:?}", data.reading().warnings);
    // With its folder the name is that of one file.
    write(root, "labels.json", &annotations(&["b/x.png", "y.png"], json!([one(1, 1, 3, square)])));
    assert_eq!(opened(root).row_name(0), "images/b/x.png");
}

#[test]
fn mistakes_are_refused_with_their_place() {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path();
    save(root, "a.png", RgbImage::new(6, 4));
    let square = json!([[0.0, 0.0, 3.0, 0.0, 3.0, 2.0, 0.0, 2.0]]);
    for (drawn, category, words) in [
        (json!({"size": [4, 6], "counts": [20, 400]}), 3, "annotation 5 of image a.png"),
        (json!({"size": [9, 9], "counts": [20, 4]}), 3, "9 x 9, the image 6 x 4"),
        (square.clone(), 99, "category 99, which has no name"),
    ] {
        write(root, "labels.json", &annotations(&["a.png"], json!([one(5, 1, category, drawn)])));
        assert!(refused(root).contains(words), "{words} in {}", refused(root));
    }
    fs::write(root.join("labels.json"), "{\"images\": [], \"annotations\": [\n{]").unwrap();
    assert!(refused(root).contains("labels.json:2: no COCO annotations"), "{}", refused(root));
    // Annotated at another size than that of the file.
    let mut listed = annotations(&["a.png"], json!([one(5, 1, 3, square)]));
    listed["images"][0]["width"] = json!(12);
    write(root, "labels.json", &listed);
    let options = OpenOptions { max_broken: 1.0, ..OpenOptions::default() };
    let error = open(root, &options).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("the mask is 12 x 4 pixels, its image 6 x 4"), "{error}");
}
