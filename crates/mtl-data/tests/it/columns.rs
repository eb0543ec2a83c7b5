//! Columns of tables whose cells are not plain labels: numbers with units, spreadsheet errors, identifiers, one-hot columns.

use std::fs;

use mtl_data::{Dataset, Labels, OpenOptions, open};
use mtl_task::TaskKind;

use crate::folders::opened;
use crate::numbers::{kinds, refusal, table};
use crate::tables::{says, tasks};

fn value(data: &dyn Dataset, row: usize) -> Option<f32> {
    match data.labels(row)[0] {
        Labels::Value(value) => Some(value),
        _ => None,
    }
}

fn lines(data: &dyn Dataset) -> String {
    data.reading().lines().join("\n")
}

#[test]
fn numbers_with_one_unit_are_a_regression_in_it() {
    for (column, cells, unit, first, words) in [
        (
            "length",
            ["12.5 mm", "3 mm", "7.25 mm", ""],
            "mm",
            12.5,
            "all 3 cells are numbers with the unit `mm`, such as `12.5 mm`",
        ),
        ("moisture", ["50%", "12.5%", "7%", "nan"], "%", 50.0, "the unit `%`"),
        ("length_cm", ["12 mm", "3 mm", "7 mm", ""], "mm", 12.0, "the unit `mm`, its name has `cm`: `mm` is taken"),
        (
            "cells",
            ["\"1,234\"", "12", "\"1,234,567\"", ""],
            "",
            1234.0,
            "`,` separates thousands in 2 numbers, such as `1,234`",
        ),
        ("age_days", ["31", "70", "112", ""], "days", 31.0, "a regression task"),
        (
            "size",
            ["0.5", "#DIV/0!", "#N/A", "2.5"],
            "",
            0.5,
            "2 cells mean that the label is missing (`#DIV/0!` 1, `#N/A` 1)",
        ),
        ("size", ["0.5", "inf", "-inf", "2.5"], "", 0.5, "(`-inf` 1, `inf` 1)"),
    ] {
        let temp = tempfile::tempdir().unwrap();
        table(temp.path(), column, &cells);
        let data = opened(temp.path());
        let said = lines(&*data);
        assert_eq!(kinds(&*data), [(column.to_owned(), "regression")], "{cells:?}\n{said}");
        assert_eq!(data.schema().tasks[0].kind, TaskKind::Regression { unit: unit.to_owned() }, "{said}");
        assert_eq!(value(&*data, 0), Some(first), "{cells:?}");
        let missing = (0..4).filter(|&row| value(&*data, row).is_none()).count();
        assert_eq!(
            missing,
            cells.iter().filter(|cell| ["", "nan", "inf", "-inf"].contains(cell) || cell.contains('#')).count()
        );
        says(&said, &[words]);
    }
    // Infinity is a word among words.
    let temp = tempfile::tempdir().unwrap();
    table(temp.path(), "place", &["inf", "sup", "inf", "sup"]);
    assert_eq!(tasks(&*opened(temp.path())), "place: inf sup");
}

#[test]
fn a_comma_is_a_decimal_point_where_semicolons_separate() {
    let temp = tempfile::tempdir().unwrap();
    table(temp.path(), "x", &["1", "2", "1", "2"]);
    let text = "image;weight;length\n0.png;3,5;1.250\n1.png;4,25;2.500\n2.png;7;3.750\n3.png;1.250,5;\n";
    fs::write(temp.path().join("manifest.csv"), text).unwrap();
    let data = opened(temp.path());
    assert_eq!(kinds(&*data), [("weight".to_owned(), "regression")]);
    assert_eq!([0, 3].map(|row| value(&*data, row)), [Some(3.5), Some(1250.5)]);
    says(
        &lines(&*data),
        &[
            "`.` separates thousands in 1 number,",
            "`length`: `1.250` may be a decimal or have a separator of thousands",
        ],
    );
}

