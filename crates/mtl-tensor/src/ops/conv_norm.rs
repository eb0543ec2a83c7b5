//! Convolution, normalisation, residual and ReLU as one step of the graph.
//!
//! The same numbers as [`conv2d`](super::conv2d), [`batch_norm`](super::batch_norm) or [`group_norm`](super::group_norm) and
//! [`add_relu`](super::add_relu) one after the other. Every step of candle's graph costs four passes over its gradient
//! (zeros, then an addition), and those between convolution and normalisation, and between normalisation and addition,
//! are of no use to anyone: this saves them, which is a tenth of a residual network's training step.

use candle_core::{Result, Tensor};

use super::conv::{Geometry, Kernels, conv2d, geometry};
use super::norm::{Grouping, Moments, Normalisation, batch_norm, group_norm, moments};
use crate::real::{for_real, tensor, with_slice};
use crate::tape::{Value, composed, is_learnt, record2, record3, weight};

/// Over which numbers [`conv_norm`] takes its moments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// Batch and pixels of a channel, as [`batch_norm`](super::batch_norm).
    Batch,
    /// Groups of channels of an image, as many as said, as [`group_norm`](super::group_norm).
    Groups(usize),
}

/// `relu?(norm(conv(x, w)) gamma + beta [+ residual])`, and the moments where they are the batch's.
///
/// Shapes: `x [B, Ci, H, W]`, `w [Co, Ci, kh, kw]`, `gamma`, `beta` `[Co]`, `residual` and result `[B, Co, Ho, Wo]`.
///
/// # Errors
/// Shapes that do not fit, channels not divisible by the groups, other types than f32 and f64.
#[allow(clippy::too_many_arguments)]
pub fn conv_norm(
    x: &Tensor,
    w: &Tensor,
    (stride, padding): (usize, usize),
    over: Over,
    (gamma, beta): (&Tensor, &Tensor),
    residual: Option<&Tensor>,
    relu: bool,
) -> Result<(Tensor, Option<Moments>)> {
    let g = geometry(x, w, stride, padding)?;
    let shape = (g.batch, g.out_channels, g.out_height, g.out_width);
    let groups = if let Over::Groups(groups) = over { groups } else { g.out_channels };
    if gamma.dims() != [g.out_channels] || beta.dims() != [g.out_channels] {
        candle_core::bail!("conv_norm: scale {:?}, shift {:?} for weight {:?}", gamma.shape(), beta.shape(), w.shape());
    }
    if groups == 0 || g.out_channels % groups != 0 {
        candle_core::bail!("conv_norm: {} channels in {groups} groups", g.out_channels);
    }
    if residual.is_some_and(|kept| kept.dims() != [shape.0, shape.1, shape.2, shape.3]) {
        candle_core::bail!("conv_norm: residual {:?} for {shape:?}", residual.map(Tensor::shape));
    }
    if composed(x) {
        let z = conv2d(x, w, None, stride, padding)?;
        let open = relu && residual.is_none();
        let (y, taken) = match over {
            Over::Batch => batch_norm(&z, gamma, beta, open).map(|(y, taken)| (y, Some(taken)))?,
            Over::Groups(groups) => (group_norm(&z, gamma, beta, groups, open)?, None),
        };
        return Ok((
            match residual {
                Some(kept) if relu => super::add_relu(&y, kept)?,
                Some(kept) => (y + kept)?,
                None => y,
            },
            taken,
        ));
    }
    let grouping = Grouping {
        batch: g.batch,
        channels: g.out_channels,
        pixels: g.out_pixels(),
        group: g.out_channels / groups,
        over_batch: over == Over::Batch,
    };
    for_real!(x, T => {
        let z = with_slice::<T, _>(x, |x| with_slice::<T, _>(w, |w| T::forward(&g, x, w, None, false)))??;
        let (means, vars) = moments(&z, grouping);
        let taken = (over == Over::Batch).then(|| (tensor(means.clone(), g.out_channels), tensor(vars.clone(), g.out_channels)));
        let weights = (with_slice::<T, _>(gamma, <[T]>::to_vec)?, with_slice::<T, _>(beta, <[T]>::to_vec)?);
        let norm = Normalisation::new(grouping, weights, (means, &vars), relu);
        let y = match residual {
            Some(kept) => with_slice::<T, _>(kept, |kept| norm.forward(&z, Some(kept)))?,
            None => norm.forward(&z, None),
        };
        let y = record::<T>(x, w, (gamma, beta), residual, Step { g, norm, z, value: Value::new(y, shape) })?;
        Ok((y, taken.map(|(mean, var)| Ok::<_, candle_core::Error>((mean?, var?))).transpose()?))
    })
}

/// What the backward pass needs of the forward one.
struct Step<T> {
    g: Geometry,
    norm: Normalisation<T>,
    /// The convolution's result.
    z: Vec<T>,
    value: Value,
}

/// Puts the value into the graph. An operation of candle has three inputs at most, so weight, scale and shift enter as one.
fn record<T: Kernels>(
    x: &Tensor,
    w: &Tensor,
    (gamma, beta): (&Tensor, &Tensor),
    residual: Option<&Tensor>,
    Step { g, norm, z, value }: Step<T>,
) -> Result<Tensor> {
    let learnt = is_learnt(w) || is_learnt(gamma) || is_learnt(beta);
    let weights = Tensor::cat(&[&weight(w).flatten_all()?, &weight(gamma), &weight(beta)], 0)?;
    let (saved_x, saved_w, all) = (x.clone(), w.detach(), weights.elem_count());
    let has_residual = residual.is_some();
    let gradients = move |y: &Tensor, grad: &Tensor| -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let d = with_slice::<T, _>(y, |y| {
            with_slice::<T, _>(grad, |grad| norm.backward(&z, has_residual.then_some(y), grad))
        })??;
        let dx = if saved_x.track_op() {
            let dx = with_slice::<T, _>(&saved_w, |w| T::grad_input(&g, w, &d.x))?;
            Some(tensor(dx, saved_x.shape())?)
        } else {
            None
        };
        let dw = if learnt {
            let mut dw = with_slice::<T, _>(&saved_x, |x| T::grad_weight(&g, x, &d.x))?;
            dw.extend(d.gamma.into_iter().chain(d.beta));
            Some(tensor(dw, all)?)
        } else {
            None
        };
        let kept = d.residual.map(|kept| tensor(kept, grad.shape())).transpose()?;
        Ok((dx, dw, kept))
    };
    match residual {
        Some(kept) => record3("conv_norm", x, &weights, kept, value, gradients),
        None => record2("conv_norm", x, &weights, value, move |y, grad| gradients(y, grad).map(|(dx, dw, _)| (dx, dw))),
    }
}
