//! Losses over partially labelled batches: each is the mean over the labels that are PRESENT.
//!
//! Labels come from the host (sentinels mark the missing ones), so the gradient of a loss is
//! known as soon as its value is: the forward pass computes both, the backward pass only scales. With nothing labelled
//! the loss is an exact zero with a zero gradient; callers leave such a task out of the step.

mod softmax;

use candle_core::{D, Result, Tensor};
use rayon::prelude::*;

use self::softmax::{Pixels, labelled, log_softmax, only, softmax};
use crate::Real;
use crate::real::{for_real, from_host, tensor, with_slice};
use crate::tape::{Value, composed, record1};

/// How class labels are weighed in [`cross_entropy`].
#[derive(Clone, Debug, Default)]
pub struct ClassWeighting<'a> {
    /// One weight per class; all 1 where absent. The mean is weighted too, as in PyTorch. With weight 0 on all labels the loss is 0
    /// (PyTorch: NaN).
    pub weights: Option<&'a [f64]>,
    /// Share of the target spread evenly over all classes (Szegedy et al. 2016), 0 to 1.
    pub smoothing: f64,
}

/// Softmax cross-entropy. `logits [B, K, ...]`, `labels` one per row (or pixel), row-major `[B, ...]`, negative where
/// missing. Scalar result, in nats; values and weighting as `torch.nn.functional.cross_entropy`.
///
/// # Errors
/// A label that is no class, a count that does not fit, weights of another length than `K`.
pub fn cross_entropy(logits: &Tensor, labels: &[i32], weighting: &ClassWeighting<'_>) -> Result<Tensor> {
    let (batch, classes, pixels) = rows(logits, labels.len(), "cross_entropy")?;
    if let Some(bad) = labels.iter().find(|&&label| label >= classes as i32) {
        candle_core::bail!("cross_entropy: label {bad} with {classes} classes");
    }
    if weighting.weights.is_some_and(|weights| weights.len() != classes) {
        candle_core::bail!("cross_entropy: class weights for another number of classes than {classes}");
    }
    let ones = vec![1.0; classes];
    let weights = weighting.weights.unwrap_or(&ones);
    let total: f64 = labels.iter().filter(|&&label| label >= 0).map(|&label| weights[label as usize]).sum();
    let norm = if total > 0.0 { 1.0 / total } else { 0.0 };
    let spread = weighting.smoothing / classes as f64;
    let target = |label: usize, class: usize| {
        weights[class] * (spread + if label == class { 1.0 - weighting.smoothing } else { 0.0 })
    };
    if composed(logits) {
        let shape = (batch, classes, pixels);
        let mut shares = vec![0.0; batch * classes * pixels];
        for (at, share) in shares.iter_mut().enumerate() {
            let label = labels[at / (classes * pixels) * pixels + at % pixels];
            if label >= 0 {
                *share = norm * target(label as usize, at / pixels % classes);
            }
        }
        // A share of 0 does not meet its logarithm, which may be infinite (a class that is masked).
        let logs = log_softmax(&labelled(logits, labels, shape)?)?;
        let logs = only(&logs, &shares.iter().map(|share| *share != 0.0).collect::<Vec<_>>())?;
        return (logs * from_host(shares, shape, logits)?)?.sum_all()?.neg();
    }
    fused(
        logits,
        "cross_entropy",
        (batch, classes, pixels),
        |image, Pixels { probabilities, top, total }, logits, grad| {
            let labels = &labels[image * pixels..][..pixels];
            let mut loss = 0.0;
            for (pixel, &label) in labels.iter().enumerate() {
                if label < 0 {
                    continue;
                }
                let mut mass = 0.0;
                for class in 0..classes {
                    let share = target(label as usize, class);
                    mass += share;
                    // Relative to the largest logit first: rounded at the size of the difference, not of the logits. A share of 0 does
                    // not meet its logarithm, which may be infinite (a class that is masked).
                    if share != 0.0 {
                        loss -= share * ((logits[class * pixels + pixel] - top[pixel]) - total[pixel].ln());
                    }
                }
                for class in 0..classes {
                    let at = class * pixels + pixel;
                    grad[at] = norm * (mass * probabilities[at] - target(label as usize, class));
                }
            }
            loss * norm
        },
    )
}