#[test]
fn numbers_in_different_forms_are_left_out_and_refused_as_regression() {
    for (cells, words) in [
        (
            ["12.5 mm", "1.2 cm", "3", "4 mm"],
            "numbers in different units (none 1, such as `3`, `cm` 1, such as `1.2 cm`, `mm` 2",
        ),
        (["\"1,234\"", "\"1.5,2\"", "3", "4"], "numbers in different forms"),
    ] {
        let temp = tempfile::tempdir().unwrap();
        table(temp.path(), "length", &cells);
        let data = opened(temp.path());
        assert!(data.schema().tasks.is_empty());
        says(&data.reading().warnings.join("\n"), &[words, "the column is no task"]);
        let options = OpenOptions { regression: vec!["length".into()], ..OpenOptions::default() };
        says(&refusal(open(temp.path(), &options)), &[words, "data.open.regression"]);
        let options = OpenOptions { classification: vec!["length".into()], ..OpenOptions::default() };
        assert_eq!(
            open(temp.path(), &options).unwrap().schema().tasks[0].kind.outputs(),
            4,
            "words as they are written"
        );
    }
}

#[test]
fn identifiers_are_no_task_unless_a_setting_names_them() {
    let temp = tempfile::tempdir().unwrap();
    let cells = ["a,x1,2,1", "b,x2,1,0", "a,x1,2,1", "b,x2,1,0"];
    table(temp.path(), "site_id,uuid,class_id,id_run", &cells);
    let data = opened(temp.path());
    assert_eq!(tasks(&*data), "class_id: 1 2");
    says(
        &lines(&*data),
        &["`site_id` is an identifier by its name (2 different values in 4 rows): no task", "`uuid` is", "`id_run` is"],
    );
    let options = OpenOptions { classification: vec!["site_id".into()], ..OpenOptions::default() };
    assert_eq!(tasks(&*open(temp.path(), &options).unwrap()), "site_id: a b; class_id: 1 2");
}

#[test]
fn columns_that_exclude_each_other_become_one_classification_by_a_setting() {
    let temp = tempfile::tempdir().unwrap();
    let cells = ["1,0,0,1", "0,1,0,0", "0,0,1,1", ",,,0", "1,0,0,1"];
    table(temp.path(), "kind_cat,kind_dog,kind_owl,sick", &cells);
    let data = opened(temp.path());
    assert_eq!(tasks(&*data), "labels? kind_cat kind_dog kind_owl sick");
    says(
        &lines(&*data),
        &[
            "4 columns hold yes and no (`0`, `1`) and are one multi-label task `labels`: `kind_cat`, `kind_dog`",
            "exactly one of `kind_cat`, `kind_dog`, `kind_owl` is yes in each of 4 rows: data.open.one_hot = [\"kind_*\"]",
        ],
    );
    let with = |names: &[&str]| {
        let one_hot = names.iter().map(|&name| name.to_owned()).collect();
        open(temp.path(), &OpenOptions { one_hot, ..OpenOptions::default() })
    };
    let data = with(&["kind_*"]).unwrap();
    assert_eq!(tasks(&*data), "kind: cat dog owl; sick: 0 1");
    let labels: Vec<Labels> = (0..4).map(|row| data.labels(row)[0].clone()).collect();
    assert_eq!(labels, [Labels::Class(0), Labels::Class(1), Labels::Class(2), Labels::Missing]);
    says(
        &lines(&*data),
        &["3 columns are one classification `kind` (data.open.one_hot): its classes are `cat`, `dog`"],
    );
    let data = with(&["kind_cat", "kind_dog", "kind_owl"]).unwrap();
    assert_eq!(tasks(&*data), "class: kind_cat kind_dog kind_owl; sick: 0 1");
    says(&refusal(with(&["sick", "kind_cat"])), &["manifest.csv:2", "not exactly one is yes (lines 2, 3, 6)"]);
    says(&refusal(with(&["sick"])), &["one_hot", "two or more columns"]);
    says(&with(&["colour_*"]).unwrap().reading().warnings.join("\n"), &["`colour_*` is no column of labels"]);
}
