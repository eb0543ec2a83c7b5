//! Masks per class and per image, and patterns of paths in the settings.

use mtl_data::{Labels, OpenOptions, open};

use crate::folders::{colour, left, opened, save};
use crate::layouts::{CLASSES, MASK, place, refused, shape};

#[test]
fn masks_per_class_and_per_image() {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path();
    for stem in ["1", "2", "3"] {
        save(root, &format!("images/{stem}.png"), colour(3));
    }
    save(root, "masks/leaf/1.png", left(4, 255));
    save(root, "masks/spot/1.png", left(1, 1));
    save(root, "masks/leaf/2.png", left(2, 255));
    let data = opened(root);
    assert_eq!(shape(&*data), (3, vec!["mask: background leaf spot".to_owned()], [0; 3]));
    let size = mtl_data::Size { height: 1, width: 6 };
    let mask = |row: usize| data.sample(row, size).unwrap().targets.remove(0);
    assert_eq!(mask(0), mtl_task::Target::Mask(vec![2, 1, 1, 1, 0, 0]), "the later class covers the earlier one");
    assert_eq!(mask(1), mtl_task::Target::Mask(vec![1, 1, 0, 0, 0, 0]));
    assert_eq!(data.labels(2), [Labels::Missing]);
    assert!(data.reading().lines().iter().any(|line| line.contains("binary masks per class (leaf, spot)")));

    let temp = tempfile::tempdir().unwrap();
    let root = temp.path();
    for stem in ["1", "2", "3"] {
        save(root, &format!("images/{stem}.png"), colour(3));
        save(root, &format!("masks/{stem}/leaf.png"), left(4, 255));
        save(root, &format!("masks/{stem}/spot.png"), left(1, 255));
    }
    assert_eq!(shape(&*opened(root)), (3, vec!["mask: background leaf spot".to_owned()], [0; 3]));

    let temp = tempfile::tempdir().unwrap();
    let root = temp.path();
    place(root, &["images/a.png", "images/b.png", "masks/a/1.png", "masks/a/2.png", "masks/b/1.png"]);
    let data = opened(root);
    assert_eq!(shape(&*data), (2, vec![MASK.to_owned()], [0; 3]));
    assert!(data.reading().lines().iter().any(|line| line.contains("a folder of masks per image")));
    assert_eq!(data.reading().unread, Default::default());
}

#[test]
fn patterns_override_what_would_be_found() {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path();
    place(
        root,
        &["scans/cat/1.png", "scans/dog/2.png", "truth/x/1_mask.png", "old/cat/9.png", "scans/dog/thumbs/2.png"],
    );
    let with = |images: Option<&str>, masks: Option<&str>, ignore: &[&str]| OpenOptions {
        images: images.map(str::to_owned),
        masks: masks.map(str::to_owned),
        ignore: ignore.iter().map(|text| (*text).to_owned()).collect(),
        ..OpenOptions::default()
    };
    let data = open(root, &with(Some("scans/*/*.png"), Some("truth/**/*.png"), &[])).unwrap();
    assert_eq!(shape(&*data), (2, vec![CLASSES.to_owned(), MASK.to_owned()], [0; 3]));
    assert_eq!(data.labels(0), [Labels::Class(0), Labels::Pixels]);
    assert_eq!(data.reading().reader, "patterns");
    assert_eq!(data.reading().unread["an image outside of the layout"].count, 2);
    let data = open(root, &with(None, None, &["old", "truth", "**/thumbs"])).unwrap();
    assert_eq!(shape(&*data), (2, vec![CLASSES.to_owned()], [0; 3]));
    assert_eq!(
        data.reading().unread["matched by data.open.ignore"].count,
        1,
        "scans/ is entered: it is the only folder left"
    );
    let error = open(root, &with(Some("scan/*.png"), None, &[])).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("no file that data.open.images = \"scan/*.png\" matches"), "{error}");
}

#[test]
fn masks_that_belong_to_no_image_are_refused() {
    let temp = tempfile::tempdir().unwrap();
    place(temp.path(), &["images/img_0.png", "images/img_1.png", "masks/m_a.png", "masks/m_b.png"]);
    let words = refused(temp.path());
    assert!(words.contains("none of 2 masks belongs to an image") && words.contains("masks/m_a.png"), "{words}");
}

#[test]
fn folders_below_classes_and_names_of_parts_are_said() {
    let temp = tempfile::tempdir().unwrap();
    place(temp.path(), &["cat/a/1.png", "cat/b/2.png", "dog/3.png"]);
    let data = opened(temp.path());
    assert_eq!(shape(&*data), (3, vec![CLASSES.to_owned()], [0; 3]));
    assert!(data.reading().guesses.iter().any(|line| line.contains("2 folders below class folders, such as cat/a/")));
    let temp = tempfile::tempdir().unwrap();
    place(temp.path(), &["seg_train/1.png", "seg_test/2.png", "seg_pred/3.png"]);
    assert!(refused(temp.path()).contains("seg_pred/ beside them is none"), "{}", refused(temp.path()));
}

#[test]
fn patterns_pair_by_the_text_around_their_wildcards_or_are_refused() {
    let temp = tempfile::tempdir().unwrap();
    for at in 0..4 {
        save(temp.path(), &format!("rgb/seq_{at}_v.png"), colour(at));
        save(temp.path(), &format!("labels/seq_{at}_L.png"), left(2, 255));
    }
    let with = |images: &str, masks: &str| {
        open(
            temp.path(),
            &OpenOptions { images: Some(images.into()), masks: Some(masks.into()), ..OpenOptions::default() },
        )
    };
    let data = with("rgb/*_v.png", "labels/*_L.png").unwrap();
    assert_eq!((data.len(), data.labels(3)), (4, vec![Labels::Pixels]));
    let refused = |images: &str, masks: &str| with(images, masks).map(|_| ()).expect_err("refused").to_string();
    let reason = refused("rgb/*.png", "labels/*.png");
    assert!(
        reason.contains("none of the 4 masks belongs to one of the 4 images: labels/seq_0_L.png has the name of no image, such as rgb/seq_0_v.png"),
        "{reason}"
    );
    save(temp.path(), "masks/odd.png", left(1, 255));
    let reason = refused("**/*.png", "labels/*_L.png");
    assert!(
        reason.contains("the folders masks, rgb would become classes, and masks/ is called like a part"),
        "{reason}"
    );
}

#[test]
fn a_folder_per_image_below_a_pattern_is_no_class() {
    let temp = tempfile::tempdir().unwrap();
    for at in 0..4 {
        save(temp.path(), &format!("case{at}/photo/{at}.png"), colour(at));
        save(temp.path(), &format!("case{at}/lesion/{at}_lesion.png"), left(2, 255));
    }
    let options = OpenOptions { masks: Some("*/lesion/*_lesion.png".into()), ..OpenOptions::default() };
    let data = open(temp.path(), &options).unwrap();
    assert_eq!((data.len(), data.schema().tasks.len(), data.labels(0)), (4, 1, vec![Labels::Pixels]));
    assert!(data.reading().guesses.iter().any(|line| line.contains("4 numbered folders of one image each")));
}
