//! Convolution, normalisation, residual and ReLU as one step of the graph.
//!
//! The same numbers as [`conv2d`], [`batch_norm`] or [`group_norm`] and
//! `add_relu` one after the other, without the passes over memory between them, there and back.

use std::marker::PhantomData;

use candle_core::{Result, Tensor};

use super::conv::{Geometry, Kernels, conv2d, geometry};
use super::norm::{
    Gradients, Grouping, Moments, Normalisation, batch_norm, batch_norm_with, check_batch, group_norm, moments,
};
use crate::real::{for_real, tensor, with_slice};
use crate::tape::{Saved, Value, composed, gradient, needs_gradient, record, record_with_result};

/// Over which numbers [`conv_norm`] takes its moments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// Batch and pixels of a channel, as [`batch_norm`].
    Batch,
    /// This number of channel groups per image, as [`group_norm`].
    Groups(usize),
}

/// `relu?(norm(conv(x, w)) gamma + beta [+ residual])`, and the moments where they are the batch's.
///
/// Shapes: `x [B, Ci, H, W]`, `w [Co, Ci, kh, kw]`, `gamma`, `beta` `[Co]`, `residual` and result `[B, Co, Ho, Wo]`.
///
/// # Errors
/// Shapes that do not fit, channels not divisible by the groups, batch moments of one number per channel, other types than f32 and f64.
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
    if over == Over::Batch {
        check_batch(g.batch * g.out_pixels())?;
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
        let layer = Layer::<T>::new(g, x, w, (gamma, beta));
        let inputs: Vec<&Tensor> = [x, w, gamma, beta].into_iter().chain(residual).collect();
        let value = Value::new(y, shape);
        let y = if residual.is_some() {
            record_with_result("conv_norm_residual", &inputs, value, move |y, grad| {
                let d = with_slice::<T, _>(y, |y| with_slice::<T, _>(grad, |grad| norm.backward(&z, Some(y), grad)))??;
                layer.gradients(d)
            })
        } else {
            record("conv_norm", &inputs, value, move |grad| {
                layer.gradients(with_slice::<T, _>(grad, |grad| norm.backward(&z, None, grad))?)
            })
        }?;
        Ok((y, taken.map(|(mean, var)| Ok::<_, candle_core::Error>((mean?, var?))).transpose()?))
    })
}

/// `relu?((conv(x, w) - mean) gamma / sqrt(var + eps) + beta)` with given moments `[Co]`, constants to the gradient: batch
/// norm at inference, applied while the convolution's result is in the cache.
///
/// # Errors
/// Shapes that do not fit, other types than f32 and f64.
pub fn conv_norm_with(
    x: &Tensor,
    w: &Tensor,
    (stride, padding): (usize, usize),
    (mean, var): (&Tensor, &Tensor),
    (gamma, beta): (&Tensor, &Tensor),
    relu: bool,
) -> Result<Tensor> {
    let g = geometry(x, w, stride, padding)?;
    if [mean, var, gamma, beta].iter().any(|one| one.dims() != [g.out_channels]) {
        candle_core::bail!(
            "conv_norm_with: moments {:?}, scale {:?}, weight {:?}",
            mean.shape(),
            gamma.shape(),
            w.shape()
        );
    }
    if composed(x) {
        return batch_norm_with(&conv2d(x, w, None, stride, padding)?, gamma, beta, mean, var, relu);
    }
    let grouping =
        Grouping { batch: g.batch, channels: g.out_channels, pixels: g.out_pixels(), group: 0, over_batch: true };
    for_real!(x, T => {
        let host = |tensor: &Tensor| with_slice::<T, _>(tensor, <[T]>::to_vec);
        let norm = Normalisation::new(grouping, (host(gamma)?, host(beta)?), (host(mean)?, &host(var)?), relu);
        let (scale, shift): (Vec<T>, Vec<T>) = (0..g.out_channels).map(|channel| norm.affine(channel)).unzip();
        let y = with_slice::<T, _>(x, |x| {
            with_slice::<T, _>(w, |w| T::forward_affine(&g, x, w, (&scale, &shift), relu))
        })??;
        let value = Value::new(y, (g.batch, g.out_channels, g.out_height, g.out_width));
        let layer = Layer::<T>::new(g, x, w, (gamma, beta));
        record_with_result("conv_norm_with", &[x, w, gamma, beta], value, move |y, grad| {
            with_slice::<T, _>(y, |y| with_slice::<T, _>(grad, |grad| {
                if !layer.norm_needs_gradient() {
                    layer.gradients(norm.backward_of_scale(y, grad))
                } else if norm.centred() {
                    layer.gradients_of_affine(&norm, &scale, &norm.opened(y, grad))
                } else {
                    // The convolution's own result was not kept.
                    let z = with_slice::<T, _>(layer.x.get()?, |x| {
                        with_slice::<T, _>(layer.w.get()?, |w| T::forward(&g, x, w, None, false))
                    })??;
                    layer.gradients(norm.backward(&z, Some(y), grad))
                }
            }))??
        })
    })
}

