//! Convolution and transposed convolution (Dumoulin and Visin 2016, arXiv 1603.07285).

mod direct;
mod dispatch;
mod geometry;
mod im2col;
mod kernel_cache;
mod strip_io;
mod subpixel;
mod tile_layout;
mod tile_side;
mod tile_transforms;
mod winograd;
mod winograd_transforms;

use candle_core::{DType, Result, Tensor};

use self::dispatch::made;
pub(super) use self::geometry::Geometry;
use self::strip_io::{Affine, Planes, Pool, Relu};
pub use self::tile_side::{TileSide, with_largest_tile};
use super::sum;
use crate::real::{for_real, tensor, with_slice};
use crate::tape::{Saved, Value, composed, gradient, needs_gradient, record, record_with_result};

/// `y[b, o, i, j] = bias[o] + sum_{c, u, v} x[b, c, i s + u - p, j s + v - p] w[o, c, u, v]`.
///
/// Shapes: `x [B, Ci, H, W]`, `w [Co, Ci, kh, kw]`, `bias [Co]`, result `[B, Co, Ho, Wo]` with
/// `Ho = (H + 2 p - kh) / s + 1`. The gradient of an input or weight that is not tracked is not computed.
///
/// In f32 a 3x3 kernel at stride 1 with 8 channels or more uses Winograd's algorithm, which rounds by tile: next to a number far
/// larger than its neighbours, or to exact zeros, errors are of the size of the largest number in the tile times 1e-7. NaN and
/// infinities spread over a tile and are never hidden. [`with_largest_tile`] makes tiles smaller.
///
/// # Errors
/// Shapes that do not fit, a kernel larger than the padded image, other types than f32 and f64.
pub fn conv2d(x: &Tensor, w: &Tensor, bias: Option<&Tensor>, stride: usize, padding: usize) -> Result<Tensor> {
    gathering(x, w, bias, (stride, padding), false)
}

/// `relu(conv2d(...))` as one step of the graph.
///
/// # Errors
/// As [`conv2d`].
pub fn conv2d_relu(x: &Tensor, w: &Tensor, bias: Option<&Tensor>, stride: usize, padding: usize) -> Result<Tensor> {
    gathering(x, w, bias, (stride, padding), true)
}

fn gathering(
    x: &Tensor,
    w: &Tensor,
    bias: Option<&Tensor>,
    (stride, padding): (usize, usize),
    relu: bool,
) -> Result<Tensor> {
    let g = geometry(x, w, stride, padding)?;
    check_bias(bias, g.out_channels)?;
    if composed(x) {
        return on_images(x, |x| finish(composed_conv2d(x, w, &g)?, bias, relu));
    }
    for_real!(x, T => {
        let y = slices3::<T, _>(x, w, bias, |x, w, bias| T::forward(&g, x, w, bias, relu))?;
        let value = Value::new(y, (g.batch, g.out_channels, g.out_height, g.out_width));
        record_layer::<T>(x, w, bias, value, Layer { g, direction: Direction::Forward, relu })
    })
}

/// `max_pool2d(relu(conv2d(...)), 2)` as one step of the graph: nothing of the size of the convolution's result is ever
/// written to memory in f32, in either pass. Where two numbers of a window are equal up to rounding, rounding chooses the maximum.
///
/// # Errors
/// As [`conv2d`] and [`max_pool2d`](super::max_pool2d).
pub fn conv2d_relu_pool(
    x: &Tensor,
    w: &Tensor,
    bias: Option<&Tensor>,
    stride: usize,
    padding: usize,
) -> Result<Tensor> {
    let g = geometry(x, w, stride, padding)?;
    if composed(x) || x.dtype() != DType::F32 || g.out_height < 2 || g.out_width < 2 {
        return super::max_pool2d(&conv2d_relu(x, w, bias, stride, padding)?, 2);
    }
    check_bias(bias, g.out_channels)?;
    let (y, winners) = slices3::<f32, _>(x, w, bias, |x, w, bias| dispatch::forward_pooled(&g, x, w, bias))?;
    let (height, width) = (g.out_height / 2, g.out_width / 2);
    let value = Value::new(y, (g.batch, g.out_channels, height, width));
    let (saved_x, saved_w) = (Saved::new(x), Saved::new(w));
    let needed = (x.track_op(), needs_gradient(w), bias.is_some_and(needs_gradient));
    let inputs: Vec<&Tensor> = [x, w].into_iter().chain(bias).collect();
    record_with_result("conv_pool", &inputs, value, move |y, dy| {
        let (dx, dw) = with_slice::<f32, _>(dy, |dy| -> Result<_> {
            let planes = Planes { numbers: dy, channels: g.out_channels, size: (height, width) };
            let dy = Pool { planes, winners: &*winners };
            let dx = |w: &[f32]| made(g.batch * g.in_image(), |dx| dispatch::grad_input(&g, w, &dy, &g.input(dx)));
            let dw = |x: &[f32]| dispatch::grad_weight(&g, &g.input(x), &dy);
            Ok((
                gradient(needed.0, saved_x.shape(), || with_slice(saved_w.get()?, dx))?,
                gradient(needed.1, saved_w.shape(), || with_slice(saved_x.get()?, dw))?,
            ))
        })??;
        let db = gradient(needed.2, g.out_channels, || bias_gradient::<f32>(&opened::<f32>(y, dy)?))?;
        Ok(vec![dx, dw, db])
    })
}

