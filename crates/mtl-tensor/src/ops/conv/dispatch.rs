//! Dispatch: the algorithm of each f32 convolution. Winograd or sub-pixel convolution where the shapes allow fewer
//! multiplications, direct convolution otherwise.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use tracing::{Level, debug, enabled};

use super::direct;
use super::geometry::Geometry;
use super::strip_io::{Planes, Pool, Sink, Source, Winner};
use super::subpixel;
use super::tile_side::TileSide;
use super::winograd;
use super::winograd_transforms::{F2, F4};
use crate::ops::window::Window;
use crate::real::written;

/// The algorithms.
#[derive(Clone, Copy, Debug)]
enum Algorithm {
    WinogradF4,
    WinogradF2,
    Subpixel,
    Direct,
}

/// The algorithm of one pass, logged once per pass and shape. Without a subscriber at `debug` the log costs one atomic load.
fn choose(pass: &'static str, g: &Geometry, winograd: Option<TileSide>) -> Algorithm {
    let algorithm = match winograd {
        Some(TileSide::Four) => Algorithm::WinogradF4,
        Some(TileSide::Two) => Algorithm::WinogradF2,
        None if subpixel::suits(g) => Algorithm::Subpixel,
        None => Algorithm::Direct,
    };
    if enabled!(Level::DEBUG) {
        log(pass, g, algorithm);
    }
    algorithm
}

#[cold]
fn log(pass: &'static str, g: &Geometry, algorithm: Algorithm) {
    static LOGGED: Mutex<BTreeSet<(&str, Geometry)>> = Mutex::new(BTreeSet::new());
    if LOGGED.lock().unwrap_or_else(PoisonError::into_inner).insert((pass, *g)) {
        debug!(pass, ?algorithm, geometry = ?g, "convolution");
    }
}

/// `Y = conv(X, W) + b`.
pub(super) fn forward(g: &Geometry, x: &dyn Source, w: &[f32], bias: Option<&[f32]>, y: &dyn Sink) {
    match choose("forward", g, winograd::suits(g)) {
        Algorithm::WinogradF4 => winograd::forward::<F4>(g, x, w, bias, y),
        Algorithm::WinogradF2 => winograd::forward::<F2>(g, x, w, bias, y),
        Algorithm::Subpixel => subpixel::reduce(g, w, x, bias, y),
        Algorithm::Direct => direct::forward(g, x, w, bias, y),
    }
}

/// `dX` from `dY`, plus a bias: a transposed convolution.
pub(super) fn spread(g: &Geometry, w: &[f32], dy: &dyn Source, bias: Option<&[f32]>, dx: &dyn Sink) {
    match choose("transposed", g, None) {
        Algorithm::Subpixel => subpixel::enlarge(g, w, dy, bias, dx),
        _ => direct::spread_out(g, w, dy, bias, dx),
    }
}

/// `max_pool(relu(conv(X, W) + b), 2)`, and the position of each maximum.
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
    let turned = g.turned().and_then(|turned| Some((winograd::suits(&turned)?, turned)));
    let Some((tile, turned)) = turned else { return spread(g, w, dy, None, dx) };
    match choose("grad_input", g, Some(tile)) {
        Algorithm::WinogradF4 => winograd::grad_input::<F4>(&turned, dy, w, dx),
        _ => winograd::grad_input::<F2>(&turned, dy, w, dx),
    }
}

/// `dW` from `X` and `dY`.
pub(super) fn grad_weight(g: &Geometry, x: &dyn Source, dy: &dyn Source) -> Vec<f32> {
    match choose("grad_weight", g, winograd::suits_weights(g)) {
        Algorithm::WinogradF4 => winograd::grad_weight::<F4>(g, x, dy),
        Algorithm::WinogradF2 => winograd::grad_weight::<F2>(g, x, dy),
        Algorithm::Subpixel => subpixel::grad_weight(g, x, dy),
        Algorithm::Direct => direct::grad_weight(g, x, dy),
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

/// A vector of `count` numbers, all of them written by `body`.
pub(super) fn made(count: usize, body: impl FnOnce(Window<'_, f32>)) -> Vec<f32> {
    written(count, |numbers| body(Window::of_unwritten(numbers)))
}
