//! Moving images by whole pixels.

use candle_core::{Result, Tensor};
use rayon::prelude::*;

use crate::Real;
use crate::real::{for_real, from_host, tensor, with_slice};
use crate::tape::{Value, composed, record1};

/// Each image by its own `(down, right)`, negative for up and left; uncovered pixels are 0. `[B, C, H, W]` to the same shape.
///
/// # Errors
/// Another number of shifts than images, other types than f32 and f64.
pub fn shift(x: &Tensor, by: &[(isize, isize)]) -> Result<Tensor> {
    let (batch, channels, height, width) = x.dims4()?;
    if by.len() != batch {
        candle_core::bail!("shift: {} shifts of {batch} images", by.len());
    }
    if composed(x) {
        return as_products(x, by);
    }
    let size = (channels, height, width);
    for_real!(x, T => {
        let values = with_slice::<T, _>(x, |x| moved::<T>(x, size, by))?;
        let back: Vec<_> = by.iter().map(|(down, right)| (-down, -right)).collect();
        let shape = x.shape().clone();
        record1("shift", x, Value::new(values, &shape), move |grad| {
            let dx = with_slice::<T, _>(grad, |grad| moved::<T>(grad, size, &back))?;
            Ok(Some(tensor(dx, &shape)?))
        })
    })
}

fn moved<T: Real>(x: &[T], (channels, height, width): (usize, usize, usize), by: &[(isize, isize)]) -> Vec<T> {
    let plane = (height * width).max(1);
    let mut y = vec![T::default(); x.len()];
    y.par_chunks_mut(plane).zip(x.par_chunks(plane)).enumerate().for_each(|(at, (y, x))| {
        let (down, right) = by[at / channels];
        // The columns that stay inside.
        let (first, last) = (right.max(0), (width as isize + right).min(width as isize));
        if first >= last {
            return;
        }
        for (to, line) in y.chunks_exact_mut(width).enumerate() {
            if let Some(from) = to.checked_add_signed(-down).filter(|&from| from < height) {
                let source = &x[from * width..][..width];
                let length = (last - first) as usize;
                line[first as usize..][..length].copy_from_slice(&source[(first - right) as usize..][..length]);
            }
        }
    });
    y
}

/// The same by two matrices of zeros and ones an image, on any device.
fn as_products(x: &Tensor, by: &[(isize, isize)]) -> Result<Tensor> {
    let (batch, channels, height, width) = x.dims4()?;
    let (mut rows, mut columns) = (vec![0.0; batch * height * height], vec![0.0; batch * width * width]);
    for (image, (down, right)) in by.iter().enumerate() {
        for to in 0..height {
            if let Some(from) = to.checked_add_signed(-down).filter(|&from| from < height) {
                rows[(image * height + to) * height + from] = 1.0;
            }
        }
        for to in 0..width {
            if let Some(from) = to.checked_add_signed(-right).filter(|&from| from < width) {
                columns[(image * width + from) * width + to] = 1.0;
            }
        }
    }
    let (rows, columns) = (from_host(rows, (batch, height, height), x)?, from_host(columns, (batch, width, width), x)?);
    let y = x.reshape((batch, channels * height, width))?.matmul(&columns)?; // shifted in x
    let y = y.reshape((batch * channels, height, width))?;
    let rows = rows.unsqueeze(1)?.broadcast_as((batch, channels, height, height))?.contiguous()?;
    rows.reshape((batch * channels, height, height))?.matmul(&y)?.reshape((batch, channels, height, width))
}
