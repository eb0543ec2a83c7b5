//! The mean of each coordinate without its extremes.
//!
//! Trimmed mean (Yin et al. 2018): of the tasks' values of a coordinate the `trim` largest and the `trim` smallest are left out. A
//! guard against gradients that are wrong altogether, not a balance. Needs `2 trim + 1` tasks; if fewer have labels in a batch, as many are left
//! out as leave one or two.

use mtl_rng::Stream;
use serde::{Deserialize, Serialize};

use crate::coordinates::{Coordinates, OfGradients, narrow};
use crate::rows::Rows;
use crate::{Combination, Error};

/// Settings of the trimmed mean.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Values left out at each end. 1.
    pub trim: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { trim: 1 }
    }
}

impl Config {
    /// The balancer for a run with these tasks.
    ///
    /// # Errors
    /// None so far.
    pub fn build(&self, tasks: &[String]) -> Result<Coordinates<TrimmedMean>, Error> {
        Ok(Coordinates::new(tasks, TrimmedMean { trim: self.trim }))
    }
}

/// The rule.
#[derive(Debug)]
pub struct TrimmedMean {
    trim: usize,
}

impl OfGradients for TrimmedMean {
    fn name(&self) -> &'static str {
        "trimmed_mean"
    }

    fn fewest_tasks(&self) -> usize {
        2 * self.trim + 1
    }

    fn solve(&mut self, _rows: &Rows, gradients: &[&[f32]], _stream: &mut Stream) -> Combination {
        let (m, columns) = (gradients.len(), gradients[0].len());
        let trim = self.trim.min((m - 1) / 2);
        let mut kept = vec![0.0f64; m];
        let mut order: Vec<usize> = (0..m).collect();
        let mut mean = |column: usize| {
            order.sort_by(|&i, &j| gradients[i][column].total_cmp(&gradients[j][column]));
            let inner = &order[trim..m - trim];
            inner.iter().for_each(|&i| kept[i] += 1.0);
            narrow(inner.iter().map(|&i| f64::from(gradients[i][column])).sum::<f64>() / inner.len() as f64)
        };
        let vector = (0..columns).map(&mut mean).collect();
        kept.iter_mut().for_each(|kept| *kept /= (columns * (m - 2 * trim)) as f64);
        Combination { weights: kept, vector: Some(vector) }
    }
}
