//! Layouts of folders as people have them: tasks, classes, subsets, and the sentences that say what was inferred.

use std::fs;
use std::path::Path;

use mtl_data::{Dataset, Labels, OpenOptions, Subset, open};

use crate::folders::{colour, left, opened, save};

/// A data set's shape: rows, tasks with their classes, and rows per subset.
fn shape(data: &dyn Dataset) -> (usize, Vec<String>, [usize; 3]) {
    let tasks = data.schema().tasks.iter().map(|task| format!("{}: {}", task.name, task.kind.classes().join(" ")));
    let count = |subset| (0..data.len()).filter(|&row| data.subset(row) == Some(subset)).count();
    (data.len(), tasks.collect(), [Subset::Train, Subset::Validation, Subset::Test].map(count))
}

/// One image per path; masks are files whose path has `mask`, `seg`, `label`, `gt` or `annot` in it.
fn place(root: &Path, files: &[&str]) {
    for (at, file) in files.iter().enumerate() {
        let lower = file.to_lowercase();
        if ["mask", "seg", "label", "gt", "ann"].iter().any(|word| lower.contains(word)) {
            save(root, file, left(2, 1));
        } else {
            save(root, file, colour(at as u8));
        }
    }
}

fn refused(root: &Path) -> String {
    match open(root, &OpenOptions::default()) {
        Ok(data) => panic!("opened as {:?}", shape(&*data)),
        Err(error) => error.to_string(),
    }
}

const CLASSES: &str = "class: cat dog";
const MASK: &str = "mask: background foreground";

#[test]
fn layouts_by_their_names() {
    let cases: &[(&str, &[&str], usize, &[&str], [usize; 3], &[&str])] = &[
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
            &["`Cat`, `cat` of different subsets differ in case only: they are one class `Cat` (1 rows renamed)"],
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
            ("a run of mtl", 1),
            ("a type that is not read; convert to PNG", 1),
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
    assert!(data.reading().warnings.iter().any(|line| line.contains("1 boxes are not read")));
    let size = mtl_data::Size { height: 4, width: 6 };
    let mask = |row: usize| match data.sample(row, size).unwrap().targets.remove(0) {
        mtl_task::Target::Mask(mask) => mask,
        other => panic!("{other:?}"),
    };
    let (cup, jar) = ([1, 1, 1, 0, 0, 0], [2, 2, 2, 0, 0, 0]);
    assert_eq!(mask(0), [cup, cup, jar, jar].concat());
    assert_eq!(mask(1), [0; 24]);
    assert_eq!(data.labels(2), [Labels::Missing]);
    label("labels/val/4.txt", "0 0.5 0.5 0.1\n");
    let words = refused(root);
    assert!(words.contains("4.txt:1:") && words.contains("3 numbers"), "{words}");
    for file in ["train/1", "train/2", "val/4"] {
        label(&format!("labels/{file}.txt"), "0 0.5 0.5 0.1 0.1\n");
    }
    let words = refused(root);
    assert!(words.contains("3 boxes and no outlines") && words.contains("manifest.csv"), "{words}");
}
