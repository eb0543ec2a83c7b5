//! Central-difference checks in f64 of every op that is used in training: the CPU kernels, and the compositions that
//! run on accelerators.

use mtl_rng::Seed;
use mtl_tensor::gradcheck::worst_error;
use mtl_tensor::ops::loss::{self, ClassWeighting};
use mtl_tensor::{Result, Tensor, Var, backward, gradcheck, ops, to_f64};

use crate::on_both_paths;

/// Distinct values in (-2, 2), none within 0.005 of zero and no two within 0.002 of each other, so that no kink of ReLU
/// or max-pooling lies inside a difference step.
fn input(name: &str, shape: &[usize]) -> Tensor {
    let n: usize = shape.iter().product();
    let order = Seed::new(11).stream(name, &[]).permutation(n);
    let values: Vec<f64> = order
        .iter()
        .map(|&i| (i as f64 + 0.37) / n as f64 * 4.0 - 2.0)
        .map(|v| if v.abs() < 0.005 { 0.01 } else { v })
        .collect();
    Tensor::from_vec(values, shape, gradcheck::device()).unwrap()
}

fn check(name: &str, inputs: &[Tensor], f: impl Fn(&[Tensor]) -> Result<Tensor>) {
    on_both_paths(|path| {
        let error = worst_error(inputs, &f).unwrap_or_else(|error| panic!("{name}, {path}: {error}"));
        assert!(error < 1e-6, "{name}, {path}: off by {error:e}");
    });
}

#[test]
fn convolutions() {
    // (batch, in, out, height, width, kernel, stride, padding)
    for (b, ci, co, h, w, k, s, p) in [
        (2, 3, 4, 5, 6, 3, 1, 1),
        (1, 2, 3, 7, 5, 3, 2, 1),
        (2, 3, 2, 4, 4, 1, 1, 0),
        (2, 2, 3, 6, 6, 4, 2, 1),
        (1, 1, 2, 5, 5, 3, 1, 0),
        (2, 2, 2, 4, 6, 1, 2, 0),
        (1, 2, 2, 3, 3, 3, 3, 2),
    ] {
        let shapes = format!("conv2d b{b} {ci}->{co} {h}x{w} k{k} s{s} p{p}");
        let (x, weight, bias) = (input("x", &[b, ci, h, w]), input("w", &[co, ci, k, k]), input("b", &[co]));
        check(&shapes, &[x.clone(), weight.clone(), bias], |i| ops::conv2d(&i[0], &i[1], Some(&i[2]), s, p));
        check(&shapes, &[x, weight], |i| ops::conv2d(&i[0], &i[1], None, s, p));
    }
    let inputs = [input("x", &[2, 3, 6, 5]), input("w", &[4, 3, 3, 3]), input("b", &[4])];
    check("conv2d_relu", &inputs, |i| ops::conv2d_relu(&i[0], &i[1], Some(&i[2]), 1, 1));
    check("conv2d_relu_pool", &inputs, |i| ops::conv2d_relu_pool(&i[0], &i[1], Some(&i[2]), 1, 1));
    let small = [input("x", &[2, 3, 3, 2]), input("w", &[4, 3, 3, 3]), input("b", &[4])];
    check("upsample_conv2d", &small, |i| ops::upsample_conv2d(&i[0], &i[1], Some(&i[2])));
    let inputs = [input("x", &[2, 3, 3, 4]), input("w", &[3, 2, 4, 4]), input("b", &[2])];
    check("conv_transpose2d_relu", &inputs, |i| ops::conv_transpose2d_relu(&i[0], &i[1], Some(&i[2]), 2, 1));
    for (h, w, k, s, p) in [(3, 4, 4, 2, 1), (4, 3, 3, 1, 1), (2, 2, 2, 2, 0)] {
        let inputs = [input("x", &[2, 3, h, w]), input("w", &[3, 2, k, k]), input("b", &[2])];
        check(&format!("conv_transpose2d {h}x{w} k{k} s{s} p{p}"), &inputs, |i| {
            ops::conv_transpose2d(&i[0], &i[1], Some(&i[2]), s, p)
        });
    }
}

