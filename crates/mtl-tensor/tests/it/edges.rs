//! Where functions have a corner, a tie or an infinity: values and gradients are PyTorch's on both code paths.

use mtl_tensor::ops::loss::{self, ClassWeighting};
use mtl_tensor::{Device, Result, Tensor, Var, backward, gradcheck, ops, to_f64};

use crate::on_both_paths;

fn var(values: &[f64], shape: &[usize]) -> Var {
    Var::from_vec(values.to_vec(), shape, gradcheck::device()).unwrap()
}

fn constant(values: &[f64], shape: &[usize]) -> Tensor {
    Tensor::from_vec(values.to_vec(), shape, gradcheck::device()).unwrap()
}

/// The value's numbers, and the gradient of their sum.
fn value_and_gradient(x: &Var, f: impl Fn(&Tensor) -> Result<Tensor>) -> (Vec<f64>, Vec<f64>) {
    let y = f(x).unwrap();
    let found = backward(&y.sum_all().unwrap()).unwrap();
    (to_f64(&y).unwrap(), to_f64(found.get(x).unwrap()).unwrap())
}

#[test]
fn the_first_of_equal_maxima_gets_the_gradient() {
    on_both_paths(|path| {
        let (y, dx) = value_and_gradient(&var(&[1.0; 16], &[1, 1, 4, 4]), |x| ops::max_pool2d(x, 2));
        assert_eq!(y, [1.0; 4], "{path}");
        assert_eq!(dx, [1., 0., 1., 0., 0., 0., 0., 0., 1., 0., 1., 0., 0., 0., 0., 0.], "{path}");
        let tied = [1., 5., 2., 5., 5., 0., 2., 5., 5.];
        let (y, dx) = value_and_gradient(&var(&tied, &[1, 1, 3, 3]), |x| ops::max_pool2d(x, 3));
        assert_eq!((y, dx), (vec![5.0], vec![0., 1., 0., 0., 0., 0., 0., 0., 0.]), "{path}");
        for odd in [f64::NAN, f64::INFINITY] {
            let (y, dx) = value_and_gradient(&var(&[1.0, odd, 2.0, 3.0], &[1, 1, 2, 2]), |x| ops::max_pool2d(x, 2));
            assert!(y[0].is_nan() == odd.is_nan() && !y[0].is_finite(), "{path}: {y:?}");
            assert_eq!(dx, [0.0, 1.0, 0.0, 0.0], "{path}, {odd}");
        }
    });
}

#[test]
fn overlapping_windows_leave_out_what_is_beyond_the_border() {
    on_both_paths(|path| {
        let windows = ops::Sliding { k: 3, stride: 1, padding: 1 };
        let values = [-1.0, -2.0, -3.0, -4.0, -5.0, -6.0];
        let (y, dx) = value_and_gradient(&var(&values, &[1, 1, 2, 3]), |x| ops::sliding_max_pool2d(x, windows));
        assert_eq!((y, dx), (vec![-1., -1., -2., -1., -1., -2.], vec![4., 2., 0., 0., 0., 0.]), "{path}");
        let (y, _) = value_and_gradient(&var(&values, &[1, 1, 2, 3]), |x| ops::sliding_avg_pool2d(x, windows));
        assert_eq!(y, [-3.0, -3.5, -4.0, -3.0, -3.5, -4.0], "{path}");
        // A maximum in several windows gets a gradient from each, the first of equal ones; NaN wins.
        let every = ops::Sliding { k: 2, stride: 1, padding: 0 };
        let tied = [7.0, 7.0, 0.0, 7.0, 7.0, f64::NAN];
        let (y, dx) = value_and_gradient(&var(&tied, &[1, 1, 2, 3]), |x| ops::sliding_max_pool2d(x, every));
        assert!(y[0] == 7.0 && y[1].is_nan(), "{path}: {y:?}");
        assert_eq!(dx, [1., 0., 0., 0., 0., 1.], "{path}");
        let x = constant(&values, &[1, 1, 2, 3]);
        for wrong in [
            ops::Sliding { padding: 3, ..windows },
            ops::Sliding { stride: 0, ..windows },
            ops::Sliding { k: 5, ..windows },
        ] {
            assert!(ops::sliding_max_pool2d(&x, wrong).is_err() && ops::sliding_avg_pool2d(&x, wrong).is_err());
        }
    });
}

