//! Folders that are subsets by their names, also with a prefix or suffix that all of them share: `seg_train` and `seg_test`,
//! `train_80` and `test_20`, `images_train` and `masks_train`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::{names, walk};
use crate::dataset::Subset;
use crate::error::Error;

/// The folder of a subset.
pub(super) struct SubsetFolder {
    pub path: PathBuf,
    pub subset: Subset,
    /// Training images without labels.
    pub unlabelled: bool,
    /// The folder beside it that is named after its masks: `trainannot`, `masks_train`.
    pub masks: Option<PathBuf>,
}

/// A name of a folder, taken apart.
struct Parted {
    subset: Subset,
    unlabelled: bool,
    /// Named after masks.
    masks: bool,
    /// The words around that of the subset, in lower case: `seg *`, `* #` for a number.
    around: String,
    numbers: Vec<u32>,
}

impl Parted {
    fn of(name: &str) -> Option<Self> {
        let words = words(name);
        let number = |word: &String| word.parse::<u32>().ok();
        let whole = |subset, unlabelled, masks| {
            let (around, numbers) = ("*".to_owned(), words.iter().filter_map(number).collect());
            Some(Self { subset, unlabelled, masks, around, numbers })
        };
        if let Some(subset) = names::subset_named(name) {
            return whole(subset, false, false);
        }
        if names::is_unlabelled(name) {
            return whole(Subset::Train, true, false);
        }
        if let Some(subset) = names::annotated(name).and_then(|of| names::subset_named(&of)) {
            return whole(subset, false, true);
        }
        let side = |word: &String| match names::is_unlabelled(word) {
            true => Some((Subset::Train, true)),
            false => names::subset_named(word).map(|subset| (subset, false)),
        };
        let mut sides = words.iter().filter_map(side);
        let (Some((subset, unlabelled)), None) = (sides.next(), sides.next()) else { return None };
        let masks = words.iter().any(|word| names::is_masks(word, true));
        let around = words.iter().filter_map(|word| match word {
            word if side(word).is_some() => Some("*".to_owned()),
            word if names::is_masks(word, true) || names::is_images(word, false) => None,
            word => Some(number(word).map_or_else(|| word.to_lowercase(), |_| "#".to_owned())),
        });
        let around = around.collect::<Vec<_>>().join(" ");
        Some(Self { subset, unlabelled, masks, around, numbers: words.iter().filter_map(number).collect() })
    }

    /// What tells the folders of one kind apart.
    fn key(&self) -> (Subset, bool, &[u32]) {
        (self.subset, self.unlabelled, &self.numbers)
    }
}

/// The words of a name: `seg_train`, `segTrain`, `seg-train2` begin with `seg`.
fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut last = None;
    for c in name.chars() {
        if c.is_alphanumeric() {
            let joins = last.is_some_and(|last: char| {
                last.is_numeric() == c.is_numeric() && !(last.is_lowercase() && c.is_uppercase())
            });
            match words.last_mut().filter(|_| joins) {
                Some(word) => word.push(c),
                None => words.push(c.to_string()),
            }
        }
        last = Some(c).filter(|c| c.is_alphanumeric());
    }
    words
}

/// The subsets, if the folder holds two or more and all its folders with images are called like subsets in the same way, like
/// their annotations or `unlabeled`.
pub(super) fn subsets(folder: &Path) -> Result<Option<Vec<SubsetFolder>>, Error> {
    let mut all = Vec::new();
    for path in walk::folders(folder)? {
        match Parted::of(&walk::name(&path)) {
            Some(parted) => all.push((path, parted)),
            None if walk::any_image(&path) => return Ok(None),
            None => {}
        }
    }
    let names: Vec<String> = all.iter().map(|(path, _)| walk::name(path)).collect();
    let eval_is_test = names::eval_is_test(names.iter().map(String::as_str));
    for ((_, parted), name) in all.iter_mut().zip(&names).filter(|(_, name)| eval_is_test && names::is_eval(name)) {
        parted.subset = if names::subset_named(name).is_some() { Subset::Test } else { parted.subset };
    }
    let parted: Vec<&Parted> = all.iter().map(|(_, parted)| parted).collect();
    if !alike(&parted) || folds(&parted) {
        return Ok(None);
    }
    let without_images = all.iter().all(|(_, parted)| parted.masks);
    let (images, masks): (Vec<_>, Vec<_>) = all.into_iter().partition(|(_, parted)| without_images || !parted.masks);
    let masks_of = |parted: &Parted| masks.iter().find(|(_, masks)| masks.key() == parted.key());
    let found = images.into_iter().map(|(path, parted)| SubsetFolder {
        masks: masks_of(&parted).map(|(path, _)| path.clone()),
        path,
        subset: parted.subset,
        unlabelled: parted.unlabelled,
    });
    Ok(Some(found.collect()))
}

/// Whether two folders are of one subset by their names, such as `train` with images and `train` with masks.
pub(super) fn same(a: &str, b: &str) -> bool {
    let (a, b) = (Parted::of(a), Parted::of(b));
    a.zip(b).is_some_and(|(a, b)| a.key() == b.key())
}

/// Whether the names are those of two or more different subsets that have the same words around them.
fn alike(all: &[&Parted]) -> bool {
    let arounds: BTreeSet<&String> = all.iter().map(|parted| &parted.around).collect();
    let kinds: BTreeSet<_> = all.iter().map(|parted| (parted.masks, parted.key())).collect();
    let subsets: BTreeSet<_> = all.iter().map(|parted| (parted.subset, parted.unlabelled)).collect();
    arounds.len() == 1 && kinds.len() == all.len() && subsets.len() > 1
}

