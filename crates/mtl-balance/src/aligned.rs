//! Gradients turned and stretched until they are orthogonal and equally long.
//!
//! Aligned-MTL (Senushkin et al. 2023, alg. 1): of all such systems of gradients, the nearest to the given one. With
//! `G = V diag(s) V^T`, `w = sigma V diag(s^-1/2) V^T p`, `p` the preference, `1/m` each unless set. `sigma`, the common length, is the smallest
//! singular value of the gradients (the paper's, which cannot diverge), their median, or their root mean square.
//! Directions that are not there (dependent gradients) are left out.

use mtl_rng::Stream;
use serde::{Deserialize, Serialize};

use crate::gramian::{Gramian, OfGram};
use crate::preference::Counts;
use crate::rows::Rows;
use crate::solve::{Eigen, dot};
use crate::{Error, Preference, Route};

/// How long the aligned gradients are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Length {
    /// The smallest singular value that is not zero.
    #[default]
    Min,
    /// The median of them.
    Median,
    /// The root of the mean of their squares.
    Rmse,
}

/// Settings of Aligned-MTL.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where gradients are compared.
    pub route: Route,
    /// What each task counts; by default all alike.
    pub preference: Preference,
    /// How long the aligned gradients are: `min`, `median` or `rmse`.
    pub length: Length,
}

impl Config {
    /// The balancer for a run with these tasks.
    ///
    /// # Errors
    /// A preference for a task there is not, or that is not above 0.
    pub fn build(&self, tasks: &[String]) -> Result<Gramian<Aligned>, Error> {
        let counts = self.preference.among(tasks, "balancer.aligned.preference")?;
        Ok(Gramian::new(tasks, self.route, Aligned { length: self.length, counts }))
    }
}

/// The rule.
#[derive(Debug)]
pub struct Aligned {
    length: Length,
    counts: Counts,
}

impl OfGram for Aligned {
    fn name(&self) -> &'static str {
        "aligned"
    }

    fn solve(&mut self, rows: &Rows, _stream: &mut Stream) -> Vec<f64> {
        let m = rows.gram.size();
        let eigen = Eigen::of(&rows.gram);
        let mut values: Vec<f64> = eigen.present().map(|(value, _)| value).collect();
        values.sort_by(f64::total_cmp);
        let square = match self.length {
            Length::Min => values[0],
            // torch's median: the lower of the two in the middle.
            Length::Median => values[(values.len() - 1) / 2],
            Length::Rmse => values.iter().sum::<f64>() / values.len() as f64,
        };
        let preference = self.counts.shares(&rows.tasks);
        let mut weights = vec![0.0; m];
        for (value, vector) in eigen.present() {
            let along = (square / value).sqrt() * dot(vector, &preference);
            weights.iter_mut().zip(vector).for_each(|(w, v)| *w += along * v);
        }
        weights
    }
}
