//! Prior: a mixture of Gaussians per class over latent vectors, fitted to the encodings of training images.
//!
//! The decoder is trained on latents near encodings; `N(0, I)` also covers the gaps between them. A density fitted to the
//! encodings after training (ex-post density estimation, Ghosh et al. 2020, arXiv 1903.12436) improves samples at no training
//! cost. A class has at most [`COMPONENTS`] components with one covariance in common, that of the aggregated posterior within
//! components: covariance of `mu` around the components' means, plus mean `sigma^2` ([`mixture`]).

mod mixture;

use mtl_rng::Stream;
use mtl_tensor::{Init, Scope, Tensor, Var, to_f64};

use crate::Error;
use crate::embedding::row_of;
use mixture::{Mixture, Points};

/// Shrinkage of a class's covariance towards that of all images, as a number of images: with fewer images than dimensions the
/// class's own estimate is singular.
const SHRINKAGE: f64 = 32.0;

/// Largest number of components of a class.
pub const COMPONENTS: usize = 8;

/// Weights, means and Cholesky factor per class (last row: all images), stored with the model's parameters. `N(0, I)` before the
/// fit.
#[derive(Debug)]
pub struct Prior {
    /// `[K + 1, COMPONENTS]`; 0: a component that is not used.
    weights: Var,
    /// `[K + 1, COMPONENTS, latent]`.
    means: Var,
    /// `[K + 1, latent, latent]`.
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
            weights: scope.buffer("weight", (rows, COMPONENTS), Init::Constant(0.0))?,
            means: scope.buffer("mean", (rows, COMPONENTS, latent), Init::Constant(0.0))?,
            factors: scope.buffer("factor", (rows, latent, latent), Init::Constant(0.0))?,
            latent,
            classes,
        };
        let first: Vec<f64> = (0..rows * COMPONENTS).map(|at| f64::from(u8::from(at % COMPONENTS == 0))).collect();
        let identity: Vec<f64> =
            (0..rows * latent * latent).map(|at| f64::from(u8::from(at / latent % latent == at % latent))).collect();
        prior.set(first, vec![0.0; rows * COMPONENTS * latent], identity)?;
        Ok(prior)
    }

    /// Fits to `mu [N, latent]`, `variance [N, latent]` (row-major) and one label per image, with at most `components` components
    /// per class.
    ///
    /// # Errors
    /// No images, values that are not finite, a label outside the classes.
    pub fn fit(&self, mu: &[f64], variance: &[f64], labels: &[i32], components: usize) -> Result<(), Error> {
        let latent = self.latent;
        if labels.is_empty() || mu.len() != labels.len() * latent || variance.len() != mu.len() {
            return Err(Error::Labels { labels: labels.len(), images: mu.len() / latent });
        }
        if !mu.iter().chain(variance).all(|v| v.is_finite()) {
            return Err(Error::NonFinite { what: "an encoding".to_owned() });
        }
        let rows = labels.iter().map(|&label| row_of(label, self.classes)).collect::<Result<Vec<_>, _>>()?;
        let points = Points { mu, variance, latent };
        let everything: Vec<usize> = (0..labels.len()).collect();
        let components = components.clamp(1, COMPONENTS);
        let whole = Mixture::fit(&points, &everything, components, None);
        let (mut weights, mut means, mut factors) = (Vec::new(), Vec::new(), Vec::new());
        for class in 0..=self.classes {
            let members: Vec<usize> =
                everything.iter().copied().filter(|&at| class == self.classes || rows[at] == class).collect();
            let share = SHRINKAGE / (SHRINKAGE + members.len() as f64);
            let own = match members.is_empty() {
                true => None,
                false => Some(Mixture::fit(&points, &members, components, Some((&whole.covariance, share)))),
            };
            let mixture = own.as_ref().unwrap_or(&whole);
            let mut row = mixture.weights.clone();
            row.resize(COMPONENTS, 0.0);
            weights.extend(row);
            let mut row = mixture.means.concat();
            row.resize(COMPONENTS * latent, 0.0);
            means.extend(row);
            factors.extend(mixture::cholesky(&mixture.covariance, latent));
        }
        self.set(weights, means, factors)
    }

    /// One latent vector per label, `[B, latent]`, drawn in order: two batches from one stream equal one larger batch.
    /// `truncation` is a factor of the distance from the mean of the component.
    ///
    /// # Errors
    /// A label outside the classes.
    pub fn sample(&self, labels: &[i32], truncation: f64, stream: &mut Stream) -> Result<Tensor, Error> {
        let latent = self.latent;
        let (weights, means, factors) = (to_f64(&self.weights)?, to_f64(&self.means)?, to_f64(&self.factors)?);
        let mut values = Vec::with_capacity(labels.len() * latent);
        for &label in labels {
            let row = row_of(label, self.classes)?;
            let component = choose(&weights[row * COMPONENTS..][..COMPONENTS], stream.uniform());
            let mean = &means[(row * COMPONENTS + component) * latent..][..latent];
            let noise: Vec<f64> = (0..latent).map(|_| stream.normal()).collect();
            for i in 0..latent {
                let line = &factors[(row * latent + i) * latent..][..=i];
                let sum: f64 = line.iter().zip(&noise).map(|(l, e)| l * e).sum();
                values.push(mean[i] + truncation * sum);
            }
        }
        Ok(Tensor::from_vec(values, (labels.len(), latent), self.means.device())?.to_dtype(self.means.dtype())?)
    }

    /// Mean of the mixture of each label, `[B, latent]`.
    ///
    /// # Errors
    /// A label outside the classes.
    pub fn mean(&self, labels: &[i32]) -> Result<Tensor, Error> {
        let latent = self.latent;
        let (weights, means) = (to_f64(&self.weights)?, to_f64(&self.means)?);
        let mut values = vec![0.0; labels.len() * latent];
        for (&label, values) in labels.iter().zip(values.chunks_exact_mut(latent)) {
            let row = row_of(label, self.classes)?;
            for component in row * COMPONENTS..(row + 1) * COMPONENTS {
                let mean = &means[component * latent..][..latent];
                values.iter_mut().zip(mean).for_each(|(value, mean)| *value += weights[component] * mean);
            }
        }
        Ok(Tensor::from_vec(values, (labels.len(), latent), self.means.device())?.to_dtype(self.means.dtype())?)
    }

    fn set(&self, weights: Vec<f64>, means: Vec<f64>, factors: Vec<f64>) -> Result<(), Error> {
        for (var, values) in [(&self.weights, weights), (&self.means, means), (&self.factors, factors)] {
            var.set(&Tensor::from_vec(values, var.shape(), var.device())?.to_dtype(var.dtype())?)?;
        }
        Ok(())
    }
}

