//! Draws a sheet of built-in scenes: alternating rows of images, masks and depth maps.
//!
//! `cargo run -p mtl-data --example scenes -- sheet.png [size] [difficulty] [seed]`

use image::{Rgb, RgbImage};
use mtl_data::scenes::{Class, Config, Scenes};
use mtl_data::{Dataset, Size};
use mtl_task::Target;

const PALETTE: [[u8; 3]; 5] = [[30, 30, 40], [230, 90, 70], [240, 200, 70], [90, 160, 240], [120, 220, 120]];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("where should the picture go? give a path")?;
    let size: usize = arguments.next().map_or(Ok(64), |word| word.parse())?;
    let difficulty: f64 = arguments.next().map_or(Ok(0.5), |word| word.parse())?;
    let seed: u64 = arguments.next().map_or(Ok(0), |word| word.parse())?;

    // One column per class, four scenes each.
    let scenes = Scenes::new(Config { difficulty, seed, ..Config::default() })?;
    let mut rows = vec![Vec::new(); Class::ALL.len()];
    for row in 0..scenes.len() {
        if let mtl_data::Labels::Class(class) = scenes.labels(row)[0] {
            rows[class].push(row);
        }
    }
    let (lines, zoom) = (4, (128 / size).max(1));
    let cell = size * zoom + 4;
    let mut sheet = RgbImage::new((rows.len() * cell) as u32, (lines * 3 * cell) as u32);
    for (column, rows) in rows.iter().enumerate() {
        for (line, &row) in rows.iter().take(lines).enumerate() {
            let sample = scenes.sample(row, Size { height: size, width: size })?;
            let (Target::Mask(mask), Target::Dense(depth)) = (&sample.targets[1], &sample.targets[2]) else {
                return Err("scenes have a mask and a depth map".into());
            };
            for y in 0..size * zoom {
                for x in 0..size * zoom {
                    let at = (y / zoom) * size + x / zoom;
                    let colour = [0, 1, 2].map(|channel| sample.image[channel * size * size + at]);
                    let grey = (255.0 * (1.0 - depth[at])) as u8;
                    for (k, pixel) in [colour, PALETTE[usize::from(mask[at])], [grey; 3]].into_iter().enumerate() {
                        sheet.put_pixel((column * cell + x) as u32, ((line * 3 + k) * cell + y) as u32, Rgb(pixel));
                    }
                }
            }
        }
    }
    sheet.save(path)?;
    Ok(())
}
