//! SDMGrad: direction-oriented multi-objective descent (Xiao et al. 2023, algorithm 1, arXiv 2305.18409).
//!
//! The point `w` of the simplex minimises `(w + lambda/m)^T A (w + lambda/m)`, where `A` holds the products of gradients on *independent*
//! samples: the square of a noisy gradient is too large by its noise, the product of two independent ones is not. The update has the weights
//! `(w + lambda/m) / (1 + lambda)`. `w` takes 20 projected gradient steps with momentum from its last value, on `A` divided by
//! the squared mean length of the gradients (the authors take that length from `A`'s diagonal, which noise makes negative).
//!
//! Deviation from the paper: two halves of one batch replace the three batches, and the update uses both halves.

use serde::{Deserialize, Serialize};

use crate::rules::{Ruled, SplitBatchRule};
use crate::solve::{onto_simplex, product};
use crate::{Balancer, Error, Gram, Method};

/// Settings of SDMGrad.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Regularisation towards the mean gradient, 0 or more. Default: 0.3, as in the authors' experiments.
    pub lambda: f64,
    /// Learning rate of the steps, above 0. Default: 10, as in the authors' code.
    pub lr: f64,
    /// Momentum of the steps, at least 0 and below 1. Default: 0.5.
    pub momentum: f64,
    /// Number of steps, from 1 to 10,000. Default: 20.
    pub iterations: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { lambda: 0.3, lr: 10.0, momentum: 0.5, iterations: 20 }
    }
}

impl Method for Config {
    fn build(&self, tasks: &[String]) -> Result<Box<dyn Balancer>, Error> {
        let rule = "the regularisation must be a number of at least 0";
        Error::ensure(self.lambda.is_finite() && self.lambda >= 0.0, "balancer.sdmgrad.lambda", self.lambda, rule)?;
        let rule = "the learning rate must be a positive number";
        Error::ensure(self.lr.is_finite() && self.lr > 0.0, "balancer.sdmgrad.lr", self.lr, rule)?;
        let rule = "the momentum must be at least 0 and below 1";
        Error::ensure((0.0..1.0).contains(&self.momentum), "balancer.sdmgrad.momentum", self.momentum, rule)?;
        let (key, steps) = ("balancer.sdmgrad.iterations", self.iterations as f64);
        Error::ensure((1..=10_000).contains(&self.iterations), key, steps, "from 1 to 10000 steps")?;
        Ok(Ruled::split_batch(tasks, SdmGrad(self.clone())))
    }
}

/// The rule.
#[derive(Debug)]
pub struct SdmGrad(Config);

impl SplitBatchRule for SdmGrad {
    fn name(&self) -> &'static str {
        "sdmgrad"
    }

    fn solve(&self, gram: &Gram, halves: &Gram, simplex: &mut Vec<f64>) -> Vec<f64> {
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
