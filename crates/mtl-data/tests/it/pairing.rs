//! Masks whose names differ from those of their images by a prefix or the width of a number.

use image::{Luma, RgbImage};
use mtl_data::{Dataset, Labels, Size};
use mtl_task::Target;

use crate::folders::{colour, left, opened, save};
use crate::layouts::{MASK, refused, shape};

/// Images, and masks with as many columns of foreground as the number says.
fn folder(images: &[String], masks: &[(String, u32)]) -> tempfile::TempDir {
    let temp = tempfile::tempdir().unwrap();
    images.iter().zip(0..).for_each(|(name, at)| save(temp.path(), name, colour(at * 9)));
    masks.iter().for_each(|(name, columns)| save(temp.path(), name, left(*columns, 255)));
    temp
}

/// Columns of foreground of the image whose name holds the number.
fn columns(data: &dyn Dataset, name: &str) -> usize {
    let row = (0..data.len()).find(|&row| data.row_name(row) == name).unwrap_or_else(|| panic!("no row {name}"));
    let sample = data.sample(row, Size { height: 4, width: 6 }).unwrap();
    let Target::Mask(mask) = &sample.targets[0] else { panic!() };
    mask[..6].iter().filter(|&&class| class == 1).count()
}

#[test]
fn masks_are_paired_by_their_numbers_where_that_is_one_to_one() {
    type Name = fn(u32) -> String;
    let cases: [(Name, Name, &str); 5] = [
        (|n| format!("images/img_{n}.png"), |n| format!("masks/mask_{n}.png"), "without `img_` and `mask_`"),
        (|n| format!("images/{n}.png"), |n| format!("masks/{n:04}.png"), "numbers by their value"),
        (|n| format!("Image/IMAGE_{n:03}.png"), |n| format!("Label/label_{n:03}.png"), "without `IMAGE_` and `label_`"),
        (|n| format!("images/{n}.png"), |n| format!("masks/m{n}_mask.png"), "without `m`"),
        (|n| format!("img{n}.png"), |n| format!("mask{n}.png"), "have the number of their image, one to one"),
    ];
    for (image, mask, words) in cases {
        let numbers = [1, 2, 3, 5];
        let temp = folder(&numbers.map(image), &numbers.map(|n| (mask(n), n)));
        let data = opened(temp.path());
        assert_eq!(shape(&*data), (4, vec![MASK.to_owned()], [0; 3]), "{words}");
        numbers.iter().for_each(|&n| assert_eq!(columns(&*data, &image(n)), n as usize, "{words}"));
        let said = data.reading().lines().join("\n");
        assert!(said.contains(words), "{words} in {said}");
    }
    let numbers = [8, 9, 10, 11];
    let names = numbers.map(|n| (format!("masks/{n:02}.png"), n - 7));
    let temp = folder(&numbers.map(|n| format!("images/{n}.png")), &names);
    let data = opened(temp.path());
    assert_eq!(columns(&*data, "images/9.png"), 2, "some masks have the name of their image, the others its number");
    let said = data.reading().lines().join("\n");
    assert!(
        said.contains("the 4 masks in masks/ have other names than their images: they are paired one to one"),
        "{said}"
    );
    assert!(said.contains("such as 08 with 8"), "{said}");
}

#[test]
fn masks_that_do_not_pair_one_to_one_are_refused_with_the_files() {
    let images: Vec<String> = (0..3).map(|n| format!("images/img_{n}.png")).collect();
    let masks = |numbers: &[u32]| numbers.iter().map(|n| (format!("masks/mask_{n}.png"), 1)).collect::<Vec<_>>();
    let refusal = refused(folder(&images, &masks(&[1, 2, 3])).path());
    for words in ["the image img_0 has no mask of its number", "the mask mask_3 has no image of its number"] {
        assert!(refusal.contains(words), "{refusal}");
    }
    assert!(refused(folder(&images, &masks(&[0, 1])).path()).contains("the image img_2 has no mask of its number"));
    // Beside the images.
    let beside = [("mask_0.png".to_owned(), 1), ("mask_7.png".to_owned(), 1)];
    let refusal = refused(folder(&["img_0.png".into(), "img_1.png".into()], &beside).path());
    assert!(refusal.contains("none of 2 masks belongs to an image"), "{refusal}");
}

#[test]
fn photographs_that_are_called_like_masks_stay_images() {
    let temp = tempfile::tempdir().unwrap();
    let noise =
        |at: u8| RgbImage::from_fn(32, 32, |x, y| image::Rgb([(x * 7) as u8 ^ at, (y * 5) as u8, (x * y) as u8]));
    for at in 0..3 {
        save(temp.path(), &format!("cap/img_{at}.png"), noise(at));
        save(temp.path(), &format!("cap/mask_{at}.png"), noise(at + 9));
        save(temp.path(), &format!("hat/img_{at}.png"), noise(at + 20));
    }
    let data = opened(temp.path());
    assert_eq!(shape(&*data), (9, vec!["class: cap hat".to_owned()], [0; 3]));
    assert_eq!(data.labels(0), [Labels::Class(0)]);
    // A name of its own comes before a number.
    let temp = tempfile::tempdir().unwrap();
    for at in 1..4 {
        save(temp.path(), &format!("images/{at}.png"), colour(at));
        save(temp.path(), &format!("masks/{at}.png"), image::GrayImage::from_pixel(6, 4, Luma([u8::from(at > 1)])));
    }
    assert!(!opened(temp.path()).reading().lines().join("\n").contains("one to one"));
}
