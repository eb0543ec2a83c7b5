//! Aligned-MTL: gradients made orthogonal and equally long (Senushkin et al. 2023, algorithm 1, arXiv 2305.19000).
//!
//! Of all systems of orthogonal gradients of equal length, the nearest to the given one. With `G = V diag(s) V^T`,
//! `w = sigma V diag(s^-1/2) V^T p`, where `p` is the preference, `1/m` each by default. The common length `sigma` is the smallest
//! singular value of the gradients (the paper's, which cannot diverge), their median, or their root mean square.
//!
//! Singular values of zero (dependent gradients) are left out.

use mtl_rng::Stream;
use serde::{Deserialize, Serialize};

use crate::preference::Importance;
use crate::rows::Rows;
use crate::rules::{GramRule, Ruled};
use crate::solve::{Eigen, dot};
use crate::{Balancer, Error, GradientsWrt, Method, Preference};

/// Common length of the aligned gradients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Length {
    /// The smallest nonzero singular value of the gradients.
    #[default]
    Min,
    /// The median of the nonzero singular values.
    Median,
    /// The root mean square of the nonzero singular values.
    Rmse,
}

/// Settings of Aligned-MTL.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Variables of the compared gradients. Default: shared parameters.
    pub gradients_wrt: GradientsWrt,
    /// Relative importance of each task. Default: all equal.
    pub preference: Preference,
    /// Common length of the aligned gradients: `min` (default), `median` or `rmse`.
    pub length: Length,
}

impl Method for Config {
    fn build(&self, tasks: &[String]) -> Result<Box<dyn Balancer>, Error> {
        let importance = self.preference.among(tasks, "balancer.aligned_mtl.preference")?;
        Ok(Ruled::gram(tasks, self.gradients_wrt, AlignedMtl { length: self.length, importance }))
    }
}

/// The rule.
#[derive(Debug)]
pub struct AlignedMtl {
    length: Length,
    importance: Importance,
}

impl GramRule for AlignedMtl {
    fn name(&self) -> &'static str {
        "aligned_mtl"
    }

    fn solve(&mut self, rows: &Rows, _stream: &mut Stream) -> Vec<f64> {
        let m = rows.gram.size();
        let eigen = Eigen::of(&rows.gram);
        let mut values: Vec<f64> = eigen.nonzero().map(|(value, _)| value).collect();
        values.sort_by(f64::total_cmp);
        let square = match self.length {
            Length::Min => values[0],
            // torch's median: the lower of the two in the middle.
            Length::Median => values[(values.len() - 1) / 2],
            Length::Rmse => values.iter().sum::<f64>() / values.len() as f64,
        };
        let preference = self.importance.shares(&rows.tasks);
        let mut weights = vec![0.0; m];
        for (value, vector) in eigen.nonzero() {
            let along = (square / value).sqrt() * dot(vector, &preference);
            weights.iter_mut().zip(vector).for_each(|(w, v)| *w += along * v);
        }
        weights
    }
}
