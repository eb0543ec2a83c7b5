//! A tiny folder of learnable images: two classes of shapes, with masks.

use std::path::Path;

use image::{GrayImage, Luma, Rgb, RgbImage};

/// Side of the pictures.
pub const SIDE: u32 = 32;

/// Writes `images/{disc,square}/NN.png` and `masks/{disc,square}/NN.png`, `each` per class.
pub fn folder(dir: &Path, each: u32) {
    folder_from(dir, 0, each);
}

/// The same with other pictures, from number `first` on.
pub fn folder_from(dir: &Path, first: u32, each: u32) {
    for (class, round) in [("disc", true), ("square", false)] {
        for kind in ["images", "masks"] {
            std::fs::create_dir_all(dir.join(kind).join(class)).unwrap();
        }
        for n in 0..each {
            let (image, mask) = picture(round, first + n);
            image.save(dir.join(format!("images/{class}/{n:02}.png"))).unwrap();
            mask.save(dir.join(format!("masks/{class}/{n:02}.png"))).unwrap();
        }
    }
}

/// Writes `manifest.csv` with a class, two yes/no labels and a mask; every third label of each is missing.
pub fn manifest(dir: &Path, count: u32) {
    for kind in ["images", "masks"] {
        std::fs::create_dir_all(dir.join(kind)).unwrap();
    }
    let mut table = String::from("image,shape,left,high,mask\n");
    for n in 0..count {
        let (image, mask) = picture(n % 2 == 0, n);
        image.save(dir.join(format!("images/{n:02}.png"))).unwrap();
        mask.save(dir.join(format!("masks/{n:02}.png"))).unwrap();
        let present = |offset: u32, text: String| if (n / 2 + offset).is_multiple_of(3) { String::new() } else { text };
        let shape = present(0, if n % 2 == 0 { "disc" } else { "square" }.to_owned());
        let (left, high) = ((n * 5) % 12 < 6, (n * 7) % 12 < 6);
        let labels = present(1, u8::from(left).to_string()) + "," + &present(1, u8::from(high).to_string());
        let mask = present(2, format!("masks/{n:02}.png"));
        table += &format!("images/{n:02}.png,{shape},{labels},{mask}\n");
    }
    std::fs::write(dir.join("manifest.csv"), table).unwrap();
}

/// One picture and its mask, different for every `n`.
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
