//! Groups of rows, and generated rows, in splits.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;

use mtl_data::concat::Component;
use mtl_data::{ConcatDataset, Dataset, Labels, Splits, check, split};
use mtl_rng::Seed;

use crate::folders::{colour, opened, save};
use crate::tables::says;

/// Twelve patients with four images each, all of them of one class but for one image; the first image of patients 0 and 1 is
/// the same.
fn patients(root: &Path) {
    let mut table = "image,class,patient_id,site\n".to_owned();
    for at in 0..48_u8 {
        let (patient, of) = (at / 4, at % 4);
        let shade = if at == 4 { 0 } else { at * 5 };
        save(root, &format!("{at}.png"), colour(shade));
        let class = if of == 3 { 1 - patient % 2 } else { patient % 2 };
        table += &format!("{at}.png,{},p{patient},{}\n", ["cat", "dog"][usize::from(class)], patient / 2 % 3);
    }
    fs::write(root.join("manifest.csv"), table).unwrap();
}

fn by(group: &str) -> split::Config {
    split::Config { group: Some(group.into()), validation: 0.25, test: 0.25, ..split::Config::default() }
}

/// The subsets of each group.
fn subsets_of(data: &dyn Dataset, split: &Splits, column: &str) -> BTreeMap<String, BTreeSet<usize>> {
    let mut subsets: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
    for (subset, rows) in split.subsets().into_iter().enumerate() {
        for &row in rows {
            let cell = data.row_notes(row).unwrap().cell(column).unwrap();
            subsets.entry(cell.to_owned()).or_default().insert(subset);
        }
    }
    subsets
}

#[test]
fn rows_of_one_group_are_in_one_subset() {
    let temp = tempfile::tempdir().unwrap();
    patients(temp.path());
    let data = opened(temp.path());
    for seed in 0..6 {
        let split = Splits::new(&*data, &by("patient_id"), Seed::new(seed)).unwrap();
        let subsets = subsets_of(&*data, &split, "patient_id");
        assert!(subsets.len() == 12 && subsets.values().all(|subsets| subsets.len() == 1), "{subsets:?}");
        assert_eq!(subsets["p0"], subsets["p1"], "they share an image");
        // Ten groups of 4 and one of 8: half, a quarter and a quarter of 48 rows, as near as they allow.
        let [train, validation, test] = split.sizes();
        let near = |rows: usize, wanted: usize| rows.abs_diff(wanted) <= 4;
        assert!(near(train, 24) && near(validation, 12) && near(test, 12), "{:?}", split.sizes());
        for counts in split.subsets().map(|rows| split::class_counts(&*data, rows)) {
            assert!(counts[0].iter().all(|count| *count >= 3), "{counts:?}");
        }
        says(&split.notes.join("\n"), &["column `patient_id` names 12 groups: each is in one subset"]);
    }
    // Without it, rows are drawn one by one, and that is said.
    let plain = Splits::new(&*data, &split::Config::default(), Seed::new(0)).unwrap();
    let crossing = subsets_of(&*data, &plain, "patient_id").values().filter(|subsets| subsets.len() > 1).count();
    assert!(crossing > 0);
    let expected = format!("{crossing} of 12 groups of column `patient_id` are in more than one subset");
    says(&plain.notes.join("\n"), &[&expected, "data.split.group = \"patient_id\""]);
    says(
        &check::check(temp.path(), &Default::default()).to_string(),
        &[
            "of 12 groups of column `patient_id` are in more than one subset, such as",
            "data.split.group = \"patient_id\"",
        ],
    );
    let (report, _) = check::open_and_check(temp.path(), &Default::default(), &by("patient_id"));
    says(&report.to_string(), &["column `patient_id` names 12 groups: each is in one subset"]);
}