/// The gradient where the ReLU was active.
fn opened<T: crate::Real>(y: &Tensor, dy: &Tensor) -> Result<Tensor> {
    let dy = with_slice::<T, _>(y, |y| with_slice::<T, _>(dy, |dy| super::activation::opened(y, dy)))??;
    tensor(dy, y.shape())
}

/// Sums of `[B, C, H, W]` over all but channels.
fn bias_gradient<T: crate::Real>(dy: &Tensor) -> Result<Vec<T>> {
    let (_, channels, height, width) = dy.dims4()?;
    with_slice::<T, _>(dy, |dy| sum::of_channels(channels, height * width, dy))
}

/// The geometry of [`conv2d`].
pub(super) fn geometry(x: &Tensor, w: &Tensor, stride: usize, padding: usize) -> Result<Geometry> {
    let (batch, in_channels, in_height, in_width) = x.dims4()?;
    let (out_channels, weight_channels, kernel_height, kernel_width) = w.dims4()?;
    let fits = in_height + 2 * padding >= kernel_height && in_width + 2 * padding >= kernel_width;
    if in_channels != weight_channels || stride == 0 || !fits || is_empty(x, w) {
        candle_core::bail!(
            "conv2d: input {:?} does not fit weight {:?} (stride {stride}, padding {padding})",
            x.shape(),
            w.shape()
        );
    }
    Ok(Geometry {
        batch,
        in_channels,
        in_height,
        in_width,
        out_channels,
        out_height: (in_height + 2 * padding - kernel_height) / stride + 1,
        out_width: (in_width + 2 * padding - kernel_width) / stride + 1,
        kernel_height,
        kernel_width,
        stride,
        padding,
    })
}

/// Transposed convolution: every input pixel adds a `kh x kw` patch to the output, at a distance of `s` pixels.
///
/// Shapes: `x [B, Ci, H, W]`, `w [Ci, Co, kh, kw]`, `bias [Co]`, result `[B, Co, (H - 1) s - 2 p + kh, ...]`.
///
/// # Errors
/// Shapes that do not fit, other types than f32 and f64.
pub fn conv_transpose2d(
    x: &Tensor,
    w: &Tensor,
    bias: Option<&Tensor>,
    stride: usize,
    padding: usize,
) -> Result<Tensor> {
    transposed(x, w, bias, (stride, padding), false)
}

/// `relu(conv_transpose2d(...))` as one node of the graph.
///
/// # Errors
/// As [`conv_transpose2d`].
pub fn conv_transpose2d_relu(
    x: &Tensor,
    w: &Tensor,
    bias: Option<&Tensor>,
    stride: usize,
    padding: usize,
) -> Result<Tensor> {
    transposed(x, w, bias, (stride, padding), true)
}

fn transposed(
    x: &Tensor,
    w: &Tensor,
    bias: Option<&Tensor>,
    (stride, padding): (usize, usize),
    relu: bool,
) -> Result<Tensor> {
    let (batch, in_channels, in_height, in_width) = x.dims4()?;
    let (weight_channels, out_channels, kernel_height, kernel_width) = w.dims4()?;
    let spread = |length: usize, kernel: usize| ((length.max(1) - 1) * stride + kernel).checked_sub(2 * padding);
    let (Some(out_height), Some(out_width)) = (spread(in_height, kernel_height), spread(in_width, kernel_width)) else {
        candle_core::bail!("conv_transpose2d: padding {padding} removes all of {:?}", x.shape());
    };
    if in_channels != weight_channels || stride == 0 || out_height == 0 || out_width == 0 || is_empty(x, w) {
        candle_core::bail!("conv_transpose2d: input {:?} does not fit weight {:?}", x.shape(), w.shape());
    }
    check_bias(bias, out_channels)?;
    if composed(x) {
        return on_images(x, |x| finish(x.conv_transpose2d(w, padding, 0, stride, 1)?, bias, relu));
    }
    // The convolution whose gradient this is: from our output to our input.
    let g = Geometry {
        batch,
        in_channels: out_channels,
        in_height: out_height,
        in_width: out_width,
        out_channels: in_channels,
        out_height: in_height,
        out_width: in_width,
        kernel_height,
        kernel_width,
        stride,
        padding,
    };
    for_real!(x, T => {
        let y = slices3::<T, _>(x, w, bias, |x, w, bias| T::spread(&g, w, x, bias, relu))?;
        let value = Value::new(y, (batch, out_channels, out_height, out_width));
        record_layer::<T>(x, w, bias, value, Layer { g, direction: Direction::Transposed, relu })
    })
}

