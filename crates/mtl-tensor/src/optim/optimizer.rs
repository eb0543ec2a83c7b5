//! Adam (Kingma and Ba 2015), AdamW (Loshchilov and Hutter 2019) and SGD with momentum, values as PyTorch's.
//!
//! One pass over weights, gradients and moments; the moments can be saved, so a resumed run continues bit for bit.

use std::collections::BTreeMap;

use candle_core::{Result, Tensor, Var};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Grads, PART};
use crate::Real;
use crate::real::{for_real, with_slice, with_slice_mut};
use crate::simd::{Loop, wide};

/// Which rule, and its constants. The learning rate comes from the [`super::Schedule`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Config {
    /// Adam, without weight decay.
    Adam {
        /// Decay of the mean of gradients. Default 0.9.
        #[serde(default = "default_beta1")]
        beta1: f64,
        /// Decay of the mean of squares. Default 0.999.
        #[serde(default = "default_beta2")]
        beta2: f64,
    },
    /// Adam with decoupled weight decay on matrices and kernels (not on biases, scales and shifts).
    Adamw {
        /// Decay of the mean of gradients. Default 0.9.
        #[serde(default = "default_beta1")]
        beta1: f64,
        /// Decay of the mean of squares. Default 0.999.
        #[serde(default = "default_beta2")]
        beta2: f64,
        /// Share of a weight removed per unit of learning rate. Default 0.05.
        #[serde(default = "default_decay")]
        weight_decay: f64,
    },
    /// Stochastic gradient descent with heavy-ball momentum.
    Sgd {
        /// Decay of the velocity. Default 0.9.
        #[serde(default = "default_beta1")]
        momentum: f64,
        /// Added to the gradient of matrices and kernels as a multiple of the weight. Default 0.
        #[serde(default)]
        weight_decay: f64,
    },
}

fn default_beta1() -> f64 {
    0.9
}
fn default_beta2() -> f64 {
    0.999
}
fn default_decay() -> f64 {
    0.05
}

impl Default for Config {
    fn default() -> Self {
        Self::Adamw { beta1: default_beta1(), beta2: default_beta2(), weight_decay: default_decay() }
    }
}

/// Added to the root of the second moment (PyTorch's default).
const EPSILON: f64 = 1e-8;

#[derive(Debug)]
struct Slot {
    var: Var,
    exp_avg: Var,
    exp_avg_sq: Option<Var>,
    lr_scale: f64,
    /// Steps with a gradient of this parameter: the bias correction of one whose task was absent stays.
    steps: u64,
}

/// An optimizer of a fixed set of parameters.
#[derive(Debug)]
pub struct Optimizer {
    config: Config,
    slots: BTreeMap<String, Slot>,
}

impl Optimizer {
    /// For `params`; `lr_scale(name)` multiplies the learning rate of a parameter (1 for most).
    ///
    /// # Errors
    /// Out of device memory.
    pub fn new(config: Config, params: &BTreeMap<String, Var>, lr_scale: impl Fn(&str) -> f64) -> Result<Self> {
        let mut slots = BTreeMap::new();
        for (name, var) in params {
            let zeros = || Var::from_tensor(&var.as_tensor().zeros_like()?);
            let exp_avg_sq = if matches!(config, Config::Sgd { .. }) { None } else { Some(zeros()?) };
            let slot = Slot { var: var.clone(), exp_avg: zeros()?, exp_avg_sq, lr_scale: lr_scale(name), steps: 0 };
            slots.insert(name.clone(), slot);
        }
        Ok(Self { config, slots })
    }

    /// One update with learning rate `lr`; every gradient is multiplied by `scale` first (clipping). Parameters
    /// without a gradient stay as they are.
    ///
    /// # Errors
    /// A gradient of an unknown parameter or another shape.
    pub fn step(&mut self, grads: &Grads, lr: f64, scale: f64) -> Result<()> {
        // All are looked at before any changes.
        for (name, grad) in grads {
            let Some(slot) = self.slots.get(name) else {
                candle_core::bail!("optimizer: `{name}` is not one of its parameters");
            };
            if grad.dims() != slot.var.dims() {
                candle_core::bail!("optimizer: gradient {:?} of `{name}` {:?}", grad.shape(), slot.var.shape());
            }
        }
        self.slots.iter_mut().filter(|(name, _)| grads.contains_key(*name)).for_each(|(_, slot)| slot.steps += 1);
        let (host, device): (Vec<_>, Vec<_>) = grads
            .iter()
            .map(|(name, grad)| (&self.slots[name], grad))
            .partition(|(slot, _)| slot.var.device().is_cpu());
        let rule = |slot: &Slot| Rule::new(self.config, lr * slot.lr_scale, scale, slot.steps, slot.var.rank() > 1);
        // All parameters at once: most are a few hundred numbers, less than a thread takes to be woken for.
        host.into_par_iter()
            .try_for_each(|(slot, grad)| for_real!(slot.var, T => fused::<T>(slot, grad, &rule(slot))))?;
        device.into_iter().try_for_each(|(slot, grad)| composed(slot, grad, &rule(slot)))
    }

