//! Tables as people bring them: what each way of writing gives, and what is said about it.

use std::fs;
use std::path::Path;

use mtl_data::{Dataset, Labels, OpenOptions, Subset, open};
use mtl_task::TaskKind;

use crate::folders::{colour, left, opened, save};

/// Saves images `i/0.png`, `i/1.png` ...
fn images(root: &Path, count: usize) {
    (0..count).for_each(|at| save(root, &format!("i/{at}.png"), colour(at as u8)));
}

/// A line per image: the header, and one of the endings after the other.
fn table(header: &str, endings: &[&str], count: usize) -> String {
    let lines = (0..count).map(|at| format!("i/{at}.png{}\n", endings[at % endings.len()]));
    format!("{header}\n{}", lines.collect::<String>())
}

/// Every task as `name: class class`, multi-label tasks as `name? label label`.
pub fn tasks(data: &dyn Dataset) -> String {
    let word = |task: &mtl_task::Task| match &task.kind {
        TaskKind::MultiLabel { labels } => format!("{}? {}", task.name, labels.join(" ")),
        kind => format!("{}: {}", task.name, kind.classes().join(" ")),
    };
    data.schema().tasks.iter().map(word).collect::<Vec<_>>().join("; ")
}

pub fn refusal(root: &Path) -> String {
    open(root, &OpenOptions::default()).err().unwrap_or_else(|| panic!("{} opens", root.display())).to_string()
}

#[track_caller]
pub fn says(text: &str, words: &[&str]) {
    words.iter().for_each(|word| assert!(text.contains(word), "`{word}` is not in:\n{text}"));
}

/// The warnings of a data check.
fn checked(root: &Path) -> String {
    mtl_data::check::check(root, &OpenOptions::default()).reading.warnings.join("\n")
}

fn missing(data: &dyn Dataset, task: usize) -> usize {
    (0..data.len()).filter(|&row| data.labels(row)[task] == Labels::Missing).count()
}

pub fn subsets(data: &dyn Dataset) -> [usize; 4] {
    let of = |subset| (0..data.len()).filter(|&row| data.subset(row) == subset).count();
    [Some(Subset::Train), Some(Subset::Validation), Some(Subset::Test), None].map(of)
}

/// A header, endings of its lines, the tasks, and words of the sentences.
type Case = (&'static str, &'static [&'static str], &'static str, &'static [&'static str]);

