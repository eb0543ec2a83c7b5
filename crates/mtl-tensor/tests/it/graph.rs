//! The graph: errors of the backward pass, depth, and state after a panic.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use mtl_tensor::gradcheck::on_accelerator_code;
use mtl_tensor::ops::conv::{TileSide, with_largest_tile};
use mtl_tensor::optim::{Config, Optimizer, collect};
use mtl_tensor::{DType, Device, Result, Tensor, Var, backward, backward_retain, ops, to_f64, with_constant_weights};

fn var(seed: u64, shape: &[usize]) -> Var {
    let values = mtl_rng::Seed::new(seed).stream("var", &[]).normals(shape.iter().product());
    Var::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// candle's own pass would end at our op: no gradient of `w` and `b`, and of a weight used on both sides a part.
#[test]
#[allow(clippy::disallowed_methods)]
fn candles_own_pass_is_refused_with_the_name_of_ours() {
    let (x, w, b) = (var(1, &[2, 3, 6, 6]), var(2, &[4, 3, 3, 3]), var(3, &[4]));
    let loss = || -> Result<Tensor> {
        let h = ops::conv2d_relu(&x, &w, Some(&b), 1, 1)?;
        ops::global_avg_pool(&h)?.sqr()?.sum_all()? + (w.sqr()?.sum_all()? * 0.01)?
    };
    let before = to_f64(backward(&loss().unwrap()).unwrap().get(&w).unwrap()).unwrap();
    for _ in 0..2 {
        let error = loss().unwrap().backward().unwrap_err().to_string();
        assert!(error.contains("mtl_tensor::backward"), "{error}");
        // On the accelerators' code all is candle's, and right.
        let candle = on_accelerator_code(|| loss().unwrap().backward()).unwrap();
        let own = to_f64(candle.get(&w).unwrap()).unwrap();
        assert!(before.iter().zip(&own).all(|(a, b)| (a - b).abs() < 1e-4 * a.abs().max(1.0)));
    }
    assert_eq!(to_f64(backward(&loss().unwrap()).unwrap().get(&w).unwrap()).unwrap(), before);
}

#[test]
fn weights_changed_after_the_forward_pass_are_an_error() {
    let (x, image) = (var(1, &[2, 8]), var(1, &[1, 8, 6, 6]));
    let (w, b) = (var(2, &[8, 8]), var(3, &[8]));
    let (kernel, gamma) = (var(4, &[8, 8, 3, 3]), var(5, &[8]));
    type Case<'a> = (&'a str, &'a Var, &'a dyn Fn() -> Result<Tensor>);
    let cases: [Case; 6] = [
        ("linear", &w, &|| ops::linear(&ops::tanh(&x)?, &w, &b)),
        ("conv2d", &kernel, &|| ops::conv2d(&ops::tanh(&image)?, &kernel, Some(&b), 1, 1)),
        ("conv2d_relu_pool", &kernel, &|| ops::conv2d_relu_pool(&ops::tanh(&image)?, &kernel, Some(&b), 1, 1)),
        ("conv_transpose2d", &kernel, &|| ops::conv_transpose2d(&ops::tanh(&image)?, &kernel, Some(&b), 1, 1)),
        ("conv_norm", &kernel, &|| {
            Ok(ops::conv_norm(&ops::tanh(&image)?, &kernel, (1, 1), ops::Over::Groups(2), (&gamma, &b), None, true)?.0)
        }),
        ("softplus of a variable", &x, &|| ops::softplus(&x)),
    ];
    for (name, changed, f) in cases {
        let loss = || f().unwrap().sqr().unwrap().sum_all().unwrap();
        let graph = loss();
        assert!(backward_retain(&graph).is_ok(), "{name}");
        // By an optimizer, by candle's `set`.
        let params = BTreeMap::from([("it".to_owned(), changed.clone())]);
        let grads = collect(&backward_retain(&graph).unwrap(), &params);
        let mut adam = Optimizer::new(Config::Adam { beta1: 0.9, beta2: 0.999 }, &params, |_| 1.0).unwrap();
        adam.step(&grads, 1e-3, 1.0).unwrap();
        assert!(backward(&graph).unwrap_err().to_string().contains("changed after the forward pass"), "{name}");
        let graph = loss();
        changed.set(&(changed.as_tensor().detach() * 1.01).unwrap()).unwrap();
        assert!(backward(&graph).unwrap_err().to_string().contains("run the forward pass again"), "{name}");
        assert!(backward(&loss()).is_ok(), "{name}");
    }
}

#[test]
fn a_gradient_of_a_gradient_is_an_error_with_words() {
    let x = var(1, &[2, 3]);
    let found = backward(&ops::tanh(&x).unwrap().sum_all().unwrap()).unwrap();
    let penalty = found.get(&x).unwrap().sqr().unwrap().sum_all().unwrap();
    for error in [backward_retain(&penalty).unwrap_err(), backward(&penalty).unwrap_err()] {
        assert!(error.to_string().contains("gradient of a gradient"), "{error}");
    }
}

/// On a stack that holds a few hundred nested calls.
#[test]
fn a_graph_of_a_million_ops_in_a_row() {
    let run = || {
        let x = Var::new(&[0.5f32], &Device::Cpu).unwrap();
        for (ops_in_a_row, walked) in [(1_000_000, false), (100_000, true)] {
            let mut y = ops::relu(&x).unwrap();
            for at in 1..ops_in_a_row {
                // Now and then one of candle's between ours.
                y = if at % 1000 == 0 { (y * 1.0).unwrap() } else { ops::relu(&y).unwrap() };
            }
            if walked {
                assert_eq!(to_f64(backward_retain(&y).unwrap().get(&x).unwrap()).unwrap(), [1.0]);
                assert_eq!(to_f64(backward(&y).unwrap().get(&x).unwrap()).unwrap(), [1.0]);
            }
        }
    };
    std::thread::Builder::new().stack_size(256 << 10).spawn(run).unwrap().join().unwrap();
}

#[test]
fn scopes_end_with_a_panic() {
    let inside = |scope: &dyn Fn()| assert!(catch_unwind(AssertUnwindSafe(scope)).is_err());
    inside(&|| with_constant_weights(|| panic!("inside")));
    inside(&|| on_accelerator_code(|| panic!("inside")));
    inside(&|| with_largest_tile(TileSide::Two, || panic!("inside")));
    let (x, w) = (var(1, &[1, 8, 12, 12]), var(2, &[8, 8, 3, 3]));
    let run = || {
        let y = ops::conv2d(&x, &w, None, 1, 1).unwrap();
        let found = backward(&y.sum_all().unwrap()).unwrap();
        assert_eq!(y.dtype(), DType::F32);
        (y.flatten_all().unwrap().to_vec1::<f32>().unwrap(), found.get(&w).map(|dw| to_f64(dw).unwrap()))
    };
    // On a thread without a panic; rounding differs between tiles and code paths.
    let fresh = std::thread::scope(|threads| threads.spawn(run).join().unwrap());
    assert!(fresh.1.is_some());
    assert_eq!(run(), fresh);
    assert_ne!(with_largest_tile(TileSide::Two, run), fresh);
}
