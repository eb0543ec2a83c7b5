//! Sums of many numbers whose rounding error stays small.

use rayon::prelude::*;

use crate::Real;

/// Sum of each channel over images and pixels: the gradient of a bias.
pub(super) fn of_channels<T: Real>(channels: usize, pixels: usize, numbers: &[T]) -> Vec<T> {
    let batch = numbers.len() / (channels * pixels).max(1);
    (0..channels)
        .into_par_iter()
        .map(|channel| {
            let total: f64 =
                (0..batch).map(|image| sum(&numbers[(image * channels + channel) * pixels..][..pixels])).sum();
            T::of(total)
        })
        .collect()
}

/// Sum of a run in sixteen lanes, so that it vectorises and its rounding error stays small.
pub(super) fn sum<T: Real>(values: &[T]) -> f64 {
    let mut lanes = [T::default(); 16];
    let chunks = values.chunks_exact(16);
    let rest = chunks.remainder();
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += *value;
        }
    }
    lanes.iter().chain(rest).map(|value| value.f64()).sum()
}