#[test]
fn any_column_can_name_groups_and_an_unknown_one_is_refused_with_the_list() {
    let temp = tempfile::tempdir().unwrap();
    patients(temp.path());
    let data = opened(temp.path());
    let split = Splits::new(&*data, &by("site"), Seed::new(0)).unwrap();
    assert!(subsets_of(&*data, &split, "site").values().all(|subsets| subsets.len() == 1));
    let refusal = Splits::new(&*data, &by("patient"), Seed::new(0)).unwrap_err().to_string();
    says(&refusal, &["split.group = patient", "it has `class`, `patient_id`, `site`"]);
    // Four groups are enough for three subsets.
    let four = tempfile::tempdir().unwrap();
    (0..12).for_each(|at| save(four.path(), &format!("{at}.png"), colour(at * 9)));
    let lines: String = (0..12).map(|at| format!("{at}.png,{},{}\n", ["a", "b"][at % 2], at / 3)).collect();
    fs::write(four.path().join("manifest.csv"), format!("image,class,subject\n{lines}")).unwrap();
    let config = split::Config { group: Some("subject".into()), ..split::Config::default() };
    assert_eq!(Splits::new(&*opened(four.path()), &config, Seed::new(0)).unwrap().sizes(), [6, 3, 3]);
    let few = tempfile::tempdir().unwrap();
    (0..6).for_each(|at| save(few.path(), &format!("{at}.png"), colour(at * 9)));
    let lines: String = (0..6).map(|at| format!("{at}.png,{},{}\n", ["a", "b"][at % 2], at % 2)).collect();
    fs::write(few.path().join("manifest.csv"), format!("image,class,subject\n{lines}")).unwrap();
    let refusal = Splits::new(&*opened(few.path()), &by("subject"), Seed::new(0)).unwrap_err().to_string();
    says(&refusal, &["has 2 groups by the column `subject`", "at least 3 are needed"]);
    let folder = tempfile::tempdir().unwrap();
    (0..8).for_each(|at| save(folder.path(), &format!("{}/{at}.png", ["a", "b"][at % 2]), colour(at as u8 * 9)));
    let refusal = Splits::new(&*opened(folder.path()), &by("site"), Seed::new(0)).unwrap_err().to_string();
    says(&refusal, &["the data has no table"]);
}

#[test]
fn given_subsets_are_kept_and_crossing_groups_are_said() {
    let temp = tempfile::tempdir().unwrap();
    let mut table = "image,class,split,subject\n".to_owned();
    for at in 0..32_u8 {
        save(temp.path(), &format!("{at}.png"), colour(at * 7));
        let subset = if at < 24 { "train" } else { "test" };
        // Subject 5 is in both; of training alone, eight subjects have three images each.
        let subject = if at < 24 { at / 3 } else { 5 + 90 * (at % 2) };
        table += &format!("{at}.png,{},{subset},{subject}\n", ["cat", "dog"][usize::from(at % 2)]);
    }
    fs::write(temp.path().join("manifest.csv"), table).unwrap();
    let data = opened(temp.path());
    let split = Splits::new(&*data, &by("subject"), Seed::new(3)).unwrap();
    assert_eq!((split.test.clone(), split.left_out.len()), ((24..32).collect::<Vec<_>>(), 0));
    let (train, validation) = (&split.train, &split.validation);
    assert!(!validation.is_empty() && train.len() + validation.len() == 24);
    assert!(train.iter().all(|row| validation.iter().all(|other| row / 3 != other / 3)), "{validation:?}");
    says(
        &split.notes.join("\n"),
        &[
            "1 of 9 groups of column `subject` are in more than one subset, such as `5` (training, ",
            "own subsets are kept",
        ],
    );
    assert_eq!(data.reading().warnings, [""; 0], "one sentence about groups");
}

