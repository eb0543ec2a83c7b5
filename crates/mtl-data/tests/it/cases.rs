//! Inputs that people bring, and what each gives. They are no part of this repository: the test is skipped where they are missing, with
//! a line that is always shown. The same kinds are made in the other tests.

use std::io::Write;
use std::path::PathBuf;

use mtl_data::OpenOptions;
use mtl_data::check::check;

/// Name, whether it is refused, rows, tasks with their classes, rows of the three subsets, words that must be said.
type Case<'a> = (&'a str, bool, usize, &'a [&'a str], [usize; 3], &'a [&'a str]);

#[rustfmt::skip]
const CASES: &[Case] = &[
    ("baseline_inverted", false, 16, &["mask: background foreground"], [0, 0, 0], &[]),
    ("beside_flat", false, 8, &["mask: background foreground"], [0, 0, 0], &["are read as masks"]),
    ("beside_segmentation", false, 12, &["class: mel nev", "mask: background foreground"], [0, 0, 0], &["are read as masks"]),
    ("beside_split", false, 18, &["class: mel nev", "mask: background foreground"], [12, 0, 6], &["test/ is the test subset"]),
    ("csv_backslash", false, 12, &["class: cat dog"], [0, 0, 0], &["separates folders in 12 cells"]),
    ("csv_capital_split", false, 18, &["class: cat dog"], [12, 3, 3], &["train 12, validation 3, test 3"]),
    ("csv_decomposed", false, 8, &["class: a b"], [0, 0, 0], &["Unicode form"]),
    ("csv_float_labels", false, 12, &["labels: rust mite"], [0, 0, 0], &["read without the point"]),
    ("csv_nan", false, 12, &["class: cat dog"], [0, 0, 0], &["3 cells mean that the label is missing"]),
    ("csv_no_header", true, 0, &[], [0, 0, 0], &["add a header"]),
    ("csv_no_validation_label", false, 18, &["class: cat dog"], [12, 3, 3], &["no label in the validation subset"]),
    ("csv_other_name", false, 12, &["class: cat dog"], [0, 0, 0], &["`labels.csv` names the images"]),
    ("csv_pandas_index", false, 12, &["class: cat dog"], [0, 0, 0], &["numbers the rows (an index)"]),
    ("csv_patients", false, 12, &["class: cat dog"], [0, 0, 0], &["data.split.group = \"patient_id\""]),
    ("csv_regression", false, 12, &["weight: regression"], [0, 0, 0], &["a regression task"]),
    ("csv_semicolon", false, 12, &["class: cat dog"], [0, 0, 0], &["separated by `;`"]),
    ("csv_several_labels", false, 12, &["labels: bird cat dog"], [0, 0, 0], &["several labels separated by `|`"]),
    ("csv_task_names_meet", true, 0, &[], [0, 0, 0], &["would be written to files of one name"]),
    ("depth_8_bit_for_comparison", false, 14, &["depth: dense"], [0, 0, 0], &["values from 1 to 205"]),
    ("depth_colour_map", true, 0, &[], [0, 0, 0], &["a colour picture"]),
    ("depth_millimetres", false, 14, &["depth: dense"], [0, 0, 0], &["values from 500 to 4520"]),
    ("eval_fewer_classes/train_on", false, 18, &["class: bird cat dog"], [0, 0, 0], &[]),
    ("eval_fewer_classes/eval_on", false, 12, &["class: cat dog"], [0, 0, 0], &[]),
    ("eval_numbers_as_classes/train_on", false, 18, &["class: 1 2 10"], [0, 0, 0], &[]),
    ("eval_numbers_as_classes/eval_on", false, 12, &["class: 1 2 10"], [0, 0, 0], &[]),
    ("folder_deep", false, 12, &["class: cat dog"], [0, 0, 0], &[]),
    ("folder_synology", false, 12, &["class: cat dog"], [0, 0, 0], &["left behind by a file manager"]),
    ("folder_wrapped_readme", false, 12, &["class: Cat Dog"], [0, 0, 0], &["PetImages/, is entered"]),
    ("image_12_bit", false, 24, &["class: cat dog"], [0, 0, 0], &["divided by 4095"]),
    ("image_half_with_end_marker", true, 6, &["class: cat dog"], [0, 0, 0], &["truncated"]),
    ("image_jfif", false, 12, &["class: cat dog"], [0, 0, 0], &[]),
    ("image_no_end_marker", false, 12, &["class: cat dog"], [0, 0, 0], &["lack the end marker"]),
    ("image_tif_below", false, 16, &["class: cat dog"], [0, 0, 0], &[]),
    ("layout_instances", false, 6, &["mask: background foreground"], [0, 0, 0], &["instances are not told apart"]),
    ("layout_nnunet", false, 6, &["mask: background foreground"], [0, 0, 0], &[]),
    ("layout_singular", false, 8, &["mask: background foreground"], [0, 0, 0], &["mask/ holds the masks"]),
    ("layout_voc", false, 8, &["mask: background 5"], [5, 3, 0], &["lists the training subset"]),
    ("mask_4bit", false, 8, &["mask: bg a b c"], [0, 0, 0], &[]),
    ("mask_constant", false, 8, &["mask: background foreground"], [0, 0, 0], &["each of the 8 masks is of one class only"]),
    ("mask_exif_indexed", false, 8, &["mask: background foreground"], [0, 0, 0], &[]),
    ("mask_exif_stored", true, 0, &[], [0, 0, 0], &["data.open.masks_as_stored"]),
    ("mask_from_one_transparent_pixel", false, 16, &["class: cat dog"], [0, 0, 0], &["alpha is not used"]),
    ("mask_in_alpha", false, 8, &["mask: background foreground"], [0, 0, 0], &["read from their alpha channel"]),
    ("mask_jpeg", false, 6, &["mask: background foreground"], [0, 0, 0], &["values from 128 on"]),
    ("mask_mixed_1_255", false, 16, &["mask: background foreground"], [0, 0, 0], &["the same foreground"]),
    ("mask_rgb16", false, 8, &["mask: background foreground"], [0, 0, 0], &[]),
    ("mask_smaller", true, 0, &[], [0, 0, 0], &["data.open.resize_masks"]),
    ("mask_stray_one", false, 15, &["mask: background foreground"], [0, 0, 0], &["masks/03.png"]),
    ("name_with_spaces", false, 12, &["class: cat dog"], [0, 0, 0], &["my photos (1)/, is entered"]),
    ("split_case", false, 18, &["class: Cat Dog"], [12, 0, 6], &["differ in case only"]),
    ("split_macosx", false, 18, &["class: cat dog"], [12, 0, 6], &["left behind by a file manager"]),
    ("split_training_testing", false, 18, &["class: glioma pituitary"], [12, 0, 6], &["Testing/ is the test subset"]),
    ("split_unlabeled", false, 22, &["class: cat dog"], [16, 6, 0], &["training images without labels"]),
    ("unseen_labels_folder", false, 8, &["mask: background foreground"], [0, 0, 0], &["labels/ holds the masks"]),
    ("unseen_yolo", true, 0, &[], [0, 0, 0], &["boxes are not learned"]),
];

