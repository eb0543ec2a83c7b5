//! Random images, labels and tensors: the same at every run.

use std::sync::LazyLock;

use mtl_rng::Seed;
use mtl_tensor::{Device, Result, Tensor};

/// Device of all workloads: the one named by the variable `MTL_BENCH_DEVICE`, default `cpu`.
///
/// # Panics
/// The device is not available.
pub fn device() -> &'static Device {
    static DEVICE: LazyLock<Device> = LazyLock::new(|| {
        let name = std::env::var("MTL_BENCH_DEVICE").unwrap_or_else(|_| "cpu".to_owned());
        mtl_tensor::device::parse(&name).unwrap_or_else(|error| panic!("MTL_BENCH_DEVICE: {error}"))
    });
    &DEVICE
}

/// Standard normal values.
///
/// # Errors
/// Out of memory.
pub fn normals(name: &str, shape: &[usize]) -> Result<Tensor> {
    Tensor::from_vec(Seed::new(1).stream(name, &[]).normals(shape.iter().product()), shape, device())
}

/// `[batch, 3, side, side]` in `[-1, 1]`.
///
/// # Errors
/// Out of memory.
pub fn images(batch: usize, side: usize) -> Result<Tensor> {
    normals("images", &[batch, 3, side, side])?.clamp(-1.0, 1.0)
}

/// `count` labels below `classes`.
pub fn labels(name: &str, count: usize, classes: usize) -> Vec<i32> {
    let mut stream = Seed::new(2).stream(name, &[]);
    (0..count).map(|_| stream.below(classes) as i32).collect()
}

/// All values of a tensor, as losses take their targets.
///
/// # Errors
/// Another type than f32.
pub fn values(x: &Tensor) -> Result<Vec<f32>> {
    x.flatten_all()?.to_vec1()
}
