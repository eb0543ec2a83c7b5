//! Names with a meaning: the words for the subsets of a split, in tables and as names of folders.

use crate::dataset::Subset;

/// The subset with this name, in a table or as a folder, in any case. `eval` is the validation subset here; see
/// [`eval_is_test`].
pub(super) fn subset_named(word: &str) -> Option<Subset> {
    match plain(word).as_str() {
        "train" | "training" | "trainset" | "trainingset" => Some(Subset::Train),
        // The last is how the FER-2013 table calls it, and so below.
        "validation" | "validationset" | "val" | "valset" | "valid" | "validset" | "dev" | "devset" | "eval"
        | "evaluation" | "publictest" => Some(Subset::Validation),
        "test" | "testing" | "testset" | "testingset" | "privatetest" => Some(Subset::Test),
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

/// Lower-case letters and digits only: `Test_Set`, `test-set` and `testset` are one name.
pub(super) fn plain(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, '_' | '-' | ' ' | '.')).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

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
