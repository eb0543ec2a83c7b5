//! Terms of the GAN's losses: means over taps, weighted sums with names, the approximated gradient penalty.

use mtl_tensor::Tensor;

use crate::{Error, Loss, value};

/// Mean squared norm of the gradient of scores with respect to the images, from scores before and after noise of standard
/// deviation `sigma` on each pixel value: `E (sigma noise . grad)^2 = sigma^2 |grad|^2`, to first order in sigma.
pub(super) fn squared_gradient(before: &Tensor, after: &Tensor, sigma: f64) -> Result<Tensor, Error> {
    Ok(((before - after)?.sqr()?.mean_all()? / (sigma * sigma))?)
}

/// Running mean of scalars over the taps.
#[derive(Default)]
pub(super) struct Mean {
    sum: Option<Tensor>,
    count: usize,
}

impl Mean {
    pub(super) fn add(&mut self, term: Tensor) -> Result<(), Error> {
        self.sum = Some(match self.sum.take() {
            Some(sum) => (sum + term)?,
            None => term,
        });
        self.count += 1;
        Ok(())
    }

    pub(super) fn finish(self) -> Result<Tensor, Error> {
        Ok((self.sum.ok_or(Error::NoTaps)? / self.count as f64)?)
    }
}

/// Weighted sum with its terms by name.
#[derive(Default)]
pub(super) struct Sum {
    total: Option<Tensor>,
    terms: Vec<(String, f64)>,
}

impl Sum {
    /// Adds a term; the list has its value before the weight.
    pub(super) fn add(&mut self, name: &str, term: Mean, weight: f64) -> Result<(), Error> {
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
    pub(super) fn note(&mut self, name: &str, term: Mean) -> Result<(), Error> {
        self.terms.push((name.to_owned(), value(&term.finish()?)?));
        Ok(())
    }

    pub(super) fn finish(self) -> Result<Loss, Error> {
        Ok(Loss { total: self.total.ok_or(Error::NoTaps)?, terms: self.terms })
    }
}

#[cfg(test)]
mod tests {
    use mtl_rng::Seed;
    use mtl_tensor::{DType, Device, Var, backward, ops, optim};

    use super::*;

    #[test]
    fn approximated_penalty_is_the_exact_one_on_a_critic_with_a_known_gradient() {
        // D(x) = softplus(w . x): the gradient is sigmoid(w . x) w. 8 images of 12 pixels, 500 draws of noise each.
        let (images, pixels, draws, sigma) = (8, 12, 500, 0.01);
        let mut stream = Seed::new(4).stream("critic", &[]);
        let mut normals = |rows: usize, columns: usize| {
            let values = stream.normals(rows * columns);
            Tensor::from_vec(values, (rows, columns), &Device::Cpu).unwrap().to_dtype(DType::F64).unwrap()
        };
        let (x, w) = (normals(images, pixels), normals(pixels, 1));
        let score = |x: &Tensor| ops::softplus(&x.matmul(&w).unwrap()).unwrap();
        let many = x.repeat((draws, 1)).unwrap();
        let moved = (&many + (normals(images * draws, pixels) * sigma).unwrap()).unwrap();
        let approximated = value(&squared_gradient(&score(&many), &score(&moved), sigma).unwrap()).unwrap();

        let x = Var::from_tensor(&x).unwrap();
        let grads = backward(&score(&x).sum_all().unwrap()).unwrap();
        let exact = optim::square_norm(grads.get(&x).unwrap()).unwrap() / images as f64;
        assert!((approximated / exact - 1.0).abs() < 0.05, "{approximated} instead of {exact}");
    }
}