/// Whether several subsets have folders of the same two or more numbers: `train1`, `test1`, `train2`, `test2` are folds of a
/// cross-validation, whose test images are training images of the other folds. Years are no folds.
fn folds(all: &[&Parted]) -> bool {
    let mut numbers: BTreeMap<Subset, BTreeSet<&[u32]>> = BTreeMap::new();
    for parted in all.iter().filter(|parted| parted.numbers.iter().any(|number| *number < 1000)) {
        numbers.entry(parted.subset).or_default().insert(&parted.numbers);
    }
    let shared = |a: &BTreeSet<&[u32]>, b: &BTreeSet<&[u32]>| a.intersection(b).count() > 1;
    let all: Vec<&BTreeSet<&[u32]>> = numbers.values().collect();
    all.iter().enumerate().any(|(at, a)| all[..at].iter().any(|b| shared(a, b)))
}

/// The reason why folders of these names are no subsets although several are called so.
pub(super) fn doubt(all: &[&String]) -> Option<String> {
    let (named, others): (Vec<_>, Vec<_>) =
        all.iter().map(|name| (*name, Parted::of(name))).partition(|(_, parted)| parted.is_some());
    let parted: Vec<&Parted> = named.iter().filter_map(|(_, parted)| parted.as_ref()).collect();
    let subsets: BTreeSet<Subset> = parted.iter().map(|parted| parted.subset).collect();
    let list = |names: &[(&String, Option<Parted>)]| {
        let shown: Vec<String> = names.iter().take(4).map(|(name, _)| format!("{name}/")).collect();
        format!("{}{}", shown.join(", "), if names.len() > 4 { " ..." } else { "" })
    };
    if alike(&parted) && folds(&parted) {
        return Some(format!(
            "{} are folds of a cross-validation: the test images of one are training images of another. Keep the folders of one \
             fold",
            list(&named)
        ));
    }
    if alike(&parted) && !others.is_empty() && others.len() <= parted.len() {
        let ignored: Vec<String> = others.iter().map(|(name, _)| format!("\"{name}\"")).collect();
        return Some(format!(
            "{} are called like subsets, and {} beside them is none. data.open.ignore = [{}] leaves it out",
            list(&named),
            list(&others),
            ignored.join(", ")
        ));
    }
    let letter = |parted: &&Parted| parted.around.strip_prefix("* ").is_some_and(|rest| rest.chars().count() == 1);
    if others.is_empty() && parted.len() > 1 && parted.iter().all(letter) {
        return Some(format!(
            "{} are two domains of images, as for translation between unpaired images, and no subsets of one task. Keep the \
             folders of one domain, or arrange them as train/CLASS/*",
            list(&named)
        ));
    }
    if others.is_empty() && subsets.len() > 1 {
        return Some(format!(
            "{} are called like subsets, but not in the same way: which folders belong together is not known. Rename them to \
             train/, val/ and test/",
            list(&named)
        ));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parted(names: &[&str]) -> Vec<Option<Parted>> {
        names.iter().map(|name| Parted::of(name)).collect()
    }

    fn are_subsets(names: &[&str]) -> bool {
        let all = parted(names);
        let all: Vec<&Parted> = all.iter().flatten().collect();
        all.len() == names.len() && alike(&all) && !folds(&all)
    }

    #[test]
    fn names_are_taken_apart() {
        assert_eq!(words("seg-Train_80"), ["seg", "Train", "80"]);
        assert_eq!(words("leftImg8bit"), ["left", "Img", "8", "bit"]);
        for (name, around) in [
            ("seg_train", "*"),
            ("my_train", "my *"),
            ("train_80", "* #"),
            ("stage1_test", "stage # *"),
            ("images_val2017", "* #"),
            ("trainA", "* a"),
            ("train2017", "*"),
        ] {
            assert_eq!(Parted::of(name).map(|parted| parted.around).as_deref(), Some(around), "{name}");
        }
        assert!(parted(&["trainer", "train_test", "cat", "2017", ""]).iter().all(Option::is_none));
    }

    #[test]
    fn subsets_are_named_in_the_same_way() {
        for names in [
            &["seg_train", "seg_test"][..],
            &["my_train", "my_valid", "my_test"],
            &["train_80", "val_10", "test_10"],
            &["images_train", "images_val", "masks_train", "masks_val"],
            &["train2014", "train2017", "val2017"],
            &["train_1", "train_2", "test_1"],
            &["Stage1_Train", "stage1_test"],
        ] {
            assert!(are_subsets(names), "{names:?}");
        }
        for names in [
            &["bullet_train", "bus"][..],
            &["trainA", "trainB", "testA", "testB"],
            &["train_1", "train_2"],
            &["train_1", "test_1", "train_2", "test_2"],
            &["train", "training", "test"],
            &["my_train", "your_test"],
            &["test_positive", "test_negative"],
        ] {
            assert!(!are_subsets(names), "{names:?}");
        }
    }

    #[test]
    fn doubts_are_in_words() {
        let doubt = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            doubt(&names.iter().collect::<Vec<_>>()).unwrap_or_default()
        };
        assert!(doubt(&["trainA", "trainB", "testA", "testB"]).contains("two domains of images"));
        assert!(doubt(&["train_1", "test_1", "train_2", "test_2"]).contains("folds of a cross-validation"));
        assert!(doubt(&["seg_train", "seg_test", "seg_pred"]).contains("data.open.ignore = [\"seg_pred\"]"));
        assert!(doubt(&["my_train", "your_test"]).contains("not in the same way"));
        assert_eq!(doubt(&["cat", "dog"]), "");
        assert!(same("train", "Training") && same("train_1", "masks_train1") && !same("train_1", "train_2"));
    }
}
