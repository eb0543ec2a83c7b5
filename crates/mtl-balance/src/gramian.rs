//! What methods share that know the gradients by their inner products alone.

use mtl_rng::Stream;

use crate::memory::expect_no_state;
use crate::rows::Rows;
use crate::{Balancer, Combination, Error, Needs, Route, Signals, State};

/// A method of `m x m` arithmetic.
pub(crate) trait OfGram: Send {
    /// As in the registry.
    fn name(&self) -> &'static str;

    /// One weight a row, of two at least.
    fn solve(&mut self, rows: &Rows, stream: &mut Stream) -> Vec<f64>;

    /// Whether a loss of zero or less has no meaning here.
    fn needs_positive_losses(&self) -> bool {
        false
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

/// Such a method as a balancer. What all of them do alike:
///
/// * A gradient of length zero, or shorter than 1e-10 of the longest (a task that is done) is left out and gets weight 0, so it
///   never holds up the others.
/// * A single task gets weight 1.
/// * No task at all, or only such that are done: weights of 0.
#[derive(Debug)]
pub struct Gramian<M> {
    tasks: Vec<String>,
    route: Route,
    method: M,
}

impl<M> Gramian<M> {
    pub(crate) fn new(tasks: &[String], route: Route, method: M) -> Self {
        Self { tasks: tasks.to_vec(), route, method }
    }
}

impl<M: OfGram> Balancer for Gramian<M> {
    fn needs(&self) -> Needs {
        self.route.needs()
    }

    fn refuses_negative_losses(&self) -> bool {
        self.method.needs_positive_losses()
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
        let solved = if rows.tasks.len() < 2 { vec![1.0] } else { self.method.solve(&rows, stream) };
        Ok(rows.weights(signals, method.0, &solved)?.into())
    }

    fn state(&self) -> State {
        self.method.state(&self.tasks)
    }

    fn restore(&mut self, state: State) -> Result<(), Error> {
        self.method.restore(&self.tasks, &state)
    }
}
