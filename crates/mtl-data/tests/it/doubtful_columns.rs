//! Columns of tables that are no labels, or that are labels with a doubt.

use std::fs;

use mtl_data::{Labels, OpenOptions, open};

use crate::folders::opened;
use crate::numbers::{kinds, table};
use crate::tables::{says, tasks};

/// Columns, cells of the lines, tasks, and words of the sentences.
type Case<'a> = (&'a str, &'a [&'a str], &'a str, &'a [&'a str]);

const CASES: &[Case] = &[
    (
        "class,xmin,ymin,xmax,ymax",
        &["cat,1,2,3,4", "dog,1,2,5,6", "cat,1,2,5,6", "dog,3,3,4,4"],
        "class: cat dog",
        &["boxes are not learned: `xmin`, `ymin`, `xmax`, `ymax` is no task"],
    ),
    ("bbox", &["\"[0.0, 2.0, 56, 30]\"", "\"[1.0, 2.0, 56, 31]\""], "", &["boxes are not learned: `bbox` is no task"]),
    ("x1", &["1", "2", "1", "2"], "x1: 1 2", &[]),
    ("EncodedPixels", &["1 5", "", "7 2 9 1"], "", &["`EncodedPixels` is no task; save the masks as PNG files"]),
    ("segmentation", &["1 3 10 4", "1 3 10 4 20 2"], "", &["masks as run lengths are not read from a table"]),
    (
        "count",
        &["0", "1", "2", "0", "1", "2"],
        "count: 0 1 2",
        &["`count` is a quantity by its name, and its 3 whole numbers are classes: data.open.regression = [\"count\"]"],
    ),
    (
        "code",
        &["01", "1", "10", "01", "1", "10"],
        "code: 01 1 10",
        &["column `code`: `01` and `1` are equal as numbers and are different classes"],
    ),
    (
        "labels",
        &["scab", "rust", "scab rust", "scab", "rust", "scab rust"],
        "labels: rust scab scab rust",
        &["1 name is one class each, such as `scab rust`", "write `|` between the labels"],
    ),
    (
        "kind",
        &["red car", "blue car", "red van", "blue van", "red car", "blue car", "red van", "blue van"],
        "kind: blue car blue van red car red van",
        &[],
    ),
    (
        "label,name",
        &["0,cat", "1,dog", "0,cat", "1,dog"],
        "label: 0 1; name: cat dog",
        &["columns `label` and `name` say the same in all rows and are two tasks"],
    ),
    ("healthy", &["x", "", "x", ""], "", &["holds only `x` and 2 blank cells, which are missing labels"]),
];

#[test]
fn what_is_doubtful_is_said() {
    for (columns, cells, expected, words) in CASES {
        let temp = tempfile::tempdir().unwrap();
        table(temp.path(), columns, cells);
        let data = opened(temp.path());
        let said = data.reading().lines().join("\n");
        assert_eq!(tasks(&*data), *expected, "{columns}\n{said}");
        says(&said, words);
        for (doubt, mark) in [("quantity", "quantity"), ("one class each", "one class"), ("say the same", "the same")] {
            let wanted = words.iter().any(|word| word.contains(mark));
            assert_eq!(said.contains(doubt), wanted, "{columns}\n{said}");
        }
    }
}

#[test]
fn whole_numbers_in_a_column_of_labels_are_classes() {
    let cells: Vec<String> = (0..75).map(|at| (at % 25 * 3).to_string()).collect();
    let cells: Vec<&str> = cells.iter().map(String::as_str).collect();
    for (column, kind) in [("label", "classification"), ("leaf_label", "classification"), ("depth_of", "regression")] {
        let temp = tempfile::tempdir().unwrap();
        table(temp.path(), column, &cells);
        let data = opened(temp.path());
        assert_eq!(kinds(&*data), [(column.to_owned(), kind)]);
        let options = OpenOptions { regression: vec![column.into()], ..OpenOptions::default() };
        assert_eq!(kinds(&*open(temp.path(), &options).unwrap())[0].1, "regression");
    }
}

#[test]
fn numbers_that_recur_far_from_all_others_are_named() {
    for (cells, words) in [
        (["999", "23.5", "26", "999", "31"], Some("999 is learned as a number (2 rows) and is far from all others")),
        (["-9999", "-4.6", "3", "-9999", "1"], Some("-9999 is learned as a number (2 rows)")),
        (["999", "400.5", "26", "999", "31"], None),
        (["999", "23.5", "26", "12", "31"], None),
    ] {
        let temp = tempfile::tempdir().unwrap();
        table(temp.path(), "value", &cells);
        let warnings = opened(temp.path()).reading().warnings.join("\n");
        match words {
            Some(words) => says(&warnings, &[words]),
            None => assert!(!warnings.contains("is learned as a number"), "{warnings}"),
        }
    }
}

#[test]
fn lines_without_an_image_give_no_classes_and_a_repeated_header_is_left_out() {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path();
    table(root, "class", &["cat", "dog", "cat", "dog"]);
    let text = "image,class\n0.png,cat\n1.png,dog\nimage,class\n2.png,cat\n3.png,dog\nTotal,4\n";
    fs::write(root.join("manifest.csv"), text).unwrap();
    let data = opened(root);
    assert_eq!(tasks(&*data), "class: cat dog");
    assert_eq!((data.len(), data.skipped().len(), data.labels(3)), (4, 1, vec![Labels::Class(1)]));
    says(&data.reading().warnings.join("\n"), &["`manifest.csv`: line 4 repeats the header: left out"]);
}