const COLUMNS: &[Case] = &[
    // As they should be: nothing to say.
    ("image,class", &[",cat", ",dog"], "class: cat dog", &[]),
    ("image,a,b", &[",0,1", ",1,0", ",,1"], "labels? a b", &["2 columns hold yes and no (`0`, `1`) and are one multi"]),
    ("image,sick", &[",0", ",1"], "sick: 0 1", &[]),
    // Separators, and columns of images under other names.
    ("image;class", &[";cat", ";dog"], "class: cat dog", &["columns are separated by `;`"]),
    ("image\tclass", &["\tcat", "\tdog"], "class: cat dog", &["columns are separated by `tab`"]),
    ("image|class", &["|cat", "|dog"], "class: cat dog", &["columns are separated by `|`"]),
    ("sep=;\nimage;class", &[";cat", ";dog"], "class: cat dog", &["columns are separated by `;`"]),
    ("\u{feff}File_Name,class", &[",cat", ",dog"], "class: cat dog", &["column `File_Name` names the images"]),
    (
        "path,class,image_id",
        &[",cat,7", ",dog,8"],
        "class: cat dog",
        &["column `path` names the images", "`image_id` is an identifier by its name (2 different values in 12 rows)"],
    ),
    // Missing labels.
    ("image,class", &[",cat", ",dog", ",nan", ",N/A", ","], "class: cat dog", &["4 cells mean", "`N/A` 2, `nan` 2"]),
    ("image,class", &[",cat", ",dog", ",None"], "class: cat dog", &["`None` 4", "another name if it is a class"]),
    ("image,class", &[",cat", ",dog", ",none"], "class: cat dog none", &["`none` is a class (4 rows)"]),
    ("image,a,b", &[",0,1", ",1,-1", ",-1,0"], "labels? a b", &["`a`: -1 means", "`b`: -1 means", "(4 times)"]),
    ("image,grade", &[",-1", ",0", ",1", ",2"], "grade: -1 0 1 2", &[]),
    ("image,reaction", &[",+", ",-"], "reaction: + -", &[]),
    // Yes and no.
    ("image,a,b", &[",1.0,0.0", ",0.0,", ",,1.0"], "labels? a b", &["`a`: whole numbers such as `1.0`"]),
    ("image,a,b", &[",True,no", ",False,yes", ",,"], "labels? a b", &["2 columns hold yes and no", "`True`"]),
    ("image,a,b", &[",-1,1", ",1,-1"], "labels? a b", &["2 columns hold yes and no (`-1`, `1`)"]),
    ("image,a", &[",yes", ",no", ","], "a: no yes", &[]),
    // Several labels in a cell.
    (
        "image,seen",
        &[",cat", ",dog", ",cat|dog", ",bird"],
        "seen? bird cat dog",
        &["separated by `|` in 3 rows", "3 labels"],
    ),
    ("image,seen", &[",cat", ",dog", ",\"cat, dog\""], "seen? cat dog", &["separated by `,` in 4 rows"]),
    ("image,seen", &[",cat", ",dog", ",cat;dog"], "seen? cat dog", &["separated by `;`"]),
    ("image,seen", &[",10", ",9", ",9|10"], "seen? 9 10", &["separated by `|`"]),
    (
        "image,class",
        &[",\"rust, severe\"", ",mite"],
        "class: mite rust, severe",
        &["1 name holds `,`, such as `rust, severe`, and each is one class"],
    ),
    // Numbers.
    (
        "image,weight",
        &[",0.5", ",1.25", ",2.0"],
        "weight: ",
        &["`weight` holds 3 different numbers from 0.5 to 2: a regression task"],
    ),
    ("image;weight", &[";0,5", ";1,25", ";2,0"], "weight: ", &["decimal point", "`weight` holds 3 different numbers"]),
    ("image,grade", &[",10.0", ",2.0", ","], "grade: 2 10", &["whole numbers such as `10.0`"]),
    ("image,code", &[",07", ",1"], "code: 1 07", &[]),
    // Spellings.
    ("image,class", &[",Cat", ",cat", ",cat", ",dog"], "class: cat dog", &["are one class: `cat` (`Cat` 3, `cat` 6)"]),
    ("image,Site,site", &[",a,b", ",b,a"], "Site: a b; site: a b", &["`Site` and `site` differ in upper and lower"]),
    // Columns without labels.
    ("image,class,", &[",cat,", ",dog,"], "class: cat dog", &["column 3, which has no name, is blank"]),
    ("image,class", &[",cat,,", ",dog"], "class: cat dog", &[]),
    ("image,class,fold", &[",cat,0", ",dog,1"], "class: cat dog", &["`fold` holds numbers", "a column `split`"]),
    (
        "image,class,Set",
        &[",cat,a", ",dog,b"],
        "class: cat dog; Set: a b",
        &["`Set` holds other words than names of subsets"],
    ),
    ("image,mask", &[",with", ",without"], "mask: with without", &["column `mask` names no files"]),
    (
        "image,class,patient_id",
        &[",cat,p", ",dog,q"],
        "class: cat dog",
        &["`patient_id` names groups (2 groups in 12 rows)"],
    ),
];

#[test]
fn columns_give_tasks_and_sentences() {
    for (header, endings, expected, words) in COLUMNS {
        let temp = tempfile::tempdir().unwrap();
        images(temp.path(), 12);
        fs::write(temp.path().join("manifest.csv"), table(header, endings, 12)).unwrap();
        let data = opened(temp.path());
        let lines = data.reading().lines().join("\n");
        assert_eq!((tasks(&*data).as_str(), data.len()), (*expected, 12), "{header}: {endings:?}\n{lines}");
        says(&lines, words);
        assert_eq!(words.is_empty(), lines.is_empty(), "{header}: {endings:?}\n{lines}");
    }
}