/// A flat image behind a kernel of ones: each window is one big tie.
#[test]
fn a_pooled_flat_image_gives_each_gradient_once() {
    on_both_paths(|path| {
        let (x, w, b) = (constant(&[1.0; 36], &[1, 1, 6, 6]), var(&[1.0; 9], &[1, 1, 3, 3]), var(&[0.0], &[1]));
        let y = ops::conv2d_relu_pool(&x, &w, Some(&b), 1, 0).unwrap();
        let found = backward(&y.sum_all().unwrap()).unwrap();
        assert_eq!(to_f64(found.get(&b).unwrap()).unwrap(), [4.0], "{path}");
        assert_eq!(to_f64(found.get(&w).unwrap()).unwrap(), [4.0; 9], "{path}");
    });
}

#[test]
fn nothing_passes_a_relu_at_zero() {
    on_both_paths(|path| {
        let corner = || var(&[-1.0, 0.0, 2.0, f64::NAN], &[1, 1, 2, 2]);
        let (one, zero) = (constant(&[1.0], &[1]), constant(&[0.0], &[1]));
        let (kernel, zeros) = (constant(&[1.0], &[1, 1, 1, 1]), constant(&[0.0; 4], &[1, 1, 2, 2]));
        type Case<'a> = (&'a str, f64, &'a dyn Fn(&Tensor) -> Result<Tensor>);
        let cases: [Case; 6] = [
            ("relu", 0.0, &ops::relu),
            ("leaky_relu", 0.2, &|x| ops::leaky_relu(x, 0.2)),
            ("add_relu", 0.0, &|x| ops::add_relu(x, &zeros)),
            ("scale_shift", 0.0, &|x| ops::scale_shift(x, &one, &zero, true)),
            ("conv2d_relu", 0.0, &|x| ops::conv2d_relu(x, &kernel, None, 1, 0)),
            ("conv_transpose2d_relu", 0.0, &|x| ops::conv_transpose2d_relu(x, &kernel, None, 1, 0)),
        ];
        for (name, below, f) in cases {
            let (y, dx) = value_and_gradient(&corner(), f);
            assert_eq!(y[..3], [-below, 0.0, 2.0], "{name}, {path}");
            assert!(y[3].is_nan(), "{name}, {path}: NaN is hidden");
            assert_eq!(dx[..3], [below, below, 1.0], "{name}, {path}");
        }
    });
}

/// Strides that leave over other numbers of rows than of columns, and padding wider than the kernel: candle's gradient of the
/// convolution is an error or a panic there. Against the definition, in f64.
#[test]
fn every_stride_and_padding_has_its_gradients() {
    let mut shapes = vec![(8, 9, 3, 2, 0), (64, 63, 3, 2, 1), (1, 1, 4, 4, 5), (2, 7, 4, 3, 6)];
    let mut random = mtl_rng::Seed::new(4).stream("strides", &[]);
    while shapes.len() < 60 {
        let (h, w) = (1 + random.below(11), 1 + random.below(11));
        let (k, s, p) = (1 + random.below(4), 1 + random.below(4), random.below(5));
        if h.min(w) + 2 * p >= k {
            shapes.push((h, w, k, s, p));
        }
    }
    for (h, w, k, s, p) in shapes {
        let numbers = |name: &str, count: usize| mtl_rng::Seed::new(5).stream(name, &[]).normals(count);
        let run = |device: &Device| {
            let make = |name: &str, shape: [usize; 4]| {
                let values = numbers(name, shape.iter().product()).into_iter().map(f64::from).collect();
                Var::from_vec(values, shape.to_vec(), device).unwrap()
            };
            let (x, kernel) = (make("x", [1, 2, h, w]), make("w", [3, 2, k, k]));
            let y = ops::conv2d(&x, &kernel, None, s, p).unwrap();
            let found = backward(&y.sqr().unwrap().sum_all().unwrap()).unwrap();
            [&y, found.get(&x).unwrap(), found.get(&kernel).unwrap()].map(|tensor| to_f64(tensor).unwrap())
        };
        let expected = run(&Device::Cpu);
        let got = gradcheck::on_accelerator_code(|| run(gradcheck::device()));
        for (expected, got) in expected.iter().zip(&got) {
            let close = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-9 * a.abs().max(1.0);
            assert_eq!(expected.len(), got.len());
            assert!(expected.iter().zip(got).all(close), "{h}x{w} k{k} s{s} p{p}");
        }
    }
}

