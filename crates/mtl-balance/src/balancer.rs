//! The trait of all methods, and what a method may ask the training step for.

use std::collections::BTreeMap;

use mtl_rng::Stream;

use crate::{Error, Signals};

/// What the training step must compute before it asks for weights, cheapest first. It pays for no more than this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Needs {
    /// Loss values only. One backward pass of `sum_i w_i l_i`; the weights act on the heads too.
    Losses,
    /// The Gram matrix of the task gradients with respect to the trunk's *features*. The graph is cut at the features:
    /// one cheap backward pass for each head, then one pass through the trunk with the weighted sum. An upper bound on
    /// what happens in the parameters, not the thing itself (Sener and Koltun 2018).
    FeatureGram,
    /// The Gram matrix of the task gradients with respect to the trunk's *parameters*: one backward pass through the
    /// trunk for each task. What the papers mean.
    TrunkGram,
    /// The products of gradients on one half of the batch with those on the other ([`Signals::halves`]), beside the
    /// Gram matrix of both together: without the bias that a batch's own noise gives the square of its gradient. The cost
    /// of [`Needs::TrunkGram`]; a task without labels in one of the halves is absent.
    HalvesGram,
    /// The task gradients themselves, as rows, beside their Gram matrix ([`Signals::gradients`]): the cost of
    /// [`Needs::TrunkGram`], and `tasks x parameters` numbers kept on the host.
    Gradients,
}

/// What a method wants to be told after the step it has weighed, by [`Balancer::learn`]. Only bilevel methods and those that
/// look one step ahead want anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Feedback {
    /// Nothing.
    Nothing,
    /// The losses of the same tasks on the same batch after the step: one forward pass more.
    LossesAfter,
    /// By how much a little more weight on each task, in this step, would raise the summed loss of these tasks (numbers
    /// among all tasks) on another batch: one backward pass and three forward passes more.
    Lookahead(Vec<usize>),
}

impl Needs {
    /// Whether the weights also scale the gradients of the heads. Methods that weigh losses do; methods that look at
    /// the shared gradients decide about shared parameters only, and every head keeps its own gradient, weight 1.
    pub fn weights_heads(self) -> bool {
        self == Self::Losses
    }

    /// Whether [`Signals::gram`] must be there.
    pub fn gram(self) -> bool {
        self != Self::Losses
    }
}

/// What a method remembers between steps, for checkpoints: lists of finite numbers by key. Keys are `task/NAME` for
/// what belongs to a task.
///
/// To resume bit for bit, store the numbers so that they read back exactly (`serde_json` needs `float_roundtrip`).
pub type State = BTreeMap<String, Vec<f64>>;

/// How the tasks of a step become one update.
#[derive(Clone, Debug, PartialEq)]
pub struct Combination {
    /// One number for each *present* task, in the order of [`Signals::present`], finite. Without a `vector` the update of the shared
    /// parameters is along `sum_i w_i g_i`; with one it is the share of each gradient in it, to be looked at only.
    pub weights: Vec<f64>,
    /// The update of the shared parameters itself, from methods that decide coordinate by coordinate ([`Needs::Gradients`]); as
    /// long as a row of [`Signals::gradients`].
    pub vector: Option<Vec<f32>>,
}

impl From<Vec<f64>> for Combination {
    fn from(weights: Vec<f64>) -> Self {
        Self { weights, vector: None }
    }
}

/// A method that gives each task of a step its weight.
///
/// The conformance tests in `tests/it` hold every registered method to what is written here.
pub trait Balancer: Send {
    /// What the training step must compute for [`Balancer::combine`]. Constant for the life of the balancer.
    fn needs(&self) -> Needs;

    /// The same for a certain step; [`Needs::FeatureGram`] where the weights are those of an earlier step, whatever the
    /// method needs otherwise.
    fn needs_at(&self, _step: u64) -> Needs {
        self.needs()
    }

    /// What the training step must tell by [`Balancer::learn`]. Constant for the life of the balancer.
    fn feedback(&self) -> Feedback {
        Feedback::Nothing
    }

    /// Told after the step that [`Balancer::combine`] has weighed: one number for each of the tasks that were present then, in
    /// their order.
    ///
    /// # Errors
    /// Numbers that are not finite, with the name of the task; another number of them. The state is then as it was.
    fn learn(&mut self, _values: &[f64]) -> Result<(), Error> {
        Ok(())
    }

    /// Whether it gives an update of its own ([`Combination::vector`]) and its weights are only to be looked at.
    fn makes_update(&self) -> bool {
        false
    }

    /// Whether losses are read as progress (their ratio to earlier ones): they say little of a loss that is an equilibrium, as
    /// that of a critic and its generator.
    fn reads_progress(&self) -> bool {
        false
    }

    /// With fewer tasks, but one, it has nothing to go by: refused by [`Wrap::around`](crate::Wrap::around). If fewer are present in a step,
    /// it does what its documentation says.
    fn fewest_tasks(&self) -> usize {
        1
    }

    /// Whether negative losses (a Gaussian log-likelihood, a hinge critic) are refused with an error.
    fn refuses_negative_losses(&self) -> bool {
        false
    }

    /// What this step makes of its tasks. To be called once a step, in order of steps.
    ///
    /// `stream` is the step's own, so that a resumed run draws the same numbers.
    ///
    /// # Errors
    /// Non-finite losses or gradients, with the name of the task; signals that do not fit together; negative losses
    /// where they are refused: the state is then as it was. [`Error::NoWeight`], where a weight is beyond what a number can hold: the
    /// method has then seen the step.
    fn combine(&mut self, signals: &Signals, stream: &mut Stream) -> Result<Combination, Error>;

    /// The weights alone.
    ///
    /// # Errors
    /// Those of [`Balancer::combine`].
    fn weights(&mut self, signals: &Signals, stream: &mut Stream) -> Result<Vec<f64>, Error> {
        self.combine(signals, stream).map(|combination| combination.weights)
    }

    /// What must be saved to continue; empty for methods without memory.
    fn state(&self) -> State {
        State::new()
    }

    /// Continues from what [`Balancer::state`] gave.
    ///
    /// # Errors
    /// A state of another method or of other tasks. The state is then as it was.
    fn restore(&mut self, state: State) -> Result<(), Error>;
}
