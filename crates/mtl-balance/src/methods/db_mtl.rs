//! DB-MTL: dual balancing of loss scales and gradient lengths (Lin et al. 2023, algorithm 1, arXiv 2308.12029).
//!
//! The gradients of `log l_i` are averaged over steps, `b_i <- beta b_i + (1 - beta) g_i / l_i` (from 0), and the update is the sum of
//! the averages, each scaled to the longest: `max_k |b_k| sum_i b_i / |b_i|`. The authors' code decays `beta` as
//! `beta / step^sigma`. The paper uses `sigma = 0` for most data, as here.
//!
//! State: one gradient per task, `tasks x parameters` numbers, also in the checkpoint.

use mtl_rng::Stream;
use serde::{Deserialize, Serialize};

use crate::rows::Rows;
use crate::rules::{GradientRule, Ruled};
use crate::task_state;
use crate::vector::mixed;
use crate::{Aggregation, Balancer, Error, Method, Requirements, State};

/// Settings of DB-MTL.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Share of the old average that is kept at each step, at least 0 and below 1. Default: 0.9.
    pub beta: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { beta: 0.9 }
    }
}

impl Method for Config {
    fn build(&self, tasks: &[String]) -> Result<Box<dyn Balancer>, Error> {
        let rule = "the share that is kept must be at least 0 and below 1";
        Error::ensure((0.0..1.0).contains(&self.beta), "balancer.db_mtl.beta", self.beta, rule)?;
        Ok(Ruled::gradients(tasks, DbMtl { beta: self.beta, averages: vec![Vec::new(); tasks.len()] }))
    }
}

/// The rule.
#[derive(Debug)]
pub struct DbMtl {
    beta: f64,
    /// Averaged gradient of each task of the run; empty before its first step.
    averages: Vec<Vec<f64>>,
}

impl GradientRule for DbMtl {
    fn name(&self) -> &'static str {
        "db_mtl"
    }

    fn requirements(&self) -> Requirements {
        Requirements { nonnegative_losses: true, outputs_update: true, ..Requirements::default() }
    }

    fn solve(&mut self, rows: &Rows, gradients: &[&[f32]], _stream: &mut Stream) -> Result<Aggregation, Error> {
        task_state::check_length("db_mtl", &self.averages, gradients[0].len())?;
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
        // The share of this step's gradients in the update.
        let weights =
            factors.iter().zip(&rows.losses).map(|(factor, loss)| factor * (1.0 - self.beta) / loss).collect();
        Ok(Aggregation { weights, vector })
    }

    fn state(&self, tasks: &[String]) -> State {
        task_state::write(tasks, &self.averages)
    }

    fn restore(&mut self, tasks: &[String], state: &State) -> Result<(), Error> {
        self.averages = task_state::read_with_gradients("db_mtl", tasks, 0, state)?;
        Ok(())
    }
}
