//! Exact solvers of the small problems of each step: `m x m` for `m` tasks, in `f64`.
//!
//! Problems that depend on directions only are solved for rows of length 1 ([`Unit`]), so that gradients of very different lengths
//! keep their precision. The iterative solvers of the libraries stop far from the solution there.

mod active_set;
mod angles;
mod bargain;
mod cone;
mod linear;
mod quadratic;
mod simplex;

pub(crate) use angles::{Angles, Unit};
pub(crate) use bargain::fair;
pub(crate) use cone::{project, project_beyond};
pub(crate) use linear::{Eigen, cholesky_solve};
pub(crate) use quadratic::{dot, is_cancelled, is_rounding, product, square_length};
pub(crate) use simplex::{onto_simplex, shortest, softmax};
