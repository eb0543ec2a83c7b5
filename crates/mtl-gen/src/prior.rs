//! Prior: one Gaussian per class over latent vectors, fitted to the encodings of training images.
//!
//! The decoder is trained on latents near encodings; `N(0, I)` also covers the gaps between them. A density fitted to the
//! encodings after training (ex-post density estimation, Ghosh et al. 2020, arXiv 1903.12436) improves samples at no training
//! cost. Mean and covariance are those of the aggregated posterior
//! `q(z | class) = mean over images of N(mu_i, diag sigma_i^2)`: mean of `mu`, covariance of `mu` plus mean `sigma^2`.

use mtl_rng::Stream;
use mtl_tensor::{Init, Scope, Tensor, Var, to_f64};

use crate::Error;
use crate::embedding::row_of;

/// Shrinkage of a class's covariance towards that of all images, as a number of images: with fewer images than dimensions the
/// class's own estimate is singular.
const SHRINKAGE: f64 = 32.0;

/// Mean and Cholesky factor per class (last row: all images), stored with the model's parameters. `N(0, I)` before the fit.
#[derive(Debug)]
pub struct Prior {
    means: Var,
    factors: Var,
    latent: usize,
    classes: usize,
}

impl Prior {
    /// Standard normal distribution for every class.
    ///
    /// # Errors
    /// A parameter name that is taken.
    pub fn new(scope: &Scope, classes: usize, latent: usize) -> Result<Self, Error> {
        let rows = classes + 1;
        let prior = Self {
            means: scope.buffer("mean", (rows, latent), Init::Constant(0.0))?,
            factors: scope.buffer("factor", (rows, latent, latent), Init::Constant(0.0))?,
            latent,
            classes,
        };
        let identity: Vec<f64> =
            (0..rows * latent * latent).map(|at| f64::from(u8::from(at / latent % latent == at % latent))).collect();
        prior.set(vec![0.0; rows * latent], identity)?;
        Ok(prior)
    }

    /// Fits to `mu [N, latent]`, `variance [N, latent]` (row-major) and one label per image.
    ///
    /// # Errors
    /// No images, values that are not finite, a label outside the classes.
    pub fn fit(&self, mu: &[f64], variance: &[f64], labels: &[i32]) -> Result<(), Error> {
        let latent = self.latent;
        if labels.is_empty() || mu.len() != labels.len() * latent || variance.len() != mu.len() {
            return Err(Error::Labels { labels: labels.len(), images: mu.len() / latent });
        }
        if !mu.iter().chain(variance).all(|v| v.is_finite()) {
            return Err(Error::NonFinite { what: "an encoding".to_owned() });
        }
        let rows = labels.iter().map(|&label| row_of(label, self.classes)).collect::<Result<Vec<_>, _>>()?;
        let all: Vec<usize> = (0..labels.len()).collect();
        let (whole_mean, whole) = moments(mu, variance, &all, latent);
        let (mut means, mut factors) = (Vec::new(), Vec::new());
        for class in 0..=self.classes {
            let members: Vec<usize> =
                all.iter().copied().filter(|&at| class == self.classes || rows[at] == class).collect();
            let (mut mean, mut covariance) = (whole_mean.clone(), whole.clone());
            if !members.is_empty() {
                let (own_mean, own) = moments(mu, variance, &members, latent);
                let share = SHRINKAGE / (SHRINKAGE + members.len() as f64);
                covariance.iter_mut().zip(own).for_each(|(whole, own)| *whole = share * *whole + (1.0 - share) * own);
                mean = own_mean;
            }
            means.extend(mean);
            factors.extend(cholesky(&covariance, latent));
        }
        self.set(means, factors)
    }

    /// One latent vector per label, `[B, latent]`, drawn in order: two batches from one stream equal one larger batch.
    /// `truncation` is a factor of the distance from the mean of the class.
    ///
    /// # Errors
    /// A label outside the classes.
    pub fn sample(&self, labels: &[i32], truncation: f64, stream: &mut Stream) -> Result<Tensor, Error> {
        let latent = self.latent;
        let (means, factors) = (to_f64(&self.means)?, to_f64(&self.factors)?);
        let mut values = Vec::with_capacity(labels.len() * latent);
        for &label in labels {
            let row = row_of(label, self.classes)?;
            let noise: Vec<f64> = (0..latent).map(|_| stream.normal()).collect();
            for i in 0..latent {
                let line = &factors[(row * latent + i) * latent..][..=i];
                let sum: f64 = line.iter().zip(&noise).map(|(l, e)| l * e).sum();
                values.push(means[row * latent + i] + truncation * sum);
            }
        }
        Ok(Tensor::from_vec(values, (labels.len(), latent), self.means.device())?.to_dtype(self.means.dtype())?)
    }

