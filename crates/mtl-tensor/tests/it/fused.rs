//! Ops that do several things in one pass, in f32, against the single ones in f64, over shapes drawn at random.

use mtl_rng::{Seed, Stream};
use mtl_tensor::{DType, Result, Tensor, Var, gradcheck, ops, to_f64, vjp_retain};

use crate::device_of;

fn make(name: &str, shape: &[usize], dtype: DType, seed: u64) -> Var {
    let values = Seed::new(seed).stream(name, &[]).normals(shape.iter().product());
    Var::from_tensor(&Tensor::from_vec(values, shape, device_of(dtype)).unwrap().to_dtype(dtype).unwrap()).unwrap()
}

fn inputs(shapes: &[Vec<usize>], dtype: DType, seed: u64) -> Vec<Var> {
    shapes.iter().enumerate().map(|(i, shape)| make(&i.to_string(), shape, dtype, seed)).collect()
}

/// The value of `f`, and its gradients where the value's own is a fixed random tensor, zero where `doubtful`.
fn run(
    shapes: &[Vec<usize>],
    dtype: DType,
    seed: u64,
    f: &dyn Fn(&[Var]) -> Result<Tensor>,
    doubtful: &[bool],
) -> Vec<Vec<f64>> {
    let vars = inputs(shapes, dtype, seed);
    let y = f(&vars).unwrap();
    let mut upstream = to_f64(&make("upstream", y.dims(), dtype, seed)).unwrap();
    upstream.iter_mut().zip(doubtful).filter(|(_, doubtful)| **doubtful).for_each(|(grad, _)| *grad = 0.0);
    let upstream = Tensor::from_vec(upstream, y.shape(), device_of(dtype)).unwrap().to_dtype(dtype).unwrap();
    let grads = vjp_retain(std::slice::from_ref(&y), &[upstream]).unwrap();
    let mut all = vec![to_f64(&y).unwrap()];
    all.extend(vars.iter().map(|var| to_f64(grads.get(var).unwrap()).unwrap()));
    all
}

/// Root mean square of the difference, over that of the exact values or 1.
fn error(fast: &[f64], exact: &[f64]) -> f64 {
    assert_eq!(fast.len(), exact.len());
    let difference: f64 = fast.iter().zip(exact).map(|(a, b)| (a - b) * (a - b)).sum();
    (difference / exact.iter().map(|v| v * v).sum::<f64>().max(exact.len() as f64)).sqrt()
}

/// Pixels whose ReLU or maximum rounding decides: their gradient may go either way.
const CLOSE: f64 = 1e-4;

/// Of `relu(z)`.
fn near_zero(z: &Tensor) -> Vec<bool> {
    to_f64(z).unwrap().iter().map(|v| v.abs() < CLOSE).collect()
}

/// Of `max_pool2d(relu(z), 2)`: also where the two largest of a window, both open, are about equal.
fn near_equal(z: &Tensor) -> Vec<bool> {
    let (_, _, height, width) = z.dims4().unwrap();
    let (rows, columns) = (height / 2, width / 2);
    let doubtful = |plane: &[f64], at: usize| {
        let corner = at / columns * 2 * width + at % columns * 2;
        let mut window = [0, 1, width, width + 1].map(|step| plane[corner + step]);
        window.sort_by(f64::total_cmp);
        window[3].abs() < CLOSE || (window[3] > 0.0 && window[3] - window[2] < CLOSE)
    };
    let planes = to_f64(z).unwrap();
    let planes = planes.chunks(height * width);
    planes.flat_map(|plane| (0..rows * columns).map(move |at| doubtful(plane, at))).collect()
}

/// An op in f32 against its definition in f64, with different numbers of threads.
struct Case<'a> {
    what: &'a str,
    shapes: &'a [Vec<usize>],
    seed: u64,
    doubtful: &'a [bool],
}

impl Case<'_> {
    fn agrees(&self, fused: &(dyn Fn(&[Var]) -> Result<Tensor> + Sync), single: &dyn Fn(&[Var]) -> Result<Tensor>) {
        let Self { what, shapes, seed, doubtful } = *self;
        let exact = run(shapes, DType::F64, seed, single, doubtful);
        let fast = run(shapes, DType::F32, seed, fused, doubtful);
        let left_out = doubtful.iter().filter(|doubtful| **doubtful).count();
        assert!(left_out * 100 <= exact[0].len().max(200), "{what} {shapes:?}: {left_out} left out");
        for (at, (fast, exact)) in fast.iter().zip(&exact).enumerate() {
            let error = error(fast, exact);
            assert!(error < 2e-5, "{what} {shapes:?}: number {at} of value and gradients is off by {error:.1e}");
        }
        let threads = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| run(shapes, DType::F32, seed, fused, doubtful))
        };
        assert!(threads(1) == threads(3), "{what} {shapes:?}: different bytes with three threads");
    }
}

