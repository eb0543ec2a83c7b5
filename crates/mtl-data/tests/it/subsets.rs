//! Subsets by a shared prefix or suffix of their folders' names, and folders per case at any depth.

use std::fs;

use mtl_data::{Dataset, Labels, OpenOptions, Subset, open};

use crate::folders::opened;
use crate::layouts::{CLASSES, MASK, place, refused, shape};

fn placed(files: &[&str]) -> tempfile::TempDir {
    let temp = tempfile::tempdir().unwrap();
    place(temp.path(), files);
    temp
}

fn lines(data: &dyn Dataset) -> String {
    data.reading().lines().join("\n")
}

#[test]
fn folders_of_one_pattern_are_subsets() {
    for [train, val, test] in [
        ["my_train", "my_valid", "my_test"],
        ["TRAIN_80", "Val_10", "Test_10"],
        ["trainA", "valA", "testA"],
        ["images-train", "images-val", "images-test"],
    ] {
        let files = [(train, "cat"), (train, "dog"), (val, "cat"), (test, "dog"), (test, "cat")];
        let files: Vec<String> =
            files.iter().zip(0..).map(|((subset, class), at)| format!("{subset}/{class}/{at}.png")).collect();
        let temp = placed(&files.iter().map(String::as_str).collect::<Vec<_>>());
        let data = opened(temp.path());
        assert_eq!(shape(&*data), (5, vec![CLASSES.to_owned()], [2, 1, 2]), "{train}");
        let said = lines(&*data);
        assert!(said.contains(&format!("{train}/ is the training subset")), "{said}");
        assert!(said.contains(&format!("{test}/ is the test subset")), "{said}");
    }
    // Intel's scenes: the folder is in a folder of its name.
    let temp =
        placed(&["seg_train/seg_train/cat/1.png", "seg_train/seg_train/dog/2.png", "seg_test/seg_test/cat/3.png"]);
    assert_eq!(shape(&*opened(temp.path())), (3, vec![CLASSES.to_owned()], [2, 0, 1]));
}

#[test]
fn masks_have_the_pattern_of_their_images() {
    for files in [
        ["images_train/1.png", "masks_train/1.png", "images_val/2.png", "masks_val/2.png"],
        ["train_images/1.png", "train_masks/1.png", "val_images/2.png", "val_masks/2.png"],
        ["images/my_train/1.png", "masks/my_train/1.png", "images/my_val/2.png", "masks/my_val/2.png"],
    ] {
        let temp = placed(&files);
        let data = opened(temp.path());
        assert_eq!(shape(&*data), (2, vec![MASK.to_owned()], [1, 1, 0]), "{files:?}");
        assert!((0..2).all(|row| data.labels(row) == [Labels::Pixels]), "{files:?}");
    }
}

#[test]
fn two_folders_of_one_subset_and_an_empty_one_are_said() {
    let temp = placed(&["train_1/cat/1.png", "train_2/dog/2.png", "test_1/cat/3.png", "test_1/dog/4.png"]);
    fs::create_dir(temp.path().join("val_1")).unwrap();
    let data = opened(temp.path());
    assert_eq!(shape(&*data), (4, vec![CLASSES.to_owned()], [2, 0, 2]));
    let said = lines(&*data);
    assert!(said.contains("the training subset has 2 folders, such as train_1/"), "{said}");
    assert!(said.contains("val_1/ holds no images"), "{said}");
}