    fn set(&self, means: Vec<f64>, factors: Vec<f64>) -> Result<(), Error> {
        for (var, values) in [(&self.means, means), (&self.factors, factors)] {
            var.set(&Tensor::from_vec(values, var.shape(), var.device())?.to_dtype(var.dtype())?)?;
        }
        Ok(())
    }
}

/// Mean and covariance (plus mean posterior variance on the diagonal) of some rows.
fn moments(mu: &[f64], variance: &[f64], members: &[usize], latent: usize) -> (Vec<f64>, Vec<f64>) {
    let n = members.len() as f64;
    let mut mean = vec![0.0; latent];
    for &member in members {
        mean.iter_mut().zip(&mu[member * latent..]).for_each(|(mean, v)| *mean += v / n);
    }
    let mut covariance = vec![0.0; latent * latent];
    for &member in members {
        let centred: Vec<f64> = mu[member * latent..][..latent].iter().zip(&mean).map(|(v, mean)| v - mean).collect();
        for i in 0..latent {
            for j in 0..=i {
                covariance[i * latent + j] += centred[i] * centred[j] / n;
            }
            covariance[i * latent + i] += variance[member * latent + i] / n;
        }
    }
    for i in 0..latent {
        for j in 0..i {
            covariance[j * latent + i] = covariance[i * latent + j];
        }
    }
    (mean, covariance)
}

/// Lower triangular `L` with `L L^T` the matrix; directions without variance become zero rows.
fn cholesky(matrix: &[f64], n: usize) -> Vec<f64> {
    let mut l = vec![0.0; n * n];
    for i in 0..n {
        for j in 0..=i {
            let known: f64 = (0..j).map(|k| l[i * n + k] * l[j * n + k]).sum();
            let rest = matrix[i * n + j] - known;
            l[i * n + j] = match (i == j, l[j * n + j]) {
                (true, _) => rest.max(0.0).sqrt(),
                (false, pivot) if pivot > 1e-9 => rest / pivot,
                (false, _) => 0.0,
            };
        }
    }
    l
}

#[cfg(test)]
mod tests {
    use mtl_rng::Seed;
    use mtl_tensor::{DType, Device, Params};

    use super::*;

    fn prior(classes: usize, latent: usize) -> Prior {
        let params = Params::new(Seed::new(1), DType::F64, &Device::Cpu);
        Prior::new(&params.scope("prior"), classes, latent).unwrap()
    }

    #[test]
    fn cholesky_by_hand() {
        // [[4, 2], [2, 10]] = [[2, 0], [1, 3]] [[2, 1], [0, 3]]
        assert_eq!(cholesky(&[4.0, 2.0, 2.0, 10.0], 2), [2.0, 0.0, 1.0, 3.0]);
        assert_eq!(cholesky(&[0.0, 0.0, 0.0, 9.0], 2), [0.0, 0.0, 0.0, 3.0]);
    }

    #[test]
    fn unfitted_is_standard_normal() {
        let drawn = to_f64(&prior(2, 3).sample(&[0, -1], 1.0, &mut Seed::new(4).stream("z", &[])).unwrap()).unwrap();
        let mut stream = Seed::new(4).stream("z", &[]);
        let plain: Vec<f64> = (0..6).map(|_| stream.normal()).collect();
        assert_eq!(drawn, plain);
    }

    #[test]
    fn samples_have_the_moments_of_the_encodings() {
        let prior = prior(2, 2);
        // Class 0 around (1, 0), class 1 around (-1, 5), correlated, each with posterior variance 0.25.
        let mut stream = Seed::new(2).stream("data", &[]);
        let (mut mu, mut labels) = (Vec::new(), Vec::new());
        for at in 0..4000 {
            let (a, b) = (stream.normal(), stream.normal());
            mu.extend(if at % 2 == 0 { [1.0 + a, a + b] } else { [-1.0 + a, 5.0 - a + b] });
            labels.push(at % 2);
        }
        prior.fit(&mu, &vec![0.25; mu.len()], &labels).unwrap();
        let n = 4000;
        let drawn = to_f64(&prior.sample(&vec![1; n], 1.0, &mut Seed::new(3).stream("z", &[])).unwrap()).unwrap();
        let mean = |f: &dyn Fn(&[f64]) -> f64| drawn.chunks(2).map(f).sum::<f64>() / n as f64;
        assert!((mean(&|z| z[0]) + 1.0).abs() < 0.1 && (mean(&|z| z[1]) - 5.0).abs() < 0.15);
        assert!((mean(&|z| (z[0] + 1.0) * (z[1] - 5.0)) + 1.0).abs() < 0.15);
        assert!((mean(&|z| (z[0] + 1.0).powi(2)) - 1.25).abs() < 0.1);
        assert!(prior.fit(&[f64::NAN, 0.0], &[1.0, 1.0], &[0]).is_err());
    }
}
