//! GradDrop: gradient sign dropout (Chen et al. 2020, algorithm 1, arXiv 2010.06808).
//!
//! With `P = (1 + sum_i g_i / sum_i |g_i|) / 2` and `U` uniform in [0, 1), a coordinate keeps the positive parts where `P > U` and the
//! negative parts where `P < U`. The update is the sum of these parts. A share `leak` of each gradient is always kept. Applied to the
//! gradients of the trunk's parameters.

use mtl_rng::Stream;
use serde::{Deserialize, Serialize};

use crate::rows::Rows;
use crate::rules::{GradientRule, Ruled};
use crate::vector::narrow;
use crate::{Aggregation, Balancer, Error, Method};

/// Settings of GradDrop.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Share of each gradient that is always kept, from 0 to 1. Default: 0.
    pub leak: f64,
}

impl Method for Config {
    fn build(&self, tasks: &[String]) -> Result<Box<dyn Balancer>, Error> {
        let rule = "the share that is always kept must be from 0 to 1";
        Error::ensure((0.0..=1.0).contains(&self.leak), "balancer.graddrop.leak", self.leak, rule)?;
        Ok(Ruled::gradients(tasks, GradDrop { leak: self.leak }))
    }
}

/// The rule.
#[derive(Debug)]
pub struct GradDrop {
    leak: f64,
}

impl GradientRule for GradDrop {
    fn name(&self) -> &'static str {
        "graddrop"
    }

    fn solve(&mut self, _rows: &Rows, gradients: &[&[f32]], stream: &mut Stream) -> Result<Aggregation, Error> {
        let (vector, weights) = drop(gradients, self.leak, || stream.uniform());
        Ok(Aggregation { weights, vector: Some(vector) })
    }
}

/// The update, and the share of each gradient in it. `uniform` gives the random number in [0, 1) of each coordinate, in order.
pub fn drop(rows: &[&[f32]], leak: f64, mut uniform: impl FnMut() -> f64) -> (Vec<f32>, Vec<f64>) {
    let columns = rows[0].len();
    let mut vector = vec![0.0; columns];
    let mut kept = vec![0.0f64; rows.len()];
    for (column, sum) in vector.iter_mut().enumerate() {
        let values = || rows.iter().map(|row| f64::from(row[column]));
        let (all, size) = (values().sum::<f64>(), values().map(f64::abs).sum::<f64>());
        let positive = if size > 0.0 { 0.5 * (1.0 + all / size) } else { 0.5 };
        let u = uniform();
        let mut total = 0.0;
        for (value, kept) in values().zip(&mut kept) {
            let keeps = (positive > u && value > 0.0) || (positive < u && value < 0.0);
            let share = if keeps { 1.0 } else { leak };
            total += share * value;
            *kept += share;
        }
        *sum = narrow(total);
    }
    kept.iter_mut().for_each(|kept| *kept /= columns as f64);
    (vector, kept)
}
