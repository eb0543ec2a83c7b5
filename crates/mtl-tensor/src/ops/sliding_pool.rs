//! Pooling over windows that overlap or reach over the border.

use candle_core::{D, Result, Tensor};
use rayon::prelude::*;

use super::pool::composed_max;
use crate::Real;
use crate::real::{for_real, from_host, tensor, with_slice};
use crate::tape::{Saved, Value, composed, record1};

/// Windows of `k x k` pixels, `stride` apart, the first one `padding` pixels above and left of the image. Only pixels of the
/// image are pooled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sliding {
    /// Height and width of a window.
    pub k: usize,
    /// Distance of two windows.
    pub stride: usize,
    /// Rows and columns beyond each border, less than `k`.
    pub padding: usize,
}

/// Maximum over sliding windows: `[B, C, H, W] -> [B, C, (H + 2 p - k) / s + 1, ...]`. The gradient goes to the first maximum of a
/// window, as in PyTorch. NaN wins over any number.
///
/// # Errors
/// A padded image smaller than the window, a padding of `k` or more.
pub fn sliding_max_pool2d(x: &Tensor, windows: Sliding) -> Result<Tensor> {
    let planes = windows.of(x, "sliding_max_pool2d")?;
    if composed(x) {
        // Pixels beyond the border are copies of those inside the same window, so they change no maximum.
        return composed_max(&planes.split(x)?);
    }
    for_real!(x, T => {
        let values = with_slice::<T, _>(x, |x| planes.fold(x, |best, value| if value > best || value.is_nan() { value } else { best }))?;
        let (saved, shape) = (Saved::new(x), x.shape().clone());
        record1("sliding_max_pool2d", x, Value::new(values, planes.shape()), move |grad| {
            let dx = with_slice::<T, _>(saved.get()?, |x| with_slice::<T, _>(grad, |grad| planes.gradient_to_maxima(x, grad)))??;
            Ok(Some(tensor(dx, shape.clone())?))
        })
    })
}

/// Mean over sliding windows, of the pixels inside the image (PyTorch's `count_include_pad=False`). Shapes as
/// [`sliding_max_pool2d`].
///
/// # Errors
/// As [`sliding_max_pool2d`].
pub fn sliding_avg_pool2d(x: &Tensor, windows: Sliding) -> Result<Tensor> {
    let planes = windows.of(x, "sliding_avg_pool2d")?;
    if composed(x) {
        // Copies have the weight zero.
        let weights = from_host(planes.weights(), (planes.out.0, planes.out.1, planes.windows.k.pow(2)), x)?;
        return planes.split(x)?.broadcast_mul(&weights)?.sum(D::Minus1);
    }
    for_real!(x, T => {
        let counts = planes.counts();
        let values = with_slice::<T, _>(x, |x| {
            let mut sums = planes.fold(x, |sum, value| sum + value);
            sums.par_chunks_mut(counts.len()).for_each(|plane| {
                plane.iter_mut().zip(&counts).for_each(|(sum, count)| *sum *= T::of(1.0 / *count as f64));
            });
            sums
        })?;
        let shape = x.shape().clone();
        record1("sliding_avg_pool2d", x, Value::new(values, planes.shape()), move |grad| {
            let dx = with_slice::<T, _>(grad, |grad| planes.spread(grad))?;
            Ok(Some(tensor(dx, shape.clone())?))
        })
    })
}

/// Windows on the planes of a tensor.
#[derive(Clone, Copy)]
struct Planes {
    windows: Sliding,
    dims: (usize, usize),
    size: (usize, usize),
    out: (usize, usize),
}

impl Sliding {
    fn of(self, x: &Tensor, op: &str) -> Result<Planes> {
        let (b, c, h, w) = x.dims4()?;
        let Self { k, stride, padding } = self;
        if k == 0 || stride == 0 || padding >= k || h.min(w) == 0 || h.min(w) + 2 * padding < k {
            candle_core::bail!("{op}: {self:?} on {:?}", x.shape());
        }
        let out = |length: usize| (length + 2 * padding - k) / stride + 1;
        Ok(Planes { windows: self, dims: (b, c), size: (h, w), out: (out(h), out(w)) })
    }

    /// The pixels of the window at `at` along one axis.
    fn range(self, at: usize, length: usize) -> std::ops::Range<usize> {
        let first = at * self.stride;
        first.saturating_sub(self.padding)..(first + self.k).saturating_sub(self.padding).min(length)
    }
}

impl Planes {
    fn shape(&self) -> (usize, usize, usize, usize) {
        (self.dims.0, self.dims.1, self.out.0, self.out.1)
    }

    fn pixels(&self) -> usize {
        self.size.0 * self.size.1
    }