fn among(s: &mut Stream, values: &[usize]) -> usize {
    values[s.below(values.len())]
}

struct Drawn {
    batch: usize,
    from: usize,
    to: usize,
    size: (usize, usize),
    kernel: usize,
    stride: usize,
}

fn drawn(s: &mut Stream) -> Drawn {
    Drawn {
        batch: among(s, &[1, 2, 9]),
        from: among(s, &[1, 3, 8, 16, 33]),
        to: among(s, &[1, 3, 8, 16, 40]),
        size: (among(s, &[4, 7, 8, 13, 16]), among(s, &[4, 6, 9, 16, 20])),
        kernel: among(s, &[1, 3, 3, 3, 5]),
        stride: among(s, &[1, 1, 2]),
    }
}

#[test]
fn convolution_relu_and_pool() {
    let mut stream = Seed::new(5).stream("shapes", &[]);
    for seed in 0..60 {
        let Drawn { batch, from, to, size, kernel, stride } = drawn(&mut stream);
        let shapes = [vec![batch, from, size.0, size.1], vec![to, from, kernel, kernel], vec![to]];
        let padding = kernel / 2;
        let conv = |v: &[Var]| ops::conv2d(&v[0], &v[1], Some(&v[2]), stride, padding);
        let z = conv(&inputs(&shapes, DType::F64, seed)).unwrap();
        Case { what: "conv2d_relu", shapes: &shapes, seed, doubtful: &near_zero(&z) }
            .agrees(&|v| ops::conv2d_relu(&v[0], &v[1], Some(&v[2]), stride, padding), &|v| ops::relu(&conv(v)?));
        if size.0.div_ceil(stride) >= 2 && size.1.div_ceil(stride) >= 2 {
            Case { what: "conv2d_relu_pool", shapes: &shapes, seed, doubtful: &near_equal(&z) }
                .agrees(&|v| ops::conv2d_relu_pool(&v[0], &v[1], Some(&v[2]), stride, padding), &|v| {
                    ops::max_pool2d(&ops::relu(&conv(v)?)?, 2)
                });
        }
        if kernel == 3 {
            Case { what: "upsample_conv2d", shapes: &shapes, seed, doubtful: &[] }
                .agrees(&|v| ops::upsample_conv2d(&v[0], &v[1], Some(&v[2])), &|v| {
                    ops::conv2d(&ops::upsample_nearest(&v[0], 2)?, &v[1], Some(&v[2]), 1, 1)
                });
        }
        let shapes = [vec![batch, from, size.0, size.1], vec![from, to, 4, 4], vec![to]];
        let conv = |v: &[Var]| ops::conv_transpose2d(&v[0], &v[1], Some(&v[2]), 2, 1);
        let z = conv(&inputs(&shapes, DType::F64, seed)).unwrap();
        Case { what: "conv_transpose2d_relu", shapes: &shapes, seed, doubtful: &near_zero(&z) }
            .agrees(&|v| ops::conv_transpose2d_relu(&v[0], &v[1], Some(&v[2]), 2, 1), &|v| ops::relu(&conv(v)?));
    }
}

#[test]
fn convolution_norm_and_residual() {
    let mut stream = Seed::new(6).stream("shapes", &[]);
    for seed in 0..40 {
        let Drawn { batch, from, size, kernel, stride, .. } = drawn(&mut stream);
        let (batch, to, padding) = (batch + 1, among(&mut stream, &[8, 16, 24]), kernel / 2);
        let out = (size.0.div_ceil(stride), size.1.div_ceil(stride));
        let shapes = [
            vec![batch, from, size.0, size.1],
            vec![to, from, kernel, kernel],
            vec![to],
            vec![to],
            vec![batch, to, out.0, out.1],
        ];
        for over in [ops::Over::Batch, ops::Over::Groups(to / 8)] {
            let single = |v: &[Var], relu: bool| {
                let z = ops::conv2d(&v[0], &v[1], None, stride, padding)?;
                match over {
                    ops::Over::Batch => Ok(ops::batch_norm(&z, &v[2], &v[3], relu)?.0),
                    ops::Over::Groups(groups) => ops::group_norm(&z, &v[2], &v[3], groups, relu),
                }
            };
            let fused = |v: &[Var], kept: Option<&Tensor>| {
                Ok(ops::conv_norm(&v[0], &v[1], (stride, padding), over, (&v[2], &v[3]), kept, true)?.0)
            };
            let exact = inputs(&shapes, DType::F64, seed);
            let z = single(&exact, false).unwrap();
            Case { what: "conv_norm", shapes: &shapes[..4], seed, doubtful: &near_zero(&z) }
                .agrees(&|v| fused(v, None), &|v| single(v, true));
            let z = (z + exact[4].as_tensor()).unwrap();
            Case { what: "conv_norm, residual", shapes: &shapes, seed, doubtful: &near_zero(&z) }
                .agrees(&|v| fused(v, Some(&v[4])), &|v| ops::add_relu(&single(v, false)?, &v[4]));
        }
    }
}

