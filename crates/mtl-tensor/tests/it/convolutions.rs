//! The fast f32 kernels against the plain f64 ones, over shapes drawn at random: every kernel size, stride and padding,
//! odd sizes, one to many channels, one to many images. The f64 ones are checked by differences and against PyTorch.

use mtl_rng::{Seed, Stream};
use mtl_tensor::ops::conv::TileSide;
use mtl_tensor::{DType, Device, Result, Tensor, Var, gradcheck, ops, to_f64, vjp_retain};

use crate::{device_of, on_both_paths};

/// Root mean square of the difference over that of the exact values, or over 1 where those cancel: all are sums of numbers
/// around 1.
fn relative(fast: &Tensor, exact: &Tensor) -> f64 {
    let (fast, exact) = (to_f64(fast).unwrap(), to_f64(exact).unwrap());
    assert_eq!(fast.len(), exact.len());
    let square = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>();
    let error = square(&mut fast.iter().zip(&exact).map(|(a, b)| a - b));
    (error / square(&mut exact.iter().copied()).max(exact.len() as f64)).sqrt()
}

fn random(name: &str, shape: &[usize], dtype: DType, seed: u64) -> Tensor {
    let values = Seed::new(seed).stream(name, &[]).normals(shape.iter().product());
    Tensor::from_vec(values, shape, device_of(dtype)).unwrap().to_dtype(dtype).unwrap()
}

struct Case {
    batch: usize,
    channels: (usize, usize),
    size: (usize, usize),
    kernel: (usize, usize),
    stride: usize,
    padding: usize,
    transposed: bool,
}

impl Case {
    fn draw(s: &mut Stream) -> Self {
        let among = |s: &mut Stream, values: &[usize]| values[s.below(values.len())];
        let square = among(s, &[1, 2, 3, 3, 3, 4, 5]);
        let kernel = (square, if s.below(6) == 0 { among(s, &[1, 3]) } else { square });
        Self {
            batch: among(s, &[1, 2, 9, 17]),
            channels: (among(s, &[1, 3, 8, 12, 17, 32, 40]), among(s, &[1, 3, 8, 10, 24, 33, 64])),
            size: (among(s, &[5, 6, 8, 13, 16]), among(s, &[5, 7, 8, 16, 21])),
            kernel,
            stride: among(s, &[1, 1, 2, 3]),
            padding: among(s, &[0, 1, 1, 2]).min(kernel.0.min(kernel.1)),
            transposed: s.below(4) == 0,
        }
    }

    /// Output, and the gradients of input, weight and bias.
    fn run(&self, dtype: DType, seed: u64) -> Option<[Tensor; 4]> {
        let (from, to) = self.channels;
        let make = |name: &str, shape: &[usize]| Var::from_tensor(&random(name, shape, dtype, seed)).unwrap();
        let x = make("x", &[self.batch, from, self.size.0, self.size.1]);
        let order = if self.transposed { [from, to] } else { [to, from] };
        let w = make("w", &[order[0], order[1], self.kernel.0, self.kernel.1]);
        let b = make("b", &[to]);
        let conv = if self.transposed { ops::conv_transpose2d } else { ops::conv2d };
        let y = conv(&x, &w, Some(&b), self.stride, self.padding).ok()?;
        let upstream = make("dy", y.dims());
        let grads = vjp_retain(std::slice::from_ref(&y), std::slice::from_ref(upstream.as_tensor())).unwrap();
        let of = |var: &Var| grads.get(var).unwrap().clone();
        Some([y.detach(), of(&x), of(&w), of(&b)])
    }
}

