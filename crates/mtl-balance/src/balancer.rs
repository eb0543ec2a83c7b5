//! The traits of all methods: settings ([`Method`]) and the method at work ([`Balancer`]).

use std::collections::BTreeMap;

use mtl_rng::Stream;

use crate::{Error, Needs, Requirements, Signals};

/// State of a method between steps, for checkpoints: lists of finite numbers by key. Keys are `task/NAME` for numbers of one task.
///
/// To resume bit for bit, store the numbers so that they read back exactly (`serde_json` needs `float_roundtrip`).
pub type State = BTreeMap<String, Vec<f64>>;

/// How the tasks of one step are combined.
#[derive(Clone, Debug, PartialEq)]
pub struct Aggregation {
    /// One finite number per *present* task, in the order of [`Signals::present`]. Without a `vector` the shared parameters move along
    /// `sum_i w_i g_i`; with one, the weights are the share of each gradient in it, for diagnostics.
    pub weights: Vec<f64>,
    /// The update of the shared parameters, from methods that work per coordinate ([`Needs::Gradients`]); as long as a row of
    /// [`Signals::gradients`].
    pub vector: Option<Vec<f32>>,
}

impl From<Vec<f64>> for Aggregation {
    fn from(weights: Vec<f64>) -> Self {
        Self { weights, vector: None }
    }
}

/// Settings of a method. Every method's `Config` implements it, and so does the enum [`Config`](crate::Config).
pub trait Method {
    /// The balancer for a run with these tasks.
    ///
    /// # Errors
    /// Settings outside their range; a task name that the run does not have.
    fn build(&self, tasks: &[String]) -> Result<Box<dyn Balancer>, Error>;
}

/// A method at work: losses and gradients of each step in, one weight per task (or an update) out.
///
/// The conformance tests in `tests/it` hold every registered method to this documentation.
pub trait Balancer: Send {
    /// What the method requires of the training step. Constant for the life of the balancer.
    fn requirements(&self) -> Requirements;

    /// The input of one step: [`Requirements::needs`], or [`Needs::FeatureGram`] where the weights of an earlier step are used again.
    fn needs_at(&self, _step: u64) -> Needs {
        self.requirements().needs
    }

    /// Combines the tasks of one step. Call it once per step, in order of steps.
    ///
    /// `stream` is the step's own random stream, so that a resumed run draws the same numbers.
    ///
    /// # Errors
    /// Non-finite losses or gradients, with the name of the task; signals that do not fit together; negative losses
    /// where they are refused; gradients of another length than those of the state. The state is unchanged then.
    /// [`Error::NonFiniteWeight`] where a weight overflows: the state then includes the step.
    fn aggregate(&mut self, signals: &Signals, stream: &mut Stream) -> Result<Aggregation, Error>;

    /// The weights of [`Balancer::aggregate`].
    ///
    /// # Errors
    /// Those of [`Balancer::aggregate`].
    fn weights(&mut self, signals: &Signals, stream: &mut Stream) -> Result<Vec<f64>, Error> {
        self.aggregate(signals, stream).map(|aggregation| aggregation.weights)
    }

    /// The result of the step, as [`Requirements::feedback`] describes: one number per task that was present in
    /// [`Balancer::aggregate`], in the same order. Call it after that step.
    ///
    /// # Errors
    /// Numbers that are not finite, with the name of the task; another count of them. The state is unchanged then.
    fn feedback(&mut self, _values: &[f64]) -> Result<(), Error> {
        Ok(())
    }

    /// The state to save; empty for stateless methods.
    fn state(&self) -> State {
        State::new()
    }

    /// Continues from a state that [`Balancer::state`] gave.
    ///
    /// # Errors
    /// A state of another method or of other tasks. The own state is unchanged then.
    fn restore(&mut self, state: State) -> Result<(), Error>;
}