#[test]
fn linear_and_pooling() {
    check("linear", &[input("x", &[3, 4]), input("w", &[2, 4]), input("b", &[2])], |i| {
        ops::linear(&i[0], &i[1], &i[2])
    });
    for (k, h, w) in [(2, 4, 6), (2, 5, 7), (3, 6, 7)] {
        check("max_pool2d", &[input("x", &[2, 3, h, w])], |i| ops::max_pool2d(&i[0], k));
        check("avg_pool2d", &[input("x", &[2, 3, h, w])], |i| ops::avg_pool2d(&i[0], k));
    }
    for (k, stride, padding, h, w) in
        [(3, 2, 0, 7, 6), (3, 1, 1, 4, 5), (2, 1, 0, 3, 4), (3, 3, 2, 5, 2), (2, 3, 1, 7, 7)]
    {
        let windows = ops::Sliding { k, stride, padding };
        check("sliding_max_pool2d", &[input("x", &[2, 3, h, w])], |i| ops::sliding_max_pool2d(&i[0], windows));
        check("sliding_avg_pool2d", &[input("x", &[2, 3, h, w])], |i| ops::sliding_avg_pool2d(&i[0], windows));
    }
    check("global_avg_pool", &[input("x", &[2, 3, 4, 5])], |i| ops::global_avg_pool(&i[0]));
}

#[test]
fn resizing() {
    let x = [input("x", &[2, 4, 3, 4])];
    check("upsample_nearest", &x, |i| ops::upsample_nearest(&i[0], 2));
    check("upsample_nearest 3", &x, |i| ops::upsample_nearest(&i[0], 3));
    check("upsample_bilinear", &x, |i| ops::upsample_bilinear(&i[0], 6, 8));
    check("upsample_bilinear odd", &x, |i| ops::upsample_bilinear(&i[0], 7, 5));
    check("pixel_shuffle", &x, |i| ops::pixel_shuffle(&i[0], 2));
    check("pixel_unshuffle", &[input("x", &[2, 2, 4, 6])], |i| ops::pixel_unshuffle(&i[0], 2));
    // The pattern of residual generators that candle's own up-sampling gets wrong in one order of operands.
    check("residual up", &x, |i| ops::upsample_nearest(&i[0], 2)? + ops::upsample_nearest(&ops::relu(&i[0])?, 2)?);
    check("residual up, turned", &x, |i| {
        ops::upsample_nearest(&ops::relu(&i[0])?, 2)? + ops::upsample_nearest(&i[0], 2)?
    });
}

#[test]
fn normalisations() {
    let inputs = [input("x", &[2, 4, 3, 2]), input("g", &[4]), input("b", &[4])];
    for relu in [false, true] {
        check("batch_norm", &inputs, |i| Ok(ops::batch_norm(&i[0], &i[1], &i[2], relu)?.0));
        check("group_norm", &inputs, |i| ops::group_norm(&i[0], &i[1], &i[2], 2, relu));
        check("scale_shift", &inputs, |i| ops::scale_shift(&i[0], &i[1], &i[2], relu));
        let (mean, var) = (input("m", &[4]), input("v", &[4]).abs().unwrap());
        check("batch_norm_with", &inputs, |i| ops::batch_norm_with(&i[0], &i[1], &i[2], &mean, &var, relu));
    }
}

#[test]
fn convolutions_with_norms() {
    let (x, w) = (input("x", &[2, 3, 4, 5]), input("w", &[4, 3, 3, 3]));
    let inputs = [x, w, input("g", &[4]), input("b", &[4]), input("k", &[2, 4, 4, 5])];
    let (mean, var) = (input("m", &[4]), input("v", &[4]).abs().unwrap());
    for relu in [false, true] {
        check("conv_norm_with", &inputs[..4], |i| {
            ops::conv_norm_with(&i[0], &i[1], (1, 1), (&mean, &var), (&i[2], &i[3]), relu)
        });
    }
    for over in [ops::Over::Batch, ops::Over::Groups(2)] {
        for relu in [false, true] {
            let name = format!("conv_norm {over:?}, ReLU {relu}");
            check(&name, &inputs[..4], |i| {
                Ok(ops::conv_norm(&i[0], &i[1], (1, 1), over, (&i[2], &i[3]), None, relu)?.0)
            });
            check(&format!("{name}, residual"), &inputs, |i| {
                Ok(ops::conv_norm(&i[0], &i[1], (1, 1), over, (&i[2], &i[3]), Some(&i[4]), relu)?.0)
            });
        }
    }
}

