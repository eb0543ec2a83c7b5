//! How long each convolution of the networks takes, forward and both gradients. `cargo xtask bench` runs it.
//!
//! `cargo run --release -p mtl-tensor --example convolutions -- [FILTER]`; GFLOP/s count the products of the definition, so
//! algorithms that multiply less can pass the machine's peak.

use std::time::Instant;

use mtl_rng::Seed;
use mtl_tensor::{Device, Result, Tensor, Var, ops};

/// As in the program: the default allocator gives large tensors back to the system after every use.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Name, batch, channels from and to, height, width, kernel, stride, transposed.
type Shape = (&'static str, usize, usize, usize, usize, usize, usize, usize, bool);

const SHAPES: &[Shape] = &[
    ("tutorial conv1", 64, 3, 64, 64, 64, 3, 1, false),
    ("tutorial conv2", 64, 64, 128, 32, 32, 3, 1, false),
    ("tutorial mask 1", 64, 128, 64, 16, 16, 3, 1, false),
    ("tutorial mask 2", 64, 64, 3, 16, 16, 3, 1, false),
    ("tutorial image 1", 64, 128, 64, 16, 16, 4, 2, true),
    ("tutorial image 2", 64, 64, 3, 32, 32, 4, 2, true),
    ("resnet s stem", 64, 12, 32, 32, 32, 3, 1, false),
    ("resnet s stage 1", 64, 32, 32, 32, 32, 3, 1, false),
    ("resnet s down 2", 64, 32, 64, 32, 32, 3, 2, false),
    ("resnet s shortcut 2", 64, 32, 64, 32, 32, 1, 2, false),
    ("resnet s stage 2", 64, 64, 64, 16, 16, 3, 1, false),
    ("resnet s down 3", 64, 64, 128, 16, 16, 3, 2, false),
    ("resnet s stage 3", 64, 128, 128, 8, 8, 3, 1, false),
    ("decoder up 4", 64, 192, 64, 16, 16, 3, 1, false),
    ("decoder up 2", 64, 96, 32, 32, 32, 3, 1, false),
    ("resnet xs stage 1", 64, 24, 24, 16, 16, 3, 1, false),
    ("resnet s stage 1, one", 1, 32, 32, 32, 32, 3, 1, false),
];

fn main() -> Result<()> {
    let filter = std::env::args().nth(1).unwrap_or_default();
    println!("{:24} {:>18} {:>18} {:>18}", "ms (GFLOP/s)", "forward", "gradient of input", "of weight");
    for &(name, batch, from, to, height, width, k, stride, transposed) in SHAPES {
        if !name.contains(&filter) {
            continue;
        }
        let numbers = |name: &str, shape: &[usize]| {
            let values = Seed::new(1).stream(name, &[]).normals(shape.iter().product());
            Tensor::from_vec(values, shape, &Device::Cpu)
        };
        let x = numbers("x", &[batch, from, height, width])?;
        let w = numbers("w", &if transposed { [from, to, k, k] } else { [to, from, k, k] })?;
        let conv = |x: &Tensor, w: &Tensor| {
            let padding = if k == 4 { 1 } else { k / 2 };
            if transposed {
                ops::conv_transpose2d(x, w, None, stride, padding)
            } else {
                ops::conv2d(x, w, None, stride, padding)
            }
        };
        let y = conv(&x, &w)?;
        let pixels = if transposed { height * width } else { y.dim(2)? * y.dim(3)? };
        let flop = 2.0 * (batch * pixels * from * to * k * k) as f64;
        let forward = median(|| conv(&x, &w).map(|_| 0.0))?;
        // The gradient alone: with constant and with variable operands, less what the sum's own backward pass takes.
        let (vx, vw) = (Var::from_tensor(&x)?, Var::from_tensor(&w)?);
        let backward = |x: &Tensor, w: &Tensor| -> Result<f64> {
            let y = conv(x, w)?.sum_all()?;
            let began = Instant::now();
            y.backward()?;
            Ok(began.elapsed().as_secs_f64())
        };
        let sum_only = median_of(|| {
            let y = Var::from_tensor(&y)?.sum_all()?;
            let began = Instant::now();
            y.backward()?;
            Ok(began.elapsed().as_secs_f64())
        })?;
        let input = median_of(|| backward(&vx, &w))? - sum_only;
        let weight = median_of(|| backward(&x, &vw))? - sum_only;
        let cell = |seconds: f64| format!("{:8.2} ({:6.1})", seconds * 1e3, flop / seconds * 1e-9);
        println!("{name:24} {:>18} {:>18} {:>18}", cell(forward), cell(input), cell(weight));
    }
    Ok(())
}

fn median(mut run: impl FnMut() -> Result<f64>) -> Result<f64> {
    median_of(|| {
        let began = Instant::now();
        run()?;
        Ok(began.elapsed().as_secs_f64())
    })
}

/// The median of fifteen runs after three.
fn median_of(mut run: impl FnMut() -> Result<f64>) -> Result<f64> {
    let mut seconds = (0..18).map(|_| run()).collect::<Result<Vec<_>>>()?.split_off(3);
    seconds.sort_by(f64::total_cmp);
    Ok(seconds[seconds.len() / 2])
}
