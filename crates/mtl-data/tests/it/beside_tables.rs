//! Tables beside class folders, folders of subsets and masks.

use std::fs;

use mtl_data::{Dataset, OpenOptions, open};

use crate::folders::{left, opened, save};
use crate::layouts::{CLASSES, place, refused, shape};
use crate::tables::{says, subsets, tasks};

fn said(data: &dyn Dataset) -> String {
    data.reading().lines().join("\n")
}

#[test]
fn a_table_of_few_images_does_not_replace_class_folders() {
    for (name, lines) in [
        ("test.csv", ["id", "t1.png", "t2.png", ""]),
        ("test_labels.csv", ["filename,label", "t1.png,cat", "t2.png,dog", ""]),
        ("excluded.csv", ["path,problem", "train/cat/1.png,dark", "train/dog/4.png,blurry", ""]),
    ] {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path();
        let cats = ["train/cat/1.png", "train/cat/2.png", "train/cat/3.png"];
        place(root, &[&cats[..], &["train/dog/4.png", "train/dog/5.png", "test/t1.png", "test/t2.png"]].concat());
        fs::write(root.join(name), lines.join("\n")).unwrap();
        let words = refused(root);
        says(&words, &["data.open.reader = \"folder\"", &format!("data.open.labels = \"{name}\""), "train/cat/"]);
        let with = |options| open(root, &options).unwrap();
        let table = with(OpenOptions { labels: Some(name.into()), ..OpenOptions::default() });
        assert_eq!(table.len(), 2, "{name}");
        let folder = with(OpenOptions { reader: Some("folder".into()), ..OpenOptions::default() });
        assert_eq!(shape(&*folder).1, [CLASSES], "{name}");
        // Results for a competition are no labels.
        fs::rename(root.join(name), root.join("stage_1_sample_submission.csv")).unwrap();
        assert_eq!(shape(&*opened(root)).1, [CLASSES]);
    }
}

#[test]
fn unlabelled_test_images_beside_a_table_are_no_reason_to_refuse() {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path();
    place(root, &["train/1.png", "train/2.png", "test/3.png", "test/4.png", "test/5.png"]);
    fs::write(root.join("train.csv"), "id,class\n1,cat\n2,dog\n").unwrap();
    assert_eq!(shape(&*opened(root)).1, [CLASSES]);
}

#[test]
fn the_names_of_folders_beside_a_table_are_said_to_be_no_labels() {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path();
    place(root, &["cat/1.png", "cat/2.png", "dog/3.png", "dog/4.png"]);
    let table = |header: &str, cells: [&str; 2]| {
        let lines = ["cat/1", "cat/2", "dog/3", "dog/4"].map(|image| {
            let cell = cells[usize::from(image.starts_with("dog"))];
            format!("{image}.png,{cell}\n")
        });
        fs::write(root.join("labels.csv"), format!("image,{header}\n{}", lines.concat())).unwrap();
    };
    table("weight", ["0.5", "1.5"]);
    let data = opened(root);
    assert_eq!(tasks(&*data), "weight: ");
    says(&said(&*data), &["the images lie in 2 folders (`cat`, `dog`), whose names are no labels beside a table"]);
    table("class", ["Cat", "Dog"]);
    assert!(!said(&*opened(root)).contains("no labels beside"), "a column holds them");
}

#[test]
fn masks_beside_a_table_are_named() {
    for folder in ["masks", "train_masks", "masks_human"] {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path();
        for at in 0..4 {
            place(root, &[&format!("images/{at}.png")]);
            save(root, &format!("{folder}/{at}_mask.png"), left(2, 255));
        }
        fs::write(root.join("labels.csv"), "image,class\n0.png,cat\n1.png,dog\n2.png,cat\n3.png,dog\n").unwrap();
        let warnings = opened(root).reading().warnings.join("\n");
        says(&warnings, &[&format!("4 images in {folder}/ have the names of images of the table"), "a column `mask`"]);
    }
}

#[test]
fn folders_of_subsets_are_the_split_without_a_column() {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path();
    let images = ["train/1.png", "train/2.png", "val/3.png", "test/4.png"];
    place(root, &images);
    let table = |columns: &str, cells: [&str; 4]| {
        let lines: String = images.iter().zip(cells).map(|(image, cells)| format!("{image},{cells}\n")).collect();
        fs::write(root.join("labels.csv"), format!("image,{columns}\n{lines}")).unwrap();
        opened(root)
    };
    let data = table("class", ["cat", "dog", "cat", "dog"]);
    assert_eq!(subsets(&*data), [2, 1, 1, 0]);
    says(&said(&*data), &["the folders of the images are the subsets: training 2, validation 1, test 1"]);
    let data = table("class,split", ["cat,train", "dog,val", "cat,train", "dog,test"]);
    assert_eq!(subsets(&*data), [2, 1, 1, 0], "the column is the split");
    says(
        &data.reading().warnings.join("\n"),
        &["a column assigns 1 row to another subset than the image's folder is named after (line 4)"],
    );
    let data = table("class,split", ["cat,train", "dog,val", "cat,val", "dog,test"]);
    assert!(!said(&*data).contains("another subset"), "validation images may lie in the training folder");
}

#[test]
fn columns_that_assign_subsets_have_many_names() {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path();
    let images = ["i/1.png", "i/2.png", "i/3.png", "i/4.png"];
    place(root, &images);
    for (columns, cells, expected, of_tasks, words) in [
        (
            "class,data set",
            ["cat,train", "dog,valid", "cat,train", "dog,test"],
            [2, 1, 1, 0],
            "class: cat dog",
            "column `data set` assigns 4 rows to subsets",
        ),
        (
            "class,train",
            ["cat,1", "dog,0", "cat,1", "dog,1"],
            [3, 0, 1, 0],
            "class: cat dog",
            "column `train` assigns 4 rows to subsets",
        ),
        (
            "car,train",
            ["1,1", "0,0", "1,0", "0,1"],
            [0, 0, 0, 4],
            "labels? car train",
            "call it `is_train` if it assigns subsets",
        ),
        (
            "class,kfold",
            ["cat,0", "dog,1", "cat,0", "dog,1"],
            [0, 0, 0, 4],
            "class: cat dog",
            "column `kfold` holds numbers: no task and no split",
        ),
    ] {
        let lines: String = images.iter().zip(cells).map(|(image, cells)| format!("{image},{cells}\n")).collect();
        fs::write(root.join("labels.csv"), format!("image,{columns}\n{lines}")).unwrap();
        let data = opened(root);
        assert_eq!((subsets(&*data), tasks(&*data).as_str()), (expected, of_tasks), "{columns}");
        says(&said(&*data), &[words]);
    }
}
