//! Every op of the crate against central differences and against candle's own slow ops, on both code paths.

mod convolutions;
mod edges;
mod fused;
mod gradients;
mod graph;
#[cfg(feature = "candle-nn")]
mod nn;
mod precision;
mod references;

/// Runs `body` on the CPU's code, then on that of the accelerators.
fn on_both_paths(body: impl Fn(&str)) {
    body("CPU code");
    mtl_tensor::gradcheck::on_accelerator_code(|| body("accelerator code"));
}