#[test]
fn faults_are_refused_with_line_and_remedy() {
    for (text, words) in [
        (
            "i/0.png,cat\ni/1.png,dog\n",
            &[":1: line 1 looks like data (`i/0.png`", "add a header such as `image,class`"][..],
        ),
        ("i\\0.png;cat\n", &[":1: line 1 looks like data", "`image;class`"]),
        ("image,a/b,a_b\ni/0.png,x,x\ni/1.png,y,y\n", &[":1: ", "`a/b` and `a_b`", "`a_b`", "rename one"]),
        ("image,class\ni/0.png,a\ni/1.png,b\n./i/0.png,b\n", &[":4: ", "other labels in line 2", "`cat|dog`"]),
        ("image,class,m\ni/0.png,a,1,\ni/1.png,b,2\ni/2.png,b,3\n", &[":2: 4 fields, but the header has 3"]),
        ("image,class,split\ni/0.png,a,tests\ni/1.png,b,tests\n", &[":2: split `tests`"]),
        ("image,xmin\ni/0.png,1\ni/0.png,2\n", &["boxes are not learned"]),
        ("image,split\ni/0.png,train\ni/0.png,test\n", &[":3: this image is in another subset in line 2"]),
        ("image,split\ni/0.png,train\ni/1.png,x\ni/2.png,test\n", &[":3: split `x`", "(line 3)"]),
        ("image,c\n,1\ni/0.png,2\nnan,1\n", &[":2: ", "`image` is blank (lines 2, 4)"]),
        ("image,c\ni/0.png,1\ni/1.png,2,3\ni/2.png\n", &[":3: 3 fields, but the header has 2 (lines 3, 4)"]),
        ("image,c\ni/0.png,\"1\ni/1.png,2\n", &[":2: a quote (\") opens"]),
        ("picture,c\ni/0,1\n", &[":1: no column `image` (columns: picture, c)"]),
        ("image,c\ni/9.png,1\ni/8.png,2\n", &["2 files: no such file", "i/9.png"]),
    ] {
        let temp = tempfile::tempdir().unwrap();
        images(temp.path(), 3);
        fs::write(temp.path().join("manifest.csv"), text).unwrap();
        says(&refusal(temp.path()), words);
    }
    let temp = tempfile::tempdir().unwrap();
    fs::write(temp.path().join("manifest.csv"), b"image,class\na.png,\xfc\n").unwrap();
    says(&refusal(temp.path()), &["manifest.csv:2: the text is not UTF-8", "CSV UTF-8"]);
}

#[test]
fn tables_are_found_by_name_or_by_their_cells() {
    let text = table("image,class", &[",cat", ",dog"], 4);
    for (name, words) in [
        ("Manifest.CSV", &[][..]),
        ("labels.csv", &["`labels.csv` names the images: it is read as the table"]),
        ("metadata.csv", &[]),
        ("annotations.tsv", &[]),
        ("data.txt", &[]),
        ("photos_2024.csv", &["`photos_2024.csv` is the only table"]),
    ] {
        let temp = tempfile::tempdir().unwrap();
        images(temp.path(), 4);
        fs::write(temp.path().join(name), &text).unwrap();
        let data = opened(temp.path());
        assert_eq!(tasks(&*data), "class: cat dog", "{name}");
        says(&data.reading().lines().join("\n"), words);
        let direct = open(&temp.path().join(name), &OpenOptions::default()).unwrap();
        assert_eq!(tasks(&*direct), "class: cat dog", "{name} by its path");
    }
}

#[test]
fn several_tables_are_one_split_or_a_choice() {
    let temp = tempfile::tempdir().unwrap();
    images(temp.path(), 4);
    let text = table("image,class", &[",cat", ",dog"], 4);
    for name in ["labels.csv", "train.csv", "other.csv"] {
        fs::write(temp.path().join(name), &text).unwrap();
    }
    says(&refusal(temp.path()), &["several tables", "`labels.csv`, `train.csv`", "manifest.csv"]);
    fs::write(temp.path().join("manifest.csv"), &text).unwrap();
    says(&opened(temp.path()).reading().lines().join("\n"), &["3 files are not read (a table beside the one"]);

    let temp = tempfile::tempdir().unwrap();
    images(temp.path(), 6);
    fs::write(temp.path().join("train.csv"), "image,class\ni/0.png,cat\ni/1.png,dog\ni/2.png,cat\n").unwrap();
    fs::write(temp.path().join("valid.csv"), "class,image\ndog,i/3.png\n").unwrap();
    fs::write(temp.path().join("test.csv"), "image\ni/4.png\ni/5.png\n").unwrap();
    let data = opened(temp.path());
    assert_eq!((tasks(&*data).as_str(), subsets(&*data)), ("class: cat dog", [3, 1, 2, 0]));
    assert_eq!(data.labels(3), [Labels::Class(1)], "columns go by name");
    let lines = data.reading().lines().join("\n");
    says(
        &lines,
        &["`train.csv`, `valid.csv`, `test.csv` are read as one data set", "`test.csv` has no column `class`"],
    );
    says(&checked(temp.path()), &["task `class` has no label in the test subset (2 rows)"]);
}

