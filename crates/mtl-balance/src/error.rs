//! What can go wrong when balancing.

/// An error of configuration, of the numbers of a step, or of a saved state.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// A task name in the configuration that the run does not have.
    #[error("{key}: {source}")]
    UnknownTask {
        /// The configuration table.
        key: &'static str,
        /// The name and the nearest known one.
        source: mtl_registry::UnknownName,
    },
    /// A setting outside its range.
    #[error("{key} = {value}: {rule}")]
    Setting {
        /// The configuration key.
        key: String,
        /// What it is set to.
        value: f64,
        /// What it must be.
        rule: &'static str,
    },
    /// A loss that is NaN or infinite.
    #[error(
        "the loss of task `{task}` is {value} at step {step}: lower the learning rate, or look at the labels of this task"
    )]
    NonFiniteLoss {
        /// Whose loss.
        task: String,
        /// Training step.
        step: u64,
        /// NaN or an infinity.
        value: f64,
    },
    /// A gradient whose inner products are NaN or infinite.
    #[error(
        "the gradient of task `{task}` is not finite at step {step} ({value} in the Gram matrix): lower the learning rate or clip gradients"
    )]
    NonFiniteGradient {
        /// Whose gradient.
        task: String,
        /// Training step.
        step: u64,
        /// The offending entry.
        value: f64,
    },
    /// A negative loss handed to a method that reads losses as distances from 0.
    #[error(
        "balancer `{method}` needs losses of at least 0, but task `{task}` has {value} at step {step}: use `fixed` or `pcgrad`, or a loss bounded below by 0"
    )]
    NegativeLoss {
        /// The method.
        method: &'static str,
        /// Whose loss.
        task: String,
        /// Training step.
        step: u64,
        /// The loss.
        value: f64,
    },
    /// The same, known before the first step.
    #[error(
        "balancer `{method}` needs losses of at least 0, but that of task `{task}` can be negative: use `fixed`, `pcgrad` or `upgrad`, or a loss bounded below by 0"
    )]
    NegativeLosses {
        /// The method.
        method: &'static str,
        /// Whose loss.
        task: String,
    },
    /// Gradients so far apart in length that a weight is beyond what a number can hold.
    #[error(
        "balancer `{method}` gives task `{task}` the weight {value} at step {step}: its gradient is too short or too long beside the others; scale its loss"
    )]
    NoWeight {
        /// The method.
        method: &'static str,
        /// Whose weight.
        task: String,
        /// Training step.
        step: u64,
        /// NaN or an infinity.
        value: f64,
    },
    /// The caller did not hand over what [`crate::Needs`] asks for.
    #[error("this balancer needs {missing}, which the training step did not compute: honour `Balancer::needs`")]
    Missing {
        /// What was not handed over.
        missing: &'static str,
    },
    /// Signals that do not fit together.
    #[error("signals of step {step}: {problem}")]
    Signals {
        /// Training step.
        step: u64,
        /// What does not fit.
        problem: String,
    },
    /// What came of a step is NaN or infinite.
    #[error("what came of the step for task `{task}` is {value}: lower the learning rate")]
    NonFiniteOutcome {
        /// Whose outcome.
        task: String,
        /// NaN or an infinity.
        value: f64,
    },
    /// The caller told of more or fewer tasks than took part.
    #[error("{told} outcomes for {present} present tasks: `Balancer::learn` takes one for each")]
    Told {
        /// Tasks that took part in the step.
        present: usize,
        /// Numbers handed over.
        told: usize,
    },
    /// A method that needs more tasks to go by.
    #[error(
        "this balancer needs {fewest} tasks with these settings, and the run has {tasks}: take another one, such as `upgrad`, or milder settings"
    )]
    TooFewTasks {
        /// How many it needs.
        fewest: usize,
        /// How many there are.
        tasks: usize,
    },
    /// A setting that needs what the method does not compute.
    #[error("{key}: {problem}")]
    Unsuited {
        /// The configuration key.
        key: &'static str,
        /// Why it cannot be, and what can.
        problem: String,
    },
    /// A Gram matrix that is not square.
    #[error("a Gram matrix of {size} tasks has {} entries, not {entries}", .size * .size)]
    GramSize {
        /// Rows wanted.
        size: usize,
        /// Entries handed over.
        entries: usize,
    },
    /// A saved state of another method or of other tasks.
    #[error(
        "saved state of balancer `{method}`: {problem}; resume with the tasks and the balancer the run was started with"
    )]
    State {
        /// The method.
        method: &'static str,
        /// What does not fit.
        problem: String,
    },
}

impl Error {
    /// A setting outside its range, unless `holds`.
    pub(crate) fn unless(holds: bool, key: impl Into<String>, value: f64, rule: &'static str) -> Result<(), Self> {
        if holds { Ok(()) } else { Err(Self::Setting { key: key.into(), value, rule }) }
    }

    /// The number of the task called `name`, which `key` of the configuration speaks of.
    pub(crate) fn find_task(key: &'static str, tasks: &[String], name: &str) -> Result<usize, Self> {
        let unknown = || mtl_registry::UnknownName::new("task", name, tasks.iter().map(String::as_str));
        let at = tasks.iter().position(|task| task == name);
        at.ok_or_else(|| Self::UnknownTask { key, source: unknown() })
    }

    /// One finite number for each present task, told after a step.
    pub(crate) fn unless_told(tasks: &[String], present: &[usize], values: &[f64]) -> Result<(), Self> {
        if values.len() != present.len() {
            return Err(Self::Told { present: present.len(), told: values.len() });
        }
        match present.iter().zip(values).find(|(_, value)| !value.is_finite()) {
            None => Ok(()),
            Some((&task, &value)) => Err(Self::NonFiniteOutcome { task: tasks[task].clone(), value }),
        }
    }
}
