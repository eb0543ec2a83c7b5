//! Damaged files: for any changed bytes, readers answer with data or with an error.
//!
//! Seeded, so that a failure repeats: its name says which file and which seed. `MTL_FUZZ_ROUNDS` sets the number of damaged copies per
//! file (default 12).

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use mtl_data::image::{decode, mask, range, resize};
use mtl_data::{OpenOptions, Size, Wanted, open};
use mtl_rng::{Seed, Stream};

use crate::folders::{colour, left, save};
use crate::packed::{cifar_records, idx};

fn rounds() -> u64 {
    std::env::var("MTL_FUZZ_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(12)
}

/// A copy with some bytes changed, removed, repeated or swapped.
fn damaged(bytes: &[u8], stream: &mut Stream) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..1 + stream.below(6) {
        if bytes.is_empty() {
            return bytes;
        }
        // Headers are short, and most decisions are made there.
        let within = if stream.below(2) == 0 { bytes.len() } else { bytes.len().min(64) };
        let at = stream.below(within);
        let length = (1 + stream.below(8)).min(bytes.len() - at);
        match stream.below(6) {
            0 => bytes[at] = stream.below(256) as u8,
            1 => bytes[at] ^= 1 << stream.below(8),
            2 => bytes[at..at + length].fill([0, 0xff, 0x7f, 0x80][stream.below(4)]),
            3 => drop(bytes.drain(at..at + length)),
            4 => bytes.truncate(at),
            _ => {
                let part = bytes[at..at + length].to_vec();
                bytes.splice(at..at, part);
            }
        }
    }
    bytes
}

/// Opens a folder and reads every row, if it can be opened.
fn read_all(root: &Path) {
    if let Ok(data) = open(root, &OpenOptions { max_broken: 1.0, ..OpenOptions::default() }) {
        for row in 0..data.len() {
            let _ = data.sample(row, Size { height: 4, width: 6 });
            let _ = data.facts(row, Wanted { content: true, fingerprint: true, labels: true });
        }
    }
}

/// Opens a folder with damaged copies of each of these of its files, one at a time.
fn survive_in(root: &Path, files: &[&str]) -> Vec<String> {
    let mut faults = Vec::new();
    for name in files {
        let path = root.join(name);
        let sound = fs::read(&path).unwrap();
        assert!(open(root, &OpenOptions::default()).is_ok(), "{name}");
        faults.extend(survive(name, &sound, |bytes| {
            fs::write(&path, bytes).unwrap();
            read_all(root);
        }));
        fs::write(&path, sound).unwrap();
    }
    faults
}

/// Runs `read` on damaged copies and collects what panicked.
fn survive(name: &str, bytes: &[u8], mut read: impl FnMut(&[u8])) -> Vec<String> {
    let mut faults = Vec::new();
    for seed in 0..rounds() {
        let copy = damaged(bytes, &mut Seed::new(seed).stream(name, &[]));
        if catch_unwind(AssertUnwindSafe(|| read(&copy))).is_err() {
            faults.push(format!("{name}, seed {seed}, {} bytes", copy.len()));
        }
    }
    faults
}