#[test]
fn names_that_may_be_read_in_two_ways_are_refused() {
    for (folders, words) in [
        (&["trainA", "trainB", "testA", "testB"][..], "trainA/, trainB/ are two domains of images"),
        (&["train1", "test1", "train2", "test2"], "are folds of a cross-validation"),
        (&["seg_train", "seg_test", "seg_pred"], "data.open.ignore = [\"seg_pred\"] leaves it out"),
        (&["my_train", "test_2"], "called like subsets, but not in the same way"),
    ] {
        let files: Vec<String> = folders.iter().map(|folder| format!("{folder}/1.png")).collect();
        let temp = placed(&files.iter().map(String::as_str).collect::<Vec<_>>());
        let refusal = refused(temp.path());
        assert!(words.split(", ").all(|word| refusal.contains(word)), "{refusal}");
    }
    // One class that has the word in its name.
    let temp = placed(&["bullet_train/1.png", "bus/2.png", "car/3.png"]);
    assert_eq!(shape(&*opened(temp.path())).1, ["class: bullet_train bus car"]);
    // The folder that is none is left out.
    let temp = placed(&["seg_train/cat/1.png", "seg_train/dog/2.png", "seg_test/cat/3.png", "seg_pred/4.png"]);
    let options = OpenOptions { ignore: vec!["seg_pred".into()], ..OpenOptions::default() };
    assert_eq!(shape(&*open(temp.path(), &options).unwrap()), (3, vec![CLASSES.to_owned()], [2, 0, 1]));
}

/// `count` folders of one image and a mask each below `top`.
fn cases(top: &str, count: usize) -> Vec<String> {
    let files = |at| [format!("{top}/c{at}/image.png"), format!("{top}/c{at}/mask.png")];
    (0..count).flat_map(files).collect()
}

fn place_all(files: &[String]) -> tempfile::TempDir {
    placed(&files.iter().map(String::as_str).collect::<Vec<_>>())
}

#[test]
fn cases_lie_below_subsets_and_a_subset_may_have_no_masks() {
    let mut files: Vec<String> = Vec::new();
    for at in 0..4 {
        files.extend([format!("stage1_train/t{at}/images/t{at}.png"), format!("stage1_test/u{at}/images/u{at}.png")]);
        files.extend([1, 2].map(|mask| format!("stage1_train/t{at}/masks/{mask}.png")));
    }
    let temp = place_all(&files);
    let data = opened(temp.path());
    assert_eq!(shape(&*data), (8, vec![MASK.to_owned()], [4, 0, 4]));
    let test = |row: &usize| data.subset(*row) == Some(Subset::Test);
    assert!((0..8).filter(test).all(|row| data.labels(row) == [Labels::Missing]));
    let said = lines(&*data);
    assert!(
        said.contains("4 folders hold one image with its masks each (8 masks): those of one image are united"),
        "{said}"
    );
    assert!(said.contains("4 folders hold one image each and no masks"), "{said}");
}

#[test]
fn folders_around_cases_are_groups_or_classes() {
    let temp =
        place_all(&[cases("train/patient_1", 2), cases("train/patient_2", 3), cases("test/patient_3", 2)].concat());
    assert_eq!(shape(&*opened(temp.path())), (7, vec![MASK.to_owned()], [5, 0, 2]));
    let temp = place_all(&[cases("patient_1", 2), cases("patient_2", 3)].concat());
    let data = opened(temp.path());
    assert_eq!(shape(&*data), (5, vec![MASK.to_owned()], [0; 3]));
    let groups: Vec<Option<String>> =
        (0..5).map(|row| data.row_notes(row).unwrap().cell("folder").map(str::to_owned)).collect();
    assert_eq!(groups.iter().filter(|group| group.as_deref() == Some("patient_2")).count(), 3);
    assert!(lines(&*data).contains("are no classes: they are groups of images (column `folder`)"));

    let temp = place_all(&[cases("benign", 2), cases("malignant", 3)].concat());
    let data = opened(temp.path());
    assert_eq!(shape(&*data), (5, vec!["class: benign malignant".to_owned(), MASK.to_owned()], [0; 3]));
    for pair in [["grade_1", "grade_2"], ["0", "1"], ["healthy", "p_3"]] {
        let temp = place_all(&pair.map(|top| cases(top, 3)).concat());
        let refusal = refused(temp.path());
        assert!(refusal.contains("whether they are classes or, for example, patients is not known"), "{refusal}");
    }
}