#[test]
fn every_case_gives_what_it_must() {
    let root = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/cases"));
    if !root.is_dir() {
        // The test harness captures `print` and `eprint`, not the stream itself.
        std::io::stderr().write_all(b"SKIPPED, not tested: the folder of cases is not there\n").unwrap();
        return;
    }
    let mut faults = Vec::new();
    for &(name, refused, rows, tasks, subsets, words) in CASES {
        let report = check(&root.join(name), &OpenOptions::default());
        let found: Vec<String> = report
            .tasks
            .iter()
            .map(|task| {
                let classes: Vec<&str> = task.classes.iter().map(|class| class.name.as_str()).collect();
                format!("{}: {}", task.name, if classes.is_empty() { task.kind.to_owned() } else { classes.join(" ") })
            })
            .collect();
        let own = report.splits.map_or([0; 3], |splits| [splits.train, splits.validation, splits.test]);
        if (report.refused.is_some(), report.rows, own) != (refused, rows, subsets) || found != tasks {
            faults.push(format!("{name}: {} rows, {found:?}, {own:?}, refused: {:?}", report.rows, report.refused));
        }
        let text = report.to_string();
        faults.extend(words.iter().filter(|word| !text.contains(**word)).map(|word| format!("{name}: no `{word}`")));
    }
    assert!(faults.is_empty(), "{faults:#?}");
}
