//! The input of a balancer in one step.

use crate::{Error, Gram, Needs};

/// Floor of losses for methods that divide by them or take their logarithm.
const LEAST: f64 = 1e-8;

/// The input of a balancer in one step.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Signals<'a> {
    /// Names of all tasks of the run, in the order the balancer was built with.
    pub tasks: &'a [String],
    /// Indices into `tasks` of those with labels in this batch, ascending.
    pub present: &'a [usize],
    /// Loss of each present task, before any weight.
    pub losses: &'a [f64],
    /// Inner products of the gradients of the present tasks, where [`Needs::gram`] holds.
    pub gram: Option<&'a Gram>,
    /// `(a_i . b_j + b_i . a_j) / 2` of the gradients `a_i` on one half of the batch and `b_i` on the other, for
    /// [`Needs::HalvesGram`]. Symmetric, in expectation the Gram matrix of the true gradients, and not positive semi-definite.
    pub halves: Option<&'a Gram>,
    /// Gradients of the present tasks with respect to the shared parameters, for [`Needs::Gradients`].
    pub gradients: Option<&'a [Vec<f32>]>,
    /// Training step, from 0.
    pub step: u64,
    /// Epoch, from 0.
    pub epoch: u64,
}

impl<'a> Signals<'a> {
    /// The losses of the present tasks, at step 0 of epoch 0.
    pub fn new(tasks: &'a [String], present: &'a [usize], losses: &'a [f64]) -> Self {
        Self { tasks, present, losses, gram: None, halves: None, gradients: None, step: 0, epoch: 0 }
    }

    /// With the Gram matrix of the present tasks.
    pub fn with_gram(self, gram: &'a Gram) -> Self {
        Self { gram: Some(gram), ..self }
    }

    /// With the products of the gradients of two halves of the batch.
    pub fn with_halves(self, halves: &'a Gram) -> Self {
        Self { halves: Some(halves), ..self }
    }

    /// With the gradients of the present tasks.
    pub fn with_gradients(self, gradients: &'a [Vec<f32>]) -> Self {
        Self { gradients: Some(gradients), ..self }
    }

    /// At this step and epoch.
    pub fn at(self, step: u64, epoch: u64) -> Self {
        Self { step, epoch, ..self }
    }

    /// Checks that the required input is present, consistent and finite. Every method calls this first.
    ///
    /// # Errors
    /// The first problem, with the name of its task.
    pub fn check(&self, tasks: &[String], needs: Needs) -> Result<(), Error> {
        let step = self.step;
        let misfit = |problem: String| Err(Error::Signals { step, problem });
        if self.tasks != tasks {
            return misfit(format!("tasks are {:?}, but the balancer was built for {tasks:?}", self.tasks));
        }
        let ascending = self.present.windows(2).all(|pair| pair[0] < pair[1]);
        if !ascending || self.present.last().is_some_and(|&last| last >= tasks.len()) {
            return misfit(format!("present tasks {:?} are not ascending indices below {}", self.present, tasks.len()));
        }
        if self.losses.len() != self.present.len() {
            return misfit(format!("{} losses for {} present tasks", self.losses.len(), self.present.len()));
        }
        for (&task, &value) in self.present.iter().zip(self.losses) {
            if !value.is_finite() {
                return Err(Error::NonFiniteLoss { task: tasks[task].clone(), step, value });
            }
        }
        if needs.gram() {
            self.check_gram(self.gram.ok_or(Error::Missing { missing: "the Gram matrix of the task gradients" })?)?;
        }
        if needs == Needs::HalvesGram {
            let missing = "the products of the gradients of two halves of the batch";
            let halves = self.halves.ok_or(Error::Missing { missing })?;
            if halves.size() != self.present.len() {
                return misfit(format!("{} rows of halves for {} present tasks", halves.size(), self.present.len()));
            }
            self.check_entries(halves)?;
        }
        if needs == Needs::Gradients {
            let rows = self.gradients.ok_or(Error::Missing { missing: "the task gradients" })?;
            if rows.len() != self.present.len() || rows.iter().any(|row| row.len() != rows[0].len()) {
                return misfit("the gradients are not one row of equal length for each present task".to_owned());
            }
        }
        Ok(())
    }