    /// Rows of each window joined by `join`, then its columns.
    fn fold<T: Real>(&self, x: &[T], join: impl Fn(T, T) -> T + Sync) -> Vec<T> {
        let (width, out_width) = (self.size.1, self.out.1);
        let mut values = vec![T::default(); self.dims.0 * self.dims.1 * self.out.0 * out_width];
        let planes = values.par_chunks_mut(self.out.0 * out_width).zip(x.par_chunks(self.pixels()));
        planes.for_each_init(
            || vec![T::default(); width],
            |line, (values, plane)| {
                for (at, out) in values.chunks_exact_mut(out_width).enumerate() {
                    let rows = self.windows.range(at, self.size.0);
                    line.copy_from_slice(&plane[rows.start * width..][..width]);
                    for row in rows.skip(1) {
                        let row = &plane[row * width..][..width];
                        line.iter_mut().zip(row).for_each(|(joined, value)| *joined = join(*joined, *value));
                    }
                    for (at, value) in out.iter_mut().enumerate() {
                        let columns = &line[self.windows.range(at, width)];
                        *value = columns[1..].iter().fold(columns[0], |joined, value| join(joined, *value));
                    }
                }
            },
        );
        values
    }

    /// Every window with its rows and columns, in the order of the results of a plane.
    fn each(&self) -> impl Iterator<Item = (std::ops::Range<usize>, std::ops::Range<usize>)> {
        let columns = self.out.1;
        let window = move |at: usize| {
            (self.windows.range(at / columns, self.size.0), self.windows.range(at % columns, self.size.1))
        };
        (0..self.out.0 * columns).map(window)
    }

    /// Pixels in each window of a plane.
    fn counts(&self) -> Vec<usize> {
        self.each().map(|(rows, columns)| rows.len() * columns.len()).collect()
    }

    fn gradient_to_maxima<T: Real>(&self, x: &[T], grad: &[T]) -> Vec<T> {
        let mut dx = vec![T::default(); x.len()];
        let grads = grad.par_chunks(self.out.0 * self.out.1);
        dx.par_chunks_mut(self.pixels()).zip(x.par_chunks(self.pixels())).zip(grads).for_each(|((dx, x), grad)| {
            for ((rows, columns), grad) in self.each().zip(grad) {
                let mut place = rows.start * self.size.1 + columns.start;
                for row in rows {
                    for here in columns.clone().map(|column| row * self.size.1 + column) {
                        if x[here] > x[place] || x[here].is_nan() {
                            place = here;
                        }
                    }
                }
                dx[place] += *grad;
            }
        });
        dx
    }

    fn spread<T: Real>(&self, grad: &[T]) -> Vec<T> {
        let mut dx = vec![T::default(); self.dims.0 * self.dims.1 * self.pixels()];
        dx.par_chunks_mut(self.pixels()).zip(grad.par_chunks(self.out.0 * self.out.1)).for_each(|(dx, grad)| {
            for ((rows, columns), grad) in self.each().zip(grad) {
                let share = *grad * T::of(1.0 / (rows.len() * columns.len()) as f64);
                for row in rows {
                    dx[row * self.size.1..][columns.clone()].iter_mut().for_each(|dx| *dx += share);
                }
            }
        });
        dx
    }

    /// Positions of the `k` pixels of each window along one axis, and whether each is inside: the others are replaced by the
    /// first pixel inside.
    fn taps(&self, length: usize, out: usize) -> (Vec<u32>, Vec<bool>) {
        let tap = |at: usize| {
            let inside = self.windows.range(at / self.windows.k, length);
            let pixel =
                (at / self.windows.k * self.windows.stride + at % self.windows.k).wrapping_sub(self.windows.padding);
            if inside.contains(&pixel) { (pixel as u32, true) } else { (inside.start as u32, false) }
        };
        (0..out * self.windows.k).map(tap).unzip()
    }

    /// `[B, C, H, W] -> [B, C, Ho, Wo, k k]` from ops whose gradients candle has right on every device.
    fn split(&self, x: &Tensor) -> Result<Tensor> {
        let ((b, c), (oh, ow), k) = (self.dims, self.out, self.windows.k);
        let index = |length, out| Tensor::new(self.taps(length, out).0, x.device());
        x.contiguous()?
            .index_select(&index(self.size.0, oh)?, 2)?
            .index_select(&index(self.size.1, ow)?, 3)?
            .reshape(vec![b, c, oh, k, ow, k])?
            .permute(vec![0, 1, 2, 4, 3, 5])?
            .reshape((b, c, oh, ow, k * k))
    }

    /// Weights `[Ho, Wo, k k]` of a mean over the pixels inside.
    fn weights(&self) -> Vec<f64> {
        let (rows, columns) = (self.taps(self.size.0, self.out.0).1, self.taps(self.size.1, self.out.1).1);
        let k = self.windows.k;
        let window = |(at, count): (usize, usize)| {
            let (rows, columns) = (&rows[at / self.out.1 * k..][..k], &columns[at % self.out.1 * k..][..k]);
            let weight = move |inside: bool| if inside { 1.0 / count as f64 } else { 0.0 };
            rows.iter().flat_map(move |row| columns.iter().map(move |column| weight(*row && *column)))
        };
        self.counts().into_iter().enumerate().flat_map(window).collect()
    }
}
