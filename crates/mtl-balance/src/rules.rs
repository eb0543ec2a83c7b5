//! Rules: the arithmetic of a method, without the checks that all methods share. [`Ruled`] makes a balancer of a rule.
//!
//! | rule | input | methods |
//! |---|---|---|
//! | [`LossRule`] | losses | GLS, STCH, RLW ... |
//! | [`GramRule`] | the Gram matrix of the task gradients | PCGrad, MGDA, UPGrad ... |
//! | [`SplitBatchRule`] | products between the gradients of two halves of the batch | SDMGrad, MoDo |
//! | [`GradientRule`] | the gradients | GradDrop, DB-MTL ... |
//!
//! A rule implements `name` and `solve`; the rest has defaults.

use mtl_rng::Stream;

use crate::rows::Rows;
use crate::task_state::{self, expect_no_state};
use crate::{Aggregation, Balancer, Error, GradientsWrt, Gram, Needs, Requirements, Signals, State};

/// A function of the losses of the present tasks. Stateless.
pub trait LossRule: Send {
    /// The name in the registry and in error messages.
    fn name(&self) -> &'static str;

    /// One weight per loss, of two or more; `tasks` are their indices among all tasks of the run.
    fn solve(&self, losses: &[f64], tasks: &[usize], stream: &mut Stream) -> Vec<f64>;

    /// [`Requirements`] other than `needs`. With `nonnegative_losses`, losses are at least 1e-8.
    fn requirements(&self) -> Requirements {
        Requirements::default()
    }
}

/// A function of the inner products of the task gradients: `m x m` arithmetic for `m` tasks.
///
/// ```
/// use mtl_balance::{Aggregator, Balancer, Error, GradientsWrt, GramRule, Method, Rows, Ruled};
/// use mtl_rng::Stream;
///
/// /// The mean of the gradients divided by their lengths.
/// struct UnitMean;
///
/// impl GramRule for UnitMean {
///     fn name(&self) -> &'static str {
///         "unit_mean"
///     }
///     fn solve(&mut self, rows: &Rows, _: &mut Stream) -> Vec<f64> {
///         let m = rows.gram.size();
///         (0..m).map(|i| 1.0 / (m as f64 * rows.gram.at(i, i).sqrt())).collect()
///     }
/// }
///
/// impl Method for UnitMean {
///     fn build(&self, tasks: &[String]) -> Result<Box<dyn Balancer>, Error> {
///         Ok(Ruled::gram(tasks, GradientsWrt::default(), UnitMean))
///     }
/// }
///
/// let update = Aggregator::new(&UnitMean).update(&[[3.0, 0.0], [0.0, 0.5]])?;
/// assert_eq!(update.vector, [0.5, 0.5]);
/// # Ok::<(), Error>(())
/// ```
pub trait GramRule: Send {
    /// The name in the registry and in error messages.
    fn name(&self) -> &'static str;

    /// One weight per row, of two or more.
    fn solve(&mut self, rows: &Rows, stream: &mut Stream) -> Vec<f64>;

    /// [`Requirements`] other than `needs`. With `nonnegative_losses`, losses are at least 1e-8.
    fn requirements(&self) -> Requirements {
        Requirements::default()
    }

    /// As [`Balancer::state`], with the names of the run's tasks.
    fn state(&self, _tasks: &[String]) -> State {
        State::new()
    }

    /// As [`Balancer::restore`].
    ///
    /// # Errors
    /// A state of another method or of other tasks.
    fn restore(&mut self, _tasks: &[String], state: &State) -> Result<(), Error> {
        expect_no_state(self.name(), state)
    }
}

/// A rule of the products between gradients on two halves of a batch: a point on the simplex that moves from step to step.
pub trait SplitBatchRule: Send {
    /// The name in the registry and in error messages.
    fn name(&self) -> &'static str;

    /// One weight per row, of two or more. `gram` is of the whole batch, `halves` between its halves. `simplex` is the point of the
    /// last step, at first equal shares, and becomes the point of this step.
    fn solve(&self, gram: &Gram, halves: &Gram, simplex: &mut Vec<f64>) -> Vec<f64>;
}

/// A rule that works per coordinate, or keeps gradients of earlier steps.
pub trait GradientRule: Send {
    /// The name in the registry and in error messages.
    fn name(&self) -> &'static str;

    /// Weights, one per gradient, of two or more; or the update itself, and the share of each gradient in it for the log. All
    /// gradients have the same length.
    ///
    /// # Errors
    /// Gradients of another length than those of the state. The state must be unchanged then.
    fn solve(&mut self, rows: &Rows, gradients: &[&[f32]], stream: &mut Stream) -> Result<Aggregation, Error>;

    /// [`Requirements`] other than `needs`. With `nonnegative_losses`, losses are at least 1e-8. Default: the rule gives the update.
    fn requirements(&self) -> Requirements {
        Requirements { outputs_update: true, ..Requirements::default() }
    }

    /// As [`Balancer::state`], with the names of the run's tasks.
    fn state(&self, _tasks: &[String]) -> State {
        State::new()
    }

    /// As [`Balancer::restore`].
    ///
    /// # Errors
    /// A state of another method or of other tasks.
    fn restore(&mut self, _tasks: &[String], state: &State) -> Result<(), Error> {
        expect_no_state(self.name(), state)
    }
}

/// The balancer of a rule. It checks the signals and handles the degenerate cases in the same way for all rules:
///
/// * A gradient of length zero, or shorter than 1e-10 of the longest (a finished task), gets weight 0 and is hidden from the rule, so
///   that it never stops the others.
/// * A single task gets weight 1.
/// * With no task, or only finished ones, all weights are 0.
pub struct Ruled {
    tasks: Vec<String>,
    name: &'static str,
    requirements: Requirements,
    rule: Rule,
}

