//! Errors of heads.

use mtl_task::Target;

/// Error of a head.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A task or labels of a kind that the head does not serve.
    #[error(
        "task `{task}` is {kind}, which the head `{head}` does not serve; remove `heads.{task}` to use the default head"
    )]
    Kind {
        /// The task.
        task: String,
        /// The kind of the task or of its labels.
        kind: &'static str,
        /// The head.
        head: &'static str,
    },
    /// Settings out of range.
    #[error("heads.{task}: {problem}")]
    Config {
        /// The task.
        task: String,
        /// The value, and the values allowed.
        problem: String,
    },
    /// Predictions that contain NaN or infinite values.
    #[error("predictions of task `{task}` are not finite; the model has diverged: lower the learning rate")]
    NonFinite {
        /// The task.
        task: String,
    },
    /// A tensor operation failed.
    #[error(transparent)]
    Tensor(#[from] mtl_tensor::Error),
}

/// `Result` of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Error for labels of another kind than the task's.
pub(crate) fn wrong_target(task: &str, target: &Target, head: &'static str) -> Error {
    let kind = match target {
        Target::Class(_) => "labelled by class",
        Target::MultiLabel(_) => "labelled yes or no per label",
        Target::Mask(_) => "labelled by mask",
        Target::Dense(_) => "labelled by value per pixel",
        Target::Value(_) => "labelled by value",
    };
    Error::Kind { task: task.to_owned(), kind, head }
}
