//! Reading of photographs: files to bytes at the size of training, on all threads.

use std::path::PathBuf;

use mtl_data::image::picture;
use mtl_data::{Dataset, Scenes, Size, scenes};
use rayon::prelude::*;
use serde_json::json;

use crate::workload::{Repeated, Workload};

/// Files; a step reads as many of them as the batch.
const FILES: usize = 64;
const STORED: Size = Size { height: 384, width: 512 };
const SIDE: usize = 128;

/// JPEG and PNG.
pub fn workloads() -> Vec<Workload> {
    ["jpg", "png"].map(workload).into()
}

fn workload(end: &'static str) -> Workload {
    let folder = std::env::temp_dir().join("mtl-bench-reading");
    let case = json!({ "folder": folder, "end": end, "side": SIDE });
    Workload {
        name: format!("reading/{end}"),
        about: format!("decode and resize of 512x384 {end} files to {SIDE}x{SIDE}, all threads"),
        batches: vec![FILES],
        kernel: true,
        case,
        peers: vec!["pillow"],
        flop: Box::new(|_| None),
        build: Box::new(move |batch| {
            let files = files(&folder, end)?;
            let size = Size { height: SIDE, width: SIDE };
            Ok(Box::new(Repeated(move || {
                let read = files[..batch.min(FILES)].par_iter().map(|path| picture::load(path, 3, size, None));
                let pixels: usize = read.map(|image| image.map(|(bytes, _)| bytes.len())).sum::<Result<_, _>>()?;
                anyhow::ensure!(pixels == batch.min(FILES) * 3 * SIDE * SIDE, "{pixels} bytes");
                Ok(())
            })))
        }),
    }
}

/// Scenes with noise, as photographs have it, saved once.
fn files(folder: &PathBuf, end: &str) -> anyhow::Result<Vec<PathBuf>> {
    std::fs::create_dir_all(folder)?;
    let scenes = Scenes::new(scenes::Config { count: FILES, size: 96, ..scenes::Config::default() })?;
    let paths: Vec<PathBuf> = (0..FILES).map(|at| folder.join(format!("{at}.{end}"))).collect();
    for (row, path) in paths.iter().enumerate().filter(|(_, path)| !path.is_file()) {
        let image = scenes.sample(row, STORED)?.image;
        let plane = STORED.pixels();
        let mut noise = mtl_rng::Seed::new(row as u64).stream("noise", &[]);
        let picture = image::RgbImage::from_fn(STORED.width as u32, STORED.height as u32, |x, y| {
            let at = y as usize * STORED.width + x as usize;
            let grain = noise.below(9) as u8;
            image::Rgb([0, 1, 2].map(|c| image[c * plane + at].saturating_sub(4).saturating_add(grain)))
        });
        let partial = path.with_extension(format!("partial.{end}"));
        picture.save(&partial)?;
        std::fs::rename(partial, path)?;
    }
    Ok(paths)
}