#[test]
fn generated_rows_are_for_training_only_and_change_nothing_else() {
    let temp = tempfile::tempdir().unwrap();
    let mut table = "image,class,generated,generated_seed\n".to_owned();
    for at in 0..60_u8 {
        // Row 50 is a copy of row 3, row 51 one of row 52.
        let shade = [(50, 3), (51, 52)].iter().find(|(copy, _)| *copy == at).map_or(at, |(_, of)| *of);
        save(temp.path(), &format!("{at}.png"), colour(shade * 4));
        let drawn = at % 3 == 2;
        table +=
            &format!("{at}.png,{},{},{}\n", ["cat", "dog"][usize::from(at % 2)], drawn, if drawn { "7" } else { "" });
    }
    fs::write(temp.path().join("manifest.csv"), &table).unwrap();
    let data = opened(temp.path());
    assert_eq!(data.schema().tasks.len(), 1, "{:?}", data.schema().tasks);
    says(&data.reading().guesses.join("\n"), &["column `generated` marks 20 of 60 rows", "training only"]);
    let generated = |row: &usize| data.row_notes(*row).unwrap().generated;
    let real: Vec<usize> = (0..60).filter(|row| !generated(row)).collect();
    let alone = tempfile::tempdir().unwrap();
    let lines: Vec<&str> = table.lines().collect();
    let mut kept = "image,class\n".to_owned();
    for &row in &real {
        save(alone.path(), &format!("{row}.png"), colour((if row == 51 { 52 } else { row as u8 }) * 4));
        kept += &format!("{}\n", lines[row + 1].rsplitn(3, ',').last().unwrap());
    }
    fs::write(alone.path().join("manifest.csv"), kept).unwrap();
    let only = opened(alone.path());
    let mut copies = 0;
    for seed in 0..8 {
        let split = Splits::new(&*data, &split::Config::default(), Seed::new(seed)).unwrap();
        assert!(!split.validation.iter().chain(&split.test).any(generated));
        let without = Splits::new(&*only, &split::Config::default(), Seed::new(seed)).unwrap();
        let names = |data: &dyn Dataset, rows: &[usize]| rows.iter().map(|&row| data.row_name(row)).collect::<Vec<_>>();
        assert_eq!(names(&*data, &split.test), names(&*only, &without.test));
        assert_eq!(names(&*data, &split.validation), names(&*only, &without.validation));
        // A copy of an image of validation or test is left out, and all other generated rows are trained on.
        let held_out = split.test.contains(&3) || split.validation.contains(&3);
        assert_eq!(split.left_out, if held_out { vec![50] } else { Vec::new() });
        assert_eq!(split.train.iter().filter(|row| generated(row)).count(), 20 - usize::from(held_out));
        if held_out {
            copies += 1;
            says(&split.notes.join("\n"), &["1 generated row is left out"]);
        }
    }
    assert!(copies > 0);
    // Subsets that the table gives them do not count.
    let with_test: String = lines
        .iter()
        .enumerate()
        .map(|(at, line)| format!("{line},{}\n", if at == 0 { "split" } else { "test" }))
        .collect();
    let mut with_test = with_test.replacen(",false,,test", ",false,,train", 20);
    with_test = with_test.replacen(",true,7,test", ",true,7,", 15);
    fs::write(temp.path().join("manifest.csv"), with_test).unwrap();
    let data = opened(temp.path());
    says(
        &data.reading().warnings.join("\n"),
        &["5 rows of generated images are moved from validation or test to training"],
    );
    let split = Splits::new(&*data, &split::Config::default(), Seed::new(0)).unwrap();
    assert_eq!(split.test.len(), 20);
}

