//! A common descent direction near the mean gradient, without the bias of a batch's own noise.
//!
//! SDMGrad (Xiao et al. 2023, algorithm 1): `w` of the simplex makes `(w + lambda/m)^T A (w + lambda/m)` small, `A` the products of
//! gradients on *independent* images: the square of a noisy gradient is too large by its noise, the product of two is not. The
//! update has the weights `(w + lambda/m) / (1 + lambda)`. By 20 projected steps of gradient descent with momentum from the last `w`, on `A`
//! divided by the squared mean length of the gradients. (The authors take that from `A`'s diagonal, which noise makes negative.)
//!
//! Where we differ: the two halves of one batch stand for the authors' three batches, and the update uses both halves.

use mtl_rng::Stream;
use serde::{Deserialize, Serialize};

use crate::halves::{Halves, OfHalves};
use crate::solve::{onto_simplex, product};
use crate::{Error, Gram};

/// Settings of SDMGrad.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Pull towards the mean gradient, 0 or more. 0.3, what the authors' experiments use.
    pub lambda: f64,
    /// Learning rate of the steps. 10, the authors'.
    pub lr: f64,
    /// Their momentum, at least 0 and below 1. 0.5.
    pub momentum: f64,
    /// Their number. 20.
    pub iterations: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { lambda: 0.3, lr: 10.0, momentum: 0.5, iterations: 20 }
    }
}

impl Config {
    /// The balancer for a run with these tasks.
    ///
    /// # Errors
    /// Settings outside their range.
    pub fn build(&self, tasks: &[String]) -> Result<Halves<SdmGrad>, Error> {
        let rule = "the pull must be a number of at least 0";
        Error::unless(self.lambda.is_finite() && self.lambda >= 0.0, "balancer.sdmgrad.lambda", self.lambda, rule)?;
        let rule = "the learning rate must be a positive number";
        Error::unless(self.lr.is_finite() && self.lr > 0.0, "balancer.sdmgrad.lr", self.lr, rule)?;
        let rule = "the momentum must be at least 0 and below 1";
        Error::unless((0.0..1.0).contains(&self.momentum), "balancer.sdmgrad.momentum", self.momentum, rule)?;
        let (key, steps) = ("balancer.sdmgrad.iterations", self.iterations as f64);
        Error::unless((1..=10_000).contains(&self.iterations), key, steps, "from 1 to 10000 steps")?;
        Ok(Halves::new(tasks, SdmGrad(self.clone())))
    }
}

/// The rule.
#[derive(Debug)]
pub struct SdmGrad(Config);

impl OfHalves for SdmGrad {
    fn name(&self) -> &'static str {
        "sdmgrad"
    }

    fn solve(&self, (gram, halves): (&Gram, &Gram), simplex: &mut Vec<f64>, _stream: &mut Stream) -> Vec<f64> {
        let Config { lambda, lr, momentum, iterations } = self.0;
        let m = halves.size();
        let length = (0..m).map(|i| gram.at(i, i).sqrt()).sum::<f64>() / m as f64;
        let scale = length * length + 1e-8;
        let pulled = |w: &[f64]| -> Vec<f64> { w.iter().map(|w| w + lambda / m as f64).collect() };
        let mut velocity = vec![0.0; m];
        for _ in 0..iterations {
            for (v, slope) in velocity.iter_mut().zip(product(halves, &pulled(simplex))) {
                *v = momentum * *v + slope / scale;
            }
            let moved: Vec<f64> = simplex.iter().zip(&velocity).map(|(w, v)| w - lr * v).collect();
            *simplex = onto_simplex(&moved);
        }
        pulled(simplex).iter().map(|w| w / (1.0 + lambda)).collect()
    }
}
