//! Pictures: grids of samples, and image | truth | prediction in rows.

use std::path::Path;

use image::{Rgb, RgbImage};
use mtl_data::image::colours::{UNLABELLED, class_colour};
use mtl_metrics::Prediction;
use mtl_task::Target;
use mtl_tensor::{Tensor, to_f64};

use crate::error::{Error, Result};

/// Pixels between pictures of a grid.
const GAP: u32 = 2;
/// Small images are enlarged by whole factors until their shorter side has at least this many pixels.
const LEGIBLE: usize = 64;

/// One picture of a grid.
#[derive(Clone, Debug)]
pub struct Tile {
    picture: RgbImage,
    frame: Option<[u8; 3]>,
}

impl Tile {
    /// An image `[C, H, W]` in `[-1, 1]`.
    pub fn image(values: &[f32], (channels, height, width): (usize, usize, usize)) -> Self {
        let byte = |v: f32| ((v.clamp(-1.0, 1.0) + 1.0) * 127.5).round() as u8;
        let at = |channel: usize, y: u32, x: u32| byte(values[(channel * height + y as usize) * width + x as usize]);
        Self::draw(height, width, |y, x| {
            // Of more than three channels the first three; the last of fewer stands for those that are missing.
            [0, 1, 2].map(|channel: usize| at(channel.min(channels - 1), y, x))
        })
    }

    /// A mask `[H, W]` in class colours; pixels without a label are dark violet.
    pub fn mask(pixels: &[u8], height: usize, width: usize) -> Self {
        Self::draw(height, width, |y, x| class_colour(pixels[y as usize * width + x as usize]))
    }

    /// A dense map `[H, W]`, black to white over `range`; pixels without a label are dark violet.
    pub fn dense(values: &[f32], height: usize, width: usize, range: (f32, f32)) -> Self {
        let span = (range.1 - range.0).max(1e-6);
        Self::draw(height, width, |y, x| {
            let value = values[y as usize * width + x as usize];
            if value.is_nan() { UNLABELLED } else { [(((value - range.0) / span).clamp(0.0, 1.0) * 255.0) as u8; 3] }
        })
    }

    /// Writes the picture on its own, at its own size.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write(&self, path: &Path) -> Result<()> {
        write_png(path, &self.picture)
    }

    /// A picture that was written before.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn read(path: &Path) -> Result<Self> {
        let picture =
            image::open(path).map_err(|error| Error::io("cannot read", path)(std::io::Error::other(error)))?;
        Ok(Self { picture: picture.into_rgb8(), frame: None })
    }

    /// The picture, enlarged by a whole factor until its shorter side has at least `side` pixels.
    pub fn enlarged(&self, side: u32) -> RgbImage {
        let (width, height) = self.picture.dimensions();
        let factor = side.div_ceil(width.min(height)).max(1);
        RgbImage::from_fn(width * factor, height * factor, |x, y| *self.picture.get_pixel(x / factor, y / factor))
    }

    /// Adds a coloured frame.
    pub fn framed(self, colour: [u8; 3]) -> Self {
        Self { frame: Some(colour), ..self }
    }

    fn draw(height: usize, width: usize, colour: impl Fn(u32, u32) -> [u8; 3]) -> Self {
        let picture = RgbImage::from_fn(width as u32, height as u32, |x, y| Rgb(colour(y, x)));
        Self { picture, frame: None }
    }
}

/// The images of a batch `[B, C, H, W]` as tiles.
///
/// # Errors
/// Another rank than 4.
pub fn tiles(images: &Tensor) -> Result<Vec<Tile>> {
    let (_, channels, height, width) = images.dims4()?;
    let values: Vec<f32> = to_f64(images)?.into_iter().map(|v| v as f32).collect();
    Ok(values
        .chunks_exact(channels * height * width)
        .map(|image| Tile::image(image, (channels, height, width)))
        .collect())
}

/// Truth and prediction of a pixel task as two tiles on the same scale; `None` for tasks of whole images.
pub fn compared(truth: &Target, predicted: &Prediction, at: usize, height: usize, width: usize) -> Option<[Tile; 2]> {
    let range = at * height * width..(at + 1) * height * width;
    match (truth, predicted) {
        (Target::Mask(truth), Prediction::Mask(predicted)) => {
            Some([Tile::mask(&truth[range.clone()], height, width), Tile::mask(&predicted[range], height, width)])
        }
        (Target::Dense(truth), Prediction::Dense(predicted)) => {
            let known = truth[range.clone()].iter().filter(|v| !v.is_nan());
            let ends = known.fold((f32::MAX, f32::MIN), |(low, high), v| (low.min(*v), high.max(*v)));
            let ends = if ends.0 < ends.1 { ends } else { (0.0, 1.0) };
            Some([
                Tile::dense(&truth[range.clone()], height, width, ends),
                Tile::dense(&predicted[range], height, width, ends),
            ])
        }
        _ => None,
    }
}

/// Arranges tiles in rows of `columns` and writes a PNG.
///
/// # Errors
/// [`Error::Io`].
pub fn write_grid(path: &Path, tiles: &[Tile], columns: usize) -> Result<()> {
    let Some(first) = tiles.first() else {
        return Ok(());
    };
    let (width, height) = first.picture.dimensions();
    let factor = (LEGIBLE as u32).div_ceil(width.min(height)).max(1);
    let (width, height) = (width * factor, height * factor);
    let columns = columns.clamp(1, tiles.len()) as u32;
    let rows = (tiles.len() as u32).div_ceil(columns);
    let mut grid = RgbImage::from_pixel(columns * (width + 2 * GAP), rows * (height + 2 * GAP), Rgb([24, 24, 24]));
    for (at, tile) in tiles.iter().enumerate() {
        let (left, top) = (at as u32 % columns * (width + 2 * GAP), at as u32 / columns * (height + 2 * GAP));
        if let Some(colour) = tile.frame {
            for y in 0..height + 2 * GAP {
                for x in 0..width + 2 * GAP {
                    grid.put_pixel(left + x, top + y, Rgb(colour));
                }
            }
        }
        for y in 0..height {
            for x in 0..width {
                grid.put_pixel(left + GAP + x, top + GAP + y, *tile.picture.get_pixel(x / factor, y / factor));
            }
        }
    }
    write_png(path, &grid)
}

/// Writes a picture; creates its folder if needed.
///
/// # Errors
/// [`Error::Io`].
pub fn write_png(path: &Path, picture: &RgbImage) -> Result<()> {
    save(path, &image::DynamicImage::ImageRgb8(picture.clone()))
}

/// Writes any picture as PNG.
///
/// # Errors
/// [`Error::Io`].
pub fn save(path: &Path, picture: &image::DynamicImage) -> Result<()> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture
        .write_to(&mut bytes, image::ImageFormat::Png)
        .map_err(|error| Error::io("cannot encode", path)(std::io::Error::other(error)))?;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(Error::io("cannot create", folder))?;
    }
    std::fs::write(path, bytes.into_inner()).map_err(Error::io("cannot write", path))
}