#[test]
fn channels_and_images() {
    let inputs = [input("x", &[2, 3, 2, 5]), input("v", &[2, 3])];
    check("channel_product", &inputs, |i| ops::channel_product(&i[0], &i[1]));
    check("batch_mean", &inputs[..1], |i| ops::batch_mean(&i[0]));
    for by in [[(0, 1), (1, -2)], [(-1, 0), (1, 4)], [(5, 0), (0, -9)]] {
        check("shift", &inputs[..1], |i| ops::shift(&i[0], &by));
    }
}

/// Both code paths move the same way.
#[test]
fn shifts_move_down_and_right() {
    let x = Tensor::new(&[[[[1.0f64, 2.0, 3.0], [4.0, 5.0, 6.0]]]], gradcheck::device()).unwrap();
    let run = |path: &str| {
        for (by, expected) in [
            ((0, 1), [0.0, 1.0, 2.0, 0.0, 4.0, 5.0]),
            ((1, -1), [0.0, 0.0, 0.0, 2.0, 3.0, 0.0]),
            ((-1, 2), [0.0, 0.0, 4.0, 0.0, 0.0, 0.0]),
        ] {
            assert_eq!(mtl_tensor::to_f64(&ops::shift(&x, &[by]).unwrap()).unwrap(), expected, "{by:?}, {path}");
        }
    };
    on_both_paths(run);
    assert!(ops::shift(&x, &[]).is_err());
}

#[test]
fn activations() {
    let x = [input("x", &[3, 7]), input("y", &[3, 7])];
    check("relu", &x[..1], |i| ops::relu(&i[0]));
    check("leaky_relu", &x[..1], |i| ops::leaky_relu(&i[0], 0.2));
    check("softplus", &x[..1], |i| ops::softplus(&(&i[0] * 20.0)?));
    check("tanh", &x[..1], |i| ops::tanh(&i[0]));
    check("add_relu", &x, |i| ops::add_relu(&i[0], &i[1]));
}

#[test]
fn losses() {
    let labels = [2, -1, 0, 1];
    let weights = [1.0, 0.5, 2.0];
    for weighting in [
        ClassWeighting::default(),
        ClassWeighting { weights: Some(&weights), smoothing: 0.0 },
        ClassWeighting { weights: Some(&weights), smoothing: 0.1 },
    ] {
        check("cross_entropy", &[input("x", &[4, 3])], |i| loss::cross_entropy(&i[0], &labels, &weighting));
        check("cross_entropy pixels", &[input("x", &[2, 3, 1, 2])], |i| {
            loss::cross_entropy(&i[0], &labels, &weighting)
        });
    }
    check("dice", &[input("x", &[2, 3, 1, 2])], |i| loss::dice(&i[0], &labels));
    check("dice binary", &[input("x", &[2, 2, 1, 2])], |i| loss::dice(&i[0], &[1, 0, -1, 1]));
    let targets = [1.0, 0.0, f32::NAN, 1.0, f32::NAN, 0.0];
    check("bce", &[input("x", &[2, 3])], |i| {
        loss::binary_cross_entropy(&(&i[0] * 10.0)?, &targets, Some(&[1.0, 3.0, 0.5]))
    });
    check("huber", &[input("x", &[2, 3])], |i| loss::huber(&i[0], &targets, 0.7));
    check("l1", &[input("x", &[2, 3])], |i| loss::l1(&i[0], &targets));
    check("mse", &[input("x", &[2, 3])], |i| loss::mean_squared(&i[0], &targets));
}

#[test]
fn nothing_labelled_is_an_exact_zero() {
    let x = mtl_tensor::Var::from_tensor(&input("x", &[2, 3])).unwrap();
    for value in [
        loss::cross_entropy(&x, &[-1, -1], &ClassWeighting::default()),
        loss::dice(&x, &[-1, -1]),
        loss::binary_cross_entropy(&x, &[f32::NAN; 6], None),
        loss::l1(&x, &[f32::NAN; 6]),
    ] {
        let value = value.unwrap();
        assert_eq!(value.to_scalar::<f64>().unwrap(), 0.0);
        let grads = backward(&value).unwrap();
        let grad = mtl_tensor::to_f64(grads.get(&x).unwrap()).unwrap();
        assert!(grad.iter().all(|g| *g == 0.0));
    }
}

