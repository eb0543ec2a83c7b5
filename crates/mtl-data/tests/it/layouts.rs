//! Layouts of folders as people have them: tasks, classes, subsets, and the sentences that say what was inferred.

use std::fs;
use std::path::Path;

use mtl_data::{Dataset, Labels, OpenOptions, Subset, open};

use crate::folders::{colour, left, opened, save};

/// A data set's shape: rows, tasks with their classes, and rows per subset.
pub fn shape(data: &dyn Dataset) -> (usize, Vec<String>, [usize; 3]) {
    let tasks = data.schema().tasks.iter().map(|task| format!("{}: {}", task.name, task.kind.classes().join(" ")));
    let count = |subset| (0..data.len()).filter(|&row| data.subset(row) == Some(subset)).count();
    (data.len(), tasks.collect(), [Subset::Train, Subset::Validation, Subset::Test].map(count))
}

/// One image per path; masks are files whose path has `mask`, `seg`, `label`, `gt` or `annot` in it.
pub fn place(root: &Path, files: &[&str]) {
    for (at, file) in files.iter().enumerate() {
        let lower = file.to_lowercase();
        if ["mask", "seg", "label", "gt", "ann"].iter().any(|word| lower.contains(word)) {
            save(root, file, left(2, 1));
        } else {
            save(root, file, colour(at as u8));
        }
    }
}

pub fn refused(root: &Path) -> String {
    match open(root, &OpenOptions::default()) {
        Ok(data) => panic!("opened as {:?}", shape(&*data)),
        Err(error) => error.to_string(),
    }
}

pub const CLASSES: &str = "class: cat dog";
pub const MASK: &str = "mask: background foreground";

/// Name, files, rows, tasks, rows per subset, sentences.
type Case<'a> = (&'a str, &'a [&'a str], usize, &'a [&'a str], [usize; 3], &'a [&'a str]);

