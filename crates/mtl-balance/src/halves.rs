//! What methods share that need gradients on independent images: weights on the simplex, moved on from step to step.

use mtl_rng::Stream;

use crate::rows::Rows;
use crate::{Balancer, Combination, Error, Gram, Needs, Signals, State, memory};

/// A method of the products between two halves of a batch.
pub(crate) trait OfHalves: Send {
    /// As in the registry.
    fn name(&self) -> &'static str;

    /// The weights, one a row, of two at least; `products` are those of both halves together and those between them, `simplex`
    /// is the last step's place on the simplex, and becomes this one's.
    fn solve(&self, products: (&Gram, &Gram), simplex: &mut Vec<f64>, stream: &mut Stream) -> Vec<f64>;
}

/// Such a method as a balancer; zero gradients and single tasks are as in [`Gramian`](crate::Gramian).
#[derive(Debug)]
pub struct Halves<M> {
    tasks: Vec<String>,
    method: M,
    /// Of each of the run's tasks, before anything else an equal share.
    simplex: Vec<f64>,
}

impl<M> Halves<M> {
    pub(crate) fn new(tasks: &[String], method: M) -> Self {
        Self { tasks: tasks.to_vec(), method, simplex: vec![1.0; tasks.len()] }
    }
}

impl<M: OfHalves> Balancer for Halves<M> {
    fn needs(&self) -> Needs {
        Needs::HalvesGram
    }

    fn combine(&mut self, signals: &Signals, stream: &mut Stream) -> Result<Combination, Error> {
        let name = self.method.name();
        let rows = Rows::of(signals, (&self.tasks, self.needs()), (name, false))?;
        let missing = "the products of the gradients of two halves of the batch";
        let halves = signals.halves.ok_or(Error::Missing { missing })?.among(&rows.there);
        if rows.tasks.len() < 2 {
            return Ok(rows.weights(signals, name, &[1.0])?.into());
        }
        // The shares of those who take part; who was away comes back with what it had beside them.
        let m = rows.tasks.len() as f64;
        let held: f64 = rows.tasks.iter().map(|&task| self.simplex[task]).sum();
        let share = |task: usize| if held > 0.0 { self.simplex[task] / held } else { 1.0 / m };
        let mut simplex: Vec<f64> = rows.tasks.iter().map(|&task| share(task)).collect();
        let found = self.method.solve((&rows.gram, &halves), &mut simplex, stream);
        let weights = rows.weights(signals, name, &found)?;
        let held = if held > 0.0 { held } else { m };
        rows.tasks.iter().zip(&simplex).for_each(|(&task, share)| self.simplex[task] = share * held);
        Ok(weights.into())
    }

    fn state(&self) -> State {
        memory::write(&self.tasks, &self.simplex)
    }

    fn restore(&mut self, state: State) -> Result<(), Error> {
        self.simplex = memory::read(self.method.name(), &self.tasks, &[], &state, |share| *share >= 0.0)?;
        Ok(())
    }
}
