//! Normalisation of slices: planes of `pixels` numbers, `channels` planes per image.

use std::mem::MaybeUninit;

use rayon::prelude::*;

use super::EPSILON;
use crate::Real;
use crate::real::written;
use crate::simd::{Loop, wide};

/// The set of numbers that one mean is taken over.
#[derive(Clone, Copy, Debug)]
pub(in crate::ops) struct Grouping {
    pub batch: usize,
    pub channels: usize,
    pub pixels: usize,
    /// Channels per group; 0 where the moments are constants and no gradient flows through them.
    pub group: usize,
    pub over_batch: bool,
}

impl Grouping {
    /// Index of the moments of plane `image * channels + channel`.
    fn of(&self, plane: usize) -> usize {
        if self.over_batch { plane % self.channels } else { plane / self.group }
    }
    /// Number of moments.
    fn count(&self) -> usize {
        if self.over_batch { self.channels } else { self.batch * self.channels / self.group }
    }
    /// Numbers that one mean is taken over.
    fn numbers(&self) -> usize {
        self.pixels * if self.over_batch { self.batch } else { self.group }
    }
}

/// Deviations from 0 from which on a mean is far.
const FAR: f64 = 32.0;

/// Lanes of a sum: fixed, so that the order of additions does not depend on the processor.
const LANES: usize = 32;
type Lanes<T> = [T; LANES];

#[inline(always)]
fn total<T: Real>(lanes: &Lanes<T>) -> f64 {
    let mut total = 0.0;
    for lane in lanes {
        total += lane.f64();
    }
    total
}

/// Mean, and sum of squares about it, of one plane.
struct PlaneMoments;

impl<'a, T: Real> Loop<&'a [T]> for PlaneMoments {
    type Output = (f64, f64);

    #[inline(always)]
    fn run(x: &'a [T]) -> (f64, f64) {
        let mut lanes = [T::default(); LANES];
        let mut chunks = x.chunks_exact(LANES);
        for chunk in &mut chunks {
            for lane in 0..LANES {
                lanes[lane] += chunk[lane];
            }
        }
        for (lane, v) in lanes.iter_mut().zip(chunks.remainder()) {
            *lane += *v;
        }
        let count = x.len() as f64;
        // Far from zero the mean rounds coarsely: the rest of the deviations is summed with their squares and taken off.
        let centre = T::of(total(&lanes) / count);
        let (mut rests, mut squares) = ([T::default(); LANES], [T::default(); LANES]);
        let mut chunks = x.chunks_exact(LANES);
        for chunk in &mut chunks {
            for lane in 0..LANES {
                let d = chunk[lane] - centre;
                rests[lane] += d;
                squares[lane] += d * d;
            }
        }
        for (lane, v) in chunks.remainder().iter().enumerate() {
            let d = *v - centre;
            rests[lane] += d;
            squares[lane] += d * d;
        }
        let missed = total(&rests) / count;
        (centre.f64() + missed, total(&squares) - count * missed * missed)
    }
}

/// Means and biased variances. Each plane is read once while it is near; means and squares of planes are put together as
/// Chan, Golub and LeVeque (1983) do, so channels whose mean is far from zero keep their variance.
pub(in crate::ops) fn moments<T: Real>(x: &[T], g: Grouping) -> (Vec<T>, Vec<T>) {
    let planes: Vec<(f64, f64)> = x.par_chunks(g.pixels).map(wide::<PlaneMoments, _>).collect();
    let pixels = g.pixels as f64;
    let (mut means, mut vars) = (vec![0.0; g.count()], vec![0.0; g.count()]);
    for (plane, (mean, _)) in planes.iter().enumerate() {
        means[g.of(plane)] += mean * pixels;
    }
    means.iter_mut().for_each(|mean| *mean /= g.numbers() as f64);
    for (plane, (mean, squares)) in planes.iter().enumerate() {
        let d = mean - means[g.of(plane)];
        vars[g.of(plane)] += squares + pixels * d * d;
    }
    let vars = vars.into_iter().map(|var| T::of(if var < 0.0 { 0.0 } else { var / g.numbers() as f64 })).collect();
    (means.into_iter().map(T::of).collect(), vars)
}

