//! Fair allocation (Nash bargaining for `alpha = 1`): `G w = w^{-1/alpha}`.

use super::linear::cholesky_solve;
use super::quadratic::{dot, product};
use crate::Gram;

/// The positive `x` with `C x = a x^{-1/alpha}`, row by row, for cosines `C`: the minimum of
/// `x^T C x / 2 - sum_i a_i phi(x_i)` with `phi' = x^{-1/alpha}`, by damped Newton steps. `None` where no solution
/// exists: the convex hull of the gradients contains zero.
pub(crate) fn fair(cosines: &Gram, a: &[f64], alpha: f64) -> Option<Vec<f64>> {
    let m = cosines.size();
    let power = 1.0 / alpha;
    // Exact for orthogonal gradients.
    let mut x: Vec<f64> = a.iter().map(|a| a.powf(alpha / (1.0 + alpha))).collect();
    let residual = |x: &[f64]| -> Vec<f64> {
        product(cosines, x).iter().zip(x).zip(a).map(|((along, x), a)| along - a * x.powf(-power)).collect()
    };
    // The potential, whose gradient the residual is.
    let value = |x: &[f64]| -> f64 {
        let bargain = |x: f64| if (power - 1.0).abs() < 1e-12 { x.ln() } else { x.powf(1.0 - power) / (1.0 - power) };
        0.5 * dot(&product(cosines, x), x) - x.iter().zip(a).map(|(&x, a)| a * bargain(x)).sum::<f64>()
    };
    let relative = |x: &[f64], r: &[f64]| {
        let off = |((r, x), a): ((&f64, &f64), &f64)| r.abs() / (a * x.powf(-power));
        r.iter().zip(x).zip(a).map(off).fold(0.0, f64::max)
    };
    for _ in 0..200 {
        let r = residual(&x);
        if relative(&x, &r) < 1e-13 {
            return Some(x);
        }
        let hessian = Gram::from_fn(m, |i, j| {
            cosines.at(i, j) + if i == j { a[i] * power * x[i].powf(-power - 1.0) } else { 0.0 }
        });
        let down: Vec<f64> = r.iter().map(|r| -r).collect();
        let step = cholesky_solve(&hessian, &down)?;
        // Positive `x`, and a sufficient decrease (Armijo).
        let room = x.iter().zip(&step).filter(|(_, s)| **s < 0.0).map(|(x, s)| -0.9 * x / s).fold(1.0, f64::min);
        let (slope, now) = (dot(&r, &step), value(&x));
        let mut length = room;
        let next = loop {
            let next: Vec<f64> = x.iter().zip(&step).map(|(x, s)| x + length * s).collect();
            let enough = value(&next) <= now + 1e-4 * length * slope + 1e-15 * now.abs();
            if enough || length < 1e-9 * room {
                break next;
            }
            length *= 0.5;
        };
        if next == x || next.iter().any(|x| !x.is_finite() || *x > 1e12) {
            break;
        }
        x = next;
    }
    (relative(&x, &residual(&x)) < 1e-9).then_some(x)
}
