//! Names that folders and files have by custom: subsets, images, masks, and what other programs leave behind.
//!
//! Words are compared in any case, without `_`, `-`, `.` and spaces. A year may follow a subset (`train2017`).

use crate::dataset::Subset;

const TRAIN: [&str; 7] = ["train", "training", "trainset", "trainingset", "traindata", "trainingdata", "trn"];
const VALIDATION: [&str; 13] = [
    "val",
    "valid",
    "validation",
    "validate",
    "valset",
    "validset",
    "validationset",
    "valdata",
    "dev",
    "eval",
    "evaluation",
    "devset",
    "publictest",
];
const TEST: [&str; 8] = ["test", "testing", "testset", "testingset", "testdata", "tst", "holdout", "privatetest"];
const UNLABELLED: [&str; 6] = ["unlabeled", "unlabelled", "unsup", "unsupervised", "nolabel", "nolabels"];
const IMAGES: [&str; 6] = ["image", "images", "img", "imgs", "jpegimages", "imgdir"];
/// These may be classes too: they hold images only where a folder of masks stands next to them.
const IMAGES_BESIDE_MASKS: [&str; 9] =
    ["photo", "photos", "picture", "pictures", "input", "inputs", "original", "originals", "rgb"];
const MASKS: [&str; 5] = ["mask", "masks", "segmentationclass", "anndir", "trimaps"];
/// These may be classes too: they hold masks only where a folder of images stands next to them.
const MASKS_BESIDE_IMAGES: [&str; 16] = [
    "label",
    "labels",
    "annotation",
    "annotations",
    "annot",
    "annots",
    "gt",
    "gts",
    "groundtruth",
    "groundtruths",
    "seg",
    "segs",
    "segmentation",
    "segmentations",
    "target",
    "targets",
];
/// What may stand behind the stem of an image to name its mask.
const MASK_SUFFIXES: [&str; 14] = [
    "mask",
    "masks",
    "seg",
    "segmentation",
    "label",
    "labels",
    "labelids",
    "gt",
    "groundtruth",
    "ground_truth",
    "annotation",
    "annot",
    "anno",
    "trimap",
];
/// What may stand behind the stem of an image beside a mask of the bare stem.
const IMAGE_SUFFIXES: [&str; 4] = ["image", "img", "photo", "sat"];
const JUNK: [&str; 12] = [
    "__macosx",
    "@eadir",
    "thumbs.db",
    "ehthumbs.db",
    "desktop.ini",
    "$recycle.bin",
    "lost+found",
    "#recycle",
    "@recycle",
    "__pycache__",
    "system volume information",
    "icon\r",
];

/// Lower case without separators: `Test_Set`, `test-set` and `testset` are one name.
pub(super) fn plain(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, '_' | '-' | ' ' | '.')).flat_map(char::to_lowercase).collect()
}

/// The subset with this name, in a table or as a folder. `eval` is the validation subset here; see [`eval_is_test`].
pub(super) fn subset_named(name: &str) -> Option<Subset> {
    let word = plain(name);
    let bare = word.trim_end_matches(|c: char| c.is_ascii_digit());
    // `train2017`, but not `train1`: numbered folds are no subsets.
    let word = if word.len() - bare.len() == 4 { bare } else { &word };
    match word {
        word if TRAIN.contains(&word) => Some(Subset::Train),
        word if VALIDATION.contains(&word) => Some(Subset::Validation),
        word if TEST.contains(&word) => Some(Subset::Test),
        _ => None,
    }
}

/// Whether `eval` means the test subset among these names: where another one of them means validation, and none test.
pub(super) fn eval_is_test<'a>(words: impl IntoIterator<Item = &'a str>) -> bool {
    let (mut validation, mut test) = (false, false);
    for word in words.into_iter().filter(|word| !is_eval(word)) {
        validation |= subset_named(word) == Some(Subset::Validation);
        test |= subset_named(word) == Some(Subset::Test);
    }
    validation && !test
}

/// Whether the word is `eval`, which is used for both validation and test.
pub(super) fn is_eval(word: &str) -> bool {
    matches!(plain(word).as_str(), "eval" | "evaluation")
}

/// Whether a folder of this name holds images without labels.
pub(super) fn is_unlabelled(name: &str) -> bool {
    UNLABELLED.contains(&&*plain(name))
}

