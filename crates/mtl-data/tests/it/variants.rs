//! Pixels of many kinds of image files, compared with Pillow's.
//!
//! `tests/variants` holds the files and `pixels.json`: RGB bytes as Pillow 13.0 reads them, upright and on white. Files that Pillow
//! does not read (floats, 16-bit colour, separate planes) hold numbers that were written as fractions of white.

use std::collections::BTreeMap;
use std::path::Path;

use mtl_data::Size;
use mtl_data::image::decode;
use mtl_data::image::header::Note;
use mtl_data::image::{range, resize};

#[derive(serde::Deserialize)]
struct Expected {
    width: usize,
    height: usize,
    /// Decoders of lossy formats differ in rounding, and in how they enlarge colour.
    tolerance: u8,
    rgb: Vec<u8>,
}

#[test]
fn pixels_are_those_of_pillow() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/variants");
    let text = std::fs::read_to_string(folder.join("pixels.json")).unwrap();
    let expected: BTreeMap<String, Expected> = serde_json::from_str(&text).unwrap();
    assert!(expected.len() >= 65);
    let mut faults = Vec::new();
    for (name, expected) in &expected {
        let bytes = std::fs::read(folder.join(name)).unwrap();
        let image = match decode::verify(&bytes).and_then(|_| decode::decode(&bytes)) {
            Ok(image) => image,
            Err(problem) => {
                faults.push(format!("{name}: {problem}"));
                continue;
            }
        };
        let size = Size { height: expected.height, width: expected.width };
        if decode::size_of(&image) != size || decode::inspect(&bytes).map(|header| header.size) != Ok(size) {
            faults.push(format!("{name}: {:?}, expected {size:?}", decode::size_of(&image)));
            continue;
        }
        let planes = resize::planes(&range::eight_bits(image, None), 3, size);
        let pixels = size.pixels();
        let differ = |at: &usize| planes[at % 3 * pixels + at / 3].abs_diff(expected.rgb[*at]) > expected.tolerance;
        if let Some(at) = (0..3 * pixels).find(differ) {
            let count = (0..3 * pixels).filter(differ).count();
            let found = planes[at % 3 * pixels + at / 3];
            faults.push(format!("{name}: {count} differ, first {found} for {} at {at}", expected.rgb[at]));
        }
    }
    assert!(faults.is_empty(), "{} of {}:\n{}", faults.len(), expected.len(), faults.join("\n"));
}

#[test]
fn what_is_unusual_about_a_file_is_noted() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/variants");
    let notes = |name: &str| decode::verify(&std::fs::read(folder.join(name)).unwrap()).unwrap();
    for name in ["animated.gif", "animated.png", "animated.webp", "pages.tif"] {
        assert_eq!(notes(name), [Note::FirstOfSeveral], "{name}");
    }
    for name in ["cmyk.jpg", "cmyk.tif"] {
        assert_eq!(notes(name), [Note::Cmyk], "{name}");
    }
    assert_eq!(notes("no_end_marker.jpg"), [Note::NoEndMarker]);
    for name in ["baseline.jpg", "progressive.jpg", "grey.jpg", "still.gif", "rgb8.png", "rgb8.tif", "lossless.webp"] {
        assert_eq!(notes(name), [], "{name}");
    }
}
