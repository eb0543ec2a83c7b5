//! Concerns about labels, in a check and at the start of a run.

use std::fs;
use std::path::Path;

use mtl_data::{Dataset, Inventory, Splits, Wanted, check, concerns, split};
use mtl_rng::Seed;

use crate::folders::{colour, left, opened, save};
use crate::tables::says;

fn of_split(data: &dyn Dataset, split: &Splits) -> String {
    let inventory = Inventory::new(data, Wanted::LABELS).unwrap();
    let columns: Vec<usize> = (0..data.schema().tasks.len()).collect();
    concerns(data, &inventory, &columns, Some(split)).join("\n")
}

fn warnings(root: &Path) -> String {
    check::check(root, &Default::default()).reading.warnings.join("\n")
}

#[test]
fn rare_and_unbalanced_classes() {
    let temp = tempfile::tempdir().unwrap();
    for at in 0..90_u32 {
        let class = if at < 3 { "few" } else { "many" };
        let image =
            image::RgbImage::from_fn(8, 8, |x, y| image::Rgb([at as u8 * 2, (x * 31 + at) as u8, (y * 17) as u8]));
        save(temp.path(), &format!("{class}/{at}.png"), image);
    }
    let data = opened(temp.path());
    let said = warnings(temp.path());
    says(
        &said,
        &[
            "task `class`: 1 of 2 classes has fewer than 5 training images (few 3)",
            "task `class` is unbalanced: 87 training images of `many` and 3 of `few`",
        ],
    );
    // After the split one of the three is left for training.
    let split = Splits::new(&*data, &split::Config::default(), Seed::new(0)).unwrap();
    says(&of_split(&*data, &split), &["(few 1)", "61 training images of `many` and 1 of `few`"]);
    // Twenty to one is not said.
    (0..3).for_each(|at| fs::remove_file(temp.path().join(format!("few/{at}.png"))).unwrap());
    for at in 0..5_u8 {
        save(temp.path(), &format!("few/{at}.png"), colour(at * 9));
    }
    assert_eq!(warnings(temp.path()), "");
}

#[test]
fn tasks_without_labels_in_a_subset() {
    let temp = tempfile::tempdir().unwrap();
    let mut table = "image,class,size,split\n".to_owned();
    for at in 0..24_u8 {
        save(temp.path(), &format!("{at}.png"), colour(at * 9));
        let subset = ["train", "train", "validation", "test"][usize::from(at % 4)];
        let class = if at % 4 == 2 { "" } else { ["cat", "dog"][usize::from(at / 4 % 2)] };
        let size = if at % 4 < 2 { ["small", "large"][usize::from(at / 4 % 2)] } else { "" };
        table += &format!("{at}.png,{class},{size},{subset}\n");
    }
    fs::write(temp.path().join("manifest.csv"), table).unwrap();
    let expected = [
        "task `class` has no label in the validation subset (6 rows): it does not count for early stopping",
        "task `size` has no label in the validation subset (6 rows)",
        "no label in the test subset (6 rows): it is not scored",
    ];
    says(&warnings(temp.path()), &expected);
    let data = opened(temp.path());
    let split = Splits::new(&*data, &split::Config::default(), Seed::new(0)).unwrap();
    says(&of_split(&*data, &split), &expected);
}

#[test]
fn constant_masks() {
    for (columns, words) in [
        ([0; 4], Some("each of the 4 masks is of one class only (4 empty)")),
        ([6; 4], Some("(4 full of `foreground`)")),
        ([0, 6, 6, 0], Some("(2 empty, 2 full of `foreground`)")),
        ([0, 6, 5, 0], None),
    ] {
        let temp = tempfile::tempdir().unwrap();
        for (at, columns) in columns.into_iter().enumerate() {
            save(temp.path(), &format!("images/{at}.png"), colour(at as u8 * 9));
            save(temp.path(), &format!("masks/{at}.png"), left(columns, 255));
        }
        let said = warnings(temp.path());
        match words {
            Some(words) => says(&said, &[words]),
            None => assert!(!said.contains("one class only"), "{said}"),
        }
    }
}

#[test]
fn equal_images_with_different_labels() {
    let temp = tempfile::tempdir().unwrap();
    for at in 0..12_u8 {
        save(temp.path(), &format!("{}/{at}.png", ["cat", "dog"][usize::from(at % 2)]), colour(at * 9));
    }
    fs::copy(temp.path().join("cat/2.png"), temp.path().join("dog/2 again.png")).unwrap();
    fs::copy(temp.path().join("cat/4.png"), temp.path().join("dog/4 again.png")).unwrap();
    fs::copy(temp.path().join("cat/6.png"), temp.path().join("cat/6 again.png")).unwrap();
    let split = Splits::new(&*opened(temp.path()), &split::Config::default(), Seed::new(0)).unwrap();
    says(
        &split.notes.join("\n"),
        &[
            "2 images are in the data more than once with different labels of `class`, such as cat/2.png (cat) and dog/2 again.png (dog)",
        ],
    );
}
