//! `y = x W^T + b`.

use candle_core::{Result, Tensor};

/// Affine map of rows: `x [B, I]`, `w [O, I]`, `bias [O]`, result `[B, O]`.
///
/// # Errors
/// Shapes that do not fit.
pub fn linear(x: &Tensor, w: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let y = x.matmul(&w.t()?)?;
    match bias {
        Some(bias) => y.broadcast_add(bias),
        None => Ok(y),
    }
}