/// One minus the soft Dice coefficient, pooled over the labelled pixels of the batch and averaged over the foreground
/// classes (class 0 left out): `1 - mean_c (2 sum p_c t_c + s) / (sum p_c + sum t_c + s)` with softmax
/// probabilities `p` (Milletari et al. 2016, arXiv 1606.04797, with the plain denominator) and `s = 1` pixel, which
/// makes a class that is neither there nor predicted cost nothing. `logits [B, K, ...]`, `labels` as in [`cross_entropy`].
///
/// # Errors
/// As [`cross_entropy`]; fewer than two classes.
pub fn dice(logits: &Tensor, labels: &[i32]) -> Result<Tensor> {
    const SMOOTH: f64 = 1.0;
    let (batch, classes, pixels) = rows(logits, labels.len(), "dice")?;
    if classes < 2 || labels.iter().any(|&label| label >= classes as i32) {
        candle_core::bail!("dice: {classes} classes, or a label beyond them");
    }
    if labels.iter().all(|&label| label < 0) {
        return pointwise(logits, &vec![f32::NAN; logits.elem_count()], "dice", |_, _, _| (0.0, 0.0));
    }
    let foreground = (classes - 1) as f64;
    let mut counts = vec![0.0; classes];
    labels.iter().filter(|&&label| label >= 0).for_each(|&label| counts[label as usize] += 1.0);
    if composed(logits) {
        let (mut hot, mut seen) = (vec![0.0; batch * classes * pixels], vec![0.0; batch * classes * pixels]);
        for at in 0..hot.len() {
            let label = labels[at / (classes * pixels) * pixels + at % pixels];
            seen[at] = f64::from(u8::from(label >= 0));
            hot[at] = f64::from(u8::from(label >= 0 && label as usize == at / pixels % classes));
        }
        let constant = |v: Vec<f64>| from_host(v, (batch, classes, pixels), logits);
        let p = log_softmax(&labelled(logits, labels, (batch, classes, pixels))?)?.exp()?;
        let per_class = |t: Tensor| t.sum(2)?.sum(0)?.narrow(0, 1, classes - 1);
        let (hot, seen) = (constant(hot)?, constant(seen)?);
        let overlap = per_class((&p * &hot)?)?;
        let sizes = (per_class((&p * &seen)?)? + per_class(hot)?)?;
        let score = ((overlap * 2.0)? + SMOOTH)?.div(&(sizes + SMOOTH)?)?;
        return (score.mean_all()?.neg()? + 1.0)?.reshape(());
    }
    for_real!(logits, T => {
        let (loss, grad) = with_slice::<T, _>(logits, |logits| {
            let probabilities = softmax(logits, classes, pixels).probabilities;
            let sums: Vec<Vec<(f64, f64)>> = probabilities
                .par_chunks(classes * pixels)
                .zip(labels.par_chunks(pixels))
                .map(|(p, labels)| {
                    (1..classes)
                        .map(|class| {
                            let (mut overlap, mut size) = (0.0, 0.0);
                            for (p, &label) in p[class * pixels..][..pixels].iter().zip(labels) {
                                if label >= 0 {
                                    size += p.f64();
                                    overlap += if label as usize == class { p.f64() } else { 0.0 };
                                }
                            }
                            (overlap, size)
                        })
                        .collect()
                })
                .collect();
            // Per class: derivative of the loss by p where the label is the class, and where it is another.
            let (mut loss, mut inside, mut outside) = (1.0, vec![0.0; classes], vec![0.0; classes]);
            for class in 1..classes {
                let overlap: f64 = sums.iter().map(|image| image[class - 1].0).sum();
                let size: f64 = sums.iter().map(|image| image[class - 1].1).sum::<f64>() + counts[class] + SMOOTH;
                let score = (2.0 * overlap + SMOOTH) / size;
                loss -= score / foreground;
                outside[class] = score / size / foreground;
                inside[class] = outside[class] - 2.0 / size / foreground;
            }
            let mut grad = vec![T::default(); logits.len()];
            grad.par_chunks_mut(classes * pixels).zip(probabilities.par_chunks(classes * pixels)).zip(labels.par_chunks(pixels)).for_each(
                |((grad, p), labels)| {
                    let mut slope = vec![0.0; classes];
                    for (pixel, &label) in labels.iter().enumerate() {
                        if label < 0 {
                            continue;
                        }
                        let mut mean = 0.0;
                        for (class, slope) in slope.iter_mut().enumerate() {
                            *slope = if label as usize == class { inside[class] } else { outside[class] };
                            mean += *slope * p[class * pixels + pixel].f64();
                        }
                        for (class, slope) in slope.iter().enumerate() {
                            let at = class * pixels + pixel;
                            grad[at] = T::of(p[at].f64() * (slope - mean));
                        }
                    }
                },
            );
            (loss, grad)
        })?;
        scaled_on_the_way_back(logits, "dice", T::of(loss), grad)
    })
}