#[test]
fn fast_kernels_agree_with_exact_ones_on_any_shape() {
    let mut stream = Seed::new(11).stream("shapes", &[]);
    let (mut run, mut worst) = (0, 0.0f64);
    for seed in 0..160 {
        let case = Case::draw(&mut stream);
        let Some(exact) = case.run(DType::F64, seed) else { continue };
        run += 1;
        let larger = case.run(DType::F32, seed).unwrap();
        let smaller = ops::conv::with_largest_tile(TileSide::Two, || case.run(DType::F32, seed).unwrap());
        let named = ["y", "dx", "dw", "db"].iter().cycle().zip(larger.into_iter().chain(smaller));
        for ((what, fast), exact) in named.zip(exact.iter().cycle()) {
            let error = relative(&fast, exact);
            worst = worst.max(error);
            let Case { batch, channels, size, kernel, stride, padding, transposed } = case;
            assert!(
                error < 5e-6,
                "{what}: {error:.1e} for batch {batch}, channels {channels:?}, size {size:?}, kernel {kernel:?}, \
                 stride {stride}, padding {padding}, transposed {transposed}"
            );
        }
    }
    assert!(run > 120, "only {run} shapes were possible");
    println!("worst relative error {worst:.1e}");
}

/// Images of one pixel, kernels larger than the image, strides past it, borders wider than the kernel.
#[test]
fn edges_of_what_is_possible() {
    let cases = [
        (1, (3, 40), (1, 1), (1, 1), 1, 0),
        (2, (9, 17), (1, 1), (3, 3), 1, 1),
        (1, (8, 8), (2, 2), (5, 5), 1, 2),
        (3, (4, 9), (3, 2), (1, 1), 5, 0),
        (1, (33, 8), (2, 7), (2, 2), 3, 3),
        (600, (8, 16), (1, 1), (3, 3), 1, 1),
        (70, (16, 8), (3, 5), (3, 3), 1, 0),
        (70, (16, 8), (3, 5), (3, 3), 1, 2),
        (3, (3, 32), (16, 24), (4, 4), 2, 1),
        (2, (24, 17), (8, 40), (4, 4), 2, 1),
        (17, (33, 8), (30, 14), (4, 4), 2, 1),
        // Small maps of whole tiles.
        (1, (40, 33), (4, 4), (3, 3), 1, 1),
        (33, (32, 48), (4, 4), (3, 3), 1, 1),
        (5, (64, 32), (4, 8), (3, 3), 1, 1),
    ];
    for (batch, channels, size, kernel, stride, padding) in cases {
        for transposed in [false, true] {
            let case = Case { batch, channels, size, kernel, stride, padding, transposed };
            let Some(exact) = case.run(DType::F64, 1) else { continue };
            for (fast, exact) in case.run(DType::F32, 1).unwrap().iter().zip(exact) {
                assert!(relative(fast, &exact) < 5e-6, "{channels:?} {size:?} {kernel:?} {stride} {padding}");
            }
        }
    }
}

#[test]
fn nothing_to_convolve_is_an_error_and_an_empty_batch_is_not() {
    let zeros = |shape: [usize; 4]| Tensor::zeros(&shape[..], DType::F32, gradcheck::device()).unwrap();
    for (x, w) in [
        ([1, 3, 4, 4], [0, 3, 3, 3]),
        ([1, 0, 4, 4], [8, 0, 3, 3]),
        ([1, 3, 4, 4], [8, 3, 1, 0]),
        ([1, 3, 4, 0], [8, 3, 1, 1]),
    ] {
        assert!(ops::conv2d(&zeros(x), &zeros(w), None, 1, 1).is_err(), "{x:?} {w:?}");
    }
    assert!(ops::conv_transpose2d(&zeros([1, 8, 0, 4]), &zeros([8, 3, 4, 4]), None, 2, 1).is_err());
    on_both_paths(|path| {
        for channels in [3, 16] {
            let (none, bias) = (zeros([0, channels, 8, 8]), zeros([1, 1, 1, 16]).flatten_all().unwrap());
            let y = ops::conv2d_relu(&none, &zeros([16, channels, 3, 3]), Some(&bias), 1, 1).unwrap();
            assert_eq!(y.dims(), [0, 16, 8, 8], "{path}");
            let y = ops::conv_transpose2d(&none, &zeros([channels, 16, 4, 4]), Some(&bias), 2, 1).unwrap();
            assert_eq!(y.dims(), [0, 16, 16, 16], "{path}");
        }
    });
}

