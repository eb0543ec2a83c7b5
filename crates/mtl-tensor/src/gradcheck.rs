//! Gradients against central differences: `(f(x + h) - f(x - h)) / 2h` in f64, which every op must pass.

use std::sync::LazyLock;

use candle_core::{DType, Device, Result, Tensor, Var};

/// Device of the tests' tensors: the one named by the variable `MTL_TEST_DEVICE` (see [`crate::device::parse`]), default
/// `cpu`. It is opened once per process: tensors of a card that was opened twice cannot be combined.
///
/// # Panics
/// The device is not available.
pub fn device() -> &'static Device {
    static DEVICE: LazyLock<Device> = LazyLock::new(|| {
        let name = std::env::var("MTL_TEST_DEVICE").unwrap_or_else(|_| "cpu".to_owned());
        crate::device::parse(&name).unwrap_or_else(|error| panic!("MTL_TEST_DEVICE: {error}"))
    });
    &DEVICE
}

/// Compares the gradient of `sum(f(inputs) * r)`, `r` a fixed random tensor, with central differences in every
/// coordinate of every input. Returns the largest difference relative to `max(1, |gradient|)`.
///
/// `inputs` are f64 tensors; `f` must be differentiable at them: keep values away from kinks by more than 1e-5.
///
/// # Errors
/// An input that gets no gradient, or any error of `f`.
pub fn worst_error(inputs: &[Tensor], f: impl Fn(&[Tensor]) -> Result<Tensor>) -> Result<f64> {
    const STEP: f64 = 1e-5;
    let vars = inputs.iter().map(|input| Var::from_tensor(&input.to_dtype(DType::F64)?)).collect::<Result<Vec<_>>>()?;
    let tensors: Vec<Tensor> = vars.iter().map(|var| var.as_tensor().clone()).collect();
    let value = f(&tensors)?;
    let weights = mtl_rng::Seed::new(1).stream("gradcheck", &[]).normals(value.elem_count());
    let weights = Tensor::from_vec(weights, value.shape(), value.device())?.to_dtype(DType::F64)?;
    let scalar = |inputs: &[Tensor]| -> Result<Tensor> { (f(inputs)? * &weights)?.sum_all() };
    let grads = crate::backward(&scalar(&tensors)?)?;
    let mut worst: f64 = 0.0;
    for (which, var) in vars.iter().enumerate() {
        let Some(grad) = grads.get(var) else {
            candle_core::bail!("input {which} gets no gradient");
        };
        let grad = crate::to_f64(grad)?;
        let start = crate::to_f64(var)?;
        for (at, analytic) in grad.iter().enumerate() {
            let moved = |h: f64| -> Result<f64> {
                let mut values = start.clone();
                values[at] += h;
                let mut inputs: Vec<Tensor> = tensors.iter().map(Tensor::detach).collect();
                inputs[which] = Tensor::from_vec(values, var.shape(), var.device())?;
                scalar(&inputs)?.to_scalar::<f64>()
            };
            let numeric = (moved(STEP)? - moved(-STEP)?) / (2.0 * STEP);
            worst = worst.max((analytic - numeric).abs() / analytic.abs().max(1.0));
        }
    }
    Ok(worst)
}

/// Runs `body` with the code for CUDA and Metal, on any device, to check that code on a machine without an
/// accelerator.
pub fn on_accelerator_code<R>(body: impl FnOnce() -> R) -> R {
    crate::tape::force_composed(body)
}