    /// Moments and step counts by name, to be saved.
    ///
    /// # Errors
    /// Out of memory.
    pub fn state(&self) -> Result<BTreeMap<String, Tensor>> {
        let mut state = BTreeMap::new();
        for (name, slot) in &self.slots {
            state.insert(format!("{name}/exp_avg"), slot.exp_avg.as_tensor().copy()?);
            if let Some(squares) = &slot.exp_avg_sq {
                state.insert(format!("{name}/exp_avg_sq"), squares.as_tensor().copy()?);
            }
            state.insert(format!("{name}/steps"), Tensor::new(slot.steps as f64, slot.var.device())?);
        }
        Ok(state)
    }

    /// Continues from a saved [`Optimizer::state`].
    ///
    /// # Errors
    /// The state of another model or optimizer; names the missing entries.
    pub fn restore(&mut self, state: &BTreeMap<String, Tensor>) -> Result<()> {
        let entry = |key: String| match state.get(&key) {
            Some(value) => Ok(value),
            None => candle_core::bail!("the saved optimizer state has no `{key}`"),
        };
        for (name, slot) in &mut self.slots {
            slot.exp_avg.set(&entry(format!("{name}/exp_avg"))?.to_device(slot.var.device())?)?;
            if let Some(squares) = &slot.exp_avg_sq {
                squares.set(&entry(format!("{name}/exp_avg_sq"))?.to_device(slot.var.device())?)?;
            }
            slot.steps = entry(format!("{name}/steps"))?.to_dtype(candle_core::DType::F64)?.to_scalar::<f64>()? as u64;
        }
        Ok(())
    }
}

/// The update of one parameter reduced to numbers: `g = scale grad + coupled w`, moments, then
/// `w = shrink w - rate * direction`.
struct Rule {
    scale: f64,
    coupled: f64,
    shrink: f64,
    beta1: f64,
    beta2: f64,
    /// `lr / (1 - beta1^t)` for Adam, `lr` for SGD.
    rate: f64,
    /// `1 / sqrt(1 - beta2^t)`.
    second_scale: f64,
}

impl Rule {
    fn new(config: Config, lr: f64, scale: f64, steps: u64, decays: bool) -> Self {
        let adam = |beta1: f64, beta2: f64, decay: f64| {
            let t = steps.min(1 << 30) as i32;
            let decay = if decays { decay } else { 0.0 };
            Self {
                scale,
                coupled: 0.0,
                shrink: 1.0 - lr * decay,
                beta1,
                beta2,
                rate: lr / (1.0 - beta1.powi(t)),
                second_scale: 1.0 / (1.0 - beta2.powi(t)).sqrt(),
            }
        };
        match config {
            Config::Adam { beta1, beta2 } => adam(beta1, beta2, 0.0),
            Config::Adamw { beta1, beta2, weight_decay } => adam(beta1, beta2, weight_decay),
            Config::Sgd { momentum, weight_decay } => Self {
                scale,
                coupled: if decays { weight_decay } else { 0.0 },
                shrink: 1.0,
                beta1: momentum,
                beta2: 0.0,
                rate: lr,
                second_scale: 0.0,
            },
        }
    }
}

fn fused<T: Real>(slot: &Slot, grad: &Tensor, rule: &Rule) -> Result<()> {
    // Rounded from f64: 1 minus the rounded beta would be off by 7e-4 at beta2 = 0.99999.
    let Rule { scale, coupled, shrink, beta1, beta2, rate, second_scale } = *rule;
    let rule = [scale, coupled, shrink, beta1, beta2, 1.0 - beta1, 1.0 - beta2, rate, second_scale].map(T::of);
    with_slice::<T, _>(grad, |grad| {
        with_slice_mut::<T>(&slot.var, |w| {
            with_slice_mut::<T>(&slot.exp_avg, |mean| {
                let blocks = w.par_chunks_mut(PART).zip(mean.par_chunks_mut(PART)).zip(grad.par_chunks(PART));
                let Some(squares) = &slot.exp_avg_sq else {
                    blocks.for_each(|((w, mean), grad)| wide::<Descend, _>((w, mean, grad, rule)));
                    return Ok(());
                };
                with_slice_mut::<T>(squares, |squares| {
                    blocks.zip(squares.par_chunks_mut(PART)).for_each(|(((w, mean), grad), squares)| {
                        wide::<Adapt, _>((w, mean, squares, grad, rule));
                    });
                    Ok(())
                })
            })
        })
    })?
}

