//! Errors of this crate.

/// An error of the configuration, of the numbers of one step, or of a saved state.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A task name in the configuration that the run does not have.
    #[error("{key}: {source}")]
    UnknownTask {
        /// The configuration table.
        key: &'static str,
        /// The name and the nearest known one.
        source: Box<mtl_registry::UnknownName>,
    },
    /// A setting outside its range.
    #[error("{key} = {value}: {rule}")]
    Setting {
        /// The configuration key.
        key: String,
        /// Its value.
        value: f64,
        /// The allowed range.
        rule: &'static str,
    },
    /// A loss that is NaN or infinite.
    #[error(
        "the loss of task `{task}` is {value} at step {step}: lower the learning rate, or check the labels of this task"
    )]
    NonFiniteLoss {
        /// The task.
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
        /// The task.
        task: String,
        /// Training step.
        step: u64,
        /// The entry of the Gram matrix.
        value: f64,
    },
    /// A negative loss in one step of a method that needs losses of at least 0.
    #[error(
        "balancer `{method}` needs losses of at least 0, but task `{task}` has {value} at step {step}: use `fixed` or `pcgrad`, or a loss bounded below by 0"
    )]
    NegativeLoss {
        /// The method.
        method: &'static str,
        /// The task.
        task: String,
        /// Training step.
        step: u64,
        /// The loss.
        value: f64,
    },
    /// A loss that can be negative, found before the first step.
    #[error(
        "balancer `{method}` needs losses of at least 0, but that of task `{task}` can be negative: use `fixed`, `pcgrad` or `upgrad`, or a loss bounded below by 0"
    )]
    NegativeLosses {
        /// The method.
        method: &'static str,
        /// The task.
        task: String,
    },
    /// A weight that overflows, because gradient lengths are too far apart.
    #[error(
        "balancer `{method}` gives task `{task}` the weight {value} at step {step}: its gradient is too short or too long compared with the others; scale its loss"
    )]
    NonFiniteWeight {
        /// The method.
        method: &'static str,
        /// The task.
        task: String,
        /// Training step.
        step: u64,
        /// NaN or an infinity.
        value: f64,
    },
    /// The input that [`crate::Needs`] describes is absent.
    #[error("this balancer needs {missing}, which the training step did not compute: see `Balancer::needs_at`")]
    Missing {
        /// The absent input.
        missing: &'static str,
    },
    /// Signals that do not fit together.
    #[error("signals of step {step}: {problem}")]
    Signals {
        /// Training step.
        step: u64,
        /// The mismatch.
        problem: String,
    },
    /// Feedback that is NaN or infinite.
    #[error("the feedback after the step is {value} for task `{task}`: lower the learning rate")]
    NonFiniteFeedback {
        /// The task.
        task: String,
        /// NaN or an infinity.
        value: f64,
    },
    /// Feedback for another number of tasks than were present.
    #[error("{given} feedback values for {present} present tasks: `Balancer::feedback` takes one per task")]
    FeedbackLength {
        /// Tasks present in the step.
        present: usize,
        /// Numbers given.
        given: usize,
    },
    /// A run with fewer tasks than the method needs.
    #[error(
        "this balancer needs {min_tasks} tasks with these settings, and the run has {tasks}: use another one, such as `upgrad`, or milder settings"
    )]
    TooFewTasks {
        /// Tasks needed.
        min_tasks: usize,
        /// Tasks of the run.
        tasks: usize,
    },
    /// An option that this method does not support.
    #[error("{key}: {problem}")]
    IncompatibleOption {
        /// The configuration key.
        key: &'static str,
        /// The reason, and the alternatives.
        problem: &'static str,
    },
    /// A Gram matrix that is not square.
    #[error("a Gram matrix of {size} tasks has {} entries, not {entries}", .size * .size)]
    GramSize {
        /// Rows.
        size: usize,
        /// Entries given.
        entries: usize,
    },
    /// A saved state of another method, other tasks or another model.
    #[error(
        "saved state of balancer `{method}`: {problem}; resume with the tasks, model and balancer of the original run"
    )]
    State {
        /// The method.
        method: &'static str,
        /// The mismatch.
        problem: String,
    },
}

impl Error {
    /// # Errors
    /// [`Error::Setting`] unless `holds`.
    pub(crate) fn ensure(holds: bool, key: impl Into<String>, value: f64, rule: &'static str) -> Result<(), Self> {
        if holds { Ok(()) } else { Err(Self::Setting { key: key.into(), value, rule }) }
    }

    /// The index of the task called `name` in the configuration table `key`.
    pub(crate) fn find_task(key: &'static str, tasks: &[String], name: &str) -> Result<usize, Self> {
        let names = || tasks.iter().map(String::as_str);
        let unknown = || Box::new(mtl_registry::UnknownName::new("task", name, names()));
        let at = tasks.iter().position(|task| task == name);
        at.ok_or_else(|| Self::UnknownTask { key, source: unknown() })
    }

    /// # Errors
    /// Unless there is one finite number per present task.
    pub(crate) fn check_feedback(tasks: &[String], present: &[usize], values: &[f64]) -> Result<(), Self> {
        if values.len() != present.len() {
            return Err(Self::FeedbackLength { present: present.len(), given: values.len() });
        }
        match present.iter().zip(values).find(|(_, value)| !value.is_finite()) {
            None => Ok(()),
            Some((&task, &value)) => Err(Self::NonFiniteFeedback { task: tasks[task].clone(), value }),
        }
    }
}
