//! Bad input: every kind has its own message, and none panics.

use std::fs;
use std::path::Path;

use image::{GrayImage, Luma};
use mtl_data::{Error, OpenOptions, open};

use crate::folders::{colour, left, opened, save};

fn error(root: &Path) -> Error {
    error_with(root, &OpenOptions::default())
}

fn error_with(root: &Path, options: &OpenOptions) -> Error {
    open(root, options).err().unwrap_or_else(|| panic!("{} opens", root.display()))
}

#[track_caller]
fn contains_all(error: &Error, words: &[&str]) {
    let text = error.to_string();
    for word in words {
        assert!(text.contains(word), "`{word}` is not in `{text}`");
    }
}

/// `count` sound images in two classes.
fn sound(root: &Path, count: usize) {
    for at in 0..count {
        save(root, &format!("images/{}/{at}.png", ["a", "b"][at % 2]), colour(at as u8));
    }
}

#[test]
fn folders_without_data_say_what_is_understood() {
    let temp = tempfile::tempdir().unwrap();
    assert!(matches!(error(&temp.path().join("nowhere")), Error::Io { .. }));
    contains_all(&error(temp.path()), &["the folder is empty"]);
    fs::write(temp.path().join("notes.txt"), "nothing").unwrap();
    contains_all(&error(temp.path()), &["it holds notes.txt", "manifest", "<class>/*", "cifar10"]);
    contains_all(&error(&temp.path().join("notes.txt")), &["it is a file"]);
    fs::create_dir_all(temp.path().join("images/a")).unwrap();
    contains_all(
        &error_with(temp.path(), &OpenOptions { reader: Some("folder".into()), ..OpenOptions::default() }),
        &["no images"],
    );
    for reader in ["voc", "nnunet", "oxford-pet", "manifest", "cifar10", "idx"] {
        let options = OpenOptions { reader: Some(reader.into()), ..OpenOptions::default() };
        let text = error_with(temp.path(), &options).to_string();
        assert!(text.contains(&*temp.path().to_string_lossy()), "{reader}: {text}");
    }
}

#[test]
fn broken_files_are_skipped_up_to_a_share_and_then_refused_with_the_list() {
    let temp = tempfile::tempdir().unwrap();
    sound(temp.path(), 10);
    let whole = fs::read(temp.path().join("images/a/0.png")).unwrap();
    fs::write(temp.path().join("images/a/cut.png"), &whole[..whole.len() / 2]).unwrap();
    let data = opened(temp.path());
    assert_eq!((data.len(), data.skipped().len()), (10, 1));
    assert!(data.skipped()[0].path.ends_with("images/a/cut.png"), "{:?}", data.skipped());
    let strict = OpenOptions { max_broken: 0.0, ..OpenOptions::default() };
    contains_all(&error_with(temp.path(), &strict), &["1 of 11 rows", "the 0 that may be skipped", "cut.png"]);
    fs::write(temp.path().join("images/b/zero.jpg"), b"").unwrap();
    contains_all(&error(temp.path()), &["2 of 12 rows", "the 1 that may", "cut.png", "zero.jpg: the file is empty"]);
    let lenient = OpenOptions { max_broken: 0.2, ..OpenOptions::default() };
    assert_eq!(open(temp.path(), &lenient).unwrap().skipped().len(), 2);
    let wrong = OpenOptions { max_broken: 2.0, channels: None, ..OpenOptions::default() };
    contains_all(&error_with(temp.path(), &wrong), &["max_broken = 2", "a share from 0 to 1"]);
    let wrong = OpenOptions { channels: Some(17), ..OpenOptions::default() };
    contains_all(&error_with(temp.path(), &wrong), &["channels = 17", "1 (grey), 3 (colour)"]);
}

#[test]
fn one_percent_of_many_may_be_broken() {
    let temp = tempfile::tempdir().unwrap();
    sound(temp.path(), 197);
    for at in 0..3 {
        fs::write(temp.path().join(format!("images/a/bad{at}.png")), b"GIF89a but not really").unwrap();
    }
    contains_all(&error(temp.path()), &["3 of 200 rows", "the 2 that may be skipped"]);
    fs::remove_file(temp.path().join("images/a/bad0.png")).unwrap();
    // 2 of 199: one per cent, rounded down, is 1.
    contains_all(&error(temp.path()), &["the 1 that may be skipped"]);
    save(temp.path(), "images/a/200.png", colour(200));
    assert_eq!(opened(temp.path()).skipped().len(), 2);
}

#[test]
fn without_verification_damage_shows_when_decoded() {
    let temp = tempfile::tempdir().unwrap();
    sound(temp.path(), 4);
    let whole = fs::read(temp.path().join("images/a/0.png")).unwrap();
    fs::write(temp.path().join("images/a/0.png"), &whole[..whole.len() - 30]).unwrap();
    let options = OpenOptions { verify: false, ..OpenOptions::default() };
    let data = open(temp.path(), &options).unwrap();
    assert_eq!((data.len(), data.skipped().len()), (4, 0));
    let error = data.sample(0, crate::folders::SIZE).unwrap_err();
    contains_all(&error, &["images/a/0.png", "truncated"]);
}

