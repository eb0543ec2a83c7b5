//! What a method requires of the training step.

/// What the training step must compute before [`Balancer::aggregate`](crate::Balancer::aggregate), cheapest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Needs {
    /// Loss values only. One backward pass of `sum_i w_i l_i`; the weights act on the heads too.
    #[default]
    Losses,
    /// The Gram matrix of the task gradients with respect to the trunk's *features* (the shared representation). The graph is cut at
    /// the features: one cheap backward pass per head, then one pass through the trunk with the weighted sum. The products bound those
    /// of the parameters' gradients from above (Sener and Koltun 2018) and do not equal them.
    FeatureGram,
    /// The Gram matrix of the task gradients with respect to the trunk's *parameters*: one backward pass through the
    /// trunk per task. The papers use this one.
    TrunkGram,
    /// The products of gradients on one half of the batch with those on the other ([`Signals::halves`](crate::Signals::halves)), and
    /// the Gram matrix of the whole batch. The square of a gradient is biased by the batch's noise, the product of two independent
    /// gradients is not. Costs as much as [`Needs::TrunkGram`]; a task without labels in one of the halves is absent.
    HalvesGram,
    /// The task gradients as rows ([`Signals::gradients`](crate::Signals::gradients)), and their Gram matrix. Costs as much as
    /// [`Needs::TrunkGram`], and `tasks x parameters` numbers of host memory.
    Gradients,
}

impl Needs {
    /// Whether the weights also scale the gradients of the heads. Methods that weight losses do. Methods that use the shared
    /// gradients weight the shared parameters only, and every head keeps its own gradient, weight 1.
    pub fn weights_heads(self) -> bool {
        self == Self::Losses
    }

    /// Whether [`Signals::gram`](crate::Signals::gram) is required.
    pub fn gram(self) -> bool {
        self != Self::Losses
    }
}

/// What the training step must report after the step, by [`Balancer::feedback`](crate::Balancer::feedback). Most methods need
/// nothing; bilevel methods and FAMO do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Feedback {
    /// Nothing.
    #[default]
    Nothing,
    /// The losses of the same tasks on the same batch after the step: one forward pass more.
    LossesAfter,
    /// The derivative of the summed loss of these tasks (indices among all tasks) on another batch with respect to each task's
    /// weight in this step: one backward pass and three forward passes more.
    Lookahead(Vec<usize>),
}

/// What a method requires, and how its output is to be used. Constant for the life of a balancer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirements {
    /// Input of each step. Default: losses.
    pub needs: Needs,
    /// Input after each step. Default: nothing.
    pub feedback: Feedback,
    /// The method gives the update itself ([`Aggregation::vector`](crate::Aggregation::vector)); its weights are diagnostics only.
    /// Default: false.
    pub outputs_update: bool,
    /// Losses are compared with earlier losses of the same task. Such a ratio is no progress for a loss that is an equilibrium, as
    /// that of a discriminator and its generator. Default: false.
    pub uses_loss_ratios: bool,
    /// Negative losses (a Gaussian log-likelihood, a hinge) are an error. Default: false.
    pub nonnegative_losses: bool,
    /// Runs of fewer tasks are refused, except runs of one task ([`UpdateOptions::apply`](crate::UpdateOptions::apply)). With fewer
    /// present in one step the method does what its documentation says. Default: 1.
    pub min_tasks: usize,
}

impl Default for Requirements {
    fn default() -> Self {
        Self {
            needs: Needs::default(),
            feedback: Feedback::default(),
            outputs_update: false,
            uses_loss_ratios: false,
            nonnegative_losses: false,
            min_tasks: 1,
        }
    }
}