/// `y = relu?(gamma (x - mean) / sqrt(var + eps) + beta [+ residual])`.
#[derive(Clone, Debug)]
pub(in crate::ops) struct Normalisation<T> {
    pub grouping: Grouping,
    pub gammas: Vec<T>,
    pub betas: Vec<T>,
    pub means: Vec<T>,
    /// `1 / sqrt(var + eps)`.
    pub inverse: Vec<T>,
    pub relu: bool,
}

/// Gradients of the inputs; of the residual only where there was one.
pub(in crate::ops) struct Gradients<T> {
    pub x: Vec<T>,
    pub residual: Option<Vec<T>>,
    pub gamma: Vec<T>,
    pub beta: Vec<T>,
}

impl<T: Real> Normalisation<T> {
    pub(in crate::ops) fn new(
        grouping: Grouping,
        (gammas, betas): (Vec<T>, Vec<T>),
        (means, vars): (Vec<T>, &[T]),
        relu: bool,
    ) -> Self {
        let inverse = vars.iter().map(|var| T::of(1.0) / (*var + T::of(EPSILON)).sqrt()).collect();
        Self { grouping, gammas, betas, means, inverse, relu }
    }

    /// Scale and shift of a plane.
    pub(in crate::ops) fn affine(&self, plane: usize) -> (T, T) {
        let (channel, at) = (plane % self.grouping.channels, self.grouping.of(plane));
        let scale = self.gammas[channel] * self.inverse[at];
        (scale, self.betas[channel] - self.means[at] * scale)
    }

    pub(in crate::ops) fn forward(&self, x: &[T], residual: Option<&[T]>) -> Vec<T> {
        let pixels = self.grouping.pixels;
        written(x.len(), |y| {
            y.par_chunks_mut(pixels).zip(x.par_chunks(pixels)).enumerate().for_each(|(plane, (y, x))| {
                let affine = self.affine(plane);
                match residual {
                    Some(kept) => wide::<ApplyOnto, _>((y, x, &kept[plane * pixels..][..pixels], affine, self.relu)),
                    None => wide::<Apply, _>((y, x, affine, self.relu)),
                }
            })
        })
    }

    /// The same where moments and weights are constants: only the input has a gradient.
    pub(in crate::ops) fn backward_of_scale(&self, y: &[T], grad: &[T]) -> Gradients<T> {
        let pixels = self.grouping.pixels;
        let x =
            written(y.len(), |dx| {
                dx.par_chunks_mut(pixels).zip(y.par_chunks(pixels)).zip(grad.par_chunks(pixels)).enumerate().for_each(
                    |(plane, ((dx, y), grad))| wide::<Scaled, _>((dx, y, grad, self.affine(plane).0, self.relu)),
                );
            });
        Gradients { x, residual: None, gamma: Vec::new(), beta: Vec::new() }
    }

    /// Whether the gradient of every scale may be the difference of a sum along `x` and the mean's share of it: in a channel whose mean is
    /// many deviations from 0, both would be large and nearly equal.
    pub(in crate::ops) fn centred(&self) -> bool {
        self.means.iter().zip(&self.inverse).all(|(mean, inverse)| (*mean * *inverse).f64().abs() < FAR)
    }

    /// Gradient of the ReLU's argument.
    pub(in crate::ops) fn opened(&self, y: &[T], grad: &[T]) -> Vec<T> {
        let pixels = self.grouping.pixels;
        let mut open = vec![T::default(); y.len()];
        let planes = open.par_chunks_mut(pixels).zip(y.par_chunks(pixels)).zip(grad.par_chunks(pixels));
        planes.for_each(|((open, y), grad)| wide::<Opened, _>((open, y, grad, self.relu)));
        open
    }