/// The component at `at`, 0 to 1, of the cumulated weights.
fn choose(weights: &[f64], at: f64) -> usize {
    let mut sum = 0.0;
    let found = weights.iter().position(|weight| {
        sum += weight;
        at < sum
    });
    // Weights in f32 may sum to slightly less than 1.
    found.unwrap_or_else(|| weights.iter().rposition(|&weight| weight > 0.0).unwrap_or(0))
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
    fn unfitted_is_standard_normal() {
        let drawn = to_f64(&prior(2, 3).sample(&[0, -1], 1.0, &mut Seed::new(4).stream("z", &[])).unwrap()).unwrap();
        let mut stream = Seed::new(4).stream("z", &[]);
        let mut image = || -> Vec<f64> {
            stream.uniform(); // the component
            (0..3).map(|_| stream.normal()).collect()
        };
        let plain = [image(), image()].concat();
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
        prior.fit(&mu, &vec![0.25; mu.len()], &labels, 1).unwrap();
        let n = 4000;
        let drawn = to_f64(&prior.sample(&vec![1; n], 1.0, &mut Seed::new(3).stream("z", &[])).unwrap()).unwrap();
        let mean = |f: &dyn Fn(&[f64]) -> f64| drawn.chunks(2).map(f).sum::<f64>() / n as f64;
        assert!((mean(&|z| z[0]) + 1.0).abs() < 0.1 && (mean(&|z| z[1]) - 5.0).abs() < 0.15);
        assert!((mean(&|z| (z[0] + 1.0) * (z[1] - 5.0)) + 1.0).abs() < 0.15);
        assert!((mean(&|z| (z[0] + 1.0).powi(2)) - 1.25).abs() < 0.1);
        assert!(prior.fit(&[f64::NAN, 0.0], &[1.0, 1.0], &[0], 1).is_err());
    }

    #[test]
    fn two_groups_of_a_class_are_two_components() {
        let prior = prior(1, 2);
        // One class around (-3, 0) for a quarter of the images, and around (3, 0) for the others.
        let mut stream = Seed::new(2).stream("data", &[]);
        let mu: Vec<f64> = (0..400)
            .flat_map(|at| [if at % 4 == 0 { -3.0 } else { 3.0 } + 0.5 * stream.normal(), stream.normal()])
            .collect();
        let between = |components: usize| {
            prior.fit(&mu, &vec![0.0; mu.len()], &[0; 400], components).unwrap();
            let drawn = to_f64(&prior.sample(&[0; 4000], 1.0, &mut Seed::new(3).stream("z", &[])).unwrap()).unwrap();
            let first: Vec<f64> = drawn.chunks(2).map(|z| z[0]).collect();
            let share = |low: f64, high: f64| {
                first.iter().filter(|z| (low..high).contains(*z)).count() as f64 / first.len() as f64
            };
            (share(-1.0, 1.0), share(-9.0, -1.0))
        };
        let (gap, left) = between(COMPONENTS);
        assert!(gap < 0.01 && (left - 0.25).abs() < 0.03, "{gap} {left}");
        assert!(between(1).0 > 0.15, "one Gaussian covers the gap");
        let mean = |components| {
            prior.fit(&mu, &vec![0.0; mu.len()], &[0; 400], components).unwrap();
            to_f64(&prior.mean(&[0]).unwrap()).unwrap()[0]
        };
        assert!((mean(COMPONENTS) - mean(1)).abs() < 0.01 && (mean(1) - 1.5).abs() < 0.1, "{}", mean(COMPONENTS));
        // Without a distance from the components' means there are as many latents as components.
        prior.fit(&mu, &vec![0.0; mu.len()], &[0; 400], 2).unwrap();
        let drawn = to_f64(&prior.sample(&[0; 50], 1e-9, &mut Seed::new(3).stream("z", &[])).unwrap()).unwrap();
        let mut first: Vec<i64> = drawn.chunks(2).map(|z| (z[0] * 1e3).round() as i64).collect();
        first.sort_unstable();
        first.dedup();
        assert_eq!(first.len(), 2);
    }
}
