//! Damaged files: for any changed bytes, readers answer with data or with an error.
//!
//! Seeded, so that a failure repeats: its name says which file and which seed. `MTL_FUZZ_ROUNDS` sets the number of damaged copies per
//! file (default 12).

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use mtl_data::image::{decode, mask, range, resize};
use mtl_data::{OpenOptions, Size, open};
use mtl_rng::{Seed, Stream};

use crate::folders::{colour, left, save};

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
            if let Ok(data) = open(root, &OpenOptions { max_broken: 1.0, ..OpenOptions::default() }) {
                for row in 0..data.len() {
                    let _ = data.sample(row, Size { height: 4, width: 6 });
                }
            }
        }));
        fs::remove_file(&path).unwrap();
    }
    assert!(faults.is_empty(), "{faults:#?}");
}
