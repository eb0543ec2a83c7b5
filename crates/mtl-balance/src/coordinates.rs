//! What methods share that see the gradients themselves.

use mtl_rng::Stream;

use crate::memory::expect_no_state;
use crate::rows::Rows;
use crate::{Balancer, Combination, Error, Needs, Signals, State};

/// A method that works coordinate by coordinate, or remembers gradients.
pub(crate) trait OfGradients: Send {
    /// As in the registry.
    fn name(&self) -> &'static str;

    /// Weights, one for each of two gradients at least; or an update of its own, and for the log what share of each gradient is
    /// in it. All gradients are equally long.
    fn solve(&mut self, rows: &Rows, gradients: &[&[f32]], stream: &mut Stream) -> Combination;

    /// Whether a loss of zero or less has no meaning here.
    fn needs_positive_losses(&self) -> bool {
        false
    }

    /// As [`Balancer::makes_update`].
    fn makes_update(&self) -> bool {
        true
    }

    /// As [`Balancer::reads_progress`].
    fn reads_progress(&self) -> bool {
        false
    }

    /// As [`Balancer::fewest_tasks`].
    fn fewest_tasks(&self) -> usize {
        1
    }

    fn state(&self, _tasks: &[String]) -> State {
        State::new()
    }

    fn restore(&mut self, _tasks: &[String], state: &State) -> Result<(), Error> {
        expect_no_state(self.name(), state)
    }
}

/// Such a method as a balancer; zero gradients and single tasks are as in [`Gramian`](crate::Gramian): they are not shown to the
/// method, and what it remembers of them stays as it is.
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

    fn refuses_negative_losses(&self) -> bool {
        self.method.needs_positive_losses()
    }

    fn makes_update(&self) -> bool {
        self.method.makes_update()
    }

    fn reads_progress(&self) -> bool {
        self.method.reads_progress()
    }

    fn fewest_tasks(&self) -> usize {
        self.method.fewest_tasks()
    }

    fn combine(&mut self, signals: &Signals, stream: &mut Stream) -> Result<Combination, Error> {
        let method = (self.method.name(), self.method.needs_positive_losses());
        let rows = Rows::of(signals, (&self.tasks, self.needs()), method)?;
        let all = signals.gradients.ok_or(Error::Missing { missing: "the task gradients" })?;
        let gradients: Vec<&[f32]> = rows.there.iter().map(|&i| all[i].as_slice()).collect();
        let found = match gradients.len() {
            0 | 1 => vec![1.0].into(),
            _ => self.method.solve(&rows, &gradients, stream),
        };
        Ok(Combination { weights: rows.weights(signals, method.0, &found.weights)?, vector: found.vector })
    }

    fn state(&self) -> State {
        self.method.state(&self.tasks)
    }

    fn restore(&mut self, state: State) -> Result<(), Error> {
        self.method.restore(&self.tasks, &state)
    }
}

/// A number as the tensors hold it; what those cannot hold is the largest they can.
pub(crate) fn narrow(value: f64) -> f32 {
    value.clamp(f64::from(f32::MIN), f64::from(f32::MAX)) as f32
}

/// `sum_i w_i b_i` of what was remembered.
pub(crate) fn mixed(rows: &[&[f64]], weights: &[f64]) -> Vec<f32> {
    let columns = rows.first().map_or(0, |row| row.len());
    (0..columns)
        .map(|column| narrow(rows.iter().zip(weights).map(|(row, weight)| row[column] * weight).sum()))
        .collect()
}