#[test]
fn a_folder_of_generated_images_needs_real_ones_beside_it() {
    let (drawn, real) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut table = "image,class,generated,generated_seed\n".to_owned();
    for at in 0..6_u8 {
        save(drawn.path(), &format!("{at}.png"), colour(100 + at * 9));
        table += &format!("{at}.png,cat,true,{at}\n");
    }
    fs::write(drawn.path().join("manifest.csv"), table).unwrap();
    fs::write(drawn.path().join("classes.csv"), "task,class\nclass,cat\nclass,dog\n").unwrap();
    let generated = opened(drawn.path());
    assert_eq!(generated.schema().tasks[0].kind.classes(), ["cat", "dog"]);
    let refusal = Splits::new(&*generated, &split::Config::default(), Seed::new(0)).unwrap_err().to_string();
    says(&refusal, &["all 6 images", "are generated", "add a folder of real images"]);
    for at in 0..20_u8 {
        save(real.path(), &format!("{}/{at}.png", ["cat", "dog"][usize::from(at % 2)]), colour(at * 3));
    }
    let parts = [opened(real.path()), generated].map(|data| Component::new(Arc::from(data)));
    let both = ConcatDataset::new(parts.into()).unwrap();
    assert_eq!(both.schema().tasks.len(), 1, "one task of both");
    let split = Splits::new(&both, &split::Config::default(), Seed::new(0)).unwrap();
    assert_eq!(split.train.iter().filter(|&&row| both.origin(row) == 1).count(), 6);
    assert!(split.test.iter().chain(&split.validation).all(|&row| both.origin(row) == 0));
}

#[test]
fn classes_that_a_table_lists_are_its_classes() {
    let temp = tempfile::tempdir().unwrap();
    (0..4).for_each(|at| save(temp.path(), &format!("{at}.png"), colour(at * 9)));
    let write = |table: &str, classes: &str| {
        fs::write(temp.path().join("manifest.csv"), table).unwrap();
        fs::write(temp.path().join("classes.csv"), classes).unwrap();
    };
    let table = |cells: [&str; 4]| {
        let lines: String = cells.iter().enumerate().map(|(at, cell)| format!("{at}.png,\"{cell}\"\n")).collect();
        format!("image,kind\n{lines}")
    };
    for (cells, list) in [
        (["a", "a", "a", "a"], vec!["a"]),
        (["1.5", "0.5", "2", "1.5"], vec!["2", "1.5", "0.5"]),
        (["10", "9", "1", ""], vec!["9", "10", "1", "77"]),
        (["None", "-1", "0", "1"], vec!["None", "-1", "0", "1"]),
        (["cat, dog", "cat", "dog", "cat"], vec!["dog", "cat", "cat, dog"]),
        (
            ["c36", "c0", "c1", "c2"],
            (0..37)
                .map(|at| ["c0", "c1", "c2", "c36"].get(at).copied().unwrap_or(""))
                .filter(|name| !name.is_empty())
                .collect(),
        ),
    ] {
        let lines: String = list.iter().map(|class| format!("kind,\"{class}\"\n")).collect();
        write(&table(cells), &format!("task,class\n{lines}"));
        let data = opened(temp.path());
        assert_eq!(data.schema().tasks[0].kind.classes(), list, "{cells:?}");
        for (row, cell) in cells.iter().enumerate() {
            let expected = list.iter().position(|class| class == cell).map_or(Labels::Missing, Labels::Class);
            assert_eq!(data.labels(row), [expected], "{cells:?} {row}");
        }
        assert!(data.reading().unread.is_empty(), "{:?}", data.reading().unread);
    }
    let refused = |table: &str, classes: &str| {
        write(table, classes);
        crate::tables::refusal(temp.path())
    };
    says(
        &refused(&table(["a", "b", "c", "b"]), "task,class\nkind,a\nkind,c\n"),
        &["manifest.csv:3", "`b` is no class of `kind`", "(a, c)"],
    );
    says(&refused(&table(["a"; 4]), "task,class\nkind,a\nkind,a\n"), &["classes.csv:3", "listed twice"]);
    says(&refused(&table(["a"; 4]), "task,class\nkind,\n"), &["classes.csv:2", "write a task and one of its classes"]);
    // A table of another kind with that name is left alone.
    write(&table(["a", "b", "a", "b"]), "id,name\n0,a\n");
    let data = opened(temp.path());
    assert_eq!(data.schema().tasks[0].kind.classes(), ["a", "b"]);
    assert_eq!(data.reading().unread.len(), 1);
}