/// Whether a folder of this name holds images; `beside_masks`: a folder of masks stands next to it.
pub(super) fn is_images(name: &str, beside_masks: bool) -> bool {
    let word = plain(name);
    IMAGES.contains(&&*word) || (beside_masks && IMAGES_BESIDE_MASKS.contains(&&*word))
}

/// Whether a folder of this name holds masks; `beside_images`: a folder of images stands next to it.
pub(super) fn is_masks(name: &str, beside_images: bool) -> bool {
    let word = plain(name);
    MASKS.contains(&&*word) || (beside_images && MASKS_BESIDE_IMAGES.contains(&&*word))
}

/// The folder of images that a folder of masks is named after: `train` for `trainannot` and `train_labels`.
pub(super) fn annotated(name: &str) -> Option<String> {
    let word = plain(name);
    let of = |suffix: &str| word.strip_suffix(suffix).map(str::to_owned);
    ["annot", "annotations", "labels", "masks", "mask", "gt"]
        .iter()
        .find_map(|suffix| of(suffix))
        .filter(|rest| !rest.is_empty())
}

/// Whether a class of this name is probably no class but a part of a layout that was not recognised.
pub(super) fn is_layout(name: &str) -> bool {
    let imagesets = matches!(
        &*plain(name),
        "imagesets"
            | "segmentationobject"
            | "labels"
            | "annotations"
            | "runs"
            | "checkpoints"
            | "imagestr"
            | "imagests"
            | "labelstr"
            | "labelsts"
    );
    subset_named(name).is_some()
        || is_unlabelled(name)
        || is_images(name, false)
        || is_masks(name, false)
        || imagesets
        || annotated(name).is_some_and(|of| subset_named(&of).is_some())
}

/// Whether most of these classes are probably parts of a layout: `seg_train` and `seg_test`, `leftImg8bit` and `gtFine`, `fold1`
/// and `fold2`. One such name alone may be a class (`bullet train`).
pub(super) fn are_parts<'a>(classes: impl Iterator<Item = &'a String> + Clone) -> bool {
    const WITHIN: [&str; 9] =
        ["train", "test", "valid", "groundtruth", "gtfine", "leftimg8bit", "annotation", "thumbnail", "input"];
    const WORDS: [&str; 14] = [
        "val", "gt", "depth", "rgb", "raw", "binary", "mask", "masks", "label", "labels", "seg", "image", "images",
        "output",
    ];
    let is_part = |name: &&String| {
        let lower = plain(name);
        let fold = lower.trim_end_matches(|c: char| c.is_ascii_digit());
        let numbered_fold = matches!(fold, "fold" | "split" | "cv" | "part") && fold.len() < lower.len();
        let words = name.split(|c: char| !c.is_alphanumeric()).map(str::to_lowercase);
        numbered_fold
            || WITHIN.iter().any(|word| lower.contains(word))
            || words.into_iter().any(|word| WORDS.contains(&word.as_str()))
    };
    let parts = classes.clone().filter(is_part).count();
    parts > 1 && 2 * parts > classes.count()
}

/// Whether a file or folder of this name is left behind by a file manager, an archive or a notebook.
pub(super) fn is_junk(name: &str) -> bool {
    name.starts_with('.') || JUNK.contains(&&*name.to_lowercase())
}

/// The stem of the image that the mask with this stem belongs to: `x` for `x_mask`, `x-Seg`, `x.gt`,
/// and `x_mask_3`.
pub(super) fn image_of_mask(stem: &str) -> Option<&str> {
    let is_separator = |c: char| matches!(c, '_' | '-' | '.' | ' ');
    let numbered = stem.trim_end_matches(|c: char| c.is_ascii_digit());
    let bare = match numbered.strip_suffix(is_separator) {
        Some(bare) if numbered.len() < stem.len() => bare,
        _ => stem,
    };
    without_suffix(bare, &MASK_SUFFIXES).or_else(|| without_suffix(stem, &MASK_SUFFIXES))
}

/// Whether the stem is a word for masks and a number: `mask_1`, `label-002`, `gt3`.
pub(super) fn is_numbered_mask(stem: &str) -> bool {
    let word = stem.trim_end_matches(|c: char| c.is_ascii_digit());
    let bare = word.trim_end_matches(['_', '-', '.', ' ']);
    word.len() < stem.len() && MASK_SUFFIXES.iter().any(|known| bare.eq_ignore_ascii_case(known))
}

