//! Kernels against candle's own (slow, right) forward ops, in f32 at realistic shapes, and their independence of the
//! number of threads.

use mtl_rng::Seed;
use mtl_tensor::{Tensor, Var, backward, gradcheck, ops, to_f64};

fn input(name: &str, shape: &[usize]) -> Tensor {
    let n = shape.iter().product();
    Tensor::from_vec(Seed::new(5).stream(name, &[]).normals(n), shape, gradcheck::device()).unwrap()
}

fn difference(a: &Tensor, b: &Tensor) -> f64 {
    let (a, b) = (to_f64(a).unwrap(), to_f64(b).unwrap());
    assert_eq!(a.len(), b.len());
    let scale = b.iter().fold(0f64, |m, v| m.max(v.abs()));
    a.iter().zip(&b).fold(0f64, |m, (a, b)| m.max((a - b).abs())) / scale
}

#[test]
fn convolutions_equal_candles() {
    for (b, ci, co, h, w, k, s, p) in [
        (3, 3, 16, 33, 47, 3, 1, 1),
        (2, 32, 24, 16, 20, 3, 2, 1),
        (2, 24, 8, 9, 9, 1, 1, 0),
        (2, 8, 8, 16, 16, 4, 2, 1),
    ] {
        let (x, weight) = (input("x", &[b, ci, h, w]), input("w", &[co, ci, k, k]));
        let (xv, wv) = (Var::from_tensor(&x).unwrap(), Var::from_tensor(&weight).unwrap());
        let ours = ops::conv2d(&xv, &wv, None, s, p).unwrap();
        let theirs = xv.conv2d(&wv, p, s, 1, 1).unwrap();
        assert!(difference(&ours, &theirs) < 1e-5);
        let upstream = input("dy", ours.dims());
        let ours = backward(&(ours * &upstream).unwrap().sum_all().unwrap()).unwrap();
        let theirs = backward(&(theirs * &upstream).unwrap().sum_all().unwrap()).unwrap();
        for var in [&xv, &wv] {
            assert!(difference(ours.get(var).unwrap(), theirs.get(var).unwrap()) < 1e-5, "{ci}->{co} k{k} s{s}");
        }
    }
    let (x, weight) = (input("x", &[2, 16, 8, 8]), input("w", &[16, 12, 4, 4]));
    let ours = ops::conv_transpose2d(&x, &weight, None, 2, 1).unwrap();
    assert!(difference(&ours, &x.conv_transpose2d(&weight, 1, 0, 2, 1).unwrap()) < 1e-5);
}

#[test]
fn strided_views_are_read_right() {
    let x = input("x", &[2, 3, 8, 8]);
    let view = x.transpose(2, 3).unwrap().narrow(1, 1, 2).unwrap();
    let solid = view.contiguous().unwrap();
    let weight = input("w", &[4, 2, 3, 3]);
    let a = ops::conv2d(&view, &weight, None, 1, 1).unwrap();
    let b = ops::conv2d(&solid, &weight, None, 1, 1).unwrap();
    assert_eq!(to_f64(&a).unwrap(), to_f64(&b).unwrap());
}

#[test]
fn the_bytes_do_not_depend_on_the_number_of_threads() {
    let run = || {
        let x = Var::from_tensor(&input("x", &[5, 8, 24, 40])).unwrap();
        let weight = Var::from_tensor(&input("w", &[16, 8, 3, 3])).unwrap();
        let gamma = Var::from_tensor(&input("g", &[16])).unwrap();
        let y = ops::conv2d(&x, &weight, None, 1, 1).unwrap();
        let y = ops::batch_norm(&y, &gamma, &gamma, true).unwrap().0;
        let y = ops::upsample_bilinear(&ops::max_pool2d(&y, 2).unwrap(), 24, 40).unwrap();
        let logits = ops::linear(&ops::global_avg_pool(&y).unwrap(), &input("l", &[4, 16]), &input("m", &[4])).unwrap();
        let value = ops::loss::cross_entropy(&logits, &[0, 1, 2, 3, 0], &Default::default()).unwrap();
        let value = (value + ops::loss::dice(&y, &vec![3; 5 * 24 * 40]).unwrap()).unwrap();
        let grads = backward(&value).unwrap();
        [&x, &weight, &gamma].map(|var| to_f64(grads.get(var).unwrap()).unwrap())
    };
    let with = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(run);
    let one = with(1);
    for threads in [2, 3, 4] {
        assert!(with(threads) == one, "{threads} threads");
    }
}
