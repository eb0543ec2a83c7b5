//! f32 where rounding is felt: large offsets, small results, betas near 1. Both code paths.

use std::collections::BTreeMap;

use mtl_rng::Seed;
use mtl_tensor::ops::loss::{ClassWeighting, cross_entropy};
use mtl_tensor::optim::{Config, Optimizer};
use mtl_tensor::{DType, Tensor, Var, backward, gradcheck, ops, to_f64};

use crate::on_both_paths;

fn close(got: f64, expected: f64, tolerance: f64, what: &str) {
    assert!((got - expected).abs() <= tolerance * expected.abs(), "{what}: {got:e}, should be {expected:e}");
}

#[test]
fn softplus_keeps_small_values() {
    on_both_paths(|path| {
        let points = [-80.0f32, -17.0, -16.0, -10.0, -3.0, -0.5, 0.0, 0.5, 3.0, 20.0, 100.0];
        let x = Var::new(&points, gradcheck::device()).unwrap();
        let y = ops::softplus(&x).unwrap();
        let found = backward(&y.sum_all().unwrap()).unwrap();
        let dx = to_f64(found.get(&x).unwrap()).unwrap();
        for ((x, y), dx) in points.iter().zip(to_f64(&y).unwrap()).zip(dx) {
            let x = f64::from(*x);
            close(y, x.max(0.0) + (-x.abs()).exp().ln_1p(), 5e-7, &format!("softplus({x}), {path}"));
            close(dx, 1.0 / (1.0 + (-x).exp()), 2e-6, &format!("its slope at {x}, {path}"));
        }
    });
}

/// The loss of logits with a common offset is that of the logits without it.
#[test]
fn cross_entropy_rounds_at_the_size_of_the_differences() {
    on_both_paths(|path| {
        let loss = |logits: [f32; 2], label: i32| {
            let x = Tensor::new(&[logits], gradcheck::device()).unwrap();
            f64::from(cross_entropy(&x, &[label], &ClassWeighting::default()).unwrap().to_scalar::<f32>().unwrap())
        };
        close(loss([1e4, 1e4], 0), 2f64.ln(), 1e-7, path);
        for offset in [0.0, 100.0, 1e3, 1e4] {
            close(loss([offset, offset + 10.0], 0), 10.0 + (-10f64).exp().ln_1p(), 1e-6, path);
            let certain = loss([offset + 10.0, offset], 0);
            let expected = (-10f64).exp().ln_1p();
            // f32's own sum of exponentials near 1, as PyTorch has it, on the accelerators.
            assert!((certain - expected).abs() < 6e-8, "{path}, offset {offset}: {certain:e} for {expected:e}");
            if path == "CPU code" {
                close(certain, expected, 1e-6, path);
                close(loss([12.0, 0.0], 0), (-12f64).exp().ln_1p(), 1e-6, path);
                close(loss([16.0, 0.0], 0), (-16f64).exp().ln_1p(), 1e-6, path);
            }
        }
    });
}

/// Numbers with standard deviation 1 around `mean`, as f32 has them.
fn around(mean: f64, count: usize) -> Vec<f32> {
    Seed::new(3).stream("around", &[]).normals(count).into_iter().map(|v| (mean + f64::from(v)) as f32).collect()
}

#[test]
fn variances_of_channels_far_from_zero() {
    on_both_paths(|path| {
        for (mean, tolerance) in [(100.0, 1e-6), (1e3, 1e-6), (1e4, 1e-6)] {
            for (batch, side) in [(16, 2), (4, 32)] {
                let x =
                    Tensor::from_vec(around(mean, batch * side * side), (batch, 1, side, side), gradcheck::device())
                        .unwrap();
                let (one, zero) = (
                    Tensor::ones(1, DType::F32, gradcheck::device()),
                    Tensor::zeros(1, DType::F32, gradcheck::device()),
                );
                let (_, (means, vars)) = ops::batch_norm(&x, &one.unwrap(), &zero.unwrap(), false).unwrap();
                let numbers = to_f64(&x).unwrap();
                let expected = numbers.iter().sum::<f64>() / numbers.len() as f64;
                let squares = numbers.iter().map(|v| (v - expected) * (v - expected)).sum::<f64>();
                let what = format!("{path}, mean {mean}, {batch} planes of {side}x{side}");
                close(to_f64(&vars).unwrap()[0], squares / numbers.len() as f64, tolerance, &what);
                close(to_f64(&means).unwrap()[0], expected, 1e-7, &what);
            }
        }
    });
}