/// A stem without what names it as an image: `x` for `x_image`.
pub(super) fn image_stem(stem: &str) -> &str {
    without_suffix(stem, &IMAGE_SUFFIXES).unwrap_or(stem)
}

fn without_suffix<'a>(stem: &'a str, suffixes: &[&str]) -> Option<&'a str> {
    suffixes.iter().find_map(|suffix| {
        let start = stem.len().checked_sub(suffix.len()).filter(|&at| stem.is_char_boundary(at))?;
        let (rest, end) = stem.split_at(start);
        let rest = end.eq_ignore_ascii_case(suffix).then_some(rest)?;
        let rest = rest.strip_suffix(['_', '-', '.', ' '])?;
        (!rest.is_empty()).then_some(rest)
    })
}

/// Class names in their order: that of the numbers if all are numbers, else sorted.
pub(super) fn in_order(names: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut names: Vec<String> = names.into_iter().collect();
    names.sort();
    let number = |name: &String| name.parse::<f64>().ok().filter(|number| number.is_finite());
    if names.iter().all(|name| number(name).is_some()) {
        names.sort_by(|a, b| number(a).unwrap_or(0.0).total_cmp(&number(b).unwrap_or(0.0)));
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subsets() {
        for (name, subset) in [
            ("Training", Some(Subset::Train)),
            ("train2017", Some(Subset::Train)),
            ("training-set", Some(Subset::Train)),
            ("VAL", Some(Subset::Validation)),
            ("dev", Some(Subset::Validation)),
            ("Test Set", Some(Subset::Test)),
            ("train1", None),
            ("trains", None),
            ("2017", None),
            ("", None),
        ] {
            assert_eq!(subset_named(name), subset, "{name}");
        }
    }

    #[test]
    fn masks_are_named_after_their_image() {
        for (stem, image) in [
            ("benign (1)_mask", Some("benign (1)")),
            ("benign (1)_mask_12", Some("benign (1)")),
            ("x_Segmentation", Some("x")),
            ("x-mask", Some("x")),
            ("x.GT", Some("x")),
            ("a_masked", None),
            ("a_mask_b", None),
            ("mask", None),
            ("_mask", None),
            ("é_mask", Some("é")),
            ("a_mask_", None),
        ] {
            assert_eq!(image_of_mask(stem), image, "{stem}");
        }
        assert!(["mask_1", "Label-002", "gt3"].iter().all(|stem| is_numbered_mask(stem)));
        assert!(["mask", "masked_1", "1", "mask_a", "unmask_1"].iter().all(|stem| !is_numbered_mask(stem)));
        assert_eq!((image_stem("x_image"), image_stem("x")), ("x", "x"));
        assert_eq!(annotated("trainannot").as_deref(), Some("train"));
        assert_eq!(annotated("val_labels").as_deref(), Some("val"));
        assert!(is_layout("testannot") && is_layout("JPEGImages") && !is_layout("cat") && is_junk("@eaDir"));
    }

    #[test]
    fn most_classes_may_be_parts() {
        let are = |names: &[&str]| are_parts(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>().iter());
        for parts in [&["seg_train", "seg_test", "seg_pred"][..], &["leftImg8bit", "gtFine"], &["fold1", "fold2"]] {
            assert!(are(parts), "{parts:?}");
        }
        for classes in [&["bullet train", "bus"][..], &["with_mask", "without", "cap"], &["x", "y"], &["cat"]] {
            assert!(!are(classes), "{classes:?}");
        }
    }

    #[test]
    fn subsets_have_many_names() {
        for (subset, words) in [
            (Subset::Train, "train Training TRAIN_SET training-set"),
            (Subset::Validation, "val Valid validation dev eval PublicTest"),
            (Subset::Test, "test Testing test_set PrivateTest"),
        ] {
            words.split(' ').for_each(|word| assert_eq!(subset_named(word), Some(subset), "{word}"));
        }
        ["", "late", "trainer", "0", "retest"].iter().for_each(|word| assert_eq!(subset_named(word), None, "{word}"));
    }

    #[test]
    fn eval_is_test_where_validation_has_another_name() {
        assert!(!eval_is_test(["train", "eval"]));
        assert!(eval_is_test(["train", "dev", "Eval"]));
        assert!(!eval_is_test(["train", "dev", "eval", "test"]), "the test subset has a name already");
    }
}
