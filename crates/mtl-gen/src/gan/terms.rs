//! Terms of the GAN's losses: means over taps, weighted sums with names.

use mtl_tensor::Tensor;

use crate::{Error, Loss, value};

/// Running mean of scalars over the taps.
#[derive(Default)]
pub(crate) struct Mean {
    sum: Option<Tensor>,
    count: usize,
}

impl Mean {
    pub(crate) fn add(&mut self, term: Tensor) -> Result<(), Error> {
        self.sum = Some(match self.sum.take() {
            Some(sum) => (sum + term)?,
            None => term,
        });
        self.count += 1;
        Ok(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(crate) fn finish(self) -> Result<Tensor, Error> {
        Ok((self.sum.ok_or(Error::NoTaps)? / self.count as f64)?)
    }
}

/// Weighted sum with its terms by name.
#[derive(Default)]
pub(crate) struct Sum {
    total: Option<Tensor>,
    terms: Vec<(String, f64)>,
}

impl Sum {
    /// Adds a term; the list has its value before the weight.
    pub(crate) fn add(&mut self, name: &str, term: Mean, weight: f64) -> Result<(), Error> {
        let term = term.finish()?;
        self.terms.push((name.to_owned(), value(&term)?));
        let weighted = (term * weight)?;
        self.total = Some(match self.total.take() {
            Some(total) => (total + weighted)?,
            None => weighted,
        });
        Ok(())
    }

    /// Lists a value for logs that is not part of the loss.
    pub(crate) fn note(&mut self, name: &str, term: Mean) -> Result<(), Error> {
        self.terms.push((name.to_owned(), value(&term.finish()?)?));
        Ok(())
    }

    /// Lists a number for logs.
    pub(crate) fn value(&mut self, name: &str, value: f64) {
        self.terms.push((name.to_owned(), value));
    }

    pub(crate) fn finish(self) -> Result<Loss, Error> {
        Ok(Loss { total: self.total.ok_or(Error::NoTaps)?, terms: self.terms })
    }
}