/// Batch norm at inference far from zero, against the sum itself in f64.
#[test]
fn a_scale_behind_known_moments_keeps_its_gradient() {
    on_both_paths(|path| {
        for mean in [20.0, 100.0, 1e4] {
            let count = 4 * 6 * 6;
            let x = Tensor::from_vec(around(mean, count), (4, 1, 6, 6), gradcheck::device()).unwrap();
            let weights = Seed::new(6).stream("weights", &[]).normals(count);
            let weights = Tensor::from_vec(weights, (4, 1, 6, 6), gradcheck::device()).unwrap();
            let [gamma, beta] = [1.3f32, -0.2].map(|v| Var::new(&[v], gradcheck::device()).unwrap());
            let [moment, var] = [mean as f32, 0.9].map(|v| Tensor::new(&[v], gradcheck::device()).unwrap());
            let norm = || ops::batch_norm_with(&x, &gamma, &beta, &moment, &var, false).unwrap();
            // The convolution with 1 is the identity.
            let one = Tensor::ones((1, 1, 1, 1), x.dtype(), gradcheck::device()).unwrap();
            let conv = || ops::conv_norm_with(&x, &one, (1, 0), (&moment, &var), (&gamma, &beta), false).unwrap();
            let inverse = 1.0 / (f64::from(0.9f32) + ops::norm::EPSILON).sqrt();
            let sum = |f: &dyn Fn(f64, f64) -> f64| -> f64 {
                to_f64(&x).unwrap().iter().zip(to_f64(&weights).unwrap()).map(|(x, g)| f(*x, g)).sum()
            };
            let size = sum(&|x, g| (g * (x - mean) * inverse).abs());
            let expected = sum(&|x, g| g * (x - mean) * inverse);
            for (op, y, tolerance) in [("norm", norm(), 1e-6), ("conv_norm", conv(), 2e-6)] {
                let found = backward(&(y * &weights).unwrap().sum_all().unwrap()).unwrap();
                let dgamma = to_f64(found.get(&gamma).unwrap()).unwrap()[0];
                let error = (dgamma - expected).abs() / size;
                assert!(error < tolerance, "{op} on {path}, mean {mean}: {dgamma}, should be {expected}");
                let dbeta = to_f64(found.get(&beta).unwrap()).unwrap()[0];
                assert!((dbeta - sum(&|_, g| g)).abs() < 1e-6 * sum(&|_, g| g.abs()), "{op} on {path}: {dbeta}");
            }
        }
    });
}

/// Ten steps in f32 against ten in f64.
#[test]
fn adam_with_betas_near_one() {
    for beta2 in [0.999, 0.9999, 0.99999] {
        let run = |dtype: DType| {
            let w =
                Var::from_tensor(&Tensor::new(&[0.0f64, 0.0], gradcheck::device()).unwrap().to_dtype(dtype).unwrap())
                    .unwrap();
            let params = BTreeMap::from([("w".to_owned(), w.clone())]);
            let mut optimizer = Optimizer::new(Config::Adam { beta1: 0.9, beta2 }, &params, |_| 1.0).unwrap();
            for step in 0..10 {
                let grad = Tensor::new(&[1.0 + f64::from(step) / 8.0, -0.25], gradcheck::device()).unwrap();
                let grads = BTreeMap::from([("w".to_owned(), grad.to_dtype(dtype).unwrap())]);
                optimizer.step(&grads, 1e-2, 1.0).unwrap();
            }
            to_f64(&w).unwrap()
        };
        for (single, double) in run(DType::F32).into_iter().zip(run(DType::F64)) {
            close(single, double, 2e-5, &format!("beta2 {beta2}"));
        }
    }
}
