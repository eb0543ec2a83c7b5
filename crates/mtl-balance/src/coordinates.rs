//! What methods share that decide coordinate by coordinate.

use mtl_rng::Stream;

use crate::balancer::{Combination, expect_no_state};
use crate::{Balancer, Error, Needs, Signals, State};

/// A function of task gradients, two at least, none of them zero.
pub(crate) trait OfGradients: Send {
    /// As in the registry.
    fn name(&self) -> &'static str;

    /// The update, and for the log what share of each gradient is in it.
    fn solve(&self, rows: &[&[f32]], stream: &mut Stream) -> (Vec<f32>, Vec<f64>);
}

/// Such a method as a balancer; zero gradients and single tasks are as in [`Gramian`](crate::Gramian).
#[derive(Debug)]
pub struct Coordinates<M> {
    tasks: Vec<String>,
    method: M,
}

impl<M> Coordinates<M> {
    pub(crate) fn new(tasks: &[String], method: M) -> Self {
        Self { tasks: tasks.to_vec(), method }
    }
}

impl<M: OfGradients> Balancer for Coordinates<M> {
    fn needs(&self) -> Needs {
        Needs::Gradients
    }

    fn combine(&mut self, signals: &Signals, stream: &mut Stream) -> Result<Combination, Error> {
        signals.check(&self.tasks, self.needs())?;
        let all = signals.gradients.ok_or(Error::Missing { missing: "the task gradients" })?;
        let there: Vec<usize> = (0..all.len()).filter(|&i| all[i].iter().any(|v| *v != 0.0)).collect();
        let rows: Vec<&[f32]> = there.iter().map(|&i| all[i].as_slice()).collect();
        let (vector, shares) = match rows.len() {
            0 => (vec![0.0; all.first().map_or(0, Vec::len)], Vec::new()),
            1 => (rows[0].to_vec(), vec![1.0]),
            _ => self.method.solve(&rows, stream),
        };
        let mut weights = vec![0.0; all.len()];
        there.iter().zip(shares).for_each(|(&i, share)| weights[i] = share);
        Ok(Combination { weights, vector: Some(vector) })
    }

    fn restore(&mut self, state: State) -> Result<(), Error> {
        expect_no_state(self.method.name(), &state)
    }
}
