//! Reasons why a model cannot be built, or a step cannot be computed.

/// Every message names the place of the problem and a remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A configuration key with a value that cannot be used.
    #[error("{key}: {problem}")]
    Setting {
        /// The key, as in a configuration file.
        key: String,
        /// The problem, and which values are possible.
        problem: String,
    },
    /// A name that is not registered.
    #[error(transparent)]
    UnknownName(#[from] mtl_registry::UnknownName),
    /// A balancer setting out of range, or a signal the balancer cannot use.
    #[error("balancer: {0}")]
    Balance(#[from] mtl_balance::Error),
    /// A head setting out of range, or labels that do not fit the head.
    #[error(transparent)]
    Head(#[from] mtl_heads::Error),
    /// A generator setting out of range, or a batch the generator cannot use.
    #[error(transparent)]
    Generator(#[from] mtl_gen::Error),
    /// Predictions and labels that do not fit together.
    #[error(transparent)]
    Metrics(#[from] mtl_metrics::Error),
    /// A loss that is NaN or infinite.
    #[error("{what} is not finite")]
    NonFinite {
        /// "the loss of task `depth`" ...
        what: String,
    },
    /// A prediction that is NaN or infinite.
    #[error("the prediction of task `{task}` is not finite")]
    NonFinitePrediction {
        /// The task.
        task: String,
    },
    /// A tensor operation failed.
    #[error(transparent)]
    Tensor(#[from] mtl_tensor::Error),
}

/// `Result` of this crate.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// A non-finite prediction of `task`, where `error` is one.
    pub(crate) fn of_prediction(task: &str, error: mtl_heads::Error) -> Self {
        match error {
            mtl_heads::Error::NonFinite { .. } => Self::NonFinitePrediction { task: task.to_owned() },
            other => other.into(),
        }
    }
}
