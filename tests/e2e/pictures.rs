//! A tiny folder of images that can be learnt from: two classes of shapes, with masks.

use std::path::Path;

use image::{GrayImage, Luma, Rgb, RgbImage};

/// Side of the pictures.
pub const SIDE: u32 = 32;

/// Writes `images/{disc,square}/NN.png` and `masks/{disc,square}/NN.png`, `each` of either class.
pub fn folder(dir: &Path, each: u32) {
    for (class, round) in [("disc", true), ("square", false)] {
        for kind in ["images", "masks"] {
            std::fs::create_dir_all(dir.join(kind).join(class)).unwrap();
        }
        for n in 0..each {
            let (image, mask) = picture(round, n);
            image.save(dir.join(format!("images/{class}/{n:02}.png"))).unwrap();
            mask.save(dir.join(format!("masks/{class}/{n:02}.png"))).unwrap();
        }
    }
}

/// One picture and its mask; every `n` is another.
pub fn picture(round: bool, n: u32) -> (RgbImage, GrayImage) {
    let (x, y, r) = (10 + (n * 5) % 12, 10 + (n * 7) % 12, 5 + n % 4);
    let inside = |px: u32, py: u32| {
        let (dx, dy) = (px.abs_diff(x), py.abs_diff(y));
        if round { dx * dx + dy * dy <= r * r } else { dx <= r && dy <= r }
    };
    let shade = |px: u32, py: u32| ((px * 37 + py * 91 + n * 17) % 32) as u8;
    let image = RgbImage::from_fn(SIDE, SIDE, |px, py| {
        let noise = shade(px, py);
        Rgb(if inside(px, py) { [200 + noise, 60 + noise, 40] } else { [noise, 40 + noise, 90 + noise] })
    });
    (image, GrayImage::from_fn(SIDE, SIDE, |px, py| Luma([if inside(px, py) { 255 } else { 0 }])))
}
