//! The gradients that have most company, and no others.
//!
//! (Multi-)Krum (Blanchard et al. 2017): each gradient's score is the sum of its distances (torchjd's; the paper squares them) to
//! the nearest `m - outliers - 2` others; the update is the mean of the `selected` ones with the lowest scores. A guard against
//! gradients that are wrong altogether, not a balance. Needs `outliers + 3` tasks; if fewer have labels in a batch there is no company
//! to speak of: the mean.

use mtl_rng::Stream;
use serde::{Deserialize, Serialize};

use crate::gramian::{Gramian, OfGram};
use crate::rows::Rows;
use crate::{Error, Route};

/// Settings of Krum.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where gradients are compared.
    pub route: Route,
    /// How many gradients may be wrong. 0.
    pub outliers: usize,
    /// How many gradients are used. 1.
    pub selected: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { route: Route::default(), outliers: 0, selected: 1 }
    }
}

impl Config {
    /// The balancer for a run with these tasks.
    ///
    /// # Errors
    /// No gradient selected.
    pub fn build(&self, tasks: &[String]) -> Result<Gramian<Krum>, Error> {
        Error::unless(self.selected > 0, "balancer.krum.selected", self.selected as f64, "one gradient at least")?;
        Ok(Gramian::new(tasks, self.route, Krum { outliers: self.outliers, selected: self.selected }))
    }
}

/// The rule.
#[derive(Debug)]
pub struct Krum {
    outliers: usize,
    selected: usize,
}

impl OfGram for Krum {
    fn name(&self) -> &'static str {
        "krum"
    }

    fn fewest_tasks(&self) -> usize {
        (self.outliers + 3).max(self.selected)
    }

    fn solve(&mut self, rows: &Rows, _stream: &mut Stream) -> Vec<f64> {
        let (m, gram) = (rows.gram.size(), &rows.gram);
        let company = m.saturating_sub(self.outliers + 2);
        let selected = self.selected.min(m);
        if company == 0 {
            return vec![1.0 / m as f64; m];
        }
        let score = |i: usize| -> f64 {
            let square = |j: usize| (gram.at(i, i) + gram.at(j, j) - 2.0 * gram.at(i, j)).max(0.0);
            let mut distances: Vec<f64> = (0..m).filter(|&j| j != i).map(|j| square(j).sqrt()).collect();
            distances.sort_by(f64::total_cmp);
            distances[..company].iter().sum()
        };
        let mut order: Vec<(f64, usize)> = (0..m).map(|i| (score(i), i)).collect();
        order.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut weights = vec![0.0; m];
        order[..selected].iter().for_each(|&(_, i)| weights[i] = 1.0 / selected as f64);
        weights
    }
}
