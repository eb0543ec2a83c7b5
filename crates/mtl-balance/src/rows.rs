//! The tasks of one step whose gradients are not zero.

use crate::{Error, Gram, Signals};

/// The input of a rule: the tasks of one step whose gradient is not zero, one row per task.
#[non_exhaustive]
pub struct Rows {
    /// Inner products of their gradients.
    pub gram: Gram,
    /// Their losses.
    pub losses: Vec<f64>,
    /// Their indices among all tasks of the run.
    pub tasks: Vec<usize>,
    /// Their indices among the present tasks ([`Signals::present`]).
    pub present: Vec<usize>,
}

impl Rows {
    /// # Errors
    /// The signals have no Gram matrix.
    pub(crate) fn new(signals: &Signals, losses: &[f64]) -> Result<Self, Error> {
        let all = signals.gram.ok_or(Error::Missing { missing: "the Gram matrix of the task gradients" })?;
        let present = all.present();
        Ok(Self {
            gram: all.among(&present),
            losses: present.iter().map(|&i| losses[i]).collect(),
            tasks: present.iter().map(|&i| signals.present[i]).collect(),
            present,
        })
    }

    /// All tasks of a run, with losses of 1.
    #[cfg(test)]
    pub(crate) fn all(gram: Gram) -> Self {
        let tasks: Vec<usize> = (0..gram.size()).collect();
        Self { losses: vec![1.0; gram.size()], present: tasks.clone(), tasks, gram }
    }

    /// One weight per present task from one weight per row: 0 for the others.
    ///
    /// # Errors
    /// A weight that is not finite.
    pub(crate) fn weights(&self, signals: &Signals, method: &'static str, of_rows: &[f64]) -> Result<Vec<f64>, Error> {
        let mut weights = vec![0.0; signals.present.len()];
        self.present.iter().zip(of_rows).for_each(|(&i, &weight)| weights[i] = weight);
        match signals.present.iter().zip(&weights).find(|(_, weight)| !weight.is_finite()) {
            None => Ok(weights),
            Some((&task, &value)) => {
                Err(Error::NonFiniteWeight { method, task: signals.tasks[task].clone(), step: signals.step, value })
            }
        }
    }
}
