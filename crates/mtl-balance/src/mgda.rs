//! The shortest common descent direction: `w = argmin |sum_i w_i g_i|^2` over weights that are not negative and sum to 1.
//!
//! MGDA (Desideri 2012; Sener and Koltun 2018, eq. 3). The update lowers every loss or is zero, where no direction lowers
//! all (Pareto-stationary). Solved exactly by Wolfe's method; the papers' Frank-Wolfe iterations stop up to 7 % from it.
//!
//! The shortest combination leans towards the shortest gradient: a task that is almost done takes over. `rows` compares
//! gradients of another scale; the weights found so are then applied to the gradients as they are, as in the authors' code, and
//! nothing is promised of that update.

use mtl_rng::Stream;
use serde::{Deserialize, Serialize};

use crate::gramian::{Gramian, OfGram};
use crate::rows::Rows;
use crate::solve::shortest;
use crate::{Error, Gram, Route};

/// What gradients are divided by before they are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// Nothing.
    #[default]
    None,
    /// Their length.
    L2,
    /// The loss.
    Loss,
    /// The loss times the length.
    LossL2,
}

/// Settings of MGDA.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where gradients are compared.
    pub route: Route,
    /// What they are divided by (`none`, `l2`, `loss`, `loss_l2`, which the authors' code calls `loss+`).
    pub rows: Scale,
}

impl Config {
    /// The balancer for a run with these tasks.
    ///
    /// # Errors
    /// None so far.
    pub fn build(&self, tasks: &[String]) -> Result<Gramian<Mgda>, Error> {
        Ok(Gramian::new(tasks, self.route, Mgda { rows: self.rows }))
    }
}

/// The rule.
#[derive(Debug)]
pub struct Mgda {
    rows: Scale,
}

impl OfGram for Mgda {
    fn name(&self) -> &'static str {
        "mgda"
    }

    fn needs_positive_losses(&self) -> bool {
        matches!(self.rows, Scale::Loss | Scale::LossL2)
    }

    fn solve(&mut self, rows: &Rows, _stream: &mut Stream) -> Vec<f64> {
        let by = |i: usize| match self.rows {
            Scale::None => 1.0,
            Scale::L2 => rows.gram.at(i, i).sqrt(),
            Scale::Loss => rows.losses[i],
            Scale::LossL2 => rows.losses[i] * rows.gram.at(i, i).sqrt(),
        };
        shortest(&Gram::from_fn(rows.gram.size(), |i, j| rows.gram.at(i, j) / by(i) / by(j)))
    }
}