enum Rule {
    Losses(Box<dyn LossRule>),
    Gram(Box<dyn GramRule>),
    /// With the point on the simplex: a share per task of the run.
    SplitBatch(Box<dyn SplitBatchRule>, Vec<f64>),
    Gradients(Box<dyn GradientRule>),
}

impl Ruled {
    /// The balancer of a rule of losses.
    pub fn losses(tasks: &[String], rule: impl LossRule + 'static) -> Box<dyn Balancer> {
        let requirements = Requirements { needs: Needs::Losses, ..rule.requirements() };
        Self::boxed(tasks, rule.name(), requirements, Rule::Losses(Box::new(rule)))
    }

    /// The balancer of a rule of the Gram matrix.
    pub fn gram(tasks: &[String], gradients_wrt: GradientsWrt, rule: impl GramRule + 'static) -> Box<dyn Balancer> {
        let requirements = Requirements { needs: gradients_wrt.needs(), ..rule.requirements() };
        Self::boxed(tasks, rule.name(), requirements, Rule::Gram(Box::new(rule)))
    }

    /// The balancer of a rule of two halves of the batch.
    pub fn split_batch(tasks: &[String], rule: impl SplitBatchRule + 'static) -> Box<dyn Balancer> {
        let requirements = Requirements { needs: Needs::HalvesGram, ..Requirements::default() };
        let equal = vec![1.0; tasks.len()];
        Self::boxed(tasks, rule.name(), requirements, Rule::SplitBatch(Box::new(rule), equal))
    }

    /// The balancer of a rule of gradients.
    pub fn gradients(tasks: &[String], rule: impl GradientRule + 'static) -> Box<dyn Balancer> {
        let requirements = Requirements { needs: Needs::Gradients, ..rule.requirements() };
        Self::boxed(tasks, rule.name(), requirements, Rule::Gradients(Box::new(rule)))
    }

    fn boxed(tasks: &[String], name: &'static str, requirements: Requirements, rule: Rule) -> Box<dyn Balancer> {
        Box::new(Self { tasks: tasks.to_vec(), name, requirements, rule })
    }
}

impl Balancer for Ruled {
    fn requirements(&self) -> Requirements {
        self.requirements.clone()
    }

    fn aggregate(&mut self, signals: &Signals, stream: &mut Stream) -> Result<Aggregation, Error> {
        signals.check(&self.tasks, self.requirements.needs)?;
        let losses = signals.losses_for(self.name, self.requirements.nonnegative_losses)?;
        if let Rule::Losses(rule) = &self.rule {
            return Ok(match losses.len() {
                0 => Vec::new(),
                1 => vec![1.0],
                _ => rule.solve(&losses, signals.present, stream),
            }
            .into());
        }
        let rows = Rows::new(signals, &losses)?;
        let alone = rows.tasks.len() < 2;
        let found: Aggregation = match &mut self.rule {
            Rule::Losses(_) => Vec::new().into(),
            _ if alone => vec![1.0].into(),
            Rule::Gram(rule) => rule.solve(&rows, stream).into(),
            Rule::SplitBatch(rule, simplex) => {
                let missing = "the products of the gradients of two halves of the batch";
                let halves = signals.halves.ok_or(Error::Missing { missing })?.among(&rows.present);
                return Ok(split_batch(&**rule, simplex, &rows, &halves, signals)?.into());
            }
            Rule::Gradients(rule) => {
                let all = signals.gradients.ok_or(Error::Missing { missing: "the task gradients" })?;
                let gradients: Vec<&[f32]> = rows.present.iter().map(|&i| all[i].as_slice()).collect();
                rule.solve(&rows, &gradients, stream)?
            }
        };
        Ok(Aggregation { weights: rows.weights(signals, self.name, &found.weights)?, vector: found.vector })
    }

    fn state(&self) -> State {
        match &self.rule {
            Rule::Losses(_) => State::new(),
            Rule::Gram(rule) => rule.state(&self.tasks),
            Rule::SplitBatch(_, simplex) => task_state::write(&self.tasks, simplex),
            Rule::Gradients(rule) => rule.state(&self.tasks),
        }
    }

    fn restore(&mut self, state: State) -> Result<(), Error> {
        match &mut self.rule {
            Rule::Losses(_) => expect_no_state(self.name, &state),
            Rule::Gram(rule) => rule.restore(&self.tasks, &state),
            Rule::SplitBatch(_, simplex) => {
                *simplex = task_state::read(self.name, &self.tasks, &[], &state, |share| *share >= 0.0)?;
                Ok(())
            }
            Rule::Gradients(rule) => rule.restore(&self.tasks, &state),
        }
    }
}

/// The weights, after a move of the present tasks' shares. Absent tasks keep theirs, so that a task returns with the share it had.
fn split_batch(
    rule: &dyn SplitBatchRule,
    shares: &mut [f64],
    rows: &Rows,
    halves: &Gram,
    signals: &Signals,
) -> Result<Vec<f64>, Error> {
    let m = rows.tasks.len() as f64;
    let held: f64 = rows.tasks.iter().map(|&task| shares[task]).sum();
    let share = |task: usize| if held > 0.0 { shares[task] / held } else { 1.0 / m };
    let mut simplex: Vec<f64> = rows.tasks.iter().map(|&task| share(task)).collect();
    let found = rule.solve(&rows.gram, halves, &mut simplex);
    let weights = rows.weights(signals, rule.name(), &found)?;
    let held = if held > 0.0 { held } else { m };
    rows.tasks.iter().zip(&simplex).for_each(|(&task, share)| shares[task] = share * held);
    Ok(weights)
}