#[test]
fn damaged_images_never_panic() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/variants");
    let mut faults = Vec::new();
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for path in files.iter().filter(|path| !path.ends_with("pixels.json")) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        faults.extend(survive(&name, &fs::read(path).unwrap(), |bytes| {
            let _ = decode::verify(bytes);
            let _ = decode::inspect(bytes);
            let _ = mask::read(bytes, true, None);
            if let Ok(image) = decode::decode(bytes) {
                let largest = range::largest_value(&image).ok().flatten();
                let size = Size { height: 5, width: 5 };
                assert_eq!(resize::planes(&range::eight_bits(image, largest), 3, size).len(), 75);
            }
        }));
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn damaged_tables_and_annotations_never_panic() {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path();
    for at in 0..6_u8 {
        save(root, &format!("images/{at}.png"), colour(at));
        save(root, &format!("masks/{at}.png"), left(2, 255));
    }
    let lines: Vec<String> = (0..6)
        .map(|at| format!("images/{at}.png,masks/{at}.png,{},cat|dog,0.{at},train\n", ["a", "b"][at % 2]))
        .collect();
    let table = format!("image,mask,kind,tags,weight_kg,split\n{}", lines.concat());
    let square = "[[0,0,3,0,3,2,0,2]]";
    let annotations: Vec<String> = (0..6)
        .map(|at| {
            format!("{{\"id\":{at},\"image_id\":{at},\"category_id\":1,\"segmentation\":{square},\"iscrowd\":0}}")
        })
        .collect();
    let images: Vec<String> =
        (0..6).map(|at| format!("{{\"id\":{at},\"file_name\":\"{at}.png\",\"width\":6,\"height\":4}}")).collect();
    let coco = format!(
        "{{\"images\":[{}],\"categories\":[{{\"id\":1,\"name\":\"cat\"}}],\"annotations\":[{}]}}",
        images.join(","),
        annotations.join(",")
    );
    let mut faults = Vec::new();
    for (name, text) in [
        ("manifest.csv", table.as_str()),
        ("labels.json", coco.as_str()),
        ("metadata.jsonl", "{\"file_name\": \"images/0.png\", \"kind\": [\"a\"]}\n{\"file_name\": \"images/1.png\"}\n"),
        ("palette.csv", "value,name\n0,back\n255,front\n"),
        ("class_dict.csv", "name,r,g,b\nback,0,0,0\nfront,255,255,255\n"),
        ("labelmap.txt", "# label:color_rgb:parts:actions\nback:0,0,0::\nfront:255,255,255::\n"),
        ("classes.txt", "back\nfront\n"),
        ("data.yaml", "names: [cat, dog]\n"),
        ("labels/0.txt", "0 0.1 0.1 0.9 0.1 0.5 0.9\n1 0 0 1 0 1 1\n"),
    ] {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        faults.extend(survive(name, text.as_bytes(), |bytes| {
            fs::write(&path, bytes).unwrap();
            read_all(root);
        }));
        fs::remove_file(&path).unwrap();
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn damaged_packed_files_never_panic() {
    let mut faults = Vec::new();
    #[cfg(feature = "parquet")]
    {
        let temp = tempfile::tempdir().unwrap();
        let schema = "message rows { required binary image; required int64 label; required binary tree (UTF8); \
                      optional double height_m; }";
        let names = r#"{"info":{"features":{"label":{"names":["no","yes","maybe"]}}}}"#;
        crate::parquet::write(temp.path(), schema, Some(names));
        faults.extend(survive_in(temp.path(), &["train-00000-of-00001.parquet"]));
    }
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path();
    fs::write(root.join("data_batch_1.bin"), cifar_records(&[3, 0])).unwrap();
    fs::write(root.join("batches.meta.txt"), "a b c d e f g h i j").unwrap();
    faults.extend(survive_in(root, &["data_batch_1.bin", "batches.meta.txt"]));
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path();
    fs::write(root.join("train-images-idx3-ubyte"), idx(&[2, 2, 3], &(0..12).collect::<Vec<u8>>())).unwrap();
    fs::write(root.join("train-labels-idx1-ubyte"), idx(&[2], &[4, 1])).unwrap();
    faults.extend(survive_in(root, &["train-images-idx3-ubyte", "train-labels-idx1-ubyte"]));
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn damaged_layouts_never_panic() {
    let mut faults = Vec::new();
    // PASCAL VOC.
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path();
    for at in 0..4_u8 {
        save(root, &format!("JPEGImages/{at}.jpg"), colour(at * 9));
        save(root, &format!("SegmentationClass/{at}.png"), left(2, 1));
    }
    fs::create_dir_all(root.join("ImageSets/Segmentation")).unwrap();
    fs::write(root.join("ImageSets/Segmentation/train.txt"), "0\n1\n").unwrap();
    fs::write(root.join("ImageSets/Segmentation/val.txt"), "2 1\n3 -1\n").unwrap();
    fs::write(root.join("palette.csv"), "value,name\n0,back\n1,front\n").unwrap();
    let lists = ["ImageSets/Segmentation/train.txt", "ImageSets/Segmentation/val.txt"];
    faults.extend(survive_in(root, &[&lists[..], &["palette.csv", "SegmentationClass/0.png"]].concat()));
    // nnU-Net.
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path();
    for at in 0..4_u8 {
        save(root, &format!("imagesTr/c_{at}_0000.png"), colour(at * 9));
        save(root, &format!("labelsTr/c_{at}.png"), left(2, 1));
    }
    let labels = r#"{"labels":{"background":0,"lesion":1},"file_ending":".png","channel_names":{"0":"R"}}"#;
    fs::write(root.join("dataset.json"), labels).unwrap();
    faults.extend(survive_in(root, &["dataset.json", "labelsTr/c_0.png"]));
    // YOLO: names and outlines together.
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path();
    fs::create_dir_all(root.join("labels")).unwrap();
    for at in 0..4_u8 {
        save(root, &format!("images/{at}.png"), colour(at * 9));
        let outlines = "0 0.1 0.1 0.9 0.1 0.5 0.9\n1 0 0 1 0 1 1\n";
        fs::write(root.join(format!("labels/{at}.txt")), outlines).unwrap();
    }
    fs::write(root.join("data.yaml"), "path: .\ntrain: images\nnc: 2\nnames: [cat, dog]\n").unwrap();
    faults.extend(survive_in(root, &["data.yaml", "labels/0.txt", "labels/3.txt"]));
    assert!(faults.is_empty(), "{faults:#?}");
}
