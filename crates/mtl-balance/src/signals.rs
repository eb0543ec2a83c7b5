//! What a balancer is told about one step.

use crate::{Error, Needs};

/// Inner products of the task gradients, `G_ij = g_i . g_j`: symmetric, positive semi-definite.
#[derive(Clone, Debug, PartialEq)]
pub struct Gram {
    size: usize,
    entries: Vec<f64>,
}

impl Gram {
    /// A matrix of `size` rows from its entries, row-major.
    ///
    /// # Errors
    /// If there are not `size * size` entries. Whether they are finite is checked with the signals, where the tasks
    /// have names.
    pub fn new(size: usize, entries: Vec<f64>) -> Result<Self, Error> {
        if entries.len() == size * size {
            Ok(Self { size, entries })
        } else {
            Err(Error::GramSize { size, entries: entries.len() })
        }
    }

    /// A matrix from a function that gives the inner product of gradients `i` and `j`, asked for `i <= j` only.
    ///
    /// # Errors
    /// Those of `product`.
    pub fn try_from_fn<E>(size: usize, mut product: impl FnMut(usize, usize) -> Result<f64, E>) -> Result<Self, E> {
        let mut entries = vec![0.0; size * size];
        for i in 0..size {
            for j in i..size {
                let value = product(i, j)?;
                entries[i * size + j] = value;
                entries[j * size + i] = value;
            }
        }
        Ok(Self { size, entries })
    }

    /// The same, where nothing can fail.
    pub fn from_fn(size: usize, mut product: impl FnMut(usize, usize) -> f64) -> Self {
        let result: Result<Self, std::convert::Infallible> = Self::try_from_fn(size, |i, j| Ok(product(i, j)));
        match result {
            Ok(gram) => gram,
        }
    }

    /// The Gram matrix of gradients held as rows, summed in `f64`; rows of different lengths are compared as far as
    /// the shorter goes.
    pub fn of_rows(rows: &[Vec<f32>]) -> Self {
        let dot = |i: usize, j: usize| rows[i].iter().zip(&rows[j]).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
        Self::from_fn(rows.len(), dot)
    }

    /// Number of tasks.
    pub fn size(&self) -> usize {
        self.size
    }

    /// `g_i . g_j`.
    ///
    /// # Panics
    /// If `i` or `j` is not below [`Gram::size`]: a programmer's error.
    pub fn at(&self, i: usize, j: usize) -> f64 {
        assert!(i < self.size && j < self.size, "entry ({i}, {j}) of a Gram matrix of {} tasks", self.size);
        self.entries[i * self.size + j]
    }

    /// Row `i`.
    ///
    /// # Panics
    /// If `i` is not below [`Gram::size`]: a programmer's error.
    pub fn row(&self, i: usize) -> &[f64] {
        &self.entries[i * self.size..(i + 1) * self.size]
    }

    /// The gradients that are not zero. One shorter than 1e-10 of the longest counts as zero: what single precision leaves of a
    /// task that is done.
    pub(crate) fn present(&self) -> Vec<usize> {
        let longest = (0..self.size).map(|i| self.at(i, i).sqrt()).fold(0.0, f64::max);
        (0..self.size).filter(|&i| self.at(i, i) > 0.0 && self.at(i, i).sqrt() > 1e-10 * longest).collect()
    }

    /// The same of some gradients only, in their order.
    pub(crate) fn among(&self, some: &[usize]) -> Self {
        Self::from_fn(some.len(), |i, j| self.at(some[i], some[j]))
    }

    /// Cosine of the angle between gradients `i` and `j`; `None` if one of them is zero.
    pub fn cosine(&self, i: usize, j: usize) -> Option<f64> {
        let norms = self.at(i, i).sqrt() * self.at(j, j).sqrt();
        (norms > 0.0).then(|| (self.at(i, j) / norms).clamp(-1.0, 1.0))
    }
}

/// Losses below this count as this, where a loss of zero has no meaning.
const LEAST: f64 = 1e-8;

/// One step, as a balancer sees it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Signals<'a> {
    /// Names of all tasks of the run, in the order the balancer was built with.
    pub tasks: &'a [String],
    /// Indices into `tasks` of those with labels in this batch, ascending.
    pub present: &'a [usize],
    /// Loss of each present task, before any weight.
    pub losses: &'a [f64],
    /// Inner products of the gradients of the present tasks, if [`crate::Balancer::needs`] asks for them.
    pub gram: Option<&'a Gram>,
    /// Of the gradients `a_i` on one half of the batch and `b_i` on the other: `(a_i . b_j + b_i . a_j) / 2`, if asked for. Symmetric,
    /// on average the Gram matrix of the true gradients, and not positive semi-definite.
    pub halves: Option<&'a Gram>,
    /// Gradients of the present tasks with respect to the shared parameters, if asked for.
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

    /// At another time.
    pub fn at(self, step: u64, epoch: u64) -> Self {
        Self { step, epoch, ..self }
    }

    /// Checks that everything a method needs is there, fits together and is finite. Every method calls this first.
    ///
    /// # Errors
    /// The first thing that is wrong, with the name of the task it is about.
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
        // The diagonal first: a gradient that is not finite spoils its row and column, and is named rather than
        // the innocent task it is multiplied with.
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

    /// Losses of at least 0 (up to rounding), or an error.
    pub(crate) fn check_not_negative(&self, method: &'static str) -> Result<(), Error> {
        self.check_at_least(method, 0.0)
    }

    /// Losses of at least `least` (up to rounding), or an error.
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
}

impl Signals<'_> {
    /// The losses; for methods that divide by them or take their logarithm at least [`LEAST`], and none negative.
    pub(crate) fn losses_for(&self, method: &'static str, positive: bool) -> Result<Vec<f64>, Error> {
        if !positive {
            return Ok(self.losses.to_vec());
        }
        self.check_not_negative(method)?;
        // A task that is done has a loss of zero: as good as done will do.
        Ok(self.losses.iter().map(|loss| loss.max(LEAST)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gram_of_rows() {
        let gram = Gram::of_rows(&[vec![1.0, 2.0], vec![-2.0, 1.0], vec![-1.0, -2.0]]);
        assert_eq!(gram, Gram::new(3, vec![5.0, 0.0, -5.0, 0.0, 5.0, 0.0, -5.0, 0.0, 5.0]).unwrap());
        assert_eq!(gram.cosine(0, 1), Some(0.0));
        assert!((gram.cosine(0, 2).unwrap() + 1.0).abs() < 1e-15);
        assert_eq!(Gram::of_rows(&[vec![0.0], vec![1.0]]).cosine(0, 1), None);
        assert!(Gram::new(2, vec![0.0; 3]).is_err());
    }

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
