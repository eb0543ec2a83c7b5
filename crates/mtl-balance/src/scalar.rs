//! What methods share that know the losses alone and remember nothing.

use mtl_rng::Stream;

use crate::memory::expect_no_state;
use crate::{Balancer, Combination, Error, Needs, Signals, State};

/// A function of the losses of the present tasks, two at least.
pub(crate) trait OfLosses: Send {
    /// As in the registry.
    fn name(&self) -> &'static str;

    /// One weight a loss; `tasks` are their numbers among all tasks of the run.
    fn solve(&self, losses: &[f64], tasks: &[usize], stream: &mut Stream) -> Vec<f64>;

    /// Whether a loss of zero or less has no meaning here.
    fn needs_positive_losses(&self) -> bool {
        false
    }
}

/// Such a method as a balancer. A single task gets weight 1.
#[derive(Debug)]
pub struct Scalar<M> {
    tasks: Vec<String>,
    method: M,
}

impl<M> Scalar<M> {
    pub(crate) fn new(tasks: &[String], method: M) -> Self {
        Self { tasks: tasks.to_vec(), method }
    }
}

impl<M: OfLosses> Balancer for Scalar<M> {
    fn needs(&self) -> Needs {
        Needs::Losses
    }

    fn refuses_negative_losses(&self) -> bool {
        self.method.needs_positive_losses()
    }

    fn combine(&mut self, signals: &Signals, stream: &mut Stream) -> Result<Combination, Error> {
        signals.check(&self.tasks, self.needs())?;
        let losses = signals.losses_for(self.method.name(), self.method.needs_positive_losses())?;
        let weights = match losses.len() {
            0 => Vec::new(),
            1 => vec![1.0],
            _ => self.method.solve(&losses, signals.present, stream),
        };
        Ok(weights.into())
    }

    fn restore(&mut self, state: State) -> Result<(), Error> {
        expect_no_state(self.method.name(), &state)
    }
}

/// `e^x` of each, divided by their sum; the largest becomes 1 first, so that nothing overflows.
pub(crate) fn softmax(values: &[f64]) -> Vec<f64> {
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = values.iter().map(|value| (value - most).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}
