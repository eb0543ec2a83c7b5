//! Tables in the folders of subsets, and tables as JSON Lines.

use std::fs;

use mtl_data::{Labels, Subset};

use crate::folders::{colour, left, opened, save};
use crate::layouts::{CLASSES, place, refused, shape};

#[test]
fn each_subset_may_have_its_table() {
    for name in ["metadata.csv", "labels.csv", "list.csv", "metadata.jsonl"] {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path();
        // The same names in both.
        place(root, &["train/1.png", "train/2.png", "train/images/3.png", "test/1.png", "test/2.png"]);
        save(root, "train/5_mask.png", left(2, 255));
        let rows = [
            ("train", &[("1.png", "cat"), ("2.png", "dog"), ("3.png", "cat")][..]),
            ("test", &[("1.png", "dog"), ("2.png", "cat")]),
        ];
        for (subset, rows) in rows {
            let lines = rows.iter().map(|(file, kind)| match name.ends_with("csv") {
                true => format!("{file},{kind}\n"),
                false => format!("{{\"file_name\": \"{file}\", \"class\": \"{kind}\"}}\n"),
            });
            let header = if name.ends_with("csv") { "file_name,class\n" } else { "" };
            fs::write(root.join(subset).join(name), header.to_owned() + &lines.collect::<String>()).unwrap();
        }
        let data = opened(root);
        assert_eq!(shape(&*data), (5, vec![CLASSES.to_owned()], [3, 0, 2]), "{name}");
        let names: Vec<String> = (0..5).map(|row| data.row_name(row)).collect();
        assert!(names.contains(&"train/1.png".to_owned()) && names.contains(&"test/1.png".to_owned()), "{names:?}");
        let of_test = names.iter().position(|name| name == "test/1.png").unwrap();
        assert_eq!((data.labels(of_test), data.subset(of_test)), (vec![Labels::Class(1)], Some(Subset::Test)));
        let said = data.reading().lines().join("\n");
        assert!(said.contains(&format!("`test/{name}`, `train/{name}` are read as one data set")), "{said}");
        assert_eq!(data.reading().unread["an image outside of the layout"].count, 1);
    }
}

#[test]
fn roboflow_lists_one_column_per_class() {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path();
    place(root, &["train/1.png", "train/2.png", "valid/3.png", "valid/4.png"]);
    fs::write(root.join("train/_classes.csv"), "filename, rust, mite\n1.png, 1, 0\n2.png, 0, 1\n").unwrap();
    fs::write(root.join("valid/_classes.csv"), "filename, rust, mite\n3.png, 1, 1\n4.png, 0, 0\n").unwrap();
    let data = opened(root);
    assert_eq!(shape(&*data), (4, vec!["labels: rust mite".to_owned()], [2, 2, 0]));
}

#[test]
fn masks_of_a_table_lie_beside_it() {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path();
    for subset in ["train", "val"] {
        save(root, &format!("{subset}/a.png"), colour(3));
        save(root, &format!("{subset}/b.png"), colour(8));
        save(root, &format!("{subset}/a_m.png"), left(2, 255));
        fs::write(root.join(subset).join("labels.csv"), "image,mask\na.png,a_m.png\nb.png,\n").unwrap();
    }
    let data = opened(root);
    assert_eq!(shape(&*data), (4, vec!["mask: background foreground".to_owned()], [2, 2, 0]));
    assert_eq!(data.labels(0), [Labels::Pixels]);
}

#[test]
fn a_subset_without_a_table_is_said_and_two_tables_are_refused() {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path();
    place(root, &["train/1.png", "train/2.png", "train/3.png", "train/4.png", "test/5.png"]);
    let text = "image,class\n1.png,cat\n2.png,dog\n3.png,cat\n4.png,dog\n";
    fs::write(root.join("train/labels.csv"), text).unwrap();
    let data = opened(root);
    assert_eq!(shape(&*data), (4, vec![CLASSES.to_owned()], [0; 3]));
    let said = data.reading().lines().join("\n");
    assert!(said.contains("only train/ has a table") && said.contains("an image outside of the layout"), "{said}");
    fs::write(root.join("train/metadata.csv"), text).unwrap();
    assert!(
        refused(root).contains("several tables name images: `train/metadata.csv`, `train/labels.csv`"),
        "{}",
        refused(root)
    );
}

#[test]
fn json_lines_are_a_table() {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path();
    place(root, &["images/1.png", "images/2.png", "images/3.png"]);
    let line = |at: u32, tags: &str| {
        format!("{{\"file_name\": \"images/{at}.png\", \"tags\": {tags}, \"objects\": {{\"bbox\": []}}}}\n")
    };
    let text = line(1, "[\"a\", \"b\"]") + &line(2, "[\"a\"]") + &line(3, "[\"b\"]");
    fs::write(root.join("metadata.jsonl"), &text).unwrap();
    let data = opened(root);
    assert_eq!(shape(&*data), (3, vec!["tags: a b".to_owned()], [0; 3]));
    assert_eq!(data.labels(1), [Labels::MultiLabel(vec![Some(true), Some(false)])]);
    let said = data.reading().lines().join("\n");
    assert!(said.contains("key `objects` holds lists or objects (lines 1, 2, 3): it is not read"), "{said}");
    fs::write(root.join("metadata.jsonl"), text + "{\"file_name\": \n").unwrap();
    assert!(refused(root).contains("metadata.jsonl:4: no JSON object"), "{}", refused(root));
    // Annotations of another kind are counted.
    fs::remove_file(root.join("metadata.jsonl")).unwrap();
    fs::write(root.join("events.jsonl"), "{\"loss\": 1}\n").unwrap();
    fs::write(root.join("labels.xlsx"), "PK").unwrap();
    let said = opened(root).reading().lines().join("\n");
    for words in ["JSON that is neither COCO nor a table of images", "a spreadsheet, which is not read; save it as CSV"]
    {
        assert!(said.contains(words), "{said}");
    }
}
