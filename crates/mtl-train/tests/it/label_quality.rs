//! Wrong labels are found by the run on images that it was not trained on, and by a probe on the others.

use std::fs;

use image::{Rgb, RgbImage};
use mtl_train::{Judge, label_quality};

use crate::{tiny, trained};

#[test]
fn swapped_labels_of_held_out_images_are_the_suspects() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    fs::create_dir(&data).unwrap();
    let mut table = "image,split,kind\n".to_owned();
    let swapped = [3, 44, 71]; // the first is a training image
    for at in 0..80_u32 {
        let red = at % 2 == 0;
        let level = 120 + (at * 7 % 100) as u8;
        let colour = if red { [level, 20, at as u8] } else { [20, level, at as u8] };
        RgbImage::from_pixel(32, 32, Rgb(colour)).save(data.join(format!("{at}.png"))).unwrap();
        let kind = if red ^ swapped.contains(&at) { "red" } else { "green" };
        let split = ["train", "validation", "test"][if at < 40 { 0 } else { 1 + (at % 2) as usize }];
        table += &format!("{at}.png,{split},{kind}\n");
    }
    fs::write(data.join("manifest.csv"), table).unwrap();
    let path = format!("data.path=\"{}\"", data.display());
    let run = trained(tiny(dir.path(), &[&path, "stages.run=[\"joint\"]", "budget.steps=60", "data.augment=none"]));
    let found = label_quality(&run, &data, None).unwrap();
    assert_eq!((found.judged, found.judged_by_probe, found.images), (40, 40, 80));
    let by = |judge: Judge| {
        let suspects = found.suspects.iter().filter(|one| one.judge == judge);
        let mut images: Vec<&str> = suspects.map(|one| one.image.as_str()).collect();
        images.sort_unstable();
        images
    };
    assert_eq!(by(Judge::Run), ["44.png", "71.png"], "{found:?}");
    assert_eq!(by(Judge::Probe), ["3.png"], "{found:?}");
    assert!(found.suspects[0].words.contains("labelled `") && found.confused.is_empty(), "{found:?}");
    assert!(found.notes[0].contains("agrees with 95 % of these labels"), "{:?}", found.notes);
}
