//! Whether a method can make sense of the losses it will be given: to be asked before the first step.

use crate::{Balancer, Error};

/// What is known of a task's loss beforehand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LossKind {
    /// At least 0, and 0 where nothing is left to do: cross-entropy, Dice, absolute and squared error.
    Distance,
    /// Can be negative: a Gaussian log-likelihood, a hinge.
    Signed,
    /// The equilibrium of two players, a critic and its generator: falling or rising says nothing about who is done.
    Adversarial,
}

/// Sentences the user should see, of losses the method will misread.
///
/// # Errors
/// [`Error::NegativeLosses`]: losses that can be negative, and a method that takes their logarithm or divides by them.
pub fn suit(
    method: &'static str,
    balancer: &dyn Balancer,
    losses: &[(String, LossKind)],
) -> Result<Vec<String>, Error> {
    let of = |kind: LossKind| losses.iter().filter(move |(_, other)| *other == kind).map(|(task, _)| task);
    if let Some(task) = of(LossKind::Signed).next().filter(|_| balancer.refuses_negative_losses()) {
        return Err(Error::NegativeLosses { method, task: task.clone() });
    }
    if !balancer.reads_progress() {
        return Ok(Vec::new());
    }
    let warning = |task: &String| {
        format!(
            "balancer `{method}` reads losses as progress, but the loss of `{task}` is an equilibrium of two players: it will \
             be weighed wrongly; `norm_scaling`, `imtl_g` or `upgrad` go by gradients"
        )
    };
    Ok(of(LossKind::Adversarial).map(warning).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;

    #[test]
    fn what_a_method_cannot_read_is_said_beforehand() {
        let tasks = ["class".to_owned(), "image".to_owned()];
        let ask = |name: &'static str, kind: LossKind| {
            let losses = [(tasks[0].clone(), LossKind::Distance), (tasks[1].clone(), kind)];
            suit(name, &*Config::named(name).unwrap().build(&tasks).unwrap(), &losses)
        };
        for method in ["gls", "log_sum", "dwa", "famo", "gradnorm", "db_mtl"] {
            let error = ask(method, LossKind::Signed).unwrap_err().to_string();
            assert!(error.contains(method) && error.contains("`image`"), "{error}");
            assert_eq!(ask(method, LossKind::Distance), Ok(Vec::new()));
        }
        assert_eq!(ask("upgrad", LossKind::Signed), Ok(Vec::new()));
        assert_eq!(ask("famo", LossKind::Adversarial).unwrap().len(), 1);
        assert_eq!(ask("imtl_g", LossKind::Adversarial), Ok(Vec::new()));
    }
}
