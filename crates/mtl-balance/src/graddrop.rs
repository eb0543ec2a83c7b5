//! Each coordinate goes with one sign, drawn by how much of the gradients has it.
//!
//! GradDrop (Chen et al. 2020, algorithm 1): with `P = (1 + sum_i g_i / sum_i |g_i|) / 2` and `U` uniform in [0, 1), a coordinate keeps
//! the positive parts where `P > U` and the negative ones where `P < U`; the update is the sum of what is kept. `leak` is the
//! share of each gradient that is let through regardless. Here on the gradients of the trunk's parameters.

use mtl_rng::Stream;
use serde::{Deserialize, Serialize};

use crate::coordinates::{Coordinates, OfGradients, narrow};
use crate::rows::Rows;
use crate::{Combination, Error};

/// Settings of GradDrop.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Share let through regardless, from 0 to 1. 0.
    pub leak: f64,
}

impl Config {
    /// The balancer for a run with these tasks.
    ///
    /// # Errors
    /// A share outside its range.
    pub fn build(&self, tasks: &[String]) -> Result<Coordinates<GradDrop>, Error> {
        let rule = "the share let through must be from 0 to 1";
        Error::unless((0.0..=1.0).contains(&self.leak), "balancer.graddrop.leak", self.leak, rule)?;
        Ok(Coordinates::new(tasks, GradDrop { leak: self.leak }))
    }
}

/// The rule.
#[derive(Debug)]
pub struct GradDrop {
    leak: f64,
}

impl OfGradients for GradDrop {
    fn name(&self) -> &'static str {
        "graddrop"
    }

    fn solve(&mut self, _rows: &Rows, gradients: &[&[f32]], stream: &mut Stream) -> Combination {
        let (vector, weights) = drop(gradients, self.leak, || stream.uniform());
        Combination { weights, vector: Some(vector) }
    }
}

/// The update, and what share of each gradient is in it; `uniform` is asked once for each coordinate, in their order, for the number
/// the sign is drawn by.
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