/// Whether a few images or many, other strips and other memory: the same bytes for each.
#[test]
fn no_image_depends_on_how_many_it_is_computed_with() {
    let random = |name: &str, shape: &[usize]| random(name, shape, DType::F32, 5);
    let maps: [(&[usize], Map<'_>); 6] = [
        (&[96, 8, 8], &|x| ops::conv2d(x, &random("w", &[72, 96, 3, 3]), None, 1, 1)),
        (&[32, 32, 32], &|x| ops::conv2d(x, &random("w", &[48, 32, 3, 3]), None, 1, 1)),
        (&[24, 16, 16], &|x| ops::conv2d(x, &random("w", &[40, 24, 3, 3]), None, 2, 1)),
        (&[24, 16, 16], &|x| ops::conv2d(x, &random("w", &[40, 24, 4, 4]), None, 2, 1)),
        (&[24, 8, 8], &|x| ops::conv_transpose2d(x, &random("w", &[24, 3, 4, 4]), None, 2, 1)),
        (&[2049], &|x| ops::linear(x, &random("w", &[70, 2049]), &random("b", &[70]))),
    ];
    for (shape, map) in maps {
        let all = random("x", &[&[19], shape].concat());
        let of_all = map(&all).unwrap();
        for (first, count) in [(0, 1), (3, 2), (7, 4), (2, 8), (5, 9)] {
            let some = map(&all.narrow(0, first, count).unwrap().contiguous().unwrap()).unwrap();
            let same = of_all.narrow(0, first, count).unwrap();
            let numbers = |y: &Tensor| y.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            assert_eq!(numbers(&some), numbers(&same), "{count} images of {shape:?}");
        }
    }
}

/// Kernels are remembered by where their numbers lie: the same numbers in another shape are others, in either order.
#[test]
fn the_same_numbers_may_be_kernels_of_two_shapes() {
    for first_small in [false, true] {
        let x = random("x", &[1, 5, 8, 8], DType::F32, 6);
        let large = random("w", &[4, 5, 3, 3], DType::F32, 6);
        let small = large.reshape((36, 5, 1, 1)).unwrap();
        let exact = |w: &Tensor, padding| {
            let f64 = |t: &Tensor| t.to_device(&Device::Cpu).unwrap().to_dtype(DType::F64).unwrap();
            ops::conv2d(&f64(&x), &f64(w), None, 1, padding).unwrap()
        };
        let mut cases = [(&large, 1), (&small, 0)];
        if first_small {
            cases.reverse();
        }
        for (w, padding) in cases {
            let error = relative(&ops::conv2d(&x, w, None, 1, padding).unwrap(), &exact(w, padding));
            assert!(error < 1e-6, "{:?}: {error}", w.dims());
        }
    }
}

/// An op of one input.
type Map<'a> = &'a dyn Fn(&Tensor) -> Result<Tensor>;

#[test]
fn the_same_bytes_at_any_number_of_threads() {
    let case =
        Case { batch: 5, channels: (32, 24), size: (16, 16), kernel: (3, 3), stride: 1, padding: 1, transposed: false };
    let strided = Case { stride: 2, kernel: (4, 4), channels: (3, 40), ..case };
    let deep = Case { batch: 1, channels: (96, 72), size: (8, 8), ..case };
    let halved = Case { batch: 1, channels: (24, 40), ..strided };
    let single = Case { batch: 1, ..case };
    let direct = Case { stride: 2, ..deep };
    // Enough tiles for several partial sums of kernel gradients, of several strips each.
    let parts = Case { batch: 24, ..case };
    let halved_parts = Case { batch: 40, channels: (12, 24), ..strided };
    for case in [case, strided, deep, halved, single, direct, parts, halved_parts] {
        let bytes = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let results = pool.install(|| case.run(DType::F32, 3)).unwrap();
            results.map(|tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap())
        };
        let one = bytes(1);
        assert_eq!(one, bytes(2));
        assert_eq!(one, bytes(4));
    }
}