#[test]
fn constant_weights_get_no_gradient_and_change_no_other() {
    let var = |name: &str, shape: &[usize]| mtl_tensor::Var::from_tensor(&input(name, shape)).unwrap();
    let (x, w, g) = (var("x", &[2, 3, 5, 5]), var("w", &[4, 3, 3, 3]), var("g", &[4]));
    let run = || {
        let y = ops::conv2d(&x, &w, Some(&g), 1, 1).unwrap();
        let y = ops::group_norm(&y, &g, &g, 2, true).unwrap();
        let fixed = input("m", &[4]).abs().unwrap();
        let y = ops::batch_norm_with(&y, &g, &g, &fixed, &fixed, false).unwrap();
        backward(&y.sqr().unwrap().sum_all().unwrap()).unwrap()
    };
    let (learning, constant) = (run(), mtl_tensor::with_constant_weights(run));
    let of = |store: &mtl_tensor::Gradients| mtl_tensor::to_f64(store.get(&x).unwrap()).unwrap();
    assert_eq!(of(&learning), of(&constant));
    assert!(learning.get(&w).is_some() && constant.get(&w).is_none() && constant.get(&g).is_none());
}

/// Single and fused, on both code paths.
/// By its result, which has its argument's sign: without slope, at both zeros, and for NaN.
#[test]
fn leaky_relu_at_its_edges() {
    let values = [-2.0f64, -0.0, 0.0, 3.0, f64::NAN];
    for (slope, forward, backward_of_one) in
        [(0.0, [0.0, 0.0, 0.0, 3.0], [0.0, 0.0, 0.0, 1.0]), (0.2, [-0.4, 0.0, 0.0, 3.0], [0.2, 0.2, 0.2, 1.0])]
    {
        let x = Var::new(&values, gradcheck::device()).unwrap();
        let y = ops::leaky_relu(&x, slope).unwrap();
        let grads = to_f64(backward(&y.sum_all().unwrap()).unwrap().get(&x).unwrap()).unwrap();
        let y = to_f64(&y).unwrap();
        assert!(y[4].is_nan() && y[..4] == forward, "{y:?}");
        assert_eq!(grads[..4], backward_of_one);
    }
    let x = Tensor::new(&values, gradcheck::device()).unwrap();
    for slope in [-0.1, f64::NAN] {
        assert!(ops::leaky_relu(&x, slope).unwrap_err().to_string().contains("at least 0"));
    }
}

#[test]
fn relu_of_infinities() {
    let x = mtl_tensor::Var::from_vec(vec![f64::NEG_INFINITY, -1.0, 2.0, f64::INFINITY], (1, 4), gradcheck::device())
        .unwrap();
    let zero = Tensor::zeros((1, 4), mtl_tensor::DType::F64, gradcheck::device()).unwrap();
    let run = |path: &str| {
        for y in [ops::relu(&x).unwrap(), ops::add_relu(&x, &zero).unwrap()] {
            assert_eq!(mtl_tensor::to_f64(&y).unwrap(), [0.0, 0.0, 2.0, f64::INFINITY], "{path}");
            let found = backward(&y.sum_all().unwrap()).unwrap();
            assert_eq!(mtl_tensor::to_f64(found.get(&x).unwrap()).unwrap(), [0.0, 0.0, 1.0, 1.0], "{path}");
        }
    };
    on_both_paths(run);
}

#[test]
fn saturated_logits_stay_finite() {
    let x = mtl_tensor::Var::from_vec(vec![1e4f32, -1e4, 1e4, -1e4], (2, 2), gradcheck::device()).unwrap();
    for value in [
        loss::cross_entropy(&x, &[1, 0], &ClassWeighting::default()).unwrap(),
        loss::binary_cross_entropy(&x, &[0.0, 1.0, 1.0, 0.0], None).unwrap(),
        ops::softplus(&x).unwrap().sum_all().unwrap(),
    ] {
        let grads = backward(&value).unwrap();
        assert!(value.to_scalar::<f32>().unwrap().is_finite());
        assert!(mtl_tensor::to_f64(grads.get(&x).unwrap()).unwrap().iter().all(|g| g.is_finite()));
    }
}

#[test]
fn not_a_number_is_passed_on_and_never_hidden() {
    let x = Tensor::from_vec(vec![f32::NAN, 1.0, 2.0, 3.0], (1, 1, 2, 2), gradcheck::device()).unwrap();
    let one = Tensor::from_vec(vec![1f32], 1, gradcheck::device()).unwrap();
    for y in [ops::relu(&x), ops::max_pool2d(&x, 2), ops::add_relu(&x, &x), ops::scale_shift(&x, &one, &one, true)] {
        assert!(mtl_tensor::to_f64(&y.unwrap()).unwrap()[0].is_nan());
    }
}
