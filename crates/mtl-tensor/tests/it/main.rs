//! Every op of the crate against central differences and against candle's own slow ops, on both code paths.

mod checkpoints;
mod convolutions;
mod device;
mod edges;
mod fused;
mod gradients;
mod graph;
#[cfg(feature = "candle-nn")]
mod nn;
mod precision;
mod references;

use mtl_tensor::{DType, Device, gradcheck};

/// Device of tensors that are compared across types: f32 on the device under test, its f64 reference on the CPU.
fn device_of(dtype: DType) -> &'static Device {
    if dtype == DType::F64 { &Device::Cpu } else { gradcheck::device() }
}

/// Runs `body` on the CPU's code, then on that of the accelerators. On an accelerator there is only the second.
fn on_both_paths(body: impl Fn(&str)) {
    if gradcheck::device().is_cpu() {
        body("CPU code");
    }
    gradcheck::on_accelerator_code(|| body("accelerator code"));
}
