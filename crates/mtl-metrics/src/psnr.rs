//! PSNR: peak signal-to-noise ratio of reconstructed images.
//!
//! `PSNR = 10 log10(2^2 / MSE)` in dB for images in `[-1, 1]` (peak to peak 2), computed per image and averaged.
//! An image's PSNR is at most [`Psnr::CAP_DB`]: that of identical images is infinite, and would make the mean infinite. The
//! cap corresponds to an MSE of 4e-10, far below half a grey step of 8-bit images (1.5e-5).

use crate::error::{Error, divide, same_length};
use crate::score::{Direction, Score};

/// Sum of PSNR over images. `n` of its score is the number of images.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Psnr {
    sum_db: f64,
    images: u64,
}

impl Psnr {
    /// The PSNR of identical images, in dB.
    pub const CAP_DB: f64 = 100.0;
    const PEAK_TO_PEAK: f64 = 2.0;

    /// An empty sum.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one batch, both `[images, ...]` row-major with values in `[-1, 1]`. Reconstructions outside the range are
    /// not clamped: clamp them first to score the picture as written to disk.
    ///
    /// # Errors
    /// Slices of different lengths or not divisible into images; NaN or infinite values.
    pub fn add(&mut self, original: &[f32], reconstruction: &[f32], images: usize) -> Result<(), Error> {
        same_length(original.len(), reconstruction.len())?;
        let size = divide(original.len(), images, "images")?;
        for (what, values) in [("original image value", original), ("reconstructed image value", reconstruction)] {
            if let Some(index) = values.iter().position(|value| !value.is_finite()) {
                let hint = "image values must be finite; the model has diverged: lower the learning rate";
                return Err(Error::NonFinite { what, index, value: values[index], hint });
            }
        }
        if size == 0 {
            return Ok(());
        }
        for (original, reconstruction) in original.chunks_exact(size).zip(reconstruction.chunks_exact(size)) {
            let square: f64 =
                original.iter().zip(reconstruction).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum();
            let mse = square / size as f64;
            // MSE 0 gives +infinity, which the cap bounds.
            self.sum_db += (10.0 * (Self::PEAK_TO_PEAK.powi(2) / mse).log10()).min(Self::CAP_DB);
            self.images += 1;
        }
        Ok(())
    }

    /// Adds the sum of another part of the data.
    pub fn merge(&mut self, other: &Self) {
        self.sum_db += other.sum_db;
        self.images += other.images;
    }

    /// Mean over images, in dB.
    pub fn psnr(&self) -> Option<f64> {
        (self.images > 0).then(|| self.sum_db / self.images as f64)
    }

    /// `psnr`; empty without images.
    pub fn scores(&self) -> Vec<Score> {
        self.psnr()
            .map(|value| Score {
                name: "psnr".to_owned(),
                value,
                unit: "dB".into(),
                direction: Direction::HigherIsBetter,
                n: self.images as usize,
            })
            .into_iter()
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worked_example() {
        let mut psnr = Psnr::new();
        // MSE 0.04 and 4: 10 log10(100) = 20 dB and 10 log10(1) = 0 dB; the mean of the two, not the PSNR of the mean.
        psnr.add(&[0.5, -0.5, 1.0, 1.0], &[0.75, -0.5 + 0.132_287_57, -1.0, -1.0], 2).unwrap();
        assert!((psnr.psnr().unwrap() - 10.0).abs() < 1e-5, "{psnr:?}");
        assert_eq!((psnr.scores()[0].unit.as_ref(), psnr.scores()[0].n), ("dB", 2));
    }

    #[test]
    fn identical_images_are_capped() {
        let mut psnr = Psnr::new();
        psnr.add(&[0.1, 0.2], &[0.1, 0.2], 1).unwrap();
        assert_eq!(psnr.psnr(), Some(100.0));
        assert!(Psnr::new().scores().is_empty());
    }

    #[test]
    fn merging_equals_streaming() {
        let a: Vec<f32> = (0..12).map(|i| (i as f32 * 0.7).sin()).collect();
        let b: Vec<f32> = (0..12).map(|i| (i as f32 * 0.6).cos()).collect();
        let mut whole = Psnr::new();
        whole.add(&a, &b, 4).unwrap();
        let mut merged = Psnr::new();
        for part in [0..3, 3..12] {
            let mut one = Psnr::new();
            one.add(&a[part.clone()], &b[part.clone()], part.len() / 3).unwrap();
            merged.merge(&one);
        }
        // The order of the additions differs, so the last bits may.
        assert!((merged.psnr().unwrap() - whole.psnr().unwrap()).abs() < 1e-12);
        assert_eq!(merged.images, whole.images);
    }

    #[test]
    fn wrong_input_is_an_error_and_changes_nothing() {
        let mut psnr = Psnr::new();
        assert!(psnr.add(&[0.0], &[0.0, 0.0], 1).is_err());
        assert!(psnr.add(&[0.0; 3], &[0.0; 3], 2).is_err());
        assert!(psnr.add(&[0.0, 0.0], &[0.0, f32::NAN], 2).is_err());
        assert!(psnr.add(&[0.0, f32::INFINITY], &[0.0, 0.0], 2).is_err());
        assert_eq!(psnr, Psnr::new());
    }
}