#[test]
fn layouts_by_their_names() {
    let cases: &[Case] = &[
        (
            "subsets in words of any case",
            &["Training/cat/1.png", "Training/dog/2.png", "Testing/cat/3.png", "Testing/dog/4.png", "valid/dog/5.png"],
            5,
            &[CLASSES],
            [2, 1, 2],
            &["Training/ is the training subset", "Testing/ is the test subset", "valid/ is the validation subset"],
        ),
        (
            "images without labels",
            &[
                "train/cat/1.png",
                "train/dog/2.png",
                "val/cat/3.png",
                "val/dog/4.png",
                "unlabeled/5.png",
                "unlabeled/a/6.png",
            ],
            6,
            &[CLASSES],
            [4, 2, 0],
            &["unlabeled/ holds training images without labels"],
        ),
        (
            "singular",
            &["image/1.png", "image/2.png", "mask/1.png", "mask/2.png"],
            2,
            &[MASK],
            [0; 3],
            &["mask/ holds the masks"],
        ),
        ("any case", &["Images/1.png", "Labels/1.png"], 1, &[MASK], [0; 3], &["Labels/ holds the masks"]),
        (
            "photos beside gt",
            &["photos/1.png", "gt/1.png"],
            1,
            &[MASK],
            [0; 3],
            &["gt/ holds the masks of the images in photos/"],
        ),
        (
            "subsets below images and masks (MMSegmentation)",
            &["img_dir/train/1.png", "img_dir/val/2.png", "ann_dir/train/1.png", "ann_dir/val/2.png"],
            2,
            &[MASK],
            [1, 1, 0],
            &["img_dir/train/ is the training subset", "ann_dir/val/ holds the masks"],
        ),
        (
            "annotations next to subsets (CamVid)",
            &["train/1.png", "trainannot/1.png", "test/2.png", "testannot/2.png"],
            2,
            &[MASK],
            [1, 0, 1],
            &["trainannot/ holds the masks of the images in train/"],
        ),
        (
            "masks beside images",
            &["cat/1.png", "cat/1_segmentation.png", "dog/2.png", "dog/2-Mask.png"],
            2,
            &[CLASSES, MASK],
            [0; 3],
            &["2 files next to 2 images are named after their image"],
        ),
        ("flat", &["1.png", "1_mask.png", "2.png", "2_mask.png"], 2, &[MASK], [0; 3], &["are read as masks"]),
        (
            "masks beside images below subsets",
            &[
                "train/cat/1.png",
                "train/cat/1_mask.png",
                "train/dog/2.png",
                "test/cat/3.png",
                "test/dog/4.png",
                "test/dog/4_mask.png",
            ],
            4,
            &[CLASSES, MASK],
            [2, 0, 2],
            &["train/ is the training subset"],
        ),
        (
            "one folder per case",
            &[
                "a/images/a.png",
                "a/masks/1.png",
                "a/masks/2.png",
                "b/images/b.png",
                "b/masks/1.png",
                "c/images/c.png",
                "c/masks/1.png",
            ],
            3,
            &[MASK],
            [0; 3],
            &["3 folders hold one image with its masks each (4 masks): those of one image are united"],
        ),
        (
            "one folder per case, flat",
            &["a/image.png", "a/mask.png", "b/image.png", "b/mask.png", "c/image.png", "c/mask.png"],
            3,
            &[MASK],
            [0; 3],
            &["3 folders hold one image with its masks each (3 masks)"],
        ),
        ("deep images keep their class", &["cat/a/b/c/d/e/f/g/1.png", "dog/a/2.png"], 2, &[CLASSES], [0; 3], &[]),
        ("numbers in numeric order", &["1/a.png", "10/b.png", "2/c.png"], 3, &["class: 1 2 10"], [0; 3], &[]),
        (
            "one wrapping folder",
            &["PetImages/cat/1.png", "PetImages/dog/2.png"],
            2,
            &[CLASSES],
            [0; 3],
            &["the only folder of images, PetImages/, is entered: it is no class"],
        ),
        (
            "case of class names in different subsets",
            &["train/Cat/1.png", "train/Dog/2.png", "test/cat/3.png", "test/dog/4.png"],
            4,
            &["class: Cat Dog"],
            [2, 0, 2],
            &["`Cat`, `cat` of different subsets differ in case only: they are one class `Cat` (rows renamed: 1)"],
        ),
    ];
    for (name, files, rows, tasks, subsets, sentences) in cases {
        let temp = tempfile::tempdir().unwrap();
        place(temp.path(), files);
        let data = opened(temp.path());
        let tasks: Vec<String> = tasks.iter().map(|task| (*task).to_owned()).collect();
        assert_eq!(shape(&*data), (*rows, tasks, *subsets), "{name}");
        let lines = data.reading().lines();
        for sentence in *sentences {
            assert!(lines.iter().any(|line| line.contains(sentence)), "{name}: `{sentence}` is missing in {lines:#?}");
        }
    }
}

#[test]
fn unlabelled_images_have_no_label_and_masks_are_found_where_they_belong() {
    let temp = tempfile::tempdir().unwrap();
    place(temp.path(), &["train/cat/1.png", "train/dog/2.png", "val/cat/3.png", "val/dog/4.png", "unsup/x.png"]);
    let data = opened(temp.path());
    let row = (0..data.len()).find(|&row| data.row_name(row) == "unsup/x.png").unwrap();
    assert_eq!((data.labels(row), data.subset(row)), (vec![Labels::Missing], Some(Subset::Train)));

    let temp = tempfile::tempdir().unwrap();
    place(temp.path(), &["images/a.png", "images/b.png", "masks/a_mask.png"]);
    let data = opened(temp.path());
    assert_eq!([0, 1].map(|row| data.labels(row)[0].clone()), [Labels::Pixels, Labels::Missing]);
}

