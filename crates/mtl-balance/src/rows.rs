//! The tasks of a step that a method of gradients gets to see.

use crate::{Error, Gram, Needs, Signals};

/// The tasks of a step whose gradient is not zero.
pub(crate) struct Rows {
    /// Inner products of their gradients.
    pub gram: Gram,
    pub losses: Vec<f64>,
    /// Their numbers among all tasks of the run.
    pub tasks: Vec<usize>,
    /// Their numbers among the tasks that are present.
    pub there: Vec<usize>,
}

impl Rows {
    /// Losses are raised to what has a logarithm if they must be `positive`.
    ///
    /// # Errors
    /// Those of [`Signals::check`]; negative losses that must be positive.
    pub(crate) fn of(
        signals: &Signals,
        (tasks, needs): (&[String], Needs),
        (method, positive): (&'static str, bool),
    ) -> Result<Self, Error> {
        signals.check(tasks, needs)?;
        let losses = signals.losses_for(method, positive)?;
        let all = signals.gram.ok_or(Error::Missing { missing: "the Gram matrix of the task gradients" })?;
        let there = all.present();
        Ok(Self {
            gram: all.among(&there),
            losses: there.iter().map(|&i| losses[i]).collect(),
            tasks: there.iter().map(|&i| signals.present[i]).collect(),
            there,
        })
    }

    /// All tasks of a run, with losses of 1.
    #[cfg(test)]
    pub(crate) fn all(gram: Gram) -> Self {
        let tasks: Vec<usize> = (0..gram.size()).collect();
        Self { losses: vec![1.0; gram.size()], there: tasks.clone(), tasks, gram }
    }

    /// A weight for each present task from those of the ones seen: 0 for the others.
    ///
    /// # Errors
    /// A weight that is not a number.
    pub(crate) fn weights(&self, signals: &Signals, method: &'static str, seen: &[f64]) -> Result<Vec<f64>, Error> {
        let mut weights = vec![0.0; signals.present.len()];
        self.there.iter().zip(seen).for_each(|(&i, &weight)| weights[i] = weight);
        match signals.present.iter().zip(&weights).find(|(_, weight)| !weight.is_finite()) {
            None => Ok(weights),
            Some((&task, &value)) => {
                Err(Error::NoWeight { method, task: signals.tasks[task].clone(), step: signals.step, value })
            }
        }
    }
}