#[test]
fn many_numbered_folders_of_images_with_masks_are_groups() {
    let folders = |count: usize| -> Vec<String> {
        let of = |at| ["a", "a_mask", "b", "b_mask"].map(|file| format!("scan_{at}/{at}{file}.png"));
        (0..count).flat_map(of).collect()
    };
    let temp = place_all(&folders(22));
    let data = opened(temp.path());
    assert_eq!(shape(&*data), (44, vec![MASK.to_owned()], [0; 3]));
    assert_eq!(data.row_notes(0).unwrap().cell("folder"), Some("scan_0"));
    assert!(lines(&*data).contains("the 22 numbered folders of images with masks, such as scan_0/, are no classes"));
    assert_eq!(opened(place_all(&folders(4)).path()).schema().tasks[0].name, "class");
}

#[test]
fn a_few_images_beside_the_folders_of_cases_are_counted() {
    let temp = place_all(&[cases("patient_1", 6), cases("patient_2", 6), vec!["stray.png".to_owned()]].concat());
    let data = opened(temp.path());
    assert_eq!(shape(&*data), (12, vec![MASK.to_owned()], [0; 3]));
    assert_eq!(data.reading().unread["an image outside of the layout"].count, 1);
}

#[test]
fn a_case_without_a_mask_is_an_image_without_a_label_and_odd_folders_are_counted() {
    let mut files = cases(".", 10);
    files.retain(|file| file != "./c3/mask.png");
    files.extend(["./c10/a.png", "./c10/b.png", "./c10/mask.png"].map(str::to_owned));
    let temp = place_all(&files);
    let data = opened(temp.path());
    assert_eq!(shape(&*data), (10, vec![MASK.to_owned()], [0; 3]));
    assert_eq!((0..10).filter(|&row| data.labels(row) == [Labels::Missing]).count(), 1);
    assert!(lines(&*data).contains("(9 masks; 1 image has none)"), "{}", lines(&*data));
    let odd = &data.reading().unread["in a folder that does not hold one image with its masks, as the others do"];
    assert_eq!(odd.count, 3);
    // Many such folders: nothing is guessed.
    files.extend((11..16).flat_map(|at| ["a", "b", "mask"].map(|name| format!("./c{at}/{name}.png"))));
    files.extend(["./c3/mask.png".to_owned()]);
    let temp = place_all(&files);
    let refusal = refused(temp.path());
    assert!(
        refusal.contains("10 folders hold one image and its masks each") && refusal.contains("and 6 hold"),
        "{refusal}"
    );
}

#[test]
fn a_folder_named_like_the_masks_of_another_is_no_class() {
    let temp = placed(&["seq1/1.png", "seq1/2.png", "seq1/3.png", "seq1_mask/1.png", "seq1_mask/2.png"]);
    let reason = refused(temp.path());
    assert!(reason.contains("seq1_mask/ is named like the masks of seq1/, and 2 of its 2 files"), "{reason}");
    // Faces, and faces with a mask: other files.
    let temp = placed(&["face/1.png", "face/2.png", "face_mask/3.png", "face_mask/4.png"]);
    assert_eq!(shape(&*opened(temp.path())), (4, vec!["class: face face_mask".to_owned()], [0; 3]));
}

#[test]
fn class_folders_of_equal_letters_are_one_class_and_lists_of_subsets_are_named() {
    // A letter with its accent as one character and as two.
    let temp = placed(&["train/caf\u{e9}/1.png", "train/tea/2.png", "val/cafe\u{301}/3.png", "val/tea/4.png"]);
    fs::write(temp.path().join("train_list.txt"), "1.png\n").unwrap();
    fs::write(temp.path().join("prices.csv"), "country,price\nfr,3\n").unwrap();
    let data = opened(temp.path());
    assert_eq!(data.schema().tasks[0].kind.classes().len(), 2);
    let said = lines(&*data);
    for words in ["differ in the Unicode form", "(a list of a subset", "(a table that is not read"] {
        assert!(said.contains(words), "{words}: {said}");
    }
}
