//! Data with other classes than a model: matched by name, and said.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use mtl_data::inventory::LabelFacts;
use mtl_data::{Dataset, Labels, MatchedDataset, OpenOptions, Size, Wanted, open};
use mtl_task::{Target, Task, TaskKind};

use crate::folders::{colour, left, save};
use crate::tables::says;

fn texts(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

fn class(names: &[&str]) -> Task {
    Task::new("class", TaskKind::Classification { classes: texts(names) })
}

fn class_folders(root: &Path, folders: &[(&str, usize)]) {
    let mut shade = 0;
    for (name, count) in folders {
        for at in 0..*count {
            save(root, &format!("{name}/{at}.png"), colour(shade));
            shade += 3;
        }
    }
}

fn matched(root: &Path, tasks: &[Task]) -> Result<MatchedDataset, mtl_data::Error> {
    let options = OpenOptions { expected: Some(Arc::new(tasks.to_vec())), ..OpenOptions::default() };
    MatchedDataset::new(Arc::from(open(root, &options)?), tasks)
}

/// How many rows have each class of the first task.
fn counts(data: &dyn Dataset) -> Vec<usize> {
    let mut counts = vec![0; data.schema().tasks[0].kind.outputs()];
    for row in 0..data.len() {
        if let Labels::Class(class) = data.labels(row)[0] {
            counts[class] += 1;
        }
    }
    counts
}

#[test]
fn classes_are_matched_by_name_and_images_of_unknown_ones_are_left_out() {
    let temp = tempfile::tempdir().unwrap();
    class_folders(temp.path(), &[("cat", 2), ("fox", 3), ("dog", 4)]);
    let data = matched(temp.path(), &[class(&["bird", "cat", "dog"])]).unwrap();
    assert_eq!((data.len(), counts(&data), data.columns()), (6, vec![0, 2, 4], vec![Some(0)]));
    for row in 0..data.len() {
        let name = data.row_name(row);
        let expected = if name.starts_with("cat/") { 1 } else { 2 };
        let sample = data.sample(row, Size { height: 4, width: 6 }).unwrap();
        assert_eq!(sample.targets, [Target::Class(vec![expected])], "{name}");
        assert_eq!(data.facts(row, Wanted::LABELS).unwrap().labels, [LabelFacts::Class(expected as usize)]);
    }
    let said = data.differences().join("\n");
    says(
        &said,
        &[
            "task `class`: the data lacks 1 of the model's 3 classes (bird); the model does not know 1 of the data's 3 classes \
             (fox 3): 3 of 9 labels are not scored",
            "3 of 9 images are left out",
        ],
    );
}

#[test]
fn one_class_folder_or_column_value_that_the_model_knows_is_a_class() {
    let temp = tempfile::tempdir().unwrap();
    class_folders(temp.path(), &[("dog", 4)]);
    assert!(open(temp.path(), &OpenOptions::default()).unwrap().schema().tasks.is_empty());
    let model = [class(&["bird", "cat", "dog"])];
    let data = matched(temp.path(), &model).unwrap();
    assert_eq!(counts(&data), [0, 0, 4]);
    says(&data.differences().join("\n"), &["lacks 2 of the model's 3 classes (bird, cat)"]);
    // One deeper: the only folder of folders is no wrapping if it is called like a class.
    let deep = tempfile::tempdir().unwrap();
    class_folders(deep.path(), &[("dog/monday", 2), ("dog/tuesday", 1)]);
    assert_eq!(counts(&matched(deep.path(), &model).unwrap()), [0, 0, 3]);
    // Every value of a table's column differs from the others.
    let table = tempfile::tempdir().unwrap();
    (0..3).for_each(|at| save(table.path(), &format!("{at}.png"), colour(at * 5)));
    fs::write(table.path().join("manifest.csv"), "image,class\n0.png,cat\n1.png,dog\n2.png,bird\n").unwrap();
    assert_eq!(counts(&matched(table.path(), &model).unwrap()), [1, 1, 1]);
    fs::write(table.path().join("manifest.csv"), "image,class\n0.png,dog\n1.png,dog\n2.png,dog\n").unwrap();
    assert_eq!(counts(&matched(table.path(), &model).unwrap()), [0, 0, 3]);
}

#[test]
fn numbers_as_classes_have_one_order_in_folders_and_tables() {
    let folder = tempfile::tempdir().unwrap();
    class_folders(folder.path(), &[("1", 2), ("2", 2), ("10", 3)]);
    let trained = open(folder.path(), &OpenOptions::default()).unwrap().schema().tasks.clone();
    assert_eq!(trained[0].kind.classes(), ["1", "2", "10"]);
    let table = tempfile::tempdir().unwrap();
    (0..8).for_each(|at| save(table.path(), &format!("{at}.png"), colour(at * 5)));
    let lines: String = (0..8).map(|at| format!("{at}.png,{}\n", ["10", "1"][at % 2])).collect();
    fs::write(table.path().join("manifest.csv"), format!("image,class\n{lines}")).unwrap();
    assert_eq!(counts(&matched(table.path(), &trained).unwrap()), [4, 0, 4]);
}

#[test]
fn pixels_of_unknown_classes_are_ignored() {
    let temp = tempfile::tempdir().unwrap();
    for at in 0..2_u8 {
        save(temp.path(), &format!("images/{at}.png"), colour(at * 5));
        let mut mask = left(3, 1); // columns 0 to 2 are leaf, column 5 is stone
        (0..4).for_each(|y| mask.put_pixel(5, y, image::Luma([7])));
        save(temp.path(), &format!("masks/{at}.png"), mask);
    }
    fs::write(temp.path().join("palette.csv"), "value,name\n0,background\n7,stone\n1,leaf\n").unwrap();
    let mask = |classes: &[&str]| [Task::new("mask", TaskKind::Segmentation { classes: texts(classes) })];
    let data = matched(temp.path(), &mask(&["background", "leaf", "root"])).unwrap();
    let sample = data.sample(0, Size { height: 4, width: 6 }).unwrap();
    let Target::Mask(pixels) = &sample.targets[0] else { panic!("{:?}", sample.targets) };
    assert_eq!(pixels[..6], [1, 1, 1, 0, 0, Target::NO_PIXEL]);
    let facts = data.facts(0, Wanted::LABELS).unwrap().labels;
    assert_eq!(facts, [LabelFacts::Mask { pixels: vec![8, 12, 0], unlabelled: 4 }]);
    // 8 of 48 pixels.
    says(&data.differences().join("\n"), &["3 classes (root)", "(stone): their pixels are ignored, 16.67 %"]);
    let refusal = matched(temp.path(), &mask(&["background", "foreground"])).err().unwrap().to_string();
    says(
        &refusal,
        &["no class besides the background in common", "background, foreground; data: background, stone, leaf"],
    );
}

#[test]
fn columns_of_yes_and_no_are_matched_by_name() {
    let temp = tempfile::tempdir().unwrap();
    (0..4).for_each(|at| save(temp.path(), &format!("{at}.png"), colour(at * 5)));
    let model = [Task::new("labels", TaskKind::MultiLabel { labels: texts(&["rust", "miner", "rot"]) })];
    let write = |text: &str| fs::write(temp.path().join("manifest.csv"), text).unwrap();
    write("image,mite,rot,rust\n0.png,1,0,1\n1.png,0,1,\n2.png,1,,\n3.png,0,0,0\n");
    let data = matched(temp.path(), &model).unwrap();
    let cells = |row: usize| data.labels(row)[0].clone();
    assert_eq!(cells(0), Labels::MultiLabel(vec![Some(true), None, Some(false)]));
    assert_eq!(cells(1), Labels::MultiLabel(vec![None, None, Some(true)]));
    // The third image has a label of `mite` only.
    assert_eq!((data.len(), data.row_name(2)), (3, "3.png".into()));
    let Target::MultiLabel(target) = &data.sample(1, Size { height: 4, width: 6 }).unwrap().targets[0] else {
        panic!()
    };
    assert!(target[0].is_nan() && target[1].is_nan() && target[2] == 1.0, "{target:?}");
    says(
        &data.differences().join("\n"),
        &[
            "lacks 1 of the model's 3 labels (miner)",
            "does not know 1 of the data's 3 labels (mite): 4 cells",
            "1 of 4 image",
        ],
    );
    // A single column is still that label.
    write("image,rot\n0.png,1\n1.png,0\n2.png,1\n3.png,1\n");
    let data = matched(temp.path(), &model).unwrap();
    assert_eq!(data.labels(3)[0], Labels::MultiLabel(vec![None, None, Some(true)]));
}

#[test]
fn nothing_in_common_is_refused_with_both_lists() {
    let temp = tempfile::tempdir().unwrap();
    class_folders(temp.path(), &[("fox", 3), ("owl", 3)]);
    let refusal = |tasks: &[Task]| matched(temp.path(), tasks).err().unwrap().to_string();
    says(
        &refusal(&[class(&["cat", "dog"])]),
        &["`class`: model and data have no class in common (model: cat, dog; data: fox, owl)"],
    );
    let other = Task::new("kind", class(&["fox", "owl"]).kind);
    says(&refusal(&[other]), &["labels none of the model's tasks (model: kind; data: class)"]);
    let kind = Task::new("class", TaskKind::MultiLabel { labels: texts(&["fox"]) });
    says(&refusal(&[kind]), &["`class` is multi_label of fox in the model and classification of fox, owl in the data"]);
}
