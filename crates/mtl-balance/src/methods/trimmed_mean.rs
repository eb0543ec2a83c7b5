//! Trimmed mean: the mean of each coordinate without its extremes (Yin et al. 2018, arXiv 1803.01498).
//!
//! Of the tasks' values of a coordinate the `trim` largest and the `trim` smallest are left out. It protects against wrong gradients and
//! does not balance tasks.
//!
//! Needs `2 trim + 1` tasks. With fewer labelled tasks in a batch, `trim` is lowered until one or two values remain.

use mtl_rng::Stream;
use serde::{Deserialize, Serialize};

use crate::rows::Rows;
use crate::rules::{GradientRule, Ruled};
use crate::vector::narrow;
use crate::{Aggregation, Balancer, Error, Method, Requirements};

/// Settings of the trimmed mean.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Number of values left out at each end. Default: 1.
    pub trim: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { trim: 1 }
    }
}

impl Method for Config {
    fn build(&self, tasks: &[String]) -> Result<Box<dyn Balancer>, Error> {
        Ok(Ruled::gradients(tasks, TrimmedMean { trim: self.trim }))
    }
}

/// The rule.
#[derive(Debug)]
pub struct TrimmedMean {
    trim: usize,
}

impl GradientRule for TrimmedMean {
    fn name(&self) -> &'static str {
        "trimmed_mean"
    }

    fn requirements(&self) -> Requirements {
        Requirements { outputs_update: true, min_tasks: 2 * self.trim + 1, ..Requirements::default() }
    }

    fn solve(&mut self, _rows: &Rows, gradients: &[&[f32]], _stream: &mut Stream) -> Result<Aggregation, Error> {
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
        Ok(Aggregation { weights: kept, vector: Some(vector) })
    }
}
