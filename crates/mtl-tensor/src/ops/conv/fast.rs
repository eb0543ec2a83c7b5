//! Which way a fast convolution is computed: fewer multiplications where the shapes allow, otherwise straight from the
//! definition.

use super::direct;
use super::geometry::Geometry;
use super::images::{Planes, Pool, Sink, Source, Winner};
use super::scheme::{F2, F4};
use super::subpixel;
use super::winograd::{self, TileSide};
use crate::ops::window::Window;
use crate::real::written;

/// `Y = conv(X, W) + b`.
pub(super) fn forward(g: &Geometry, x: &dyn Source, w: &[f32], bias: Option<&[f32]>, y: &dyn Sink) {
    match winograd::suits(g) {
        Some(TileSide::Four) => winograd::forward::<F4>(g, x, w, bias, y),
        Some(TileSide::Two) => winograd::forward::<F2>(g, x, w, bias, y),
        None if subpixel::suits(g) => subpixel::reduce(g, w, x, bias, y),
        None => direct::forward(g, x, w, bias, y),
    }
}

/// `dX` from `dY`, plus a bias: a transposed convolution.
pub(super) fn spread(g: &Geometry, w: &[f32], dy: &dyn Source, bias: Option<&[f32]>, dx: &dyn Sink) {
    if subpixel::suits(g) {
        subpixel::enlarge(g, w, dy, bias, dx);
    } else {
        direct::spread_out(g, w, dy, bias, dx);
    }
}

/// `max_pool(relu(conv(X, W) + b), 2)`, and which pixels won.
pub(super) fn forward_pooled(g: &Geometry, x: &[f32], w: &[f32], bias: Option<&[f32]>) -> (Vec<f32>, Vec<Winner>) {
    let (height, width) = (g.out_height / 2, g.out_width / 2);
    let count = g.batch * g.out_channels * height * width;
    let mut winners = vec![0; count];
    let to = Window::of(&mut winners);
    let y = made(count, |y| {
        let planes = Planes { numbers: y, channels: g.out_channels, size: (height, width) };
        forward(g, &g.input(x), w, bias, &Pool { planes, winners: to });
    });
    (y, winners)
}

/// `dX` from `dY`.
pub(super) fn grad_input(g: &Geometry, w: &[f32], dy: &dyn Source, dx: &dyn Sink) {
    let turned = g.turned();
    match turned.as_ref().map(|turned| (turned, winograd::suits(turned))) {
        Some((turned, Some(TileSide::Four))) => winograd::grad_input::<F4>(turned, dy, w, dx),
        Some((turned, Some(TileSide::Two))) => winograd::grad_input::<F2>(turned, dy, w, dx),
        _ => spread(g, w, dy, None, dx),
    }
}

/// `dW` from `X` and `dY`.
pub(super) fn grad_weight(g: &Geometry, x: &dyn Source, dy: &dyn Source) -> Vec<f32> {
    match winograd::suits_weights(g) {
        Some(TileSide::Four) => winograd::grad_weight::<F4>(g, x, dy),
        Some(TileSide::Two) => winograd::grad_weight::<F2>(g, x, dy),
        None if subpixel::suits(g) => subpixel::grad_weight(g, x, dy),
        None => direct::grad_weight(g, x, dy),
    }
}

impl Geometry {
    /// Numbers on the input's side as images.
    pub(super) fn input<N>(&self, numbers: N) -> Planes<N> {
        Planes { numbers, channels: self.in_channels, size: (self.in_height, self.in_width) }
    }

    /// Numbers on the output's side as images.
    pub(super) fn output<N>(&self, numbers: N) -> Planes<N> {
        Planes { numbers, channels: self.out_channels, size: (self.out_height, self.out_width) }
    }
}

/// New numbers, as many as said, every one of them written by `body`'s sink.
pub(super) fn made(count: usize, body: impl FnOnce(Window<'_, f32>)) -> Vec<f32> {
    written(count, |numbers| body(Window::of_unwritten(numbers)))
}