#[test]
fn masks_with_the_stem_of_a_photograph_are_told_by_their_values() {
    let temp = tempfile::tempdir().unwrap();
    for stem in ["1", "2", "3"] {
        save(temp.path(), &format!("{stem}.jpg"), colour(9));
        save(temp.path(), &format!("{stem}.png"), left(2, 1));
    }
    let data = opened(temp.path());
    assert_eq!(shape(&*data), (3, vec![MASK.to_owned()], [0; 3]));
    assert!(data.reading().guesses[0].contains("have the stem of their image and hold few values"));
    // Photographs in two formats are photographs.
    let temp = tempfile::tempdir().unwrap();
    for stem in ["1", "2", "3"] {
        let noise = image::RgbImage::from_fn(32, 32, |x, y| image::Rgb([(x * 7) as u8, (y * 5) as u8, (x * y) as u8]));
        save(temp.path(), &format!("{stem}.jpg"), noise.clone());
        save(temp.path(), &format!("{stem}.png"), noise);
    }
    assert_eq!(opened(temp.path()).len(), 6);
}

#[test]
fn what_other_programs_leave_behind_is_ignored_and_counted() {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path();
    place(root, &["cat/1.png", "dog/2.png", "cat/@eaDir/1.png/thumb.png", "__MACOSX/cat/._1.png"]);
    place(root, &["runs/a-0001/samples/x.png", ".ipynb_checkpoints/1.png", "stray/deep/.hidden.png"]);
    fs::create_dir_all(root.join("runs/a-0001/checkpoints")).unwrap();
    fs::write(root.join("runs/a-0001/config.toml"), "").unwrap();
    fs::write(root.join("cat/Thumbs.db"), "x").unwrap();
    fs::write(root.join("dog/notes.txt"), "x").unwrap();
    fs::write(root.join("dog/scan.heic"), "x").unwrap();
    let data = opened(root);
    assert_eq!(shape(&*data), (2, vec![CLASSES.to_owned()], [0; 3]));
    let unread = data.reading().unread;
    let counts: Vec<(&str, usize)> = unread.iter().map(|(reason, files)| (reason.as_str(), files.count)).collect();
    assert_eq!(
        counts,
        [
            ("HEIC files, which are not read; convert with `heif-convert x.heic x.jpg`", 1),
            ("a run of mtl", 1),
            ("hidden, or left behind by a file manager or an archive", 5),
            ("no image", 1)
        ]
    );
    assert!(data.reading().warnings.iter().any(|line| line.contains("stray holds no images: it is no class")));
}

#[test]
fn names_of_layouts_are_no_classes() {
    let temp = tempfile::tempdir().unwrap();
    place(temp.path(), &["train/1.png", "cat/2.png", "dog/3.png"]);
    let words = refused(temp.path());
    assert!(words.contains("train/ beside cat/, dog/") && words.contains("data.open.reader"), "{words}");
    let options = OpenOptions { reader: Some("folder".into()), ..OpenOptions::default() };
    assert_eq!(shape(&*open(temp.path(), &options).unwrap()).1, ["class: cat dog train"]);

    let temp = tempfile::tempdir().unwrap();
    place(temp.path(), &["Cat/1.png", "cat/2.png", "dog/3.png"]);
    assert!(refused(temp.path()).contains("`Cat`, `cat` differ in case only"));
    let temp = tempfile::tempdir().unwrap();
    place(temp.path(), &["images/1.png", "imgs/2.png"]);
    assert!(refused(temp.path()).contains("both images/ and imgs/"));
}

/// The rows with a mask.
fn masked(data: &dyn Dataset) -> Vec<String> {
    let last = data.schema().tasks.len() - 1;
    let rows = (0..data.len()).filter(|&row| data.labels(row)[last] == Labels::Pixels);
    rows.map(|row| data.row_name(row)).collect()
}

#[test]
fn a_mask_of_another_subset_is_not_taken() {
    let temp = tempfile::tempdir().unwrap();
    place(temp.path(), &["images/train/1.png", "images/test/1.png", "masks/train/1.png"]);
    assert_eq!(masked(&*opened(temp.path())), ["images/train/1.png"]);
    // One flat folder of masks for both subsets: a name that two images have is nobody's.
    let temp = tempfile::tempdir().unwrap();
    place(temp.path(), &["images/train/1.png", "images/train/2.png", "images/val/1.png", "masks/1.png", "masks/2.png"]);
    let data = opened(temp.path());
    assert_eq!(masked(&*data), ["images/train/2.png"]);
    let orphans = &data.reading().unread["a mask that belongs to no image, or to several of one name"];
    assert_eq!((orphans.count, data.reading().unread.len()), (1, 1));
}