    /// `y`: the result, where a residual was added; without one, where the ReLU was closed is seen from `x`.
    pub(in crate::ops) fn backward(&self, x: &[T], y: Option<&[T]>, grad: &[T]) -> Gradients<T> {
        let g = self.grouping;
        let (pixels, planes) = (g.pixels, g.batch * g.channels);
        let range = |plane: usize| plane * pixels..(plane + 1) * pixels;
        // Of each plane: sum of the gradient, and of the gradient times the normalised input.
        let mut open = y.map(|_| vec![T::default(); x.len()]);
        let centre = |plane: usize| (self.means[g.of(plane)], self.inverse[g.of(plane)]);
        let sums: Vec<(f64, f64)> = match (y, &mut open) {
            (Some(y), Some(open)) => open
                .par_chunks_mut(pixels)
                .enumerate()
                .map(|(plane, open)| {
                    let (y, grad, x) = (&y[range(plane)], &grad[range(plane)], &x[range(plane)]);
                    wide::<Opened, _>((open, y, grad, self.relu));
                    wide::<Along, _>((x, open, centre(plane), None))
                })
                .collect(),
            _ => (0..planes)
                .into_par_iter()
                .map(|plane| {
                    let closed_below = self.relu.then(|| self.affine(plane));
                    wide::<Along, _>((&x[range(plane)], &grad[range(plane)], centre(plane), closed_below))
                })
                .collect(),
        };
        let (mut dgamma, mut dbeta) = (vec![0.0; g.channels], vec![0.0; g.channels]);
        let (mut totals, mut alongs) = (vec![0.0; self.means.len()], vec![0.0; self.means.len()]);
        for (plane, (total, along)) in sums.iter().enumerate() {
            let (channel, at) = (plane % g.channels, g.of(plane));
            dbeta[channel] += total;
            dgamma[channel] += along;
            totals[at] += total * self.gammas[channel].f64();
            alongs[at] += along * self.gammas[channel].f64();
        }
        // Through constant moments nothing flows back, not even a NaN.
        let mean_of = |sum: f64| if g.group == 0 { 0.0 } else { sum / g.numbers() as f64 };
        let dx = written(x.len(), |dx| {
            dx.par_chunks_mut(pixels).enumerate().for_each(|(plane, dx)| {
                let (at, (mean, inverse)) = (g.of(plane), centre(plane));
                let affine = self.affine(plane);
                // dx = g scale - mean(g gamma) inverse - (x - mean) mean(g gamma xhat) inverse^2
                let slope = T::of(mean_of(alongs[at])) * inverse * inverse;
                let centre = T::of(mean_of(totals[at])) * inverse;
                let (grad, closed_below) = match &open {
                    Some(open) => (&open[range(plane)], None),
                    None => (&grad[range(plane)], self.relu.then_some(affine)),
                };
                wide::<InputGradient, _>((dx, &x[range(plane)], grad, (affine.0, slope, mean, centre), closed_below));
            })
        });
        let cast = |values: Vec<f64>| values.into_iter().map(T::of).collect();
        Gradients { x: dx, residual: open, gamma: cast(dgamma), beta: cast(dbeta) }
    }
}

/// `v < 0` and not `v > 0`: NaN must pass through so that divergence is seen.
#[inline(always)]
fn relu<T: Real>(v: T, on: bool) -> T {
    if on && v < T::default() { T::default() } else { v }
}

struct Apply;

impl<'a, T: Real> Loop<(&'a mut [MaybeUninit<T>], &'a [T], (T, T), bool)> for Apply {
    type Output = ();

    #[inline(always)]
    fn run((y, x, (scale, shift), on): (&'a mut [MaybeUninit<T>], &'a [T], (T, T), bool)) {
        for (y, x) in y.iter_mut().zip(x) {
            y.write(relu(*x * scale + shift, on));
        }
    }
}

