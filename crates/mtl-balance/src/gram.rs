//! The Gram matrix of the task gradients.

use crate::Error;

/// Inner products of the task gradients, `G_ij = g_i . g_j`: symmetric, positive semi-definite.
#[derive(Clone, Debug, PartialEq)]
pub struct Gram {
    size: usize,
    entries: Vec<f64>,
}

impl Gram {
    /// A matrix of `size` rows from its entries, row-major.
    ///
    /// # Errors
    /// If there are not `size * size` entries. Whether they are finite is checked with the signals, where the tasks
    /// have names.
    pub fn new(size: usize, entries: Vec<f64>) -> Result<Self, Error> {
        if entries.len() == size * size {
            Ok(Self { size, entries })
        } else {
            Err(Error::GramSize { size, entries: entries.len() })
        }
    }

    /// A matrix from a function that gives the inner product of gradients `i` and `j`, called for `i <= j` only.
    ///
    /// # Errors
    /// Those of `product`.
    pub fn try_from_fn<E>(size: usize, mut product: impl FnMut(usize, usize) -> Result<f64, E>) -> Result<Self, E> {
        let mut entries = vec![0.0; size * size];
        for i in 0..size {
            for j in i..size {
                let value = product(i, j)?;
                entries[i * size + j] = value;
                entries[j * size + i] = value;
            }
        }
        Ok(Self { size, entries })
    }

    /// [`Gram::try_from_fn`] with a function that cannot fail.
    pub fn from_fn(size: usize, mut product: impl FnMut(usize, usize) -> f64) -> Self {
        let result: Result<Self, std::convert::Infallible> = Self::try_from_fn(size, |i, j| Ok(product(i, j)));
        match result {
            Ok(gram) => gram,
        }
    }

    /// The Gram matrix of gradients held as rows, summed in `f64`; rows of different lengths are compared as far as
    /// the shorter goes.
    pub fn of_rows(rows: &[Vec<f32>]) -> Self {
        let dot = |i: usize, j: usize| rows[i].iter().zip(&rows[j]).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
        Self::from_fn(rows.len(), dot)
    }

    /// Number of tasks.
    pub fn size(&self) -> usize {
        self.size
    }

    /// `g_i . g_j`.
    ///
    /// # Panics
    /// If `i` or `j` is not below [`Gram::size`]: a programming error.
    pub fn at(&self, i: usize, j: usize) -> f64 {
        assert!(i < self.size && j < self.size, "entry ({i}, {j}) of a Gram matrix of {} tasks", self.size);
        self.entries[i * self.size + j]
    }

    /// Row `i`.
    ///
    /// # Panics
    /// If `i` is not below [`Gram::size`]: a programming error.
    pub fn row(&self, i: usize) -> &[f64] {
        &self.entries[i * self.size..(i + 1) * self.size]
    }

    /// Indices of the gradients that are not zero. One shorter than 1e-10 of the longest counts as zero: it is the rounding error
    /// of a finished task in single precision.
    pub(crate) fn present(&self) -> Vec<usize> {
        let longest = (0..self.size).map(|i| self.at(i, i).sqrt()).fold(0.0, f64::max);
        (0..self.size).filter(|&i| self.at(i, i) > 0.0 && self.at(i, i).sqrt() > 1e-10 * longest).collect()
    }

    /// The matrix of some of the gradients, in the order of `some`.
    pub(crate) fn among(&self, some: &[usize]) -> Self {
        Self::from_fn(some.len(), |i, j| self.at(some[i], some[j]))
    }

    /// Cosine of the angle between gradients `i` and `j`; `None` if one of them is zero.
    pub fn cosine(&self, i: usize, j: usize) -> Option<f64> {
        let norms = self.at(i, i).sqrt() * self.at(j, j).sqrt();
        (norms > 0.0).then(|| (self.at(i, j) / norms).clamp(-1.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gram_of_rows() {
        let gram = Gram::of_rows(&[vec![1.0, 2.0], vec![-2.0, 1.0], vec![-1.0, -2.0]]);
        assert_eq!(gram, Gram::new(3, vec![5.0, 0.0, -5.0, 0.0, 5.0, 0.0, -5.0, 0.0, 5.0]).unwrap());
        assert_eq!(gram.cosine(0, 1), Some(0.0));
        assert!((gram.cosine(0, 2).unwrap() + 1.0).abs() < 1e-15);
        assert_eq!(Gram::of_rows(&[vec![0.0], vec![1.0]]).cosine(0, 1), None);
        assert!(Gram::new(2, vec![0.0; 3]).is_err());
    }
}
