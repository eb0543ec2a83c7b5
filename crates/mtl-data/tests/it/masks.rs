//! Mask and image files as people have them: the meaning of their values, and the sentences about it.

use std::fs;
use std::io::Cursor;
use std::path::Path;

use image::codecs::jpeg::JpegEncoder;
use image::{GrayImage, ImageBuffer, ImageEncoder, ImageFormat, Luma, Rgb, RgbImage, Rgba, RgbaImage};
use mtl_data::check::check;
use mtl_data::{Dataset, OpenOptions, Size, open};
use mtl_task::Target;

use crate::folders::{opened, save};

const SIDE: u32 = 16;

/// Eight images with masks of the left half.
fn folder(root: &Path, mask: impl Fn(u32) -> image::DynamicImage) {
    for at in 0..8 {
        save(
            root,
            &format!("images/{at}.png"),
            RgbImage::from_fn(SIDE, SIDE, |x, y| Rgb([(x * 9 + at * 7) as u8, (y * 11) as u8, 60])),
        );
        save(root, &format!("masks/{at}.png"), mask(at));
    }
}

fn half(value: u8) -> GrayImage {
    GrayImage::from_fn(SIDE, SIDE, |x, _| Luma([if x < SIDE / 2 { value } else { 0 }]))
}

fn foreground(data: &dyn Dataset, row: usize) -> usize {
    let sample = data.sample(row, Size { height: SIDE as usize, width: SIDE as usize }).unwrap();
    let Some(Target::Mask(mask)) = sample.targets.last() else { panic!("no mask") };
    mask.iter().filter(|&&class| class == 1).count()
}

fn said(data: &dyn Dataset, words: &str) {
    let lines = data.reading().lines();
    assert!(lines.iter().any(|line| line.contains(words)), "no `{words}` in {lines:#?}");
}

#[test]
fn one_and_255_are_the_same_foreground() {
    let temp = tempfile::tempdir().unwrap();
    folder(temp.path(), |at| half(if at % 2 == 0 { 1 } else { 255 }).into());
    let data = opened(temp.path());
    assert_eq!((foreground(&*data, 0), foreground(&*data, 1)), (128, 128));
    said(&*data, "4 masks hold 0 and 1");
}

#[test]
fn one_odd_pixel_does_not_turn_the_foreground_into_unlabelled_pixels() {
    let temp = tempfile::tempdir().unwrap();
    folder(temp.path(), |at| {
        let mut mask = half(255);
        if at == 3 {
            mask.put_pixel(12, 12, Luma([1]));
        }
        mask.into()
    });
    let data = opened(temp.path());
    assert_eq!((data.len(), foreground(&*data, 0)), (7, 128));
    assert!(
        data.skipped()[0].path.ends_with("masks/3.png") && data.skipped()[0].reason.contains("1 pixels with value 1")
    );
    said(&*data, "255 is taken as the foreground");
    // In half of the files it is no accident, and may mean two things.
    folder(temp.path(), |at| {
        let mut mask = half(255);
        if at % 2 == 0 {
            mask.put_pixel(12, 12, Luma([1]));
        }
        mask.into()
    });
    let report = check(temp.path(), &OpenOptions::default());
    assert!(report.refused.as_ref().is_some_and(|words| words.contains("255 may be a foreground")), "{report}");
}

#[test]
fn smoothed_and_jpeg_masks_are_thresholded() {
    let temp = tempfile::tempdir().unwrap();
    let ramp = |x: u32| [255, 255, 255, 255, 255, 255, 200, 150, 100, 50, 0, 0, 0, 0, 0, 0][x as usize];
    folder(temp.path(), |_| {
        GrayImage::from_fn(SIDE, SIDE, |x, y| Luma([ramp(x).max(u8::from(y == 0 && x == 0))])).into()
    });
    let data = opened(temp.path());
    assert_eq!(foreground(&*data, 0), 8 * 16);
    said(&*data, "8 of 8 masks hold values between 0 and 255 at their edges only");
    for at in 0..8 {
        fs::remove_file(temp.path().join(format!("masks/{at}.png"))).unwrap();
        let file = fs::File::create(temp.path().join(format!("masks/{at}.jpg"))).unwrap();
        JpegEncoder::new_with_quality(file, 60).encode_image(&half(255)).unwrap();
    }
    let data = opened(temp.path());
    assert_eq!(foreground(&*data, 0), 128);
    // Classes cannot be recognised from values that JPEG has changed.
    for at in 0..8 {
        let classes = GrayImage::from_fn(SIDE, SIDE, |x, y| Luma([(x / 4 * 40 + y / 8 * 20) as u8]));
        let file = fs::File::create(temp.path().join(format!("masks/{at}.jpg"))).unwrap();
        JpegEncoder::new_with_quality(file, 60).encode_image(&classes).unwrap();
    }
    let report = check(temp.path(), &OpenOptions::default());
    assert!(report.refused.as_ref().is_some_and(|words| words.contains("save masks as PNG")), "{report}");
}