/// Binary cross-entropy of logits, stable at any size. `targets` 0 or 1 (or between), NaN where missing, in the order
/// of `logits`. `positive_weights`: one a column of the last dimension, multiplies the loss of positive labels.
///
/// # Errors
/// A count that does not fit.
pub fn binary_cross_entropy(logits: &Tensor, targets: &[f32], positive_weights: Option<&[f64]>) -> Result<Tensor> {
    let columns = logits.dim(D::Minus1)?;
    if positive_weights.is_some_and(|weights| weights.len() != columns) {
        candle_core::bail!("binary_cross_entropy: weights for another number of labels than {columns}");
    }
    pointwise(logits, targets, "binary_cross_entropy", |at, x, t| {
        let weight = positive_weights.map_or(1.0, |weights| weights[at % columns]);
        let log1p = (-x.abs()).exp().ln_1p();
        // w t softplus(-x) + (1 - t) softplus(x); a part of 0 does not meet an infinite logit.
        let (negative, positive) = ((-x).max(0.0) + log1p, x.max(0.0) + log1p);
        let s = if x < 0.0 { x.exp() / (1.0 + x.exp()) } else { 1.0 / (1.0 + (-x).exp()) };
        let times = |share: f64, value: f64| if share == 0.0 { 0.0 } else { share * value };
        (times(weight * t, negative) + times(1.0 - t, positive), weight * t * (s - 1.0) + (1.0 - t) * s)
    })
}

/// Huber loss (1964): `d^2 / 2` up to `delta`, `delta (|d| - delta / 2)` beyond. NaN targets are missing.
///
/// # Errors
/// A count that does not fit.
pub fn huber(prediction: &Tensor, targets: &[f32], delta: f64) -> Result<Tensor> {
    pointwise(prediction, targets, "huber", |_, x, t| {
        let d = x - t;
        if d.abs() <= delta { (0.5 * d * d, d) } else { (delta * (d.abs() - 0.5 * delta), delta * d.signum()) }
    })
}

/// Mean absolute difference. NaN targets are missing.
///
/// # Errors
/// A count that does not fit.
pub fn l1(prediction: &Tensor, targets: &[f32]) -> Result<Tensor> {
    pointwise(prediction, targets, "l1", |_, x, t| ((x - t).abs(), if x == t { 0.0 } else { (x - t).signum() }))
}

/// Mean squared difference. NaN targets are missing.
///
/// # Errors
/// A count that does not fit.
pub fn mean_squared(prediction: &Tensor, targets: &[f32]) -> Result<Tensor> {
    pointwise(prediction, targets, "mean_squared", |_, x, t| ((x - t) * (x - t), 2.0 * (x - t)))
}

/// Softmax over dimension 1, outside the graph: `[B, K, ...]` logits to probabilities.
///
/// # Errors
/// Fewer than two dimensions, other types than f32 and f64.
pub fn probabilities(logits: &Tensor) -> Result<Tensor> {
    let (b, k) = (logits.dim(0)?, logits.dim(1)?);
    let flat = logits.detach().reshape((b, k, ()))?;
    log_softmax(&flat)?.exp()?.reshape(logits.shape())
}

fn rows(logits: &Tensor, labels: usize, op: &str) -> Result<(usize, usize, usize)> {
    let dims = logits.dims();
    if dims.len() < 2 {
        candle_core::bail!("{op}: logits {:?} have no class dimension", logits.shape());
    }
    let pixels: usize = dims[2..].iter().product();
    if dims[0] * pixels != labels {
        candle_core::bail!("{op}: {labels} labels for logits {:?}", logits.shape());
    }
    Ok((dims[0], dims[1], pixels))
}