/// A convolution and its normalisation in the backward pass.
struct Layer<T> {
    g: Geometry,
    x: Saved,
    w: Saved,
    /// Input, weight, scale, shift.
    needed: [bool; 4],
    number: PhantomData<T>,
}

impl<T: Kernels> Layer<T> {
    fn new(g: Geometry, x: &Tensor, w: &Tensor, (gamma, beta): (&Tensor, &Tensor)) -> Self {
        let needed = [x.track_op(), needs_gradient(w), needs_gradient(gamma), needs_gradient(beta)];
        Self { g, x: Saved::new(x), w: Saved::new(w), needed, number: PhantomData }
    }

    fn norm_needs_gradient(&self) -> bool {
        self.needed[2] || self.needed[3]
    }

    /// Of `scale (W * x) + shift`, from the gradient of that, without the convolution's result: the sum over pixels of the gradient times
    /// `(W * x)` is the product of `W` with the gradient of `scale W`.
    fn gradients_of_affine(&self, norm: &Normalisation<T>, scale: &[T], d: &[T]) -> Result<Vec<Option<Tensor>>> {
        let g = &self.g;
        let kernel = self.w.shape().elem_count() / g.out_channels;
        let scaled = |w: &[T]| -> Vec<T> {
            w.chunks_exact(kernel).zip(scale).flat_map(|(w, &scale)| w.iter().map(move |&w| w * scale)).collect()
        };
        let dw = with_slice(self.x.get()?, |x| T::grad_weight(g, x, d))?;
        let dbeta = super::sum::of_channels(g.out_channels, g.out_pixels(), d);
        let along = |w: &[T]| -> Vec<T> {
            let channels = w.chunks_exact(kernel).zip(dw.chunks_exact(kernel)).enumerate();
            let products = channels.map(|(channel, (w, dw))| {
                let sum: f64 = w.iter().zip(dw).map(|(w, dw)| w.f64() * dw.f64()).sum();
                T::of((sum - norm.means[channel].f64() * dbeta[channel].f64()) * norm.inverse[channel].f64())
            });
            products.collect()
        };
        let dgamma = with_slice(self.w.get()?, along)?;
        Ok(vec![
            gradient(self.needed[0], self.x.shape(), || {
                with_slice(self.w.get()?, |w| T::grad_input(g, &scaled(w), d))
            })?,
            gradient(self.needed[1], self.w.shape(), || Ok(scaled(&dw)))?,
            gradient(self.needed[2], g.out_channels, || Ok(dgamma))?,
            gradient(self.needed[3], g.out_channels, || Ok(dbeta))?,
        ])
    }

    /// From those of the normalisation's input, scale, shift, and of the residual, in the order of the op's inputs.
    fn gradients(&self, d: Gradients<T>) -> Result<Vec<Option<Tensor>>> {
        let g = &self.g;
        let shape = (g.batch, g.out_channels, g.out_height, g.out_width);
        Ok(vec![
            gradient(self.needed[0], self.x.shape(), || with_slice(self.w.get()?, |w| T::grad_input(g, w, &d.x)))?,
            gradient(self.needed[1], self.w.shape(), || with_slice(self.x.get()?, |x| T::grad_weight(g, x, &d.x)))?,
            gradient(self.needed[2], g.out_channels, || Ok(d.gamma))?,
            gradient(self.needed[3], g.out_channels, || Ok(d.beta))?,
            d.residual.map(|kept| tensor(kept, shape)).transpose()?,
        ])
    }
}