struct ApplyOnto;

impl<'a, T: Real> Loop<(&'a mut [MaybeUninit<T>], &'a [T], &'a [T], (T, T), bool)> for ApplyOnto {
    type Output = ();

    #[inline(always)]
    fn run((y, x, kept, (scale, shift), on): (&'a mut [MaybeUninit<T>], &'a [T], &'a [T], (T, T), bool)) {
        for ((y, x), kept) in y.iter_mut().zip(x).zip(kept) {
            y.write(relu(*x * scale + shift + *kept, on));
        }
    }
}

/// The gradient where the ReLU let something through.
struct Opened;

impl<'a, T: Real> Loop<(&'a mut [T], &'a [T], &'a [T], bool)> for Opened {
    type Output = ();

    #[inline(always)]
    fn run((open, y, grad, on): (&'a mut [T], &'a [T], &'a [T], bool)) {
        for ((open, y), grad) in open.iter_mut().zip(y).zip(grad) {
            *open = if on && *y <= T::default() { T::default() } else { *grad };
        }
    }
}

/// The same times a number.
struct Scaled;

impl<'a, T: Real> Loop<(&'a mut [MaybeUninit<T>], &'a [T], &'a [T], T, bool)> for Scaled {
    type Output = ();

    #[inline(always)]
    fn run((dx, y, grad, scale, on): (&'a mut [MaybeUninit<T>], &'a [T], &'a [T], T, bool)) {
        for ((dx, y), grad) in dx.iter_mut().zip(y).zip(grad) {
            dx.write(if on && *y <= T::default() { T::default() } else { *grad * scale });
        }
    }
}

/// The gradient of `relu(v)`'s argument; `closed_below` are the scale and shift that make `v` of `x`.
#[inline(always)]
fn through<T: Real>(x: T, grad: T, closed_below: Option<(T, T)>) -> T {
    match closed_below {
        Some((scale, shift)) if x * scale + shift <= T::default() => T::default(),
        _ => grad,
    }
}

struct Along;

impl<'a, T: Real> Loop<(&'a [T], &'a [T], (T, T), Option<(T, T)>)> for Along {
    type Output = (f64, f64);

    #[inline(always)]
    fn run((x, grad, (mean, inverse), closed_below): (&'a [T], &'a [T], (T, T), Option<(T, T)>)) -> (f64, f64) {
        let (mut totals, mut alongs) = ([T::default(); LANES], [T::default(); LANES]);
        let whole = x.len() / LANES * LANES;
        for (x, grad) in x[..whole].chunks_exact(LANES).zip(grad[..whole].chunks_exact(LANES)) {
            for lane in 0..LANES {
                let d = through(x[lane], grad[lane], closed_below);
                totals[lane] += d;
                alongs[lane] += d * ((x[lane] - mean) * inverse);
            }
        }
        for (lane, (x, grad)) in x[whole..].iter().zip(&grad[whole..]).enumerate() {
            let d = through(*x, *grad, closed_below);
            totals[lane] += d;
            alongs[lane] += d * ((*x - mean) * inverse);
        }
        (total(&totals), total(&alongs))
    }
}

struct InputGradient;

impl<'a, T: Real> Loop<(&'a mut [MaybeUninit<T>], &'a [T], &'a [T], (T, T, T, T), Option<(T, T)>)> for InputGradient {
    type Output = ();

    #[inline(always)]
    fn run(
        (dx, x, grad, (scale, slope, mean, centre), closed_below): (
            &'a mut [MaybeUninit<T>],
            &'a [T],
            &'a [T],
            (T, T, T, T),
            Option<(T, T)>,
        ),
    ) {
        for ((dx, x), grad) in dx.iter_mut().zip(x).zip(grad) {
            dx.write(through(*x, *grad, closed_below) * scale - centre - (*x - mean) * slope);
        }
    }
}