#[test]
fn convolution_and_known_moments() {
    let mut stream = Seed::new(7).stream("shapes", &[]);
    for seed in 0..40 {
        let Drawn { batch, from, to, size, kernel, stride } = drawn(&mut stream);
        let padding = kernel / 2;
        let shapes = [vec![batch, from, size.0, size.1], vec![to, from, kernel, kernel], vec![to], vec![to]];
        let moments = |dtype: DType| {
            let [mean, var] = ["mean", "var"].map(|name| make(name, &[to], dtype, seed).as_tensor().detach());
            (mean, (var.sqr().unwrap() + 0.1).unwrap())
        };
        for relu in [false, true] {
            let fused = |v: &[Var]| {
                let (mean, var) = moments(DType::F32);
                ops::conv_norm_with(&v[0], &v[1], (stride, padding), (&mean, &var), (&v[2], &v[3]), relu)
            };
            let single = |v: &[Var], relu: bool| {
                let (mean, var) = moments(DType::F64);
                let z = ops::conv2d(&v[0], &v[1], None, stride, padding)?;
                ops::batch_norm_with(&z, &v[2], &v[3], &mean, &var, relu)
            };
            let doubtful = near_zero(&single(&inputs(&shapes, DType::F64, seed), false).unwrap());
            Case { what: "conv_norm_with", shapes: &shapes, seed, doubtful: &doubtful }
                .agrees(&fused, &|v| single(v, relu));
            // A network that is not being trained: the same gradient of the images, and none of anything else.
            let vars = inputs(&shapes, DType::F32, seed);
            let pass = || {
                let y = fused(&vars).unwrap();
                let upstream = make("upstream", y.dims(), DType::F32, seed).as_tensor().detach();
                vjp_retain(&[y], &[upstream]).unwrap()
            };
            let (learning, constant) = (pass(), mtl_tensor::with_constant_weights(pass));
            let of_images = |found: &mtl_tensor::Gradients| to_f64(found.get(&vars[0]).unwrap()).unwrap();
            assert!(error(&of_images(&constant), &of_images(&learning)) < 1e-6, "{shapes:?}");
            assert!(vars[1..].iter().all(|var| constant.get(var).is_none()));
        }
    }
}

#[test]
fn linear() {
    let few = [(1, 1, 1), (3, 7, 5), (1, 2049, 129), (8, 4096, 72), (2, 32, 300), (5, 2064, 64)];
    let many = [(64, 130, 10), (9, 5000, 70), (17, 300, 257)];
    for (seed, (batch, inputs, outputs)) in few.into_iter().chain(many).enumerate() {
        let shapes = [vec![batch, inputs], vec![outputs, inputs], vec![outputs]];
        let map = |v: &[Var]| ops::linear(&v[0], &v[1], &v[2]);
        Case { what: "linear", shapes: &shapes, seed: seed as u64, doubtful: &[] }.agrees(&map, &map);
    }
}

/// A NaN in an image must reach the loss: it is how divergence is seen.
#[test]
fn nothing_hides_a_nan() {
    let mut values = vec![0.5f32; 2 * 8 * 8 * 8];
    values[77] = f32::NAN;
    let x = Tensor::from_vec(values, (2, 8, 8, 8), gradcheck::device()).unwrap();
    let w = make("w", &[16, 8, 3, 3], DType::F32, 1);
    let one = Tensor::ones(16, DType::F32, gradcheck::device()).unwrap();
    let norm = ops::conv_norm(&x, &w, (1, 1), ops::Over::Batch, (&one, &one), None, true).unwrap().0;
    for y in [ops::conv2d_relu(&x, &w, None, 1, 1), ops::conv2d_relu_pool(&x, &w, None, 1, 1), Ok(norm)] {
        assert!(to_f64(&y.unwrap()).unwrap().iter().any(|v| v.is_nan()));
    }
}
