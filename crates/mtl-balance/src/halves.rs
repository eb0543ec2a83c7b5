//! What methods share that need gradients on independent images: weights on the simplex, moved on from step to step.

use mtl_rng::Stream;

use crate::balancer::{read_rows, write_rows};
use crate::{Balancer, Combination, Error, Gram, Needs, Signals, State};

/// A method of the products between two halves of a batch.
pub(crate) trait OfHalves: Send {
    /// As in the registry.
    fn name(&self) -> &'static str;

    /// The weights, one a row; `products` are those of both halves together and those between them, `simplex` is the last step's place on the simplex, and becomes this one's.
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
        signals.check(&self.tasks, self.needs())?;
        let missing = |missing| Error::Missing { missing };
        let gram = signals.gram.ok_or(missing("the Gram matrix of the task gradients"))?;
        let halves = signals.halves.ok_or(missing("the products of the gradients of two halves of the batch"))?;
        let there = gram.present();
        let mut weights = vec![0.0; gram.size()];
        if let [one] = there[..] {
            weights[one] = 1.0;
        } else if !there.is_empty() {
            let task = |i: usize| signals.present[i];
            // The shares of those who take part; who was away comes back with what it had beside them.
            let held: f64 = there.iter().map(|&i| self.simplex[task(i)]).sum();
            let share = |i: usize| if held > 0.0 { self.simplex[task(i)] / held } else { 1.0 / there.len() as f64 };
            let mut simplex: Vec<f64> = there.iter().map(|&i| share(i)).collect();
            let of = |matrix: &Gram| Gram::from_fn(there.len(), |i, j| matrix.at(there[i], there[j]));
            let found = self.method.solve((&of(gram), &of(halves)), &mut simplex, stream);
            there.iter().zip(&found).for_each(|(&i, &weight)| weights[i] = weight);
            signals.check_weights(self.method.name(), &weights)?;
            let held = if held > 0.0 { held } else { there.len() as f64 };
            there.iter().zip(&simplex).for_each(|(&i, share)| self.simplex[task(i)] = share * held);
        }
        Ok(weights.into())
    }

    fn state(&self) -> State {
        write_rows(&self.tasks, self.simplex.iter().map(|share| vec![*share]))
    }

    fn restore(&mut self, state: State) -> Result<(), Error> {
        let rows = read_rows(self.method.name(), &self.tasks, &[], &state, |row| row.len() == 1 && row[0] >= 0.0)?;
        self.simplex = rows.iter().map(|row| row[0]).collect();
        Ok(())
    }
}