    fn check_gram(&self, gram: &Gram) -> Result<(), Error> {
        let step = self.step;
        if gram.size() != self.present.len() {
            let problem = format!("a Gram matrix of {} for {} present tasks", gram.size(), self.present.len());
            return Err(Error::Signals { step, problem });
        }
        // The diagonal first: a gradient that is not finite spoils its row and column, and its task must be named rather than the
        // other factor of a product.
        for (i, &task) in self.present.iter().enumerate() {
            let value = gram.at(i, i);
            if !value.is_finite() {
                return Err(Error::NonFiniteGradient { task: self.tasks[task].clone(), step, value });
            }
            if value < 0.0 {
                let problem = format!("the Gram matrix has {value} on its diagonal, at task `{}`", self.tasks[task]);
                return Err(Error::Signals { step, problem });
            }
        }
        self.check_entries(gram)
    }

    fn check_entries(&self, gram: &Gram) -> Result<(), Error> {
        for (i, &task) in self.present.iter().enumerate() {
            if let Some(&value) = gram.row(i).iter().find(|value| !value.is_finite()) {
                return Err(Error::NonFiniteGradient { task: self.tasks[task].clone(), step: self.step, value });
            }
        }
        Ok(())
    }

    /// # Errors
    /// A loss below 0 by more than rounding.
    pub(crate) fn check_nonnegative(&self, method: &'static str) -> Result<(), Error> {
        self.check_at_least(method, 0.0)
    }

    /// # Errors
    /// A loss below `least` by more than rounding.
    pub(crate) fn check_at_least(&self, method: &'static str, least: f64) -> Result<(), Error> {
        // A Dice loss of f32 numbers can come out at -1e-7.
        const ROUNDING: f64 = -1e-6;
        match self.present.iter().zip(self.losses).find(|&(_, &value)| value < least + ROUNDING) {
            None => Ok(()),
            Some((&task, &value)) => {
                Err(Error::NegativeLoss { method, task: self.tasks[task].clone(), step: self.step, value })
            }
        }
    }

    /// The losses; where they must not be `nonnegative`, as they are, otherwise at least [`LEAST`].
    ///
    /// # Errors
    /// A negative loss that must not be.
    pub(crate) fn losses_for(&self, method: &'static str, nonnegative: bool) -> Result<Vec<f64>, Error> {
        if !nonnegative {
            return Ok(self.losses.to_vec());
        }
        self.check_nonnegative(method)?;
        // A finished task has a loss of zero.
        Ok(self.losses.iter().map(|loss| loss.max(LEAST)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misfits_are_errors() {
        let tasks = ["a".to_owned(), "b".to_owned()];
        let gram = Gram::new(2, vec![1.0, 0.0, 0.0, 1.0]).unwrap();
        let good = Signals::new(&tasks, &[0, 1], &[1.0, 2.0]).with_gram(&gram);
        assert_eq!(good.check(&tasks, Needs::TrunkGram), Ok(()));
        assert!(good.check(&tasks[..1], Needs::Losses).is_err());
        assert!(matches!(good.check(&tasks, Needs::Gradients), Err(Error::Missing { .. })));
        let rows = [vec![1.0, 0.0], vec![0.0, 1.0]];
        assert_eq!(good.with_gradients(&rows).check(&tasks, Needs::Gradients), Ok(()));
        assert!(good.with_gradients(&rows[..1]).check(&tasks, Needs::Gradients).is_err());
        assert!(matches!(Signals { gram: None, ..good }.check(&tasks, Needs::FeatureGram), Err(Error::Missing { .. })));
        for present in [&[1, 0][..], &[0, 0], &[0, 2], &[0]] {
            assert!(Signals { present, ..good }.check(&tasks, Needs::Losses).is_err(), "{present:?}");
        }
        let negative = Gram::new(2, vec![1.0, 0.0, 0.0, -1.0]).unwrap();
        assert!(good.with_gram(&negative).check(&tasks, Needs::TrunkGram).is_err());
        let small = Gram::new(1, vec![1.0]).unwrap();
        assert!(good.with_gram(&small).check(&tasks, Needs::TrunkGram).is_err());
    }
}
