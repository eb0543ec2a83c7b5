//! Our solvers against an interior-point solver (clarabel) on random problems.

use clarabel::algebra::CscMatrix;
use clarabel::solver::{
    DefaultSettings, DefaultSettingsBuilder, DefaultSolver, ExponentialConeT, IPSolver, NonnegativeConeT, SolverStatus,
    SupportedConeT, ZeroConeT,
};
use mtl_balance::{Config, Gram, aggregate};
use mtl_rng::Seed;

/// Rows of `m` random gradients whose lengths are up to `apart` apart.
fn rows(seed: u64, m: usize, apart: f64) -> Vec<Vec<f64>> {
    let mut stream = Seed::new(seed).stream("rows", &[]);
    (0..m)
        .map(|_| {
            let scale = apart.powf(stream.range(-0.5, 0.5));
            (0..m + 1).map(|_| stream.normal() * scale).collect()
        })
        .collect()
}

fn dense(rows: usize, columns: usize, entry: impl Fn(usize, usize) -> f64) -> CscMatrix<f64> {
    CscMatrix::from(&(0..rows).map(|i| (0..columns).map(|j| entry(i, j)).collect()).collect::<Vec<Vec<f64>>>())
}

/// `argmin 1/2 x^T P x + q x` where `b - A x` lies in the cones.
fn solve(p: &CscMatrix<f64>, q: &[f64], a: &CscMatrix<f64>, b: &[f64], cones: &[SupportedConeT<f64>]) -> Vec<f64> {
    let settings: DefaultSettings<f64> = DefaultSettingsBuilder::default()
        .verbose(false)
        .tol_gap_abs(1e-11)
        .tol_gap_rel(1e-11)
        .tol_feas(1e-11)
        .max_iter(500)
        .build()
        .unwrap();
    let mut solver = DefaultSolver::new(p, q, a, b, cones, settings).unwrap();
    solver.solve();
    // The tolerances are smaller than it reaches on every problem.
    let fine = [SolverStatus::Solved, SolverStatus::AlmostSolved, SolverStatus::InsufficientProgress];
    assert!(fine.contains(&solver.solution.status), "{:?}", solver.solution.status);
    solver.solution.x.clone()
}

fn combined(rows: &[Vec<f64>], weights: &[f64]) -> Vec<f64> {
    (0..rows[0].len()).map(|c| rows.iter().zip(weights).map(|(row, w)| row[c] * w).sum()).collect()
}

fn ours(config: &str, rows: &[Vec<f64>]) -> Vec<f64> {
    let config: Config = serde_json::from_str(config).unwrap();
    aggregate(&config, rows).unwrap().vector
}

/// Asserts that two updates are equal up to the other solver's error: a gap of 1e-11 in the objective is 3e-6 in the minimum's
/// position.
fn same(what: &str, rows: &[Vec<f64>], found: &[f64], expected: &[f64]) {
    let size = rows.iter().flatten().fold(0.0f64, |most, v| most.max(v.abs()));
    let off = found.iter().zip(expected).fold(0.0f64, |most, (a, b)| most.max((a - b).abs()));
    assert!(off <= 1e-5 * size, "{what}: {found:?}, clarabel {expected:?}");
}

fn square(vector: &[f64]) -> f64 {
    vector.iter().map(|v| v * v).sum()
}

fn gram(rows: &[Vec<f64>]) -> Gram {
    Gram::from_fn(rows.len(), |i, j| rows[i].iter().zip(&rows[j]).map(|(a, b)| a * b).sum())
}

fn upper(gram: &Gram) -> CscMatrix<f64> {
    dense(gram.size(), gram.size(), |i, j| gram.at(i, j)).to_triu()
}