/// Whether channels, pixels or taps are missing. A batch may be empty.
fn is_empty(x: &Tensor, w: &Tensor) -> bool {
    x.dims()[1..].contains(&0) || w.dims().contains(&0)
}

/// Direction of a layer through its geometry.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    /// From the geometry's input to its output: convolution.
    Forward,
    /// From its output to its input: transposed convolution.
    Transposed,
}

#[derive(Clone, Copy)]
struct Layer {
    g: Geometry,
    direction: Direction,
    relu: bool,
}

/// Puts the value into the graph, with or without a bias as third input. Gradients that are not needed are not computed.
fn record_layer<T: Kernels>(
    x: &Tensor,
    w: &Tensor,
    bias: Option<&Tensor>,
    value: Value,
    Layer { g, direction, relu }: Layer,
) -> Result<Tensor> {
    let (saved_x, saved_w) = (Saved::new(x), Saved::new(w));
    let needed = (x.track_op(), needs_gradient(w), bias.is_some_and(needs_gradient));
    let inputs: Vec<&Tensor> = [x, w].into_iter().chain(bias).collect();
    let gradients = move |dy: &Tensor| {
        let (dx, dw) = with_slice::<T, _>(dy, |dy| -> Result<_> {
            let dx = |w: &[T]| match direction {
                Direction::Forward => T::grad_input(&g, w, dy),
                Direction::Transposed => T::forward(&g, dy, w, None, false),
            };
            let dw = |x: &[T]| match direction {
                Direction::Forward => T::grad_weight(&g, x, dy),
                Direction::Transposed => T::grad_weight(&g, dy, x),
            };
            Ok((
                gradient(needed.0, saved_x.shape(), || with_slice(saved_w.get()?, dx))?,
                gradient(needed.1, saved_w.shape(), || with_slice(saved_x.get()?, dw))?,
            ))
        })??;
        Ok(vec![dx, dw, gradient(needed.2, dy.dim(1)?, || bias_gradient::<T>(dy))?])
    };
    if relu {
        record_with_result("conv_relu", &inputs, value, move |y, dy| gradients(&opened::<T>(y, dy)?))
    } else {
        record("conv", &inputs, value, gradients)
    }
}

/// The convolutions of one number type. `x` is `[B, Ci, H, W]`, `y` `[B, Co, Ho, Wo]`, `w` `[Co, Ci, kh, kw]`.
pub(super) trait Kernels: crate::Real {
    /// `relu?(conv(x, w) + bias)`.
    fn forward(g: &Geometry, x: &[Self], w: &[Self], bias: Option<&[Self]>, relu: bool) -> Vec<Self>;
    /// `relu?(conv(x, w) scale + shift)`, one number per channel each.
    fn forward_affine(g: &Geometry, x: &[Self], w: &[Self], affine: (&[Self], &[Self]), relu: bool) -> Vec<Self>;
    /// `dX` from `dY`, plus a bias of input channels, through a ReLU: a transposed convolution.
    fn spread(g: &Geometry, w: &[Self], dy: &[Self], bias: Option<&[Self]>, relu: bool) -> Vec<Self>;
    fn grad_input(g: &Geometry, w: &[Self], dy: &[Self]) -> Vec<Self>;
    fn grad_weight(g: &Geometry, x: &[Self], dy: &[Self]) -> Vec<Self>;
}

/// See [`dispatch`].
impl Kernels for f32 {
    fn forward(g: &Geometry, x: &[f32], w: &[f32], bias: Option<&[f32]>, relu: bool) -> Vec<f32> {
        made(g.batch * g.out_image(), |y| match relu {
            true => dispatch::forward(g, &g.input(x), w, bias, &Relu(g.output(y))),
            false => dispatch::forward(g, &g.input(x), w, bias, &g.output(y)),
        })
    }
    fn forward_affine(g: &Geometry, x: &[f32], w: &[f32], (scale, shift): (&[f32], &[f32]), relu: bool) -> Vec<f32> {
        made(g.batch * g.out_image(), |y| {
            dispatch::forward(g, &g.input(x), w, None, &Affine { scale, shift, relu, to: g.output(y) });
        })
    }
    fn spread(g: &Geometry, w: &[f32], dy: &[f32], bias: Option<&[f32]>, relu: bool) -> Vec<f32> {
        made(g.batch * g.in_image(), |dx| match relu {
            true => dispatch::spread(g, w, &g.output(dy), bias, &Relu(g.input(dx))),
            false => dispatch::spread(g, w, &g.output(dy), bias, &g.input(dx)),
        })
    }
    fn grad_input(g: &Geometry, w: &[f32], dy: &[f32]) -> Vec<f32> {
        made(g.batch * g.in_image(), |dx| dispatch::grad_input(g, w, &g.output(dy), &g.input(dx)))
    }
    fn grad_weight(g: &Geometry, x: &[f32], dy: &[f32]) -> Vec<f32> {
        dispatch::grad_weight(g, &g.input(x), &g.output(dy))
    }
}