#[test]
fn a_table_that_names_no_images_leaves_the_folder_to_other_readers() {
    let temp = tempfile::tempdir().unwrap();
    for name in ["a/1", "a/2", "b/3", "b/4"] {
        save(temp.path(), &format!("{name}.png"), colour(7));
    }
    fs::write(temp.path().join("labels.csv"), "id,name\n0,apple\n1,banana\n").unwrap();
    fs::write(temp.path().join("losses.csv"), "epoch,loss\n1,2\n").unwrap();
    fs::write(temp.path().join("predictions.csv"), "image,class\na/1.png,b\nb/3.png,a\n").unwrap();
    assert_eq!(tasks(&*opened(temp.path())), "class: a b");
}

#[test]
fn an_index_is_no_column_of_labels() {
    for (header, first) in [(",image,class", 0), ("Unnamed: 0,image,class", 5)] {
        let temp = tempfile::tempdir().unwrap();
        images(temp.path(), 4);
        let lines = (0..4).map(|at| format!("{},i/{at}.png,{}\n", at + first, ["a", "b"][at % 2])).collect::<String>();
        fs::write(temp.path().join("manifest.csv"), format!("{header}\n{lines}")).unwrap();
        let data = opened(temp.path());
        assert_eq!(tasks(&*data), "class: a b");
        says(&data.reading().lines().join("\n"), &["numbers the rows (an index): left out"]);
        fs::write(temp.path().join("manifest.csv"), ",image\n1,i/0.png\n1,i/1.png\n").unwrap();
        says(&refusal(temp.path()), &["column 1 has no name"]);
    }
}

#[test]
fn splits_have_many_names() {
    for (header, endings, expected, words) in [
        (
            "image,Split",
            &[",Train", ",VAL", ",testing", ","][..],
            [3, 3, 3, 3],
            &["`Split` assigns 12 rows", "none 3"][..],
        ),
        ("image,subset", &[",training_set", ",dev"], [6, 6, 0, 0], &["train 6, validation 6, test 0"]),
        ("image,split", &[",train", ",eval"], [6, 6, 0, 0], &["`eval` is validation"]),
        ("image,split", &[",train", ",dev", ",eval"], [4, 4, 4, 0], &["`eval` is test"]),
        ("image,Usage", &[",Training", ",PublicTest", ",PrivateTest"], [4, 4, 4, 0], &["`Usage` assigns"]),
        ("image,is_valid", &[",True", ",False", ",False"], [8, 4, 0, 0], &["column `is_valid` assigns"]),
        ("image,is_valid,is_test", &[",0,0", ",1,0", ",0,1"], [4, 4, 4, 0], &["columns `is_valid`, `is_test` assign"]),
        ("image,is_train", &[",1", ",0"], [6, 0, 6, 0], &["`is_train` assigns"]),
        ("image,split,fold", &[",train,1", ",test,2"], [6, 0, 6, 0], &["`fold` holds numbers"]),
    ] {
        let temp = tempfile::tempdir().unwrap();
        images(temp.path(), 12);
        fs::write(temp.path().join("manifest.csv"), table(header, endings, 12)).unwrap();
        let data = opened(temp.path());
        assert_eq!((subsets(&*data), tasks(&*data).as_str()), (expected, ""), "{header} {endings:?}");
        says(&data.reading().lines().join("\n"), words);
    }
}

