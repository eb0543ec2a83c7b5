//! Features of images: a matrix with one row per image.

use std::borrow::Cow;

use crate::error::Error;

/// Features `[images, width]`, row-major, all finite.
///
/// Cost: a view of the caller's slice; 8 bytes.
#[derive(Clone, Debug)]
pub struct Features<'a> {
    values: Values<'a>,
    width: usize,
}

/// Numbers of either precision. Every measure computes in `f64`.
#[derive(Clone, Debug)]
pub enum Values<'a> {
    /// Single precision, as networks give them.
    F32(Cow<'a, [f32]>),
    /// Double precision.
    F64(Cow<'a, [f64]>),
}

impl Values<'_> {
    fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::F64(values) => values.len(),
        }
    }

    fn get(&self, at: usize) -> f64 {
        match self {
            Self::F32(values) => f64::from(values[at]),
            Self::F64(values) => values[at],
        }
    }
}

impl<'a> From<&'a [f32]> for Values<'a> {
    fn from(values: &'a [f32]) -> Self {
        Self::F32(Cow::Borrowed(values))
    }
}

impl<'a> From<&'a [f64]> for Values<'a> {
    fn from(values: &'a [f64]) -> Self {
        Self::F64(Cow::Borrowed(values))
    }
}

impl From<Vec<f32>> for Values<'_> {
    fn from(values: Vec<f32>) -> Self {
        Self::F32(Cow::Owned(values))
    }
}

impl From<Vec<f64>> for Values<'_> {
    fn from(values: Vec<f64>) -> Self {
        Self::F64(Cow::Owned(values))
    }
}

impl<'a> Features<'a> {
    /// The features of `values.len() / width` images, image after image.
    ///
    /// # Errors
    /// A length that `width` does not divide, a width of 0, a number that is NaN or infinite.
    pub fn new(values: impl Into<Values<'a>>, width: usize) -> Result<Self, Error> {
        let values = values.into();
        if width == 0 || !values.len().is_multiple_of(width) {
            return Err(Error::Shape { len: values.len(), into: width, rows: "rows of features" });
        }
        let bad = match &values {
            Values::F32(values) => values.iter().position(|value| !value.is_finite()),
            Values::F64(values) => values.iter().position(|value| !value.is_finite()),
        };
        match bad {
            Some(at) => Err(Error::Feature { image: at / width, feature: at % width, value: values.get(at) }),
            None => Ok(Self { values, width }),
        }
    }

    /// Number of images.
    pub fn images(&self) -> usize {
        self.values.len() / self.width
    }

    /// Number of features per image.
    pub fn width(&self) -> usize {
        self.width
    }

    /// A copy of some rows, in that order.
    ///
    /// # Panics
    /// A row that does not exist.
    pub fn select(&self, rows: &[usize]) -> Features<'static> {
        let (from, width) = (|row: &usize| row * self.width, self.width);
        let values = match &self.values {
            Values::F32(values) => {
                Values::F32(rows.iter().flat_map(|row| values[from(row)..][..width].iter().copied()).collect())
            }
            Values::F64(values) => {
                Values::F64(rows.iter().flat_map(|row| values[from(row)..][..width].iter().copied()).collect())
            }
        };
        Features { values, width }
    }

    /// The features of one image by several networks side by side.
    ///
    /// # Errors
    /// Different numbers of images, no network.
    pub fn joined(parts: &[Self]) -> Result<Features<'static>, Error> {
        let width = parts.iter().map(Self::width).sum::<usize>();
        let images = parts.first().map_or(0, Self::images);
        let mut values = vec![0.0; images * width];
        let mut first = 0;
        for part in parts {
            if part.images() != images {
                return Err(Error::Shape { len: part.values.len(), into: images, rows: "images" });
            }
            let (zero, mut row) = (vec![0.0; part.width], vec![0.0; part.width]);
            for (image, out) in values.chunks_exact_mut(width).enumerate() {
                part.rows_into(image, &zero, &mut row);
                out[first..first + part.width].copy_from_slice(&row);
            }
            first += part.width;
        }
        Features::new(values, width)
    }

    /// Writes the rows from `first` on into `out`, minus `centre`.
    pub(super) fn rows_into(&self, first: usize, centre: &[f64], out: &mut [f64]) {
        let range = first * self.width..first * self.width + out.len();
        match &self.values {
            Values::F32(values) => {
                for (out, row) in out.chunks_exact_mut(self.width).zip(values[range].chunks_exact(self.width)) {
                    out.iter_mut().zip(row).zip(centre).for_each(|((out, v), centre)| *out = f64::from(*v) - centre);
                }
            }
            Values::F64(values) => {
                for (out, row) in out.chunks_exact_mut(self.width).zip(values[range].chunks_exact(self.width)) {
                    out.iter_mut().zip(row).zip(centre).for_each(|((out, v), centre)| *out = v - centre);
                }
            }
        }
    }

    /// Mean of each feature.
    pub(super) fn mean(&self) -> Vec<f64> {
        let mut sums = vec![0.0; self.width];
        let mut row = vec![0.0; self.width];
        let zero = vec![0.0; self.width];
        for image in 0..self.images() {
            self.rows_into(image, &zero, &mut row);
            sums.iter_mut().zip(&row).for_each(|(sum, value)| *sum += value);
        }
        let count = self.images().max(1) as f64;
        sums.iter_mut().for_each(|sum| *sum /= count);
        sums
    }

    /// At least `needed` images, or [`Error::TooFew`].
    pub(super) fn at_least(&self, needed: usize, measure: &'static str, which: &'static str) -> Result<(), Error> {
        let found = self.images();
        if found < needed { Err(Error::TooFew { measure, which, found, needed }) } else { Ok(()) }
    }
}

/// The same width, or [`Error::Width`].
pub(super) fn same_width(real: &Features<'_>, generated: &Features<'_>) -> Result<usize, Error> {
    let (left, right) = (real.width, generated.width);
    if left == right { Ok(left) } else { Err(Error::Width { left, right }) }
}