#[test]
fn exact_names_come_before_names_without_a_suffix() {
    let temp = tempfile::tempdir().unwrap();
    place(temp.path(), &["images/scene.png", "masks/scene.png", "masks/scene_gt.png"]);
    save(temp.path(), "images/scene_gt.png", colour(3));
    let data = opened(temp.path());
    assert_eq!(masked(&*data), ["images/scene.png", "images/scene_gt.png"]);
    assert!(data.reading().unread.is_empty());
    let temp = tempfile::tempdir().unwrap();
    place(temp.path(), &["1_sat.png", "1_mask.png", "2_sat.png", "2_mask.png"]);
    assert_eq!(masked(&*opened(temp.path())), ["1_sat.png", "2_sat.png"]);
}

#[test]
fn class_folders_may_hold_images_and_masks_or_subsets() {
    let temp = tempfile::tempdir().unwrap();
    let files =
        ["cat/images/1.png", "cat/images/2.png", "cat/masks/1.png", "dog/images/1.png", "dog/masks/1.png", "cow/3.png"];
    place(temp.path(), &files);
    let data = opened(temp.path());
    assert_eq!(shape(&*data), (4, vec!["class: cat cow dog".to_owned(), MASK.to_owned()], [0; 3]));
    let mut found = masked(&*data);
    found.sort();
    assert_eq!(found, ["cat/images/1.png", "dog/images/1.png"]);

    let temp = tempfile::tempdir().unwrap();
    place(temp.path(), &["cat/train/1.png", "cat/test/2.png", "dog/train/3.png", "dog/test/4.png"]);
    assert_eq!(shape(&*opened(temp.path())), (4, vec![CLASSES.to_owned()], [2, 0, 2]));
}

#[test]
fn names_that_may_be_classes_are_classes_where_the_files_are_photographs() {
    let noise = |at: u8| {
        image::RgbImage::from_fn(32, 32, move |x, y| image::Rgb([(x * 7) as u8 ^ at, (y * 5) as u8, (x * y) as u8]))
    };
    let all = |names: &[&str]| {
        let temp = tempfile::tempdir().unwrap();
        names.iter().zip(0..).for_each(|(name, at)| save(temp.path(), name, noise(at)));
        temp
    };
    let temp = all(&["photo/1.png", "label/2.png", "drawing/3.png"]);
    assert_eq!(shape(&*opened(temp.path())).1, ["class: drawing label photo"]);
    // Faces with and without a mask: refused by name, and read where that is meant.
    let temp = all(&["mask/1.png", "no_mask/2.png"]);
    assert!(refused(temp.path()).contains("mask/"));
    let options = OpenOptions { reader: Some("folder".into()), ..OpenOptions::default() };
    assert_eq!(shape(&*open(temp.path(), &options).unwrap()).1, ["class: mask no_mask"]);
    // One pair of names among many photographs.
    let temp = all(&[
        "a/shipping.png",
        "a/shipping_label.png",
        "a/1.png",
        "a/2.png",
        "b/3.png",
        "b/4.png",
        "b/5.png",
        "b/6.png",
        "b/7.png",
    ]);
    let data = opened(temp.path());
    assert_eq!(shape(&*data), (9, vec!["class: a b".to_owned()], [0; 3]));
    assert!(data.reading().warnings[0].contains("1 of 9 files are named like masks"));
}

#[cfg(unix)]
#[test]
fn links_in_a_circle_are_not_followed() {
    let temp = tempfile::tempdir().unwrap();
    place(temp.path(), &["cat/1.png", "dog/2.png"]);
    std::os::unix::fs::symlink(".", temp.path().join("cat/again")).unwrap();
    std::os::unix::fs::symlink("..", temp.path().join("cat/up")).unwrap();
    let data = opened(temp.path());
    assert_eq!(shape(&*data), (2, vec![CLASSES.to_owned()], [0; 3]));
    assert_eq!(data.reading().unread["a folder that is too deep, or a link to a folder around it"].count, 2);
}
