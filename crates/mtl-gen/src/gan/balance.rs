//! Balance of generator and discriminator: running score levels, the adaptive probability of augmentation, LeCam.
//!
//! A discriminator that overfits scores nearly every training image above the level half-way between the mean scores of real
//! and of generated images. The probability of augmentation follows the sign of that difference, as in ADA (Karras et al. 2020,
//! arXiv 2006.06676): with `r = mean over real images of sign(D(x) - level)`, it rises while `r` is above the target and falls
//! while it is below. ADA has the level 0, which a relativistic discriminator, whose scores are defined up to a constant, has not.
//!
//! LeCam (Tseng et al. 2021, arXiv 2104.03310): `mean max(0, D(x) - a_F)^2 + mean max(0, a_R - D(G z))^2` with running means `a_R`
//! and `a_F` of the scores of real and of generated images.

use mtl_tensor::{Init, Scope, Tensor, Var, ops, to_f64};

use crate::Error;

/// Decay per step of the running means.
const DECAY: f64 = 0.99;
/// Target of `r`, as in ADA.
const TARGET: f64 = 0.6;
/// Images in which the probability goes from 0 to 1, if `r` stays above its target. ADA's 500,000 are for runs of many millions.
const IMAGES: f64 = 50_000.0;

/// Running means of scores, and the probability of augmentation; buffers, and so part of a checkpoint.
#[derive(Debug)]
pub(super) struct Balance {
    /// Mean score of real and of generated images, and the number of updates.
    levels: Var,
    /// Probability of augmentation, one number.
    probability: Var,
}

impl Balance {
    /// Starts with `probability`.
    pub fn new(scope: &Scope, probability: f64) -> Result<Self, Error> {
        Ok(Self {
            levels: scope.buffer("levels", 3, Init::Constant(0.0))?,
            probability: scope.buffer("probability", 1, Init::Constant(probability))?,
        })
    }

    /// Probability of augmentation, 0 to 1.
    pub fn probability(&self) -> Result<f64, Error> {
        Ok(to_f64(&self.probability)?[0])
    }

    /// Running mean scores of real and of generated images; `None` before the first update.
    pub fn levels(&self) -> Result<Option<(f64, f64)>, Error> {
        let levels = to_f64(&self.levels)?;
        Ok((levels[2] > 0.0).then_some((levels[0], levels[1])))
    }

    /// Takes in the scores of one step. `adaptive`: whether the probability of augmentation follows. Returns `r`.
    pub fn update(&self, real: &[f64], fake: &[f64], adaptive: bool) -> Result<f64, Error> {
        let mean = |scores: &[f64]| scores.iter().sum::<f64>() / scores.len().max(1) as f64;
        let before = to_f64(&self.levels)?;
        let keep = DECAY.min(before[2] / (before[2] + 1.0));
        let moved = |at: usize, new: f64| keep * before[at] + (1.0 - keep) * new;
        let (high, low) = (moved(0, mean(real)), moved(1, mean(fake)));
        set(&self.levels, vec![high, low, before[2] + 1.0])?;
        let level = (high + low) / 2.0;
        let r = mean(&real.iter().map(|score| sign(score - level)).collect::<Vec<_>>());
        if adaptive {
            let by = sign(r - TARGET) * real.len() as f64 / IMAGES;
            set(&self.probability, vec![(self.probability()? + by).clamp(0.0, 1.0)])?;
        }
        Ok(r)
    }

    /// Raises the probability of augmentation by `by`, at most to 1. Returns it.
    pub fn raise(&self, by: f64) -> Result<f64, Error> {
        let raised = (self.probability()? + by).min(1.0);
        set(&self.probability, vec![raised])?;
        Ok(raised)
    }

    /// The LeCam term on scores `[B]` of real and of generated images; `None` before the first update.
    pub fn lecam(&self, real: &Tensor, fake: &Tensor) -> Result<Option<Tensor>, Error> {
        let Some((high, low)) = self.levels()? else { return Ok(None) };
        let above = ops::relu(&(real - low)?)?.sqr()?.mean_all()?;
        let below = ops::relu(&(fake.neg()? + high)?)?.sqr()?.mean_all()?;
        Ok(Some((above + below)?))
    }
}

/// -1, 0 or 1; `f64::signum` has no 0.
fn sign(value: f64) -> f64 {
    if value == 0.0 { 0.0 } else { value.signum() }
}

fn set(var: &Var, values: Vec<f64>) -> Result<(), Error> {
    Ok(var.set(&Tensor::from_vec(values, var.shape(), var.device())?.to_dtype(var.dtype())?)?)
}

#[cfg(test)]
mod tests {
    use mtl_rng::Seed;
    use mtl_tensor::{DType, Device, Params};

    use super::*;
    use crate::value;

    fn balance() -> Balance {
        let params = Params::new(Seed::new(1), DType::F64, &Device::Cpu);
        Balance::new(&params.scope("balance"), 0.5).unwrap()
    }

    #[test]
    fn probability_rises_for_a_discriminator_that_tells_all_images_apart_and_falls_otherwise() {
        let apart = balance();
        for _ in 0..100 {
            assert_eq!(apart.update(&[1.0, 2.0], &[-1.0, -2.0], true).unwrap(), 1.0);
        }
        assert!((apart.probability().unwrap() - (0.5 + 200.0 / IMAGES)).abs() < 1e-9);
        let alike = balance();
        assert_eq!(alike.update(&[-1.0, 2.0], &[-1.0, 2.0], true).unwrap(), 0.0);
        assert!((alike.probability().unwrap() - (0.5 - 2.0 / IMAGES)).abs() < 1e-9);
        // A constant added to all scores changes nothing, as for the relativistic loss.
        let shifted = balance();
        assert_eq!(shifted.update(&[101.0, 102.0], &[99.0, 98.0], false).unwrap(), 1.0);
        assert_eq!(shifted.probability().unwrap(), 0.5);
        assert_eq!(shifted.raise(0.7).unwrap(), 1.0);
    }

    #[test]
    fn lecam_by_hand() {
        let balance = balance();
        let scores = |values: &[f64]| Tensor::new(values, &Device::Cpu).unwrap();
        let (real, fake) = (scores(&[2.0, -2.0]), scores(&[0.0, 3.0]));
        assert!(balance.lecam(&real, &fake).unwrap().is_none());
        balance.update(&[1.0, 1.0], &[-1.0, -1.0], false).unwrap();
        // Real: 2 and -2 above -1 by 3 and 0. Generated: 0 and 3 below 1 by 1 and 0.
        let found = value(&balance.lecam(&real, &fake).unwrap().unwrap()).unwrap();
        assert!((found - (9.0 / 2.0 + 1.0 / 2.0)).abs() < 1e-12, "{found}");
        // The running mean is the plain one at first.
        balance.update(&[3.0, 3.0], &[-1.0, -1.0], false).unwrap();
        assert_eq!(balance.levels().unwrap(), Some((2.0, -1.0)));
    }
}
