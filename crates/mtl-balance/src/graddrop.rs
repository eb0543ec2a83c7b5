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
        let (vector, weights) = self.drop(gradients, || stream.uniform());
        Combination { weights, vector: Some(vector) }
    }
}

impl GradDrop {
    /// `uniform` is asked once for each coordinate, in their order.
    fn drop(&self, rows: &[&[f32]], mut uniform: impl FnMut() -> f64) -> (Vec<f32>, Vec<f64>) {
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
                let share = if keeps { 1.0 } else { self.leak };
                total += share * value;
                *kept += share;
            }
            *sum = narrow(total);
        }
        kept.iter_mut().for_each(|kept| *kept /= columns as f64);
        (vector, kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// torchjd 0.18.0 with these numbers for U.
    #[test]
    fn given_the_draws_equal_torchjd() {
        let rows: [&[f32]; 3] = [&[1.0, -2.0, 0.5, 0.3], &[-1.5, 0.7, 1.1, -0.2], &[0.4, 0.9, -1.8, 0.6]];
        for (leak, expected) in [(0.0, [1.4, 1.6, -1.8, -0.2]), (0.3, [0.95, 1.0, -1.32, 0.07])] {
            let mut draws = [0.1, 0.366_666_666_666_666_7, 0.633_333_333_333_333_3, 0.9].into_iter();
            let (vector, _) = GradDrop { leak }.drop(&rows, || draws.next().unwrap());
            assert!(
                vector.iter().zip(expected).all(|(a, b): (&f32, f64)| (f64::from(*a) - b).abs() < 1e-6),
                "{vector:?}"
            );
        }
    }
}
