//! MGDA: multiple-gradient descent algorithm (Desideri 2012; Sener and Koltun 2018, eq. 3, arXiv 1810.04650).
//!
//! The minimum-norm point of the convex hull of the gradients: `w = argmin |sum_i w_i g_i|^2` over non-negative weights that sum to 1. The
//! update lowers every loss, or is zero where no direction lowers all of them (Pareto-stationary). Solved exactly by Wolfe's method; the
//! papers' Frank-Wolfe iterations stop up to 7 % away from it.
//!
//! The minimum-norm point is dominated by the shortest gradient, such as that of a nearly finished task. With `rows` gradients are divided
//! by their length or loss before the comparison. The weights then apply to the original gradients, as in the authors' code, without any
//! guarantee for the update.

use mtl_rng::Stream;
use serde::{Deserialize, Serialize};

use crate::rows::Rows;
use crate::rules::{GramRule, Ruled};
use crate::solve::shortest;
use crate::{Balancer, Error, GradientsWrt, Gram, Method, Requirements};

/// Divisor of the gradients before the comparison.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// 1.
    #[default]
    None,
    /// The length of the gradient.
    L2,
    /// The loss of the task.
    Loss,
    /// The loss times the length of the gradient.
    LossL2,
}

/// Settings of MGDA.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Variables of the compared gradients. Default: shared parameters.
    pub gradients_wrt: GradientsWrt,
    /// Divisor of the gradients: `none` (default), `l2`, `loss` or `loss_l2` (`loss+` in the authors' code).
    pub rows: Scale,
}

impl Method for Config {
    fn build(&self, tasks: &[String]) -> Result<Box<dyn Balancer>, Error> {
        Ok(Ruled::gram(tasks, self.gradients_wrt, Mgda { rows: self.rows }))
    }
}

/// The rule.
#[derive(Debug)]
pub struct Mgda {
    rows: Scale,
}

impl GramRule for Mgda {
    fn name(&self) -> &'static str {
        "mgda"
    }

    fn requirements(&self) -> Requirements {
        let divided = matches!(self.rows, Scale::Loss | Scale::LossL2);
        Requirements { nonnegative_losses: divided, ..Requirements::default() }
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
