//! Krum and Multi-Krum: gradients with the nearest neighbours (Blanchard et al. 2017, arXiv 1703.02757).
//!
//! The score of a gradient is the sum of its distances (as in torchjd; squared in the paper) to the nearest `m - outliers - 2` others.
//! The update is the mean of the `selected` gradients with the lowest scores. It protects against wrong gradients and does not balance
//! tasks.
//!
//! Needs `outliers + 3` tasks. With fewer labelled tasks in a batch the update is the mean.

use mtl_rng::Stream;
use serde::{Deserialize, Serialize};

use crate::rows::Rows;
use crate::rules::{GramRule, Ruled};
use crate::{Balancer, Error, GradientsWrt, Method, Requirements};

/// Settings of Krum.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Variables of the compared gradients. Default: shared parameters.
    pub gradients_wrt: GradientsWrt,
    /// Number of gradients that may be wrong. Default: 0.
    pub outliers: usize,
    /// Number of gradients in the mean. Default: 1.
    pub selected: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { gradients_wrt: GradientsWrt::default(), outliers: 0, selected: 1 }
    }
}

impl Method for Config {
    fn build(&self, tasks: &[String]) -> Result<Box<dyn Balancer>, Error> {
        Error::ensure(self.selected > 0, "balancer.krum.selected", self.selected as f64, "one gradient at least")?;
        Ok(Ruled::gram(tasks, self.gradients_wrt, Krum { outliers: self.outliers, selected: self.selected }))
    }
}

/// The rule.
#[derive(Debug)]
pub struct Krum {
    outliers: usize,
    selected: usize,
}

impl GramRule for Krum {
    fn name(&self) -> &'static str {
        "krum"
    }

    fn requirements(&self) -> Requirements {
        Requirements { min_tasks: (self.outliers + 3).max(self.selected), ..Requirements::default() }
    }

    fn solve(&mut self, rows: &Rows, _stream: &mut Stream) -> Vec<f64> {
        let (m, gram) = (rows.gram.size(), &rows.gram);
        let neighbours = m.saturating_sub(self.outliers + 2);
        let selected = self.selected.min(m);
        if neighbours == 0 {
            return vec![1.0 / m as f64; m];
        }
        let score = |i: usize| -> f64 {
            let square = |j: usize| (gram.at(i, i) + gram.at(j, j) - 2.0 * gram.at(i, j)).max(0.0);
            let mut distances: Vec<f64> = (0..m).filter(|&j| j != i).map(|j| square(j).sqrt()).collect();
            distances.sort_by(f64::total_cmp);
            distances[..neighbours].iter().sum()
        };
        let mut order: Vec<(f64, usize)> = (0..m).map(|i| (score(i), i)).collect();
        order.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut weights = vec![0.0; m];
        order[..selected].iter().for_each(|&(_, i)| weights[i] = 1.0 / selected as f64);
        weights
    }
}