#[test]
fn masks_may_lie_in_alpha() {
    let temp = tempfile::tempdir().unwrap();
    folder(temp.path(), |_| {
        RgbaImage::from_fn(SIDE, SIDE, |x, _| Rgba([255, 255, 255, if x < 8 { 255 } else { 0 }])).into()
    });
    let data = opened(temp.path());
    assert_eq!(foreground(&*data, 0), 128);
    said(&*data, "8 masks are read from their alpha channel");
}

/// A JPEG that is turned by an EXIF orientation.
fn turned(path: &Path, orientation: u8, image: &RgbImage) {
    let mut exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0, 0]);
    let mut bytes = Cursor::new(Vec::new());
    let mut encoder = JpegEncoder::new_with_quality(&mut bytes, 90);
    encoder.set_exif_metadata(exif).unwrap();
    encoder.encode_image(image).unwrap();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes.into_inner()).unwrap();
}

#[test]
fn masks_drawn_on_images_that_are_upside_down_are_found_by_their_borders() {
    let temp = tempfile::tempdir().unwrap();
    for at in 0..16 {
        let inside = move |x: u32, y: u32| (4 + at..20 + at).contains(&x) && (6 + at / 2..18 + at).contains(&y);
        let image = RgbImage::from_fn(48, 48, |x, y| Rgb([if inside(x, y) { 230 } else { 40 }, (at * 9) as u8, 60]));
        turned(&temp.path().join(format!("images/{at}.jpg")), 3, &image);
        let mask = GrayImage::from_fn(48, 48, |x, y| Luma([if inside(x, y) { 255 } else { 0 }]));
        save(temp.path(), &format!("masks/{at}.png"), mask);
    }
    let words = "over 16 images that EXIF turns, their borders lie on the images' edges better when they are turned";
    let warned = |options: &OpenOptions| {
        let warnings = check(temp.path(), options).reading.warnings;
        warnings.iter().any(|line| line.contains(words) && line.contains("data.open.masks_as_stored = true"))
    };
    assert!(warned(&OpenOptions::default()));
    assert!(!warned(&OpenOptions { masks_as_stored: true, ..OpenOptions::default() }));
}

#[test]
fn masks_of_turned_images_need_a_setting() {
    let temp = tempfile::tempdir().unwrap();
    for at in 0..4 {
        let image = RgbImage::from_fn(24, 16, |x, y| Rgb([(x * 10) as u8, (y * 15) as u8, 9]));
        turned(&temp.path().join(format!("images/{at}.jpg")), 6, &image);
        // The upper half of the stored image is the right half of the upright one.
        save(
            temp.path(),
            &format!("masks/{at}.png"),
            GrayImage::from_fn(24, 16, |_, y| Luma([if y < 8 { 255 } else { 0 }])),
        );
    }
    let report = check(temp.path(), &OpenOptions::default());
    let words = "the image is turned by EXIF and the mask fits it as it is stored: data.open.masks_as_stored = true";
    assert!(report.broken.iter().all(|skipped| skipped.reason.contains(words)), "{report}");
    let options = OpenOptions { masks_as_stored: true, ..OpenOptions::default() };
    let data = open(temp.path(), &options).unwrap();
    let sample = data.sample(0, Size { height: 1, width: 2 }).unwrap();
    assert_eq!(sample.targets[0], Target::Mask(vec![0, 1]));
}