/// The numbers of a [`Rule`], in its order, `1 - beta1` and `1 - beta2` after the betas.
type Numbers<T> = [T; 9];

struct Descend;
impl<T: Real> Loop<(&mut [T], &mut [T], &[T], Numbers<T>)> for Descend {
    type Output = ();
    #[inline(always)]
    fn run((w, mean, grad, rule): (&mut [T], &mut [T], &[T], Numbers<T>)) {
        let [scale, coupled, shrink, beta1, _, _, _, rate, _] = rule;
        for ((w, m), g) in w.iter_mut().zip(mean).zip(grad) {
            *m = beta1 * *m + (*g * scale + coupled * *w);
            *w = shrink * *w - rate * *m;
        }
    }
}

struct Adapt;
impl<T: Real> Loop<(&mut [T], &mut [T], &mut [T], &[T], Numbers<T>)> for Adapt {
    type Output = ();
    #[inline(always)]
    fn run((w, mean, squares, grad, rule): (&mut [T], &mut [T], &mut [T], &[T], Numbers<T>)) {
        let [scale, _, shrink, beta1, beta2, taken1, taken2, rate, second_scale] = rule;
        let epsilon = T::of(EPSILON);
        for (((w, m), v), g) in w.iter_mut().zip(mean).zip(squares).zip(grad) {
            let g = *g * scale;
            *m = beta1 * *m + taken1 * g;
            *v = beta2 * *v + taken2 * (g * g);
            *w = shrink * *w - rate * *m / ((*v).sqrt() * second_scale + epsilon);
        }
    }
}

