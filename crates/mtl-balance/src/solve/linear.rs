//! Symmetric linear algebra of a few rows.

use super::quadratic::dot;
use crate::Gram;

/// Eigenvalues below this share of the largest, times the number of rows, count as zero.
const RANK: f64 = f64::EPSILON;

/// Solves `A x = b` for a positive definite `A` by Cholesky decomposition; `None` if a pivot is zero up to rounding.
pub(crate) fn cholesky_solve(a: &Gram, b: &[f64]) -> Option<Vec<f64>> {
    let n = a.size();
    let mut l = vec![0.0; n * n];
    for i in 0..n {
        for j in 0..=i {
            let sum: f64 = (0..j).map(|k| l[i * n + k] * l[j * n + k]).sum();
            let rest = a.at(i, j) - sum;
            if i == j {
                if rest.is_nan() || rest <= 1e-14 * a.at(i, i) {
                    return None;
                }
                l[i * n + i] = rest.sqrt();
            } else {
                l[i * n + j] = rest / l[j * n + j];
            }
        }
    }
    let mut x = b.to_vec();
    for i in 0..n {
        let sum: f64 = (0..i).map(|k| l[i * n + k] * x[k]).sum();
        x[i] = (x[i] - sum) / l[i * n + i];
    }
    for i in (0..n).rev() {
        let sum: f64 = (i + 1..n).map(|k| l[k * n + i] * x[k]).sum();
        x[i] = (x[i] - sum) / l[i * n + i];
    }
    Some(x)
}

/// Eigenvalues and eigenvectors of a symmetric positive semi-definite matrix, by Jacobi rotations.
pub(crate) struct Eigen {
    pub values: Vec<f64>,
    /// One eigenvector per row.
    pub vectors: Vec<Vec<f64>>,
}

impl Eigen {
    pub(crate) fn of(matrix: &Gram) -> Self {
        let n = matrix.size();
        let mut a: Vec<Vec<f64>> = (0..n).map(|i| matrix.row(i).to_vec()).collect();
        let mut vectors: Vec<Vec<f64>> =
            (0..n).map(|i| (0..n).map(|j| f64::from(u8::from(i == j))).collect()).collect();
        // Convergence is quadratic: a few sweeps suffice.
        for _ in 0..64 {
            let off: f64 = (0..n).flat_map(|i| (0..i).map(move |j| (i, j))).map(|(i, j)| a[i][j] * a[i][j]).sum();
            let on: f64 = (0..n).map(|i| a[i][i] * a[i][i]).sum();
            if off <= 1e-32 * on {
                break;
            }
            for p in 0..n {
                for q in p + 1..n {
                    rotate(&mut a, &mut vectors, p, q);
                }
            }
        }
        Self { values: (0..n).map(|i| a[i][i].max(0.0)).collect(), vectors }
    }

    /// Nonzero eigenvalues with their eigenvectors.
    pub(crate) fn nonzero(&self) -> impl Iterator<Item = (f64, &[f64])> {
        let least = RANK * self.values.len() as f64 * self.values.iter().fold(0.0, |most: f64, value| most.max(*value));
        self.values
            .iter()
            .zip(&self.vectors)
            .filter(move |(value, _)| **value > least)
            .map(|(v, row)| (*v, row.as_slice()))
    }

    /// `A^+ b` (Moore-Penrose): the shortest `x` that minimises `|A x - b|`.
    pub(crate) fn pseudo_solve(&self, b: &[f64]) -> Vec<f64> {
        let mut x = vec![0.0; b.len()];
        for (value, vector) in self.nonzero() {
            let along = dot(vector, b) / value;
            x.iter_mut().zip(vector).for_each(|(x, v)| *x += along * v);
        }
        x
    }
}

/// The rotation that makes entry `(p, q)` zero (Golub and Van Loan, 8.5.2).
fn rotate(a: &mut [Vec<f64>], vectors: &mut [Vec<f64>], p: usize, q: usize) {
    if a[p][q] == 0.0 {
        return;
    }
    let tau = (a[q][q] - a[p][p]) / (2.0 * a[p][q]);
    let t = tau.signum() / (tau.abs() + tau.hypot(1.0));
    let c = 1.0 / t.hypot(1.0);
    let s = t * c;
    for row in a.iter_mut() {
        (row[p], row[q]) = (c * row[p] - s * row[q], s * row[p] + c * row[q]);
    }
    for rows in [a, vectors] {
        let (upper, lower) = rows.split_at_mut(q);
        for (x, y) in upper[p].iter_mut().zip(&mut lower[0]) {
            (*x, *y) = (c * *x - s * *y, s * *x + c * *y);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::solve::product;

    #[test]
    fn eigenvectors_reconstruct_the_matrix() {
        let rows: Vec<Vec<f32>> = (0..6).map(|i| mtl_rng::Seed::new(3).stream("rows", &[i]).normals(5)).collect();
        let gram = Gram::of_rows(&rows); // Of rank 5.
        let eigen = Eigen::of(&gram);
        assert_eq!(eigen.nonzero().count(), 5);
        for i in 0..6 {
            for j in 0..6 {
                let sum: f64 = eigen.nonzero().map(|(value, v)| value * v[i] * v[j]).sum();
                assert!((sum - gram.at(i, j)).abs() < 1e-12, "{i}, {j}: {sum}");
            }
        }
        let b = product(&gram, &[1.0, -2.0, 0.5, 0.0, 3.0, 1.0]);
        let back = product(&gram, &eigen.pseudo_solve(&b));
        assert!(back.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-11), "{back:?} and {b:?}");
    }

    #[test]
    fn cholesky_solves_and_detects_singular_matrices() {
        let gram = Gram::new(2, vec![4.0, 2.0, 2.0, 3.0]).unwrap();
        let x = cholesky_solve(&gram, &[2.0, -1.0]).unwrap();
        assert!((x[0] - 1.0).abs() < 1e-15 && (x[1] + 1.0).abs() < 1e-15, "{x:?}");
        assert!(cholesky_solve(&Gram::new(2, vec![1.0, -2.0, -2.0, 4.0]).unwrap(), &[1.0, 1.0]).is_none());
    }
}
