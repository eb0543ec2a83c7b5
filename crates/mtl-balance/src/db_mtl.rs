//! Losses by their logarithm, gradients by their direction: both brought to one scale.
//!
//! DB-MTL (Lin et al. 2023, arXiv 2308.12029, algorithm 1): the gradients of `log l_i` are averaged over steps,
//! `b_i <- beta b_i + (1 - beta) g_i / l_i` (from 0), and the update is the sum of the averages, each as long as the longest:
//! `max_k |b_k| sum_i b_i / |b_i|`. The authors' code lets `beta` fall as `beta / step^sigma`; the paper's experiments have `sigma = 0`
//! for most data, and so has this.
//!
//! Remembers a gradient a task: `tasks x parameters` numbers, in the checkpoint too.

use mtl_rng::Stream;
use serde::{Deserialize, Serialize};

use crate::coordinates::{Coordinates, OfGradients, mixed};
use crate::memory;
use crate::rows::Rows;
use crate::{Combination, Error, State};

/// Settings of DB-MTL.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Share of the old average kept at each step, at least 0 and below 1. 0.9.
    pub beta: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { beta: 0.9 }
    }
}

impl Config {
    /// The balancer for a run with these tasks.
    ///
    /// # Errors
    /// A share outside its range.
    pub fn build(&self, tasks: &[String]) -> Result<Coordinates<DbMtl>, Error> {
        let rule = "the share kept must be at least 0 and below 1";
        Error::unless((0.0..1.0).contains(&self.beta), "balancer.db_mtl.beta", self.beta, rule)?;
        Ok(Coordinates::new(tasks, DbMtl { beta: self.beta, averages: vec![Vec::new(); tasks.len()] }))
    }
}

/// The rule.
#[derive(Debug)]
pub struct DbMtl {
    beta: f64,
    /// Of each of the run's tasks; empty before it was seen.
    averages: Vec<Vec<f64>>,
}

impl OfGradients for DbMtl {
    fn name(&self) -> &'static str {
        "db_mtl"
    }

    fn needs_positive_losses(&self) -> bool {
        true
    }

    fn solve(&mut self, rows: &Rows, gradients: &[&[f32]], _stream: &mut Stream) -> Combination {
        let mut lengths = Vec::with_capacity(rows.tasks.len());
        for ((&task, row), loss) in rows.tasks.iter().zip(gradients).zip(&rows.losses) {
            let average = &mut self.averages[task];
            average.resize(row.len(), 0.0);
            let share = (1.0 - self.beta) / loss;
            average.iter_mut().zip(*row).for_each(|(b, &g)| *b = self.beta * *b + share * f64::from(g));
            lengths.push(average.iter().map(|b| b * b).sum::<f64>().sqrt());
        }
        let longest = lengths.iter().copied().fold(0.0, f64::max);
        let factors: Vec<f64> =
            lengths.iter().map(|&length| if length > 0.0 { longest / length } else { 0.0 }).collect();
        let averages: Vec<&[f64]> = rows.tasks.iter().map(|&task| self.averages[task].as_slice()).collect();
        let vector = Some(mixed(&averages, &factors));
        // What a gradient of this step weighs in the update.
        let weights =
            factors.iter().zip(&rows.losses).map(|(factor, loss)| factor * (1.0 - self.beta) / loss).collect();
        Combination { weights, vector }
    }

    fn state(&self, tasks: &[String]) -> State {
        memory::write(tasks, &self.averages)
    }

    fn restore(&mut self, tasks: &[String], state: &State) -> Result<(), Error> {
        self.averages = memory::read_with_gradients("db_mtl", tasks, 0, state)?;
        Ok(())
    }
}