fn composed(slot: &Slot, grad: &Tensor, rule: &Rule) -> Result<()> {
    let w = slot.var.as_tensor().detach();
    let g = ((grad.detach() * rule.scale)? + (&w * rule.coupled)?)?;
    let kept = (slot.exp_avg.as_tensor().detach() * rule.beta1)?;
    let direction = match &slot.exp_avg_sq {
        Some(squares) => {
            let m = (kept + (&g * (1.0 - rule.beta1))?)?;
            let v = ((squares.as_tensor().detach() * rule.beta2)? + (g.sqr()? * (1.0 - rule.beta2))?)?;
            squares.set(&v)?;
            slot.exp_avg.set(&m)?;
            (m / ((v.sqrt()? * rule.second_scale)? + EPSILON)?)?
        }
        None => {
            let m = (kept + g)?;
            slot.exp_avg.set(&m)?;
            m
        }
    };
    slot.var.set(&((w * rule.shrink)? - (direction * rule.rate)?)?)
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;
    use crate::to_f64;

    fn run(config: Config, composed_rule: bool) -> Result<Vec<f64>> {
        let var = Var::from_tensor(&Tensor::new(&[[1.0f64, -2.0, 0.5]], &Device::Cpu)?)?;
        let params = BTreeMap::from([("w".to_owned(), var.clone())]);
        let mut optimizer = Optimizer::new(config, &params, |_| 1.0)?;
        for step in 0..3 {
            let grad = ((var.as_tensor().detach().sqr()? * 3.0)? + f64::from(step))?;
            let grads = BTreeMap::from([("w".to_owned(), grad)]);
            if composed_rule {
                let slot = optimizer.slots.get_mut("w").unwrap();
                slot.steps += 1;
                composed(slot, &grads["w"], &Rule::new(config, 0.1, 1.0, slot.steps, true))?;
            } else {
                optimizer.step(&grads, 0.1, 1.0)?;
            }
        }
        to_f64(&var)
    }

    /// torch 2.15: w = tensor([[1., -2., .5]], dtype=float64); for s in range(3): w.grad = 3 * w.detach()**2 + s;
    /// opt.step() with lr 0.1 and, in this order, Adam(), AdamW(weight_decay=0.05), SGD(momentum=0.9, weight_decay=0.01)
    #[test]
    fn matches_pytorch() {
        let cases = [
            (Config::Adam { beta1: 0.9, beta2: 0.999 }, ADAM),
            (Config::Adamw { beta1: 0.9, beta2: 0.999, weight_decay: 0.05 }, ADAMW),
            (Config::Sgd { momentum: 0.9, weight_decay: 0.01 }, SGD),
        ];
        for (config, expected) in cases {
            for composed_rule in [false, true] {
                let got = run(config, composed_rule).unwrap();
                for (a, b) in got.iter().zip(expected) {
                    assert!((a - b).abs() < 1e-9 * b.abs().max(1.0), "{config:?}: {got:?} and {expected:?}");
                }
            }
        }
    }
    const ADAM: [f64; 3] = [0.699_541_525_329_779_6, -2.300_346_522_941_076_4, 0.207_709_884_355_805_34];
    const ADAMW: [f64; 3] = [0.686_099_934_980_938_5, -2.269_037_996_172_989, 0.201_662_189_086_583_18];
    const SGD: [f64; 3] = [-0.495_530_328_364_547_1, -28.063_841_847_510_275, -0.210_576_888_719_129_25];

    /// Several parameters at once, one of several tasks' length: each as the accelerators' code has it by itself.
    #[test]
    fn parameters_together_are_as_each_alone() {
        let lengths = [3, 2 * PART + 5, 1, PART];
        let params = || -> BTreeMap<String, Var> {
            let var = |(at, &length): (usize, &usize)| {
                let values: Vec<f64> = (0..length).map(|i| ((i * 7 + at) % 23) as f64 / 11.0 - 1.0).collect();
                (format!("w{at}"), Var::from_vec(values, (1, length), &Device::Cpu).unwrap())
            };
            lengths.iter().enumerate().map(var).collect()
        };
        for config in [Config::default(), Config::Sgd { momentum: 0.9, weight_decay: 0.01 }] {
            let (together, alone) = (params(), params());
            let mut optimizer = Optimizer::new(config, &together, |_| 1.0).unwrap();
            let mut other = Optimizer::new(config, &alone, |_| 1.0).unwrap();
            for _ in 0..3 {
                let grads: Grads =
                    together.iter().map(|(name, w)| (name.clone(), w.as_tensor().sqr().unwrap())).collect();
                optimizer.step(&grads, 0.1, 0.5).unwrap();
                for (name, slot) in &mut other.slots {
                    slot.steps += 1;
                    composed(slot, &grads[name], &Rule::new(config, 0.1, 0.5, slot.steps, true)).unwrap();
                }
            }
            for (name, w) in &together {
                let (found, expected) = (to_f64(w).unwrap(), to_f64(&alone[name]).unwrap());
                assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-12), "{config:?}, {name}");
            }
        }
    }

    #[test]
    fn a_refused_step_changes_nothing() {
        let var = |value: f32| Var::from_vec(vec![value], 1, &Device::Cpu).unwrap();
        let params = BTreeMap::from([("a".to_owned(), var(1.0)), ("b".to_owned(), var(2.0))]);
        let mut optimizer = Optimizer::new(Config::default(), &params, |_| 1.0).unwrap();
        let grad = |numbers: usize| Tensor::ones(numbers, DType::F32, &Device::Cpu).unwrap();
        for wrong in [("b".to_owned(), grad(2)), ("unknown".to_owned(), grad(1))] {
            assert!(optimizer.step(&BTreeMap::from([("a".to_owned(), grad(1)), wrong]), 0.1, 1.0).is_err());
            assert_eq!(to_f64(&optimizer.state().unwrap()["a/steps"]).unwrap(), [0.0]);
            assert_eq!(to_f64(&params["a"]).unwrap(), [1.0]);
        }
    }

    #[test]
    fn state_round_trip_continues_exactly() {
        let make = || {
            let var = Var::from_vec(vec![0.3f32, -0.7], 2, &Device::Cpu).unwrap();
            let params = BTreeMap::from([("w".to_owned(), var.clone())]);
            (var, Optimizer::new(Config::default(), &params, |_| 1.0).unwrap())
        };
        let grads = |k: f32| BTreeMap::from([("w".to_owned(), Tensor::new(&[k, 1.0 - k], &Device::Cpu).unwrap())]);
        let (a, mut first) = make();
        first.step(&grads(0.2), 0.01, 1.0).unwrap();
        let (b, mut second) = make();
        b.set(&a.as_tensor().copy().unwrap()).unwrap();
        second.restore(&first.state().unwrap()).unwrap();
        first.step(&grads(-0.4), 0.01, 0.5).unwrap();
        second.step(&grads(-0.4), 0.01, 0.5).unwrap();
        assert_eq!(a.to_vec1::<f32>().unwrap(), b.to_vec1::<f32>().unwrap());
        assert_eq!(a.dtype(), DType::F32);
    }
}