#[test]
fn shortest_combinations_and_projections() {
    for seed in 0..150 {
        let m = 2 + seed as usize % 9; // up to 10 tasks
        let rows = rows(seed, m, 10.0);
        let gram = gram(&rows);
        let p = upper(&gram);
        let simplex = dense(m + 1, m, |i, j| if i == 0 { 1.0 } else { -f64::from(i == j + 1) });
        let mut b = vec![0.0; m + 1];
        b[0] = 1.0;
        let w = solve(&p, &vec![0.0; m], &simplex, &b, &[ZeroConeT(1), NonnegativeConeT(m)]);
        let (found, expected) = (ours(r#"{"mgda": {}}"#, &rows), combined(&rows, &w));
        same("mgda", &rows, &found, &expected);
        assert!(square(&found) <= square(&expected) * (1.0 + 1e-9) + 1e-9, "mgda is longer than clarabel's");

        let identity = dense(m, m, |i, j| -f64::from(i == j));
        let above = |least: &[f64]| {
            let b: Vec<f64> = least.iter().map(|v| -v).collect();
            solve(&p, &vec![0.0; m], &identity, &b, &[NonnegativeConeT(m)])
        };
        let w = above(&vec![1.0 / m as f64; m]);
        let (found, expected) = (ours(r#"{"dualproj": {}}"#, &rows), combined(&rows, &w));
        same("dualproj", &rows, &found, &expected);
        assert!(square(&found) <= square(&expected) * (1.0 + 1e-9) + 1e-9, "dualproj is longer than clarabel's");
        let mut sum = vec![0.0; m];
        for i in 0..m {
            let mut one = vec![0.0; m];
            one[i] = 1.0 / m as f64;
            sum.iter_mut().zip(above(&one)).for_each(|(sum, w)| *sum += w);
        }
        same("upgrad", &rows, &ours(r#"{"upgrad": {}}"#, &rows), &combined(&rows, &sum));
    }
}

#[test]
fn bargains() {
    for seed in 0..60 {
        let m = 2 + seed as usize % 5;
        let rows = rows(1000 + seed, m, 4.0);
        let gram = gram(&rows);
        // 1/2 w^T G w - sum t, (t_i, 1, w_i) in the exponential cone: e^t <= w.
        let p = dense(2 * m, 2 * m, |i, j| if i < m && j < m { gram.at(i, j) } else { 0.0 }).to_triu();
        let q: Vec<f64> = (0..2 * m).map(|i| if i < m { 0.0 } else { -1.0 }).collect();
        let a = dense(3 * m, 2 * m, |i, j| match i % 3 {
            0 => -f64::from(j == m + i / 3),
            2 => -f64::from(j == i / 3),
            _ => 0.0,
        });
        let b: Vec<f64> = (0..3 * m).map(|i| f64::from(i % 3 == 1)).collect();
        let x = solve(&p, &q, &a, &b, &vec![ExponentialConeT(); m]);
        same("nash_mtl", &rows, &ours(r#"{"nash_mtl": {"max_norm": 0}}"#, &rows), &combined(&rows, &x[..m]));
        same("fairgrad", &rows, &ours(r#"{"fairgrad": {}}"#, &rows), &combined(&rows, &x[..m]));
    }
}

/// PCD in the space of updates: `argmin |d - u_1|^2` subject to `u_j d >= tau` and `u_1 d >= 0`.
#[test]
fn priorities() {
    let mut met = 0;
    for seed in 0..100 {
        let m = 2 + seed as usize % 5;
        let rows: Vec<Vec<f64>> = rows(2000 + seed, m, 10.0)
            .into_iter()
            .map(|row| {
                let length = row.iter().map(|v| v * v).sum::<f64>().sqrt();
                row.into_iter().map(|v| v / length).collect()
            })
            .collect();
        let n = rows[0].len();
        let p = dense(n, n, |i, j| f64::from(i == j));
        let q: Vec<f64> = rows[0].iter().map(|v| -v).collect();
        let a = dense(m, n, |i, j| -rows[i][j]);
        let b: Vec<f64> = (0..m).map(|i| if i == 0 { 0.0 } else { -0.1 }).collect();
        let d = solve(&p, &q, &a, &b, &[NonnegativeConeT(m)]);
        let length = d.iter().map(|v| v * v).sum::<f64>().sqrt();
        if length < 0.3 {
            continue; // too short for a direction from this solver
        }
        met += 1;
        // Our update has the primary gradient's length, 1; this is the shortest multiple that satisfies all constraints.
        let found = ours(r#"{"pcd": {"tau": 0.1}}"#, &rows);
        let along = |row: &Vec<f64>, d: &[f64]| row.iter().zip(d).map(|(a, b)| a * b).sum::<f64>();
        let least = rows[1..].iter().map(|row| 0.1 / along(row, &found)).fold(along(&rows[0], &found), f64::max);
        let unscaled: Vec<f64> = found.iter().map(|v| v * least).collect();
        let off = |d: &[f64]| d.iter().zip(&rows[0]).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
        assert!(off(&unscaled) <= off(&d) + 1e-9, "further from the primary gradient than clarabel's");
        let expected: Vec<f64> = d.iter().map(|v| v / length).collect();
        same("pcd", &rows, &found, &expected);
    }
    assert!(met > 40, "{met}");
}
