//! Scoring on folders whose classes differ from the model's.

use std::path::Path;

use image::{Rgb, RgbImage};
use mtl_train::evaluate;

use crate::{tiny, trained};

/// Images of one colour per class with a mark of their own.
pub fn class_folder(root: &Path, class: &str, colour: [u8; 3], from: u32, count: u32) {
    std::fs::create_dir_all(root.join(class)).unwrap();
    for at in from..from + count {
        let mut image = RgbImage::from_pixel(32, 32, Rgb(colour));
        (0..32).for_each(|x| image.put_pixel(x, at % 32, Rgb([(at * 5) as u8, 255 - at as u8, (x * 8) as u8])));
        image.save(root.join(class).join(format!("{at}.png"))).unwrap();
    }
}

#[test]
fn a_folder_with_fewer_and_other_classes_is_scored_on_the_common_ones() {
    let dir = tempfile::tempdir().unwrap();
    let (own, other) = (dir.path().join("own"), dir.path().join("other"));
    for (class, colour) in [("bird", [200, 30, 30]), ("cat", [30, 200, 30]), ("dog", [30, 30, 200])] {
        class_folder(&own, class, colour, 0, 10);
    }
    let path = format!("data.path=\"{}\"", own.display());
    let run = trained(tiny(dir.path(), &[&path, "stages.run=[\"joint\"]", "budget.steps=2"]));
    class_folder(&other, "dog", [30, 30, 200], 20, 5);
    let scored = evaluate(&run, Some(&other), None).unwrap();
    assert_eq!((scored.images, scored.scores[0].task.as_str(), scored.scores[0].scores[0].n), (5, "class", 5));
    assert!(scored.notes[0].contains("lacks 2 of the model's 3 classes (bird, cat)"), "{:?}", scored.notes);
    assert!(scored.scores.iter().flat_map(|task| &task.scores).all(|score| score.value.is_finite()));
    class_folder(&other, "fox", [90, 90, 90], 20, 3);
    let scored = evaluate(&run, Some(&other), None).unwrap();
    assert_eq!((scored.images, scored.scores[0].scores[0].n), (5, 5));
    assert!(scored.notes.iter().any(|note| note.contains("(fox 3): 3 of 8 labels")), "{:?}", scored.notes);
    std::fs::remove_dir_all(other.join("dog")).unwrap();
    class_folder(&other, "owl", [90, 90, 0], 20, 3);
    let error = evaluate(&run, Some(&other), None).unwrap_err();
    assert_eq!(error.kind(), mtl_train::ErrorKind::Data);
    assert!(error.to_string().contains("(model: bird, cat, dog; data: fox, owl)"), "{error}");
}