#[test]
fn smaller_masks_need_a_setting() {
    let temp = tempfile::tempdir().unwrap();
    folder(temp.path(), |_| image::imageops::resize(&half(255), 8, 8, image::imageops::FilterType::Nearest).into());
    let report = check(temp.path(), &OpenOptions::default());
    assert!(report.broken[0].reason.contains("data.open.resize_masks = true"), "{report}");
    let data = open(temp.path(), &OpenOptions { resize_masks: true, ..OpenOptions::default() }).unwrap();
    assert_eq!(foreground(&*data, 0), 128);
}

#[test]
fn images_of_12_bits_have_their_own_range_and_keep_it() {
    let temp = tempfile::tempdir().unwrap();
    for at in 0..6_u16 {
        let deep = ImageBuffer::from_fn(4, 4, |x, y| Luma([4095 - 200 * at - (x + 4 * y) as u16 * 16]));
        let mut bytes = Cursor::new(Vec::new());
        image::DynamicImage::ImageLuma16(deep).write_to(&mut bytes, ImageFormat::Png).unwrap();
        let path = temp.path().join(format!("{}/{at}.png", ["cat", "dog"][usize::from(at % 2)]));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes.into_inner()).unwrap();
    }
    let data = opened(temp.path());
    assert_eq!(data.largest_value(), Some(4095.0));
    said(
        &*data,
        "6 of 6 images have more than 8 bits: their values are divided by 4095 (the largest value of all is 4095)",
    );
    assert_eq!(data.sample(0, Size { height: 4, width: 4 }).unwrap().image[0], 255);
    let fixed = open(temp.path(), &OpenOptions { largest_value: Some(8190.0), ..OpenOptions::default() }).unwrap();
    assert_eq!(fixed.sample(0, Size { height: 4, width: 4 }).unwrap().image[0], 128);
}

#[test]
fn one_odd_pixel_does_not_make_all_other_images_dark() {
    let temp = tempfile::tempdir().unwrap();
    for at in 0..20_u16 {
        let deep = ImageBuffer::from_fn(4, 4, |x, y| {
            Luma([if at == 7 && x + y == 0 { 65535 } else { 4000 - 100 * at - (x + 4 * y) as u16 }])
        });
        let mut bytes = Cursor::new(Vec::new());
        image::DynamicImage::ImageLuma16(deep).write_to(&mut bytes, ImageFormat::Png).unwrap();
        fs::write(temp.path().join(format!("{at}.png")), bytes.into_inner()).unwrap();
    }
    let data = opened(temp.path());
    assert_eq!(data.largest_value(), Some(4095.0));
    said(&*data, "1 of 20 images of more than 8 bits hold values above 4095, which are cut to it");
}

#[test]
fn one_colour_on_black_is_the_foreground() {
    let temp = tempfile::tempdir().unwrap();
    folder(temp.path(), |_| RgbImage::from_fn(SIDE, SIDE, |x, _| Rgb(if x < 8 { [200, 0, 0] } else { [0; 3] })).into());
    let data = opened(temp.path());
    assert_eq!(foreground(&*data, 0), 128);
    said(&*data, "black is the background, \"200,0,0\" the foreground");
}

#[test]
fn masks_per_class_may_have_any_value_and_need_no_palette() {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path();
    for at in 0..4 {
        save(root, &format!("images/{at}.png"), RgbImage::from_pixel(SIDE, SIDE, Rgb([at, 90, 60])));
        save(root, &format!("masks/leaf/{at}.png"), half(1));
        save(
            root,
            &format!("masks/rust/{at}.png"),
            GrayImage::from_fn(SIDE, SIDE, |x, _| Luma([if x < 2 { 2 } else { 0 }])),
        );
    }
    let classes = |data: &dyn Dataset| {
        let sample = data.sample(0, Size { height: SIDE as usize, width: SIDE as usize }).unwrap();
        let Some(Target::Mask(mask)) = sample.targets.last() else { panic!("no mask") };
        [0, 1, 2].map(|class| mask.iter().filter(|&&pixel| pixel == class).count())
    };
    assert_eq!(classes(&*opened(root)), [128, 96, 32]);
    fs::write(root.join("palette.csv"), "value,name\n0,background\n1,object\n").unwrap();
    let data = opened(root);
    assert_eq!(data.schema().tasks[0].kind.classes(), ["background", "leaf", "rust"]);
    assert_eq!(classes(&*data), [128, 96, 32]);
}