/// `torch.nn.functional.cross_entropy`: a logit of -inf is a class that cannot be.
#[test]
fn a_masked_class_costs_nothing() {
    on_both_paths(|path| {
        let ninf = f64::NEG_INFINITY;
        for (logits, label, expected) in
            [(vec![0.0, ninf], 0, 0.0), (vec![0.0, ninf, 1.0], 2, 0.313_261_687_518_222_86), (vec![ninf, 3.0], 1, 0.0)]
        {
            let x = var(&logits, &[1, logits.len()]);
            let (loss, dx) = value_and_gradient(&x, |x| loss::cross_entropy(x, &[label], &ClassWeighting::default()));
            assert!((loss[0] - expected).abs() < 1e-12, "{path}, {logits:?}: {loss:?}");
            let total: f64 = logits.iter().map(|v| v.exp()).sum();
            for (class, (dx, v)) in dx.iter().zip(&logits).enumerate() {
                let hot = f64::from(u8::from(class == label as usize));
                assert!((dx - (v.exp() / total - hot)).abs() < 1e-12, "{path}, {logits:?}: {dx}");
            }
        }
        let x = var(&[ninf, f64::INFINITY, 0.0], &[1, 3]);
        let (loss, dx) = value_and_gradient(&x, |x| loss::binary_cross_entropy(x, &[0.0, 1.0, 1.0], None));
        assert!((loss[0] - 2f64.ln() / 3.0).abs() < 1e-12, "{path}: {loss:?}");
        assert!((dx[2] + 0.5 / 3.0).abs() < 1e-12 && dx[..2] == [0.0, 0.0], "{path}: {dx:?}");
    });
}

/// `torch.nn.functional.binary_cross_entropy_with_logits(1., 0.5, pos_weight=3.)`: 1.126524, slope -0.037882.
#[test]
fn a_positive_weight_multiplies_the_positive_part_alone() {
    on_both_paths(|path| {
        let x = var(&[1.0], &[1, 1]);
        let (loss, dx) = value_and_gradient(&x, |x| loss::binary_cross_entropy(x, &[0.5], Some(&[3.0])));
        let (softplus, s) = (1f64.exp().ln_1p(), 1.0 / (1.0 + (-1f64).exp()));
        assert!((loss[0] - (1.5 * (softplus - 1.0) + 0.5 * softplus)).abs() < 1e-12, "{path}: {loss:?}");
        assert!((dx[0] - (1.5 * (s - 1.0) + 0.5 * s)).abs() < 1e-12, "{path}: {dx:?}");
        assert!((loss[0] - 1.126_524).abs() < 1e-6 && (dx[0] + 0.037_882).abs() < 1e-6, "{path}");
    });
}

#[test]
fn a_number_without_a_label_does_no_harm() {
    on_both_paths(|path| {
        let nan = f64::NAN;
        let x = var(&[nan, nan, 0.0, 1.0], &[2, 2]);
        let targets = [f32::NAN, f32::NAN, 1.0, 0.0];
        type Case<'a> = (&'a str, &'a dyn Fn(&Tensor) -> Result<Tensor>);
        let cases: [Case; 5] = [
            ("cross_entropy", &|x| loss::cross_entropy(x, &[-1, 1], &ClassWeighting::default())),
            ("dice", &|x| loss::dice(x, &[-1, 1])),
            ("binary_cross_entropy", &|x| loss::binary_cross_entropy(x, &targets, None)),
            ("huber", &|x| loss::huber(x, &targets, 1.0)),
            ("l1", &|x| loss::l1(x, &targets)),
        ];
        for (name, f) in cases {
            let (loss, dx) = value_and_gradient(&x, f);
            assert!(loss[0].is_finite() && loss[0] > 0.0, "{name}, {path}: {loss:?}");
            assert!(
                dx[..2] == [0.0, 0.0] && dx[2..].iter().all(|dx| dx.is_finite() && *dx != 0.0),
                "{name}, {path}: {dx:?}"
            );
        }
    });
}

#[test]
fn batch_norm_of_one_number_per_channel_is_refused() {
    on_both_paths(|path| {
        let (x, w) = (var(&[1.0, 2.0], &[1, 2, 1, 1]), var(&[1.0, 0.0, 0.0, 1.0], &[2, 2, 1, 1]));
        let (gamma, beta) = (var(&[1.0, 1.0], &[2]), var(&[0.0, 0.0], &[2]));
        let plain = ops::batch_norm(&x, &gamma, &beta, false).map(|(y, _)| y);
        let fused = ops::conv_norm(&x, &w, (1, 0), ops::Over::Batch, (&gamma, &beta), None, false).map(|(y, _)| y);
        for refused in [plain, fused] {
            assert!(refused.unwrap_err().to_string().contains("one number per channel"), "{path}");
        }
        assert!(ops::batch_norm_with(&x, &gamma, &beta, &beta, &gamma, false).is_ok(), "{path}");
        assert!(ops::group_norm(&x, &gamma, &beta, 1, false).is_ok(), "{path}");
    });
}
