//! Check before the first step: losses that a method cannot use, or misreads.

use crate::{Balancer, Error, Requirements};

/// Range of a task's loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LossKind {
    /// At least 0, and 0 at the optimum: cross-entropy, Dice, absolute and squared error.
    NonNegative,
    /// Can be negative: a Gaussian log-likelihood, a hinge.
    Signed,
    /// The equilibrium of a discriminator and its generator: its value does not measure progress.
    Adversarial,
}

/// Warnings for the user about losses that the method called `method` misreads, one sentence per task.
///
/// # Errors
/// [`Error::NegativeLosses`]: a loss can be negative, and the method takes its logarithm or divides by it.
pub fn check_losses(
    method: &'static str,
    balancer: &dyn Balancer,
    losses: &[(String, LossKind)],
) -> Result<Vec<String>, Error> {
    let Requirements { nonnegative_losses, uses_loss_ratios, .. } = balancer.requirements();
    let of = |kind: LossKind| losses.iter().filter(move |(_, other)| *other == kind).map(|(task, _)| task);
    if let Some(task) = of(LossKind::Signed).next().filter(|_| nonnegative_losses) {
        return Err(Error::NegativeLosses { method, task: task.clone() });
    }
    let warning = |task: &String| {
        format!(
            "balancer `{method}` compares losses with earlier ones, but the loss of `{task}` is an equilibrium of a discriminator \
             and its generator: its weight will be wrong; `norm_scaling`, `imtl_g` and `upgrad` use gradients instead"
        )
    };
    Ok(of(LossKind::Adversarial).filter(|_| uses_loss_ratios).map(warning).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;

    #[test]
    fn unusable_losses_are_reported_before_the_first_step() {
        let tasks = ["class".to_owned(), "image".to_owned()];
        let check = |name: &'static str, kind: LossKind| {
            let losses = [(tasks[0].clone(), LossKind::NonNegative), (tasks[1].clone(), kind)];
            check_losses(name, &*Config::default_of(name).unwrap().build(&tasks).unwrap(), &losses)
        };
        for method in ["gls", "log_sum", "dwa", "famo", "gradnorm", "db_mtl"] {
            let error = check(method, LossKind::Signed).unwrap_err().to_string();
            assert!(error.contains(method) && error.contains("`image`"), "{error}");
            assert_eq!(check(method, LossKind::NonNegative), Ok(Vec::new()));
        }
        assert_eq!(check("upgrad", LossKind::Signed), Ok(Vec::new()));
        assert_eq!(check("famo", LossKind::Adversarial).unwrap().len(), 1);
        assert_eq!(check("imtl_g", LossKind::Adversarial), Ok(Vec::new()));
    }
}