/// Straightforward and exact up to rounding, for gradient checks.
impl Kernels for f64 {
    fn forward(g: &Geometry, x: &[f64], w: &[f64], bias: Option<&[f64]>, relu: bool) -> Vec<f64> {
        rectified(im2col::forward(g, x, w, bias), relu)
    }
    fn forward_affine(g: &Geometry, x: &[f64], w: &[f64], (scale, shift): (&[f64], &[f64]), relu: bool) -> Vec<f64> {
        let mut y = im2col::forward(g, x, w, None);
        for (plane, y) in y.chunks_exact_mut(g.out_pixels()).enumerate() {
            let channel = plane % g.out_channels;
            y.iter_mut().for_each(|v| *v = *v * scale[channel] + shift[channel]);
        }
        rectified(y, relu)
    }
    fn spread(g: &Geometry, w: &[f64], dy: &[f64], bias: Option<&[f64]>, relu: bool) -> Vec<f64> {
        rectified(im2col::scatter(g, w, dy, bias), relu)
    }
    fn grad_input(g: &Geometry, w: &[f64], dy: &[f64]) -> Vec<f64> {
        im2col::grad_input(g, w, dy)
    }
    fn grad_weight(g: &Geometry, x: &[f64], dy: &[f64]) -> Vec<f64> {
        im2col::grad_weight(g, x, dy)
    }
}

fn rectified(mut y: Vec<f64>, relu: bool) -> Vec<f64> {
    if relu {
        y.iter_mut().filter(|v| **v < 0.0).for_each(|v| *v = 0.0);
    }
    y
}

fn slices3<T: crate::Real, R>(
    x: &Tensor,
    w: &Tensor,
    bias: Option<&Tensor>,
    body: impl FnOnce(&[T], &[T], Option<&[T]>) -> R,
) -> Result<R> {
    with_slice::<T, _>(x, |x| {
        with_slice::<T, _>(w, |w| match bias {
            Some(bias) => with_slice::<T, _>(bias, |bias| body(x, w, Some(bias))),
            None => Ok(body(x, w, None)),
        })
    })??
}

fn check_bias(bias: Option<&Tensor>, channels: usize) -> Result<()> {
    match bias {
        Some(bias) if bias.dims() != [channels] => {
            candle_core::bail!("conv: bias {:?} for {channels} channels", bias.shape())
        }
        _ => Ok(()),
    }
}

/// candle's convolution. Its gradient assumes that the stride leaves over as many rows as columns, and padding within the
/// kernel's size; any other image is first padded and cut to the pixels that are read.
fn composed_conv2d(x: &Tensor, w: &Tensor, g: &Geometry) -> Result<Tensor> {
    let read = |out: usize, kernel: usize| (out - 1) * g.stride + kernel;
    let (height, width) = (read(g.out_height, g.kernel_height), read(g.out_width, g.kernel_width));
    let (padded_height, padded_width) = (g.in_height + 2 * g.padding, g.in_width + 2 * g.padding);
    if padded_height - height == padded_width - width && height >= 2 * g.padding {
        return x.conv2d(w, g.padding, g.stride, 1, 1);
    }
    let x = x.pad_with_zeros(2, g.padding, g.padding)?.pad_with_zeros(3, g.padding, g.padding)?;
    x.narrow(2, 0, height)?.narrow(3, 0, width)?.contiguous()?.conv2d(w, 0, g.stride, 1, 1)
}

/// `f(x)`. candle's kernels for CUDA cannot be launched on an empty batch: it gets a blank image, which is cut off again.
fn on_images(x: &Tensor, f: impl FnOnce(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
    match x.dims4()? {
        (0, channels, height, width) => {
            f(&Tensor::zeros((1, channels, height, width), x.dtype(), x.device())?)?.narrow(0, 0, 0)
        }
        _ => f(x),
    }
}

/// Bias and ReLU by candle's ops.
fn finish(y: Tensor, bias: Option<&Tensor>, relu: bool) -> Result<Tensor> {
    let y = match bias {
        Some(bias) => y.broadcast_add(&bias.reshape((1, (), 1, 1))?)?,
        None => y,
    };
    if relu { super::activation::composed_relu(&y) } else { Ok(y) }
}
