//! Exponential moving average of weights, for evaluation and sampling.

use std::collections::BTreeMap;

use candle_core::{Result, Tensor, Var};
use rayon::prelude::*;

use super::PART;
use crate::Real;
use crate::real::{for_real, with_slice, with_slice_mut};
use crate::simd::{Loop, wide};

/// How fast an average forgets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Averaging {
    /// Share of the old average kept at each update, 0 to below 1; early updates keep less, `min(decay, (1 + n) / (10 + n))` at
    /// update `n`, so that the initial values do not dominate the average.
    Decay(f64),
    /// Half-life as a share of the updates so far, above 0: at update `n` the average keeps `2^(-1 / (share n))`. It fits short
    /// and long runs; with a fixed decay, short runs average over their first values, and long ones over too few.
    HalfLife(f64),
}

impl Averaging {
    /// Share of the old average kept at update `n`, from 1.
    fn keep(self, n: f64) -> f64 {
        match self {
            Self::Decay(decay) => decay.min((1.0 + n) / (10.0 + n)),
            Self::HalfLife(share) => (-1.0 / (share * n)).exp2(),
        }
    }
}

/// Averages of a set of variables (parameters and running statistics alike).
#[derive(Debug)]
pub struct Ema {
    averaging: Averaging,
    updates: u64,
    pairs: BTreeMap<String, (Var, Var)>,
}

impl Ema {
    /// Starts at the present values.
    ///
    /// # Errors
    /// Out of memory.
    pub fn new(averaging: Averaging, vars: &BTreeMap<String, Var>) -> Result<Self> {
        let pairs = vars
            .iter()
            .map(|(name, var)| Ok((name.clone(), (var.clone(), Var::from_tensor(&var.as_tensor().detach().copy()?)?))))
            .collect::<Result<_>>()?;
        Ok(Self { averaging, updates: 0, pairs })
    }

    /// Takes the present values in.
    ///
    /// # Errors
    /// Other types than f32 and f64.
    pub fn update(&mut self) -> Result<()> {
        self.updates += 1;
        let keep = self.averaging.keep(self.updates as f64);
        let (host, device): (Vec<_>, Vec<_>) = self.pairs.values().partition(|(var, _)| var.device().is_cpu());
        for (var, average) in device {
            average.set(&((average.as_tensor().detach() * keep)? + (var.as_tensor().detach() * (1.0 - keep))?)?)?;
        }
        host.into_par_iter().try_for_each(|(var, average)| {
            for_real!(var, T => with_slice::<T, _>(var, |now| with_slice_mut::<T>(average, |average| {
                let take = T::of(1.0 - keep);
                average.par_chunks_mut(PART).zip(now.par_chunks(PART)).for_each(|(average, now)| {
                    wide::<Approach, _>((average, now, take));
                });
                Ok(())
            }))?)
        })
    }

    /// The averages by name, as copies.
    ///
    /// # Errors
    /// Out of memory.
    pub fn values(&self) -> Result<BTreeMap<String, Tensor>> {
        self.pairs.iter().map(|(name, (_, average))| Ok((name.clone(), average.as_tensor().detach().copy()?))).collect()
    }

    /// Runs `body` with the averages in place of the weights, and restores the weights afterwards: also after an error or a
    /// panic.
    ///
    /// # Errors
    /// Out of memory.
    pub fn with_averages<R>(&self, body: impl FnOnce() -> R) -> Result<R> {
        let weights =
            self.pairs.values().map(|(var, _)| var.as_tensor().detach().copy()).collect::<Result<Vec<_>>>()?;
        let replaced = Replaced { vars: self.pairs.values().map(|(var, _)| var).collect(), weights };
        for (var, average) in self.pairs.values() {
            var.set(&average.as_tensor().detach())?;
        }
        let result = body();
        replaced.put_back()?;
        Ok(result)
    }

    /// Number of updates so far, saved with [`Ema::values`].
    pub fn updates(&self) -> u64 {
        self.updates
    }

    /// Continues from saved averages.
    ///
    /// # Errors
    /// A name that is missing, a shape that differs.
    pub fn restore(&mut self, values: &BTreeMap<String, Tensor>, updates: u64) -> Result<()> {
        for (name, (_, average)) in &self.pairs {
            match values.get(name) {
                Some(value) => average.set(&value.to_device(average.device())?)?,
                None => candle_core::bail!("the saved averages have no `{name}`"),
            }
        }
        self.updates = updates;
        Ok(())
    }
}

/// Variables whose numbers are replaced for a while, and those numbers.
struct Replaced<'a> {
    vars: Vec<&'a Var>,
    weights: Vec<Tensor>,
}

impl Replaced<'_> {
    fn put_back(mut self) -> Result<()> {
        let weights = std::mem::take(&mut self.weights);
        self.vars.iter().zip(&weights).try_for_each(|(var, weight)| var.set(weight))
    }
}

impl Drop for Replaced<'_> {
    fn drop(&mut self) {
        for (var, weight) in self.vars.iter().zip(&self.weights) {
            let _ = var.set(weight); // Of the same shape and type; an error or a panic is on its way already.
        }
    }
}

/// `average += take (now - average)`.
struct Approach;

impl<T: Real> Loop<(&mut [T], &[T], T)> for Approach {
    type Output = ();
    #[inline(always)]
    fn run((average, now, take): (&mut [T], &[T], T)) {
        for (average, now) in average.iter_mut().zip(now) {
            *average += (*now - *average) * take;
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn half_life_grows_with_the_updates() {
        let averaging = Averaging::HalfLife(0.05);
        // At update 200 the half-life is 10 updates.
        assert!((averaging.keep(200.0).powi(10) - 0.5).abs() < 1e-12);
        assert!(averaging.keep(1.0) < 1e-5);
    }

    #[test]
    fn follows_by_hand_and_swaps_back() {
        let var = Var::from_vec(vec![0.0f64], 1, &Device::Cpu).unwrap();
        let mut ema = Ema::new(Averaging::Decay(0.5), &BTreeMap::from([("w".to_owned(), var.clone())])).unwrap();
        var.set(&Tensor::new(&[1.0f64], &Device::Cpu).unwrap()).unwrap();
        ema.update().unwrap(); // keep = min(0.5, 2/11): average = 9/11
        let seen = ema.with_averages(|| var.to_vec1::<f64>().unwrap()[0]).unwrap();
        assert!((seen - 9.0 / 11.0).abs() < 1e-12, "{seen}");
        assert_eq!(var.to_vec1::<f64>().unwrap(), [1.0]);
        let panicked =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| ema.with_averages(|| panic!("inside"))));
        assert!(panicked.is_err());
        assert_eq!(var.to_vec1::<f64>().unwrap(), [1.0]);
    }
}