#[test]
fn masks_that_do_not_fit_name_file_and_values() {
    let temp = tempfile::tempdir().unwrap();
    sound(temp.path(), 6);
    save(temp.path(), "masks/0.png", left(1, 255));
    save(temp.path(), "masks/1.png", GrayImage::new(7, 4));
    let data = opened(temp.path());
    assert_eq!(data.skipped()[0].reason, "the mask is 7 x 4 pixels, its image 6 x 4; save it at the size of its image");
    assert_eq!(data.len(), 5);
    fs::remove_file(temp.path().join("masks/1.png")).unwrap();
    fs::write(temp.path().join("palette.csv"), "value,name\n0,back\n255,front\n").unwrap();
    save(temp.path(), "masks/2.png", left(2, 9));
    let data = opened(temp.path());
    assert!(data.skipped()[0].path.ends_with("masks/2.png"));
    assert_eq!(data.skipped()[0].reason, "mask values 9 belong to no class (known: 0, 255)");
    save(temp.path(), "masks/4.png", left(2, 77));
    contains_all(&error(temp.path()), &["2 of 6 rows", "masks/2.png: mask values 9", "masks/4.png: mask values 77"]);
    // Without a palette file every value is a class; a picture is not a mask.
    fs::remove_file(temp.path().join("palette.csv")).unwrap();
    assert_eq!(opened(temp.path()).schema().tasks[1].kind.classes(), ["background", "9", "77", "255"]);
    save(temp.path(), "masks/4.png", colour(4));
    contains_all(&error(temp.path()), &["masks/4.png", "masks hold colours", "palette.csv"]);
    save(temp.path(), "images/b/big.png", GrayImage::new(20, 20));
    save(temp.path(), "masks/4.png", left(1, 9));
    save(temp.path(), "masks/big.png", GrayImage::from_fn(20, 20, |x, y| Luma([(x * 12 + y) as u8])));
    contains_all(&error(temp.path()), &["masks/big.png", "different values"]);
}

#[test]
fn manifests_say_line_and_reason() {
    for (table, words) in [
        ("image,x\na.png,1,2\n", &["manifest.csv:2", "fields"][..]),
        ("imgae,x\na,1\n", &["manifest.csv:1", "no column `image`", "is it `imgae`?"]),
        ("image,x,x\na.png,1,2\n", &["manifest.csv:1", "two columns are called `x`"]),
        ("image,\na.png,1\n", &["manifest.csv:1", "column 2 has no name"]),
        ("image,x\n,1\n", &["manifest.csv:2", "`image` is blank"]),
        ("image,split\na.png,train\na.png,late\n", &["manifest.csv:3", "split `late`", "validation"]),
        ("image,x\n", &["no images"]),
        ("", &["manifest.csv:1", "no column `image`"]),
        ("image,x\ngone.png,1\n", &["1 of 1 rows", "gone.png: no such file"]),
    ] {
        let temp = tempfile::tempdir().unwrap();
        save(temp.path(), "a.png", colour(1));
        fs::write(temp.path().join("manifest.csv"), table).unwrap();
        contains_all(&error(temp.path()), words);
    }
}

#[test]
fn pet_lists_say_line_and_reason() {
    for (list, words) in [
        ("Bengal_1 1 1\n", &["list.txt:1", "expected a name and three numbers"][..]),
        ("# x\nBengal_1 0 1 1\n", &["list.txt:2", "class 0", "out of range"]),
        ("Bengal_1 1 3 1\n", &["list.txt:1", "species 3"]),
        ("Bengal_1 1 1 1\nBirman_1 1 1 1\n", &["list.txt:2", "`Bengal`", "`Birman` here"]),
    ] {
        let temp = tempfile::tempdir().unwrap();
        save(temp.path(), "images/Bengal_1.jpg", colour(1));
        fs::create_dir_all(temp.path().join("annotations")).unwrap();
        fs::write(temp.path().join("annotations/list.txt"), list).unwrap();
        contains_all(&error(temp.path()), words);
    }
}

#[test]
fn files_that_are_no_images_yet_are_named_with_what_to_do() {
    let refused = |files: &[(&str, &[u8])]| {
        let temp = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            let path = temp.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
        match open(temp.path(), &OpenOptions::default()).map(|_| ()).expect_err("refused") {
            Error::TooManyBroken { broken, .. } => mtl_data::Skipped::lines(&broken).join("\n"),
            other => other.to_string(),
        }
    };
    let pointer: &[u8] = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n";
    for (files, wanted) in [
        (
            &[("a/1.jpg", pointer), ("a/2.jpg", pointer)][..],
            "2 files: a pointer of Git LFS and not the file itself: `git lfs pull`",
        ),
        (
            &[("train.zip", b"PK"), ("test.zip", b"PK")],
            "2 files, each of them an archive or a compressed file, which is not read; unpack it",
        ),
        (&[("train-images-idx3-ubyte.gz", b"\x1f\x8b")], "each of them an archive or a compressed file"),
        (
            &[("batches/data_batch_1", b"\x80\x02}q")],
            "each of them a Python pickle, which is not read; convert its images",
        ),
    ] {
        let reason = refused(files);
        assert!(reason.contains(wanted), "{reason}");
    }
    // Different numbers are one reason.
    let below: Vec<u8> = tiff_of(&[-0.5, 0.25]);
    let other: Vec<u8> = tiff_of(&[-0.75, 0.25]);
    let reason = refused(&[("a/1.tif", &below), ("a/2.tif", &other)]);
    assert!(reason.contains("2 files: floats below 0; images need finite values from 0 up"), "{reason}");
}

/// A TIFF of one row of floats.
fn tiff_of(values: &[f32]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = tiff::encoder::TiffEncoder::new(std::io::Cursor::new(&mut bytes)).unwrap();
    encoder.write_image::<tiff::encoder::colortype::Gray32Float>(values.len() as u32, 1, values).unwrap();
    bytes
}
