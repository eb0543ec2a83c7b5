//! Cells of tables that write their files' paths otherwise than the files are called.

use std::fs;

use crate::folders::{colour, opened, save};
use crate::tables::{refusal, says, subsets, tasks};

#[test]
fn cells_find_files_that_are_written_otherwise() {
    for (files, text, words) in [
        (["i/a.png", "i/b.png"], "image,c\ni\\a.png,x\ni\\b.png,y\n", &["`\\` separates folders in 2 cells"][..]),
        (
            ["i/a.png", "i/b.png"],
            "image,c\n/i/a.png,x\n./i/b.png,y\n",
            &["a full path that is no file is in 1 cell, such as `/i/a.png`"],
        ),
        (
            ["i/a.png", "i/b.png"],
            "image,c\nC:\\me\\i\\a.png,x\n/home/me/i/b.png,y\n",
            &["a full path that is no file is in 2 cells"],
        ),
        (
            ["e\u{301}.png", "b.png"],
            "image,c\n\u{e9}.png,x\nb.png,y\n",
            &["the Unicode form differs from the file's name in 1 cell, such as `\u{e9}.png`"],
        ),
        (["\u{e9}.png", "b.png"], "image,c\ne\u{301}.png,x\nb.png,y\n", &["the Unicode form differs"]),
        (["i/a.PNG", "i/b.png"], "image,c\nI/A.png,x\ni/b.png,y\n", &["upper and lower case", "`I/A.png`"]),
        (
            ["images/a.png", "images/b.png"],
            "image,c\na.png,x\nb.png,y\n",
            &["the files of 2 cells, such as `a.png`, were found in `images/`"],
        ),
        (
            ["Train/7.png", "Train/8.png"],
            "id,c\n7,x\n8,y\n",
            &["`id` names the images", "left out in 2 cells, such as `7`: .png was found", "in `Train/`"],
        ),
        (["part_1/a.png", "part_2/b.png"], "image,c\na,x\nb,y\n", &["found in `part_1/`", "found in `part_2/`"]),
    ] {
        let temp = tempfile::tempdir().unwrap();
        files.iter().zip(0..).for_each(|(name, at)| save(temp.path(), name, colour(at)));
        fs::write(temp.path().join("manifest.csv"), text).unwrap();
        let data = opened(temp.path());
        assert_eq!((tasks(&*data).as_str(), data.len()), ("c: x y", 2), "{text}");
        assert_eq!([0, 1].map(|row| data.row_name(row)), files, "{text}");
        says(&data.reading().lines().join("\n"), words);
    }
}

#[test]
fn names_that_fit_two_files_fit_none() {
    let temp = tempfile::tempdir().unwrap();
    for name in ["A.png", "a.PNG", "x/1.png", "y/1.png"] {
        save(temp.path(), name, colour(1));
    }
    fs::write(temp.path().join("manifest.csv"), "image,c\na.png,1\n1.png,2\n").unwrap();
    says(&refusal(temp.path()), &["2 of 2 rows", "2 files: no such file", "a.png", "1.png"]);
}

#[test]
fn ids_of_test_images_are_not_found_among_training_images() {
    let temp = tempfile::tempdir().unwrap();
    for name in ["train/1.png", "train/2.png", "test/1.png"] {
        save(temp.path(), name, colour(name.len() as u8));
    }
    fs::write(temp.path().join("train.csv"), "id,label\n1,a\n2,b\n").unwrap();
    fs::write(temp.path().join("test.csv"), "id\n1\n").unwrap();
    let data = opened(temp.path());
    assert_eq!([0, 1, 2].map(|row| data.row_name(row)), ["train/1.png", "train/2.png", "test/1.png"]);
    assert_eq!(subsets(&*data), [2, 0, 1, 0]);
}
