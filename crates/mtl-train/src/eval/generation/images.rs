//! Images in 8 bits with their classes: real and generated ones go to the networks alike.

use mtl_data::loader;
use mtl_gen::{Generator, Sampling};
use mtl_rng::Stream;
use mtl_tensor::{Device, Tensor, to_f64};

use crate::data::Plan;
use crate::error::{Error, Result};
use crate::eval::pictures::Tile;
use crate::store::atomic::sha256;

/// Images per batch.
pub(crate) const BATCH: usize = 64;

/// Images `[n, C, H, W]` in 8 bits.
///
/// Cost: `C * H * W` bytes per image, 12 KiB at 64x64 in colour.
#[derive(Clone, Debug)]
pub(crate) struct Images {
    /// Pixels, image after image.
    pub(super) bytes: Vec<u8>,
    /// Channels, height, width.
    pub(super) shape: (usize, usize, usize),
    /// Class of each image, negative where missing.
    pub classes: Vec<i32>,
}

impl Images {
    /// The images of some rows, without augmentation.
    ///
    /// # Errors
    /// Images that cannot be read.
    pub fn real(plan: &Plan, rows: &[usize]) -> Result<Self> {
        let schema = &plan.schema;
        let mut all = Self::empty((schema.channels, schema.height, schema.width));
        for rows in rows.chunks(BATCH) {
            let batch = loader::batch_of(&*plan.dataset, rows, plan.size())?;
            let targets: Vec<_> = plan.columns.iter().map(|&at| batch.targets[at].clone()).collect();
            all.classes.extend(schema.conditioning(&targets, rows.len()));
            all.bytes.extend(batch.images.iter().map(|value| byte(f64::from(*value))));
        }
        Ok(all)
    }

    /// One sample per label.
    ///
    /// # Errors
    /// A label outside the classes, a sample that is not finite.
    pub fn sampled(generator: &dyn Generator, labels: &[i32], stream: &mut Stream) -> Result<Self> {
        let mut all = Self::empty((0, 0, 0));
        for labels in labels.chunks(BATCH) {
            let images = generator.sample(labels, &Sampling::default(), stream)?;
            let (_, channels, height, width) = images.dims4()?;
            all.shape = (channels, height, width);
            let values = to_f64(&images)?;
            if values.iter().any(|value| !value.is_finite()) {
                return Err(Error::Model(mtl_model::Error::NonFinite { what: "a generated image".into() }));
            }
            all.bytes.extend(values.into_iter().map(byte));
            all.classes.extend(labels);
        }
        Ok(all)
    }

    fn empty(shape: (usize, usize, usize)) -> Self {
        Self { bytes: Vec::new(), shape, classes: Vec::new() }
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.classes.len()
    }

    /// Channels, height, width, classes.
    pub fn dims(&self, classes: usize) -> [usize; 4] {
        [self.shape.0, self.shape.1, self.shape.2, classes]
    }

    /// Hash of pixels and classes.
    pub fn sha256(&self) -> String {
        let classes: Vec<u8> = self.classes.iter().flat_map(|class| class.to_le_bytes()).collect();
        sha256(format!("{} {}", sha256(&self.bytes), sha256(&classes)).as_bytes())
    }

    /// Some of them.
    pub fn select(&self, rows: &[usize]) -> Self {
        let size = self.shape.0 * self.shape.1 * self.shape.2;
        let bytes = rows.iter().flat_map(|row| &self.bytes[row * size..][..size]).copied().collect();
        Self { bytes, shape: self.shape, classes: rows.iter().map(|&row| self.classes[row]).collect() }
    }

    /// One image as a tile of a picture.
    pub fn tile(&self, row: usize) -> Tile {
        let (channels, height, width) = self.shape;
        let size = channels * height * width;
        let values: Vec<f32> =
            self.bytes[row * size..][..size].iter().map(|byte| f32::from(*byte) / 127.5 - 1.0).collect();
        Tile::image(&values, self.shape)
    }

    /// Some of them as a batch `[B, C, H, W]` in `[-1, 1]`.
    ///
    /// # Errors
    /// Out of memory.
    pub fn batch(&self, rows: &[usize], device: &Device) -> Result<Tensor> {
        let (channels, height, width) = self.shape;
        let size = channels * height * width;
        let pixels = |row: &usize| &self.bytes[row * size..][..size];
        let values: Vec<f32> = rows.iter().flat_map(pixels).map(|byte| f32::from(*byte) / 127.5 - 1.0).collect();
        Ok(Tensor::from_slice(&values, (rows.len(), channels, height, width), device)?)
    }

    /// All of them, batch by batch.
    pub fn batches<'a>(&'a self, device: &'a Device) -> impl Iterator<Item = Result<Tensor>> + 'a {
        let rows: Vec<usize> = (0..self.len()).collect();
        let batch = move |at: usize| self.batch(&rows[at..(at + BATCH).min(rows.len())], device);
        (0..self.len()).step_by(BATCH).map(batch)
    }
}

/// A value in `[-1, 1]` in 8 bits, as images are written.
fn byte(value: f64) -> u8 {
    ((value.clamp(-1.0, 1.0) + 1.0) * 127.5).round() as u8
}