/// A loss over softmax rows whose gradient is found together with its value, image by image: `image_loss(image, softmax, logits,
/// gradient)`.
fn fused<F>(
    logits: &Tensor,
    name: &'static str,
    (batch, classes, pixels): (usize, usize, usize),
    image_loss: F,
) -> Result<Tensor>
where
    F: Fn(usize, Pixels<'_>, &[f64], &mut [f64]) -> f64 + Sync,
{
    for_real!(logits, T => {
        let (loss, grad) = with_slice::<T, _>(logits, |logits| {
            let softmax = softmax(logits, classes, pixels);
            let size = classes * pixels;
            let mut grad = vec![T::default(); batch * size];
            let losses: Vec<f64> = grad
                .par_chunks_mut(size.max(1))
                .enumerate()
                .map(|(image, out)| {
                    let wide = |values: &[T]| values.iter().map(|v| v.f64()).collect::<Vec<_>>();
                    let (numbers, rows) = (image * size..(image + 1) * size, image * pixels..(image + 1) * pixels);
                    let mut grad = vec![0.0; size];
                    let of_image = Pixels {
                        probabilities: &wide(&softmax.probabilities[numbers.clone()]),
                        top: &wide(&softmax.top[rows.clone()]),
                        total: &softmax.total[rows],
                    };
                    let loss = image_loss(image, of_image, &wide(&logits[numbers]), &mut grad);
                    out.iter_mut().zip(grad).for_each(|(out, g)| *out = T::of(g));
                    loss
                })
                .collect();
            (losses.iter().sum::<f64>(), grad)
        })?;
        scaled_on_the_way_back(logits, name, T::of(loss), grad)
    })
}

/// Mean of `f(index, x, target) -> (loss, slope)` over the targets that are not NaN.
fn pointwise(
    x: &Tensor,
    targets: &[f32],
    name: &'static str,
    f: impl Fn(usize, f64, f64) -> (f64, f64),
) -> Result<Tensor> {
    if x.elem_count() != targets.len() {
        candle_core::bail!("{name}: {} targets for {:?}", targets.len(), x.shape());
    }
    let present = targets.iter().filter(|target| !target.is_nan()).count();
    let norm = if present > 0 { 1.0 / present as f64 } else { 0.0 };
    if composed(x) {
        // The slope as a constant: x * slope has the right gradient, and a constant moves the value into place.
        let values = crate::to_f64(x)?;
        let (mut loss, mut slopes) = (0.0, vec![0.0; values.len()]);
        for (at, (v, t)) in values.iter().zip(targets).enumerate().filter(|(_, (_, t))| !t.is_nan()) {
            let (value, slope) = f(at, *v, f64::from(*t));
            loss += value * norm;
            slopes[at] = slope * norm;
        }
        // A slope of 0, as of a missing target, does not meet its number, which may be infinite or NaN.
        let x = only(x, &slopes.iter().map(|slope| *slope != 0.0).collect::<Vec<_>>())?;
        let linear = (&x * from_host(slopes, x.shape(), &x)?)?.sum_all()?;
        return (&linear - linear.detach())? + loss;
    }
    for_real!(x, T => {
        let (loss, grad) = with_slice::<T, _>(x, |x| {
            let mut loss = 0.0;
            let grad = x.iter().zip(targets).enumerate().map(|(at, (v, t))| {
                if t.is_nan() {
                    return T::default();
                }
                let (value, slope) = f(at, v.f64(), f64::from(*t));
                loss += value;
                T::of(slope * norm)
            }).collect();
            (loss * norm, grad)
        })?;
        scaled_on_the_way_back(x, name, T::of(loss), grad)
    })
}

fn scaled_on_the_way_back<T: Real>(x: &Tensor, name: &'static str, loss: T, grad: Vec<T>) -> Result<Tensor> {
    let grad = tensor(grad, x.shape())?;
    record1(name, x, Value::new(vec![loss], ()), move |upstream| Ok(Some(grad.broadcast_mul(upstream)?)))
}