#[test]
fn groups_and_unlabelled_subsets_are_warned_of() {
    let temp = tempfile::tempdir().unwrap();
    images(temp.path(), 12);
    let endings = [",cat,train,p,x", ",dog,train,q,y", ",,val,p,x", ",,test,r,y"];
    fs::write(temp.path().join("manifest.csv"), table("image,class,split,patient,kind", &endings, 12)).unwrap();
    let checked_warnings = checked(temp.path());
    says(
        &checked_warnings,
        &["1 of 3 groups of column `patient` are in more than one subset, such as `p` (training, validation)"],
    );
    assert_eq!(checked_warnings.matches("groups of column").count(), 1, "{checked_warnings}");
    says(
        &checked_warnings,
        &["task `class` has no label in the validation subset (3 rows)", "in the test subset (3 rows)"],
    );
    assert!(!checked_warnings.contains("task `kind` has no"), "{checked_warnings}");
    fs::write(temp.path().join("manifest.csv"), table("image,class,Group", &[",a,1", ",b,2"], 12)).unwrap();
    says(&checked(temp.path()), &["2 of 2 groups of column `Group`", "data.split.group = \"Group\""]);
}

#[test]
fn whole_numbers_are_classes_if_few_or_counting() {
    let numbers = |number: fn(usize) -> usize| {
        let temp = tempfile::tempdir().unwrap();
        images(temp.path(), 63);
        let lines: String = (0..63).map(|at| format!("i/{at}.png,{}\n", number(at % 21))).collect();
        fs::write(temp.path().join("manifest.csv"), format!("image,value\n{lines}")).unwrap();
        let data = opened(temp.path());
        (data.schema().tasks.len(), data.reading().guesses.join("\n"))
    };
    let (tasks, said) = numbers(|at| at + 1);
    assert_eq!(tasks, 1, "{said}");
    says(&said, &["`value` counts up without gaps: its 21 numbers are read as classes"]);
    let (tasks, said) = numbers(|at| at * 7);
    assert_eq!(tasks, 1, "{said}");
    says(&said, &["`value` holds 21 different numbers from 0 to 140: a regression task"]);
}

#[test]
fn lines_that_repeat_an_image_are_left_out_once_said() {
    let temp = tempfile::tempdir().unwrap();
    images(temp.path(), 3);
    let text = "image,class\ni/0.png,a\ni/1.png,b\ni/0.png,a\n,,\ni\\0.png,a\ni/2.png,b\n";
    fs::write(temp.path().join("manifest.csv"), text).unwrap();
    let data = opened(temp.path());
    assert_eq!(data.len(), 3);
    let lines = data.reading().lines().join("\n");
    says(
        &lines,
        &["2 lines name images of an earlier line with the same labels (lines 4, 6)", "1 line has blank cells only"],
    );
}

#[test]
fn masks_under_other_names_and_in_their_folder() {
    let temp = tempfile::tempdir().unwrap();
    images(temp.path(), 3);
    (0..2).for_each(|at| save(temp.path(), &format!("Masks/{at}.png"), left(1 + at, 255)));
    fs::write(temp.path().join("manifest.csv"), "image,Mask_Path\ni/0.png,0.png\ni/1.png,1\ni/2.png,nan\n").unwrap();
    let data = opened(temp.path());
    assert_eq!(tasks(&*data), "mask: background foreground");
    assert_eq!((missing(&*data, 0), data.len()), (1, 3));
    says(&data.reading().lines().join("\n"), &["`Mask_Path` names files: it is the task `mask`", "found in `Masks/`"]);
}

#[test]
fn utf16_and_quoted_line_breaks_are_read() {
    let temp = tempfile::tempdir().unwrap();
    images(temp.path(), 2);
    let text = "\u{feff}image\tclass\r\ni/0.png\t\"two\nlines\"\r\ni/1.png\tb\r\n";
    let bytes: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    fs::write(temp.path().join("manifest.csv"), bytes).unwrap();
    let data = opened(temp.path());
    assert_eq!(data.schema().tasks[0].kind.classes(), ["b", "two\nlines"]);
    says(&data.reading().lines().join("\n"), &["the text is UTF-16", "`tab`"]);
}
